// SPDX-License-Identifier: LGPL-2.1-or-later
// What one client may cost the server, and the others.
#include <gmock/gmock.h>
#include <sys/resource.h>

#include "common/peer_log_budget.h"
#include "server_fixture.h"

using namespace junctor;
using namespace junctor::rtmp;
using namespace std::chrono_literals;
using namespace junctor::test;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;

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
  EXPECT_TRUE(stops_taking(flood, junk));
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
  EXPECT_TRUE(stops_taking(flood, pings));
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

TEST_F(ServerTest, DataThatCannotBeReadEndsNoPublisherAndBrokenPicturesDo) {
  listen();
  Client &publisher = client();
  ASSERT_TRUE(start(publisher, "publish", "alice"));
  give_tracks(publisher);
  const auto left_out = [&] {
    return std::count_if(logged.begin(), logged.end(), [](const auto &line) {
      return line.find("left out while publishing") != line.npos;
    });
  };
  for (std::int64_t i = 0; i < 40; ++i) {
    publisher.send(publisher.peer.media(MessageType::DataAmf0, 1, 0, wire("07 0000")));
    give(publisher, picture(i == 0 ? Picture::Key : Picture::Inter, 40 * i));
  }
  ASSERT_TRUE(turn_until([&] { return server->publish_stats("alice").frames == 40; }));
  EXPECT_FALSE(publisher.closed);
  EXPECT_EQ(left_out(), 1);
  for (int i = 0; i < 33; ++i)
    publisher.send(publisher.peer.media(MessageType::Video, 1, 2000, wire("17 01 0000")));
  EXPECT_TRUE(turn_until([&] { return publisher.closed; }));
  EXPECT_TRUE(logged_like("too many broken messages"));
  EXPECT_EQ(left_out(), 33);
}

TEST_F(ServerTest, BrokenMessagesAreCountedThroughAllThatAConnectionPublishes) {
  listen();
  Client &publisher = client();
  ASSERT_TRUE(start(publisher, "publish", "alice"));
  for (int i = 0; i < 33; ++i) {
    publisher.send(publisher.peer.media(MessageType::DataAmf0, 1, 0, wire("07 0000")) +
                   publisher.peer.media(MessageType::Video, 1, 2000, wire("17 01 0000")) +
                   publisher.peer.command("closeStream", 0, {}, 1) +
                   publisher.peer.command("publish", 0, {"alice"}, 1));
  }
  EXPECT_TRUE(turn_until([&] { return publisher.closed; }));
  EXPECT_TRUE(logged_like("too many broken messages"));
  EXPECT_EQ(std::count_if(logged.begin(), logged.end(),
                          [](const auto &line) {
                            return line.find("left out while publishing") != line.npos;
                          }),
            33);
}

TEST_F(ServerTest, WhoChangesATrackWithoutEndIsClosed) {
  listen();
  Client &publisher = client();
  ASSERT_TRUE(start(publisher, "publish", "alice"));
  for (int i = 0; i < 40; ++i)
    publisher.send(
        publisher.peer.media(MessageType::Audio, 1, 0, wire(i % 2 == 0 ? "7e ff" : "7f ff")));
  EXPECT_TRUE(turn_until([&] { return publisher.closed; }));
  EXPECT_TRUE(logged_like("changes too often"));
}

TEST_F(ServerTest, WhoIsRefusedAgainAndAgainDoesNotFillTheLog) {
  listen();
  constexpr std::size_t kMany = 400;
  for (std::size_t i = 0; i < kMany; ++i) {
    client().send(as_bytes("GET / HTTP/1.1\r\n\r\n"));
    ASSERT_TRUE(turn_until([&] { return clients.back()->closed; }));
  }
  const auto lines =
      static_cast<std::size_t>(std::count_if(logged.begin(), logged.end(), [](const auto &line) {
        return line.find("closed at handshake") != line.npos;
      }));
  EXPECT_GE(lines, PeerLogBudget::kPeerBurst);
  EXPECT_LT(lines, kMany);
  // One that was let in is told of all the same.
  Client &publisher = client();
  ASSERT_TRUE(start(publisher, "publish", "alice"));
  publisher.socket.reset();
  EXPECT_TRUE(turn_until([&] { return logged_like("closed at publishing"); }));
}
