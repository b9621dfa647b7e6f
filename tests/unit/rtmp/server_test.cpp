// SPDX-License-Identifier: LGPL-2.1-or-later
// The server on loopback, with the reactor cranked by the test.
#include "rtmp/core/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <thread>

#include "peer.h"
#include "rtmp/core/server_core.h"

using namespace junctor;
using namespace junctor::rtmp;
using namespace std::chrono_literals;
using junctor::test::operator+;
using junctor::test::aac_track;
using junctor::test::h264_track;
using junctor::test::Peer;
using junctor::test::picture;
using junctor::test::Picture;
using junctor::test::sound;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;

namespace {

using Words = std::vector<std::string>;

/// A client on a socket of its own.
struct Client {
  explicit Client(const Endpoint &server, int receive_buffer = 0)
      : socket(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0)
      ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const auto address = server.to_sockaddr();
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr *>(&*address),
                        sockaddr_length(*address)),
              0);
  }
  void send(ByteSpan bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
  }
  /// Hears what has come; answers the handshake.
  void hear() {
    Bytes buffer(65536);
    for (;;) {
      const ssize_t got = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got == 0 || (got < 0 && errno == ECONNRESET)) closed = true;
      if (got <= 0) return;
      send(peer.hear(ByteSpan(buffer).first(static_cast<std::size_t>(got))));
      for (const Message &message : std::exchange(peer.heard, {}))
        words.push_back(test::words(message));
    }
  }
  bool has(const std::string &word) const {
    return std::find(words.begin(), words.end(), word) != words.end();
  }

  UniqueFd socket;
  Peer peer;
  Words words;
  bool closed = false;
  bool listens = true;  ///< whether the tests' turns make it hear
};

class Ear final : public PublishListener {
 public:
  void on_publisher() override { heard.push_back("begin"); }
  void on_track(const Track &track) override {
    heard.push_back("track " + std::string(to_string(track.codec)));
    if (outlet) outlet->set_track(track);
  }
  void on_frame(const rtmp::Frame &frame) override {
    heard.push_back(std::string(to_string(frame.medium)) + " " + std::to_string(frame.dts));
    if (outlet) outlet->write(frame);
  }
  void on_publisher_gone(bool finished) override { heard.push_back(finished ? "end" : "lost"); }
  Words heard;
  std::shared_ptr<Outlet> outlet;
};

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    options.listen = {"127.0.0.1", 0};
    options.log = [this](LogLevel, std::string_view text) { logged.emplace_back(text); };
    options.events.publish_started = [this](const Request &request) {
      events.push_back("publish " + request.stream);
    };
    options.events.publish_ended = [this](const Request &request, bool finished) {
      events.push_back((finished ? "finished " : "lost ") + request.stream);
    };
    options.events.play_started = [this](const Request &request) {
      events.push_back("play " + request.stream);
    };
    options.events.play_ended = [this](const Request &request) {
      events.push_back("ended " + request.stream);
    };
  }
  void SetUp() override {
    auto made = Reactor::create();
    ASSERT_TRUE(made);
    reactor = *made;
  }
  // The events go to members that are gone before the server is.
  void TearDown() override { server.reset(); }
  void listen() {
    auto made = Server::listen(reactor, options);
    ASSERT_TRUE(made) << made.error().detail;
    server = std::move(*made);
  }
  Client &client(int receive_buffer = 0) {
    clients.push_back(std::make_unique<Client>(server->local(), receive_buffer));
    return *clients.back();
  }
  /// Turns the reactor until `done`; false after many turns.
  bool turn_until(const std::function<bool()> &done) {
    const Time enough = Clock::now() + 20s;
    while (Clock::now() < enough) {
      for (const auto &each : clients)
        if (!each->closed && each->listens) each->hear();
      if (done()) return true;
      reactor->run_once(5ms);
    }
    return false;
  }
  /// Goes through the handshake and connect.
  bool connect(Client &client, const std::string &app = "call") {
    client.send(client.peer.begin());
    if (!turn_until([&] { return client.peer.ready(); })) return false;
    client.send(client.peer.connect(app));
    return turn_until([&] { return client.has("_result 1 NetConnection.Connect.Success"); });
  }
  /// And on to stream 1, published or played.
  bool start(Client &client, const std::string &command, const std::string &name) {
    if (!connect(client)) return false;
    client.send(client.peer.command("createStream", 2) +
                client.peer.command(command, 0, {name}, 1));
    return turn_until([&] {
      return client.has(command == "publish" ? "onStatus NetStream.Publish.Start"
                                             : "onStatus NetStream.Play.Start");
    });
  }
  void give_tracks(Client &client) {
    client.send(client.peer.media(MessageType::Video, 1, 0, config_body(h264_track())) +
                client.peer.media(MessageType::Audio, 1, 0, config_body(aac_track())));
  }
  void give(Client &client, const rtmp::Frame &frame) {
    const bool audio = frame.medium == Medium::Audio;
    client.send(client.peer.media(audio ? MessageType::Audio : MessageType::Video, 1,
                                  static_cast<std::uint32_t>(frame.dts),
                                  test::tag_of(audio ? aac_track() : h264_track(), frame)));
  }
  bool logged_like(const std::string &part) const {
    return std::any_of(logged.begin(), logged.end(),
                       [&](const auto &line) { return line.find(part) != line.npos; });
  }

  std::shared_ptr<Reactor> reactor;
  ServerOptions options;
  std::shared_ptr<Server> server;
  Words events, logged;

  std::vector<std::unique_ptr<Client>> clients;
};

}  // namespace

TEST_F(ServerTest, WhatIsPublishedIsHeardAndWhatIsWrittenIsPlayed) {
  listen();
  const auto ear = std::make_shared<Ear>();
  ear->outlet = server->outlet("bob");
  server->listen_to("alice", ear);
  Client &publisher = client(), &player = client(), &second = client();
  ASSERT_TRUE(start(publisher, "publish", "alice?to=bob"));
  ASSERT_TRUE(start(player, "play", "bob"));
  ASSERT_TRUE(start(second, "play", "bob"));
  EXPECT_THAT(events, ElementsAre("publish alice", "play bob", "play bob"));
  EXPECT_EQ(server->stats().connections, 3U);
  EXPECT_EQ(server->stats().publishers, 1U);
  EXPECT_EQ(server->stats().players, 2U);
  give_tracks(publisher);
  give(publisher, picture(Picture::Key, 0, 100000));
  give(publisher, sound(20));
  give(publisher, picture(Picture::Inter, 40));
  ASSERT_TRUE(turn_until([&] { return player.has("video 40") && second.has("video 40"); }));
  EXPECT_THAT(ear->heard,
              ElementsAre("begin", "track h264", "track aac", "video 0", "audio 20", "video 40"));
  EXPECT_THAT(Words(player.words.end() - 6, player.words.end()),
              ElementsAre("data onMetaData 0", "video config 0", "audio config 0", "video key 0",
                          "audio 20", "video 40"));
  EXPECT_EQ(server->publish_stats("alice").frames, 3U);
  EXPECT_TRUE(server->publish_stats("alice").video);
  EXPECT_EQ(ear->outlet->stats().players, 2U);

  publisher.send(publisher.peer.command("deleteStream", 0, {1}));
  ASSERT_TRUE(turn_until([&] { return ear->heard.back() == "end"; }));
  EXPECT_FALSE(server->publish_stats("alice").present);
  ear->outlet->end("NetStream.Play.Complete", "over");
  ASSERT_TRUE(turn_until([&] { return player.closed && second.closed; }));
  EXPECT_THAT(Words(player.words.end() - 3, player.words.end()),
              ElementsAre("onStatus NetStream.Play.Complete",
                          "onStatus NetStream.Play.UnpublishNotify", "StreamEof 1"));
  EXPECT_THAT(events, IsSupersetOf({"finished alice", "ended bob", "ended bob"}));
  EXPECT_EQ(server->stats().players, 0U);
}

TEST_F(ServerTest, APublisherIsNotLoopedBack) {
  listen();
  Client &publisher = client(), &player = client();
  ASSERT_TRUE(start(player, "play", "alice"));
  ASSERT_TRUE(start(publisher, "publish", "alice"));
  give_tracks(publisher);
  give(publisher, picture(Picture::Key, 0));
  ASSERT_TRUE(turn_until([&] { return server->publish_stats("alice").frames == 1; }));
  EXPECT_EQ(player.words.back(), "onStatus NetStream.Play.Start");
}

TEST_F(ServerTest, ALostConnectionIsNotAnEnd) {
  listen();
  const auto ear = std::make_shared<Ear>();
  server->listen_to("alice", ear);
  Client &publisher = client();
  ASSERT_TRUE(start(publisher, "publish", "alice"));
  publisher.socket.reset();
  publisher.listens = false;
  ASSERT_TRUE(turn_until([&] { return !ear->heard.empty() && ear->heard.back() != "begin"; }));
  EXPECT_EQ(ear->heard.back(), "lost");
  EXPECT_EQ(events.back(), "lost alice");

  Client &polite = client();
  ASSERT_TRUE(start(polite, "publish", "alice"));
  polite.send(polite.peer.command("FCUnpublish", 0, {"alice"}));
  ASSERT_TRUE(turn_until([&] { return polite.has("onFCUnpublish NetStream.Unpublish.Success"); }));
  polite.socket.reset();
  polite.listens = false;
  ASSERT_TRUE(turn_until([&] { return ear->heard.size() == 4; }));
  EXPECT_EQ(ear->heard.back(), "end");
}

TEST_F(ServerTest, ASecondPublisherTakesOver) {
  listen();
  const auto ear = std::make_shared<Ear>();
  server->listen_to("alice", ear);
  Client &first = client(), &second = client();
  ASSERT_TRUE(start(first, "publish", "alice"));
  ASSERT_TRUE(start(second, "publish", "alice"));
  ASSERT_TRUE(turn_until([&] { return first.closed; }));
  EXPECT_TRUE(first.has("onStatus NetStream.Publish.BadName"));
  EXPECT_THAT(events, ElementsAre("publish alice", "lost alice", "publish alice"));
  EXPECT_THAT(ear->heard, ElementsAre("begin", "lost", "begin"));
  give_tracks(second);
  give(second, picture(Picture::Key, 7));
  ASSERT_TRUE(turn_until([&] { return ear->heard.back() == "video 7"; }));
  EXPECT_EQ(server->stats().publishers, 1U);
}

TEST_F(ServerTest, APublisherMayBeEnded) {
  listen();
  const auto ear = std::make_shared<Ear>();
  server->listen_to("alice", ear);
  Client &publisher = client();
  ASSERT_TRUE(start(publisher, "publish", "alice"));
  server->end_publisher("alice", "NetStream.Publish.Denied", "busy");
  server->end_publisher("nobody", "NetStream.Publish.Denied", "busy");
  EXPECT_EQ(ear->heard.back(), "end");
  ASSERT_TRUE(turn_until([&] { return publisher.closed; }));
  EXPECT_THAT(publisher.words, IsSupersetOf({"StreamEof 1", "onStatus NetStream.Publish.Denied"}));
}

TEST_F(ServerTest, EndedInItsOwnEventAPublisherBeginsNothing) {
  options.events.publish_started = [this](const Request &request) {
    server->end_publisher(request.stream, "NetStream.Publish.Denied", "no callee");
  };
  listen();
  const auto ear = std::make_shared<Ear>();
  server->listen_to("alice", ear);
  Client &publisher = client();
  start(publisher, "publish", "alice");
  ASSERT_TRUE(turn_until([&] { return publisher.closed; }));
  EXPECT_TRUE(publisher.has("onStatus NetStream.Publish.Denied"));
  EXPECT_TRUE(ear->heard.empty());
}

TEST_F(ServerTest, EachCheckRefusesAlone) {
  std::string refuse;
  options.events.authenticate = [&](const Request &request, const Decision &decision) {
    const std::string stage(to_string(request.stage));
    stage == refuse ? decision.refuse("not today") : decision.accept("alice");
  };
  std::vector<std::string> checks;
  options.events.checked = [&](const Request &request, const Verdict &verdict) {
    if (!verdict.accepted) checks.push_back(std::string(to_string(request.stage)) + verdict.reason);
  };
  listen();
  std::size_t refused = 0;
  for (const char *command : {"publish", "play"}) {
    for (const char *stage : {"connect", "createStream", "publish/play"}) {
      refuse = stage;
      Client &asking = client();
      asking.send(asking.peer.begin());
      ASSERT_TRUE(turn_until([&] { return asking.peer.ready(); }));
      // All at once, as ffmpeg does: what follows the refused one is not answered.
      asking.send(asking.peer.connect("call?token=secret") +
                  asking.peer.command("createStream", 2) +
                  asking.peer.command(command, 0, {"alice"}, 1));
      ASSERT_TRUE(turn_until([&] { return asking.closed; }));
      const std::string last = refuse == "connect" ? "_error 1 NetConnection.Connect.Rejected"
                               : refuse == "createStream" ? "_error 2 NetConnection.Call.Failed"
                               : command == std::string("publish")
                                   ? "onStatus NetStream.Publish.Denied"
                                   : "onStatus NetStream.Play.Failed";
      EXPECT_EQ(asking.words.back(), last);
      EXPECT_EQ(checks.back(), refuse + "not today");
      EXPECT_THAT(
          logged.back(),
          HasSubstr("refused at " + (refuse == "publish/play" ? command : refuse) + ": not today"));
      EXPECT_EQ(server->stats().refused, ++refused);
    }
  }
  for (const std::string &line : logged) EXPECT_THAT(line, testing::Not(HasSubstr("secret")));
}

TEST_F(ServerTest, VerdictsMayComeLaterFromAnyThread) {
  std::vector<std::thread> threads;
  options.events.authenticate = [&](const Request &, const Decision &decision) {
    threads.emplace_back([decision] {
      decision.accept("alice");
      decision.refuse("too late");
    });
  };
  listen();
  Client &player = client();
  ASSERT_TRUE(start(player, "play", "alice"));
  for (std::thread &thread : threads) thread.join();
  EXPECT_EQ(threads.size(), 3U);
  EXPECT_EQ(server->stats().refused, 0U);
}

TEST_F(ServerTest, ADecisionThatIsDroppedRefuses) {
  options.events.authenticate = [](const Request &, const Decision &) {};
  listen();
  Client &asking = client();
  asking.send(asking.peer.begin());
  ASSERT_TRUE(turn_until([&] { return asking.peer.ready(); }));
  asking.send(asking.peer.connect("call"));
  ASSERT_TRUE(turn_until([&] { return asking.closed; }));
  EXPECT_EQ(asking.words.back(), "_error 1 NetConnection.Connect.Rejected");
}

TEST_F(ServerTest, AVerdictThatOutlivesItsConnectionOrServerDoesNothing) {
  std::vector<Decision> decisions;
  options.events.authenticate = [&](const Request &, const Decision &decision) {
    decisions.push_back(decision);
  };
  listen();
  Client &asking = client();
  asking.send(asking.peer.begin());
  ASSERT_TRUE(turn_until([&] { return asking.peer.ready(); }));
  asking.send(asking.peer.connect("call"));
  ASSERT_TRUE(turn_until([&] { return decisions.size() == 1; }));
  asking.socket.reset();
  asking.listens = false;
  ASSERT_TRUE(turn_until([&] { return server->stats().connections == 0; }));
  decisions[0].accept("alice");
  reactor->run_once(0ms);
  decisions.clear();
  Client &other = client();
  other.send(other.peer.begin());
  ASSERT_TRUE(turn_until([&] { return other.peer.ready(); }));
  other.send(other.peer.connect("call"));
  ASSERT_TRUE(turn_until([&] { return decisions.size() == 1; }));
  server.reset();
  decisions[0].accept("alice");
  reactor->run_once(0ms);
}

TEST_F(ServerTest, NothingIsReadWhileACheckIsPending) {
  std::vector<Decision> decisions;
  options.events.authenticate = [&](const Request &, const Decision &decision) {
    decisions.push_back(decision);
  };
  listen();
  Client &flood = client();
  flood.send(flood.peer.begin());
  ASSERT_TRUE(turn_until([&] { return flood.peer.ready(); }));
  flood.send(flood.peer.connect("call"));
  ASSERT_TRUE(turn_until([&] { return decisions.size() == 1; }));
  // It goes on sending until the socket is full: the server reads no more of it.
  const Bytes junk(65536, std::byte{0});
  std::size_t total = 0;
  for (int idle = 0; idle < 20;) {
    const ssize_t sent = ::send(flood.socket.get(), junk.data(), junk.size(), MSG_DONTWAIT);
    if (sent > 0) total += static_cast<std::size_t>(sent);
    idle = sent > 0 ? 0 : idle + 1;
    reactor->run_once(0ms);
    ASSERT_LT(total, 64U * 1024 * 1024);
  }
  EXPECT_EQ(server->stats().connections, 1U);
}

TEST_F(ServerTest, WhoReadsNoAnswersIsNotReadWithoutEnd) {
  listen();
  Client &flood = client(4096);
  ASSERT_TRUE(connect(flood));
  flood.listens = false;
  Bytes pings;
  while (pings.size() < 65536)
    pings = pings + flood.peer.say(user_control({UserEvent::PingRequest, 1, 0}));
  std::size_t total = 0;
  for (int idle = 0; idle < 20;) {
    const ssize_t sent = ::send(flood.socket.get(), pings.data(), pings.size(), MSG_DONTWAIT);
    if (sent > 0) total += static_cast<std::size_t>(sent);
    idle = sent > 0 ? 0 : idle + 1;
    reactor->run_once(0ms);
    ASSERT_LT(total, 64U * 1024 * 1024);
  }
  EXPECT_EQ(server->stats().connections, 1U);
}

TEST_F(ServerTest, GarbageIsClosedAndNamed) {
  listen();
  Client &http = client();
  http.send(as_bytes("GET / HTTP/1.1\r\n\r\n"));
  ASSERT_TRUE(turn_until([&] { return server->stats().connections == 0 && !logged.empty(); }));
  EXPECT_THAT(logged.back(), HasSubstr("rtmp 127.0.0.1:"));
  EXPECT_THAT(logged.back(), HasSubstr("closed at handshake: "));
}

TEST_F(ServerTest, IdleClientsAreClosedAtEachStage) {
  options.limits.handshake_ms = 30;
  options.limits.start_ms = 30;
  options.limits.idle_ms = 60;
  listen();
  client();  // says nothing
  ASSERT_TRUE(
      turn_until([&] { return logged_like("closed at handshake: no connect within 30 ms"); }));
  Client &connected = client();
  ASSERT_TRUE(connect(connected));
  ASSERT_TRUE(turn_until([&] { return logged_like("no publish or play within 30 ms"); }));
  Client &publisher = client();
  ASSERT_TRUE(start(publisher, "publish", "alice"));
  ASSERT_TRUE(
      turn_until([&] { return logged_like("closed at publishing: nothing sent for 60 ms"); }));
  EXPECT_EQ(events.back(), "lost alice");
  // A player is asked for a sign of life first, and this one gives none.
  Client &player = client();
  ASSERT_TRUE(start(player, "play", "alice"));
  ASSERT_TRUE(
      turn_until([&] { return logged_like("closed at playing: no sign of life for 60 ms"); }));
  EXPECT_TRUE(std::any_of(player.words.begin(), player.words.end(),
                          [](const auto &word) { return word.starts_with("PingRequest"); }));
  EXPECT_EQ(server->stats().connections, 0U);
}

TEST_F(ServerTest, APlayerToWhomNothingIsSentIsToldInTheEnd) {
  options.limits.wait_ms = 50;
  listen();
  Client &player = client();
  ASSERT_TRUE(start(player, "play", "alice"));
  ASSERT_TRUE(turn_until([&] { return player.closed; }));
  EXPECT_TRUE(player.has("onStatus NetStream.Play.Failed"));
}

TEST_F(ServerTest, ConnectionsAreBounded) {
  options.limits.connections = 4;
  options.limits.connections_per_address = 2;
  listen();
  client();
  client();
  ASSERT_TRUE(turn_until([&] { return server->stats().connections == 2; }));
  Client &third = client();
  ASSERT_TRUE(turn_until([&] { return third.closed; }));
  EXPECT_THAT(logged.back(), HasSubstr("too many connections of this address"));
  clients[0]->socket.reset();
  clients[0]->listens = false;
  ASSERT_TRUE(turn_until([&] { return server->stats().connections == 1; }));
  Client &fourth = client();
  ASSERT_TRUE(connect(fourth));
}

TEST_F(ServerTest, WithoutDescriptorsItWaits) {
  listen();
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  Client &waiting = client();  // in the backlog
  // No descriptor is left beyond those that are open.
  const UniqueFd probe(::dup(0));
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(probe.get());
  ::setrlimit(RLIMIT_NOFILE, &none);
  ASSERT_TRUE(turn_until([&] { return logged_like("cannot accept for now"); }));
  EXPECT_EQ(server->stats().connections, 0U);
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(connect(waiting));
}

TEST_F(ServerTest, ASlowPlayerSlowsNobodyAndIsParted) {
  options.limits.lag_part_ms = 300;
  listen();
  const auto outlet = server->outlet("alice");
  Client &slow = client(4096), &fast = client();
  ASSERT_TRUE(start(slow, "play", "alice"));
  ASSERT_TRUE(start(fast, "play", "alice"));
  slow.listens = false;
  outlet->begin_source();
  outlet->set_track(h264_track());
  std::int64_t dts = 0;
  std::size_t written = 0;
  ASSERT_TRUE(turn_until([&] {
    outlet->write(picture(dts % 400 == 0 ? Picture::Key : Picture::Inter, dts, 60000));
    dts += 40;
    ++written;
    return logged_like("closed at playing: it takes too slowly");
  }));
  ASSERT_TRUE(turn_until([&] {
    return fast.has("video " + std::to_string(dts - 40)) ||
           fast.has("video key " + std::to_string(dts - 40));
  }));
  const auto heard = std::count_if(fast.words.begin(), fast.words.end(), [](const auto &word) {
    return word.starts_with("video") && !word.starts_with("video config");
  });
  EXPECT_EQ(static_cast<std::size_t>(heard), written);
  EXPECT_EQ(outlet->stats().players, 1U);
}

TEST_F(ServerTest, AnOutletLivesWhileSomebodyHoldsIt) {
  listen();
  const Outlet *first = server->outlet("alice").get();
  Client &player = client();
  ASSERT_TRUE(start(player, "play", "alice"));
  std::weak_ptr<Outlet> held = server->outlet("alice");
  EXPECT_FALSE(held.expired());
  (void)first;
  player.socket.reset();
  player.listens = false;
  ASSERT_TRUE(turn_until([&] { return held.expired(); }));
}

TEST_F(ServerTest, AKeyframeIsAskedForWhenAPlayerWaits) {
  listen();
  const auto outlet = server->outlet("alice");
  int asked = 0;
  outlet->set_keyframe_wanted([&] { ++asked; });
  outlet->begin_source();
  outlet->set_track(h264_track());
  outlet->write(picture(Picture::Inter, 0));
  reactor->run_once(0ms);
  EXPECT_EQ(asked, 0);
  Client &player = client();
  ASSERT_TRUE(start(player, "play", "alice"));
  ASSERT_TRUE(turn_until([&] { return asked == 1; }));
  outlet->write(picture(Picture::Key, 40));
  ASSERT_TRUE(turn_until([&] { return player.has("video key 0"); }));
  EXPECT_EQ(asked, 1);
}

TEST_F(ServerTest, SeveralPlayersOnOneConnectionHaveStreamsOfTheirOwn) {
  listen();
  const auto one = server->outlet("one"), two = server->outlet("two");
  Client &player = client();
  ASSERT_TRUE(start(player, "play", "one"));
  player.send(player.peer.command("createStream", 5) + player.peer.command("play", 0, {"two"}, 2));
  ASSERT_TRUE(turn_until([&] { return server->stats().players == 2; }));
  for (const auto &outlet : {one, two}) {
    outlet->begin_source();
    outlet->set_track(aac_track());
    outlet->write(sound(0, outlet == one ? 100 : 200000));
  }
  const auto count = [&] {
    return std::count(player.words.begin(), player.words.end(), "audio 0");
  };
  ASSERT_TRUE(turn_until([&] { return count() == 2; }));
}

TEST_F(ServerTest, ClosingEndsAll) {
  listen();
  const auto ear = std::make_shared<Ear>();
  server->listen_to("alice", ear);
  Client &publisher = client(), &player = client();
  ASSERT_TRUE(start(publisher, "publish", "alice"));
  ASSERT_TRUE(start(player, "play", "bob"));
  const Endpoint address = server->local();
  server->close();
  EXPECT_EQ(ear->heard.back(), "lost");
  EXPECT_THAT(events, IsSupersetOf({"lost alice", "ended bob"}));
  EXPECT_EQ(server->stats().connections, 0U);
  ASSERT_TRUE(turn_until([&] { return publisher.closed && player.closed; }));
  EXPECT_TRUE(player.has("onStatus NetConnection.Connect.AppShutdown"));
  auto again = ServerOptions();
  again.listen = address;
  EXPECT_TRUE(Server::listen(reactor, again));
}

TEST_F(ServerTest, TheServerMayBeLetGoInItsOwnEvents) {
  options.events.play_started = [this](const Request &) { server.reset(); };
  listen();
  Client &player = client();
  ASSERT_TRUE(connect(player));
  player.send(player.peer.command("createStream", 2) + player.peer.command("play", 0, {"x"}, 1));
  ASSERT_TRUE(turn_until([&] { return player.closed; }));
  EXPECT_EQ(server, nullptr);
}

TEST_F(ServerTest, APortInUseIsAnError) {
  listen();
  ServerOptions second;
  second.listen = server->local();
  const auto made = Server::listen(reactor, second);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().detail, HasSubstr(std::to_string(second.listen.port)));
}

TEST_F(ServerTest, ManyClientsComeAndGo) {
  listen();
  for (int i = 0; i < 200; ++i) client();
  ASSERT_TRUE(turn_until([&] { return server->stats().connections == 200; }));
  clients.clear();
  ASSERT_TRUE(turn_until([&] { return server->stats().connections == 0; }));
}

TEST(AddressGroup, IsAnIpv6SiteOrAnIpv4Address) {
  EXPECT_EQ(address_group("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(address_group("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
  EXPECT_EQ(address_group("::ffff:192.0.2.7"), "::ffff:192.0.2.7");
}

TEST(Threads, AServerIsUsedAndClosedFromAnotherThread) {
  auto thread = ReactorThread::start("rtmp-test");
  ASSERT_TRUE(thread);
  const auto reactor = (*thread)->reactor();
  ServerOptions options;
  options.listen = {"127.0.0.1", 0};
  options.events.authenticate = [](const Request &, const Decision &decision) {
    std::thread([decision] { decision.accept("alice"); }).detach();
  };
  auto made = Server::listen(reactor, options);
  ASSERT_TRUE(made);
  std::shared_ptr<Server> server = std::move(*made);
  std::shared_ptr<Outlet> outlet;
  reactor->invoke([&] { outlet = server->outlet("alice"); });
  Client player(server->local());
  const auto hear_until = [&](const std::string &word) {
    const Time enough = Clock::now() + 20s;
    while (!player.has(word) && !player.closed && Clock::now() < enough) {
      player.hear();
      std::this_thread::yield();
    }
    return player.has(word);
  };
  player.send(player.peer.begin());
  const Time enough = Clock::now() + 20s;
  while (!player.peer.ready() && Clock::now() < enough) player.hear();
  ASSERT_TRUE(player.peer.ready());
  player.send(player.peer.connect("call") + player.peer.command("createStream", 2) +
              player.peer.command("play", 0, {"alice"}, 1));
  ASSERT_TRUE(hear_until("onStatus NetStream.Play.Start"));
  EXPECT_EQ(server->stats().players, 1U);
  reactor->invoke([&] {
    outlet->begin_source();
    outlet->set_track(aac_track());
    outlet->write(sound(0));
  });
  EXPECT_TRUE(hear_until("audio 0"));
  EXPECT_EQ(outlet->stats().frames, 1U);
  server.reset();
  while (!player.closed && Clock::now() < enough) player.hear();
  EXPECT_TRUE(player.closed);
  outlet.reset();
}
