// SPDX-License-Identifier: LGPL-2.1-or-later
// RTMPS: a server with a second door, for TLS.
#include <gmock/gmock.h>

#include "../temporary_directory.h"
#include "server_fixture.h"

using namespace junctor;
using namespace junctor::rtmp;
using namespace std::chrono_literals;
using namespace junctor::test;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class TlsServerTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    auto identity = TlsIdentity::load(fresh_certificate(directory.path()), {});
    ASSERT_TRUE(identity);
    options.more_doors.push_back({{"127.0.0.1", 0}, *identity});
    listen();
  }
  TemporaryDirectory directory;
};

TEST_F(TlsServerTest, BothDoorsLeadToTheSameNames) {
  ASSERT_EQ(server->locals().size(), 2U);
  EXPECT_EQ(server->local(), server->locals()[0]);
  const auto ear = std::make_shared<Ear>();
  ear->outlet = server->outlet("bob");
  server->listen_to("alice", ear);
  Client &publisher = tls_client(), &player = tls_client(), &plain = client();
  ASSERT_TRUE(start(publisher, "publish", "alice"));
  ASSERT_TRUE(start(player, "play", "bob"));
  ASSERT_TRUE(start(plain, "play", "bob"));
  give_tracks(publisher);
  give(publisher, picture(Picture::Key, 0, 300000));  // more than a socket and a record take
  give(publisher, sound(20));
  give(publisher, picture(Picture::Inter, 40));
  ASSERT_TRUE(turn_until([&] { return player.has("video 40") && plain.has("video 40"); }));
  EXPECT_THAT(ear->heard,
              ElementsAre("begin", "track h264", "track aac", "video 0", "audio 20", "video 40"));
  EXPECT_THAT(player.words, Contains("video key 0"));
  publisher.send(publisher.peer.command("deleteStream", 0, {1}));
  ASSERT_TRUE(turn_until([&] { return ear->heard.back() == "end"; }));
  ear->outlet->end("NetStream.Play.Complete", "over");
  ASSERT_TRUE(turn_until([&] { return player.closed && plain.closed; }));
  EXPECT_THAT(player.words, Contains("onStatus NetStream.Play.Complete"));
  EXPECT_TRUE(player.tls->ended) << "closed as TLS wants it";
}

TEST_F(TlsServerTest, ARefusalIsHeardBeforeTheEnd) {
  server.reset();
  options.events.authenticate = [](const Request &, Decision decision) {
    decision.refuse("Not today.");
  };
  listen();
  Client &refused = tls_client();
  refused.send(refused.peer.begin());
  ASSERT_TRUE(turn_until([&] { return refused.peer.ready(); }));
  refused.send(refused.peer.connect("call"));
  ASSERT_TRUE(turn_until([&] { return refused.closed; }));
  EXPECT_THAT(refused.words, Contains("_error 1 NetConnection.Connect.Rejected"));
}

TEST_F(TlsServerTest, RtmpInClearAtTheTlsDoorIsClosedWithTheReasonInTheLog) {
  Client &wrong = tls_client();
  wrong.tls.reset();
  wrong.send(wrong.peer.begin());
  ASSERT_TRUE(turn_until([&] { return wrong.closed; }));
  EXPECT_FALSE(wrong.peer.ready());
  EXPECT_THAT(logged, Contains(HasSubstr("no TLS client")));
  EXPECT_EQ(server->stats().connections, 0U);
}

TEST_F(TlsServerTest, WhoNeverFinishesTheHandshakeIsClosedInTime) {
  server.reset();
  options.limits.handshake_ms = 50;
  listen();
  Client &silent = tls_client();
  ASSERT_TRUE(turn_until([&] { return silent.closed; }));
  EXPECT_EQ(server->stats().connections, 0U);
}

/// What a slow reader leaves is bounded, and others are not kept waiting.
TEST_F(TlsServerTest, ASlowPlayerUnderTlsIsSkippedAndHearsTheEndOfIt) {
  const auto outlet = server->outlet("bob");
  Client &slow = tls_client(), &quick = tls_client();
  ASSERT_TRUE(start(slow, "play", "bob"));
  ASSERT_TRUE(start(quick, "play", "bob"));
  const auto ear = std::make_shared<Ear>();
  ear->outlet = outlet;
  server->listen_to("alice", ear);
  Client &publisher = client();
  ASSERT_TRUE(start(publisher, "publish", "alice"));
  give_tracks(publisher);
  slow.listens = false;
  for (int i = 0; i < 60; ++i) {
    give(publisher, picture(Picture::Key, i * 40, 200000));
    ASSERT_TRUE(turn_until([&] { return quick.has("video key " + std::to_string(i * 40)); })) << i;
  }
  slow.listens = true;
  // On a slow machine the last one may come too late as well; then one of those that follow comes.
  const auto has = [](const Client &player, int number) {
    return player.has("video key " + std::to_string(number * 40));
  };
  bool heard = has(slow, 59);
  for (int i = 60; !heard && i < 160; ++i) {
    give(publisher, picture(Picture::Key, i * 40, 1000));
    ASSERT_TRUE(turn_until([&] { return has(quick, i); })) << i;
    // Under a sanitizer it takes its time to read what has waited for it.
    const Time end = Clock::now() + std::chrono::milliseconds(100);
    turn_until([&] { return has(slow, i) || Clock::now() >= end; });
    for (int number = 59; number <= i; ++number) heard = heard || has(slow, number);
  }
  EXPECT_TRUE(heard);
  EXPECT_FALSE(slow.has("video key 1600")) << "pictures that came too late are left out";
}
