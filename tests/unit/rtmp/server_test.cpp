// SPDX-License-Identifier: LGPL-2.1-or-later
// Publishers, players and checks of one server.
#include <gmock/gmock.h>

#include <thread>

#include "server_fixture.h"

using namespace junctor;
using namespace junctor::rtmp;
using namespace std::chrono_literals;
using namespace junctor::test;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;

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
  server->end_publisher("alice", Server::kAnyConnection, "NetStream.Publish.Denied", "busy");
  server->end_publisher("nobody", Server::kAnyConnection, "NetStream.Publish.Denied", "busy");
  EXPECT_EQ(ear->heard.back(), "end");
  ASSERT_TRUE(turn_until([&] { return publisher.closed; }));
  EXPECT_THAT(publisher.words, IsSupersetOf({"StreamEof 1", "onStatus NetStream.Publish.Denied"}));
}

TEST_F(ServerTest, WhoTookANameOverIsNotEndedInPlaceOfWhoHadIt) {
  std::vector<std::uint64_t> connections;
  options.events.publish_started = [&](const Request &request) {
    connections.push_back(request.connection);
  };
  listen();
  const auto ear = std::make_shared<Ear>();
  server->listen_to("alice", ear);
  Client &first = client(), &second = client();
  ASSERT_TRUE(start(first, "publish", "alice"));
  ASSERT_TRUE(start(second, "publish", "alice"));
  ASSERT_EQ(connections.size(), 2U);
  server->end_publisher("alice", connections[0], "NetStream.Unpublish.Success", "over");
  EXPECT_EQ(ear->heard.back(), "begin");
  server->end_publisher("alice", connections[1], "NetStream.Unpublish.Success", "over");
  EXPECT_EQ(ear->heard.back(), "end");
  ASSERT_TRUE(turn_until([&] { return second.closed; }));
  EXPECT_TRUE(second.has("onStatus NetStream.Unpublish.Success"));
  EXPECT_FALSE(first.has("onStatus NetStream.Unpublish.Success"));
}

TEST_F(ServerTest, EndedInItsOwnEventAPublisherBeginsNothing) {
  options.events.publish_started = [this](const Request &request) {
    server->end_publisher(request.stream, request.connection, "NetStream.Publish.Denied",
                          "no callee");
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
