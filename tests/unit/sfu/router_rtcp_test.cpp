// SPDX-License-Identifier: LGPL-2.1-or-later
// RTCP, made anew for each hop.
#include <algorithm>
#include <set>

#include "router_fixture.h"
#include "sfu/core/feedback_requests.h"

namespace junctor::sfu::test {
namespace {

using namespace rtp::rtcp;

class RouterRtcpTest : public RouterTest {
 protected:
  void SetUp() override {
    alice = leg(kAlice);
    bob = leg(kBob);
    carol = leg(kCarol);
    for (const LegId to : {bob, carol}) ASSERT_TRUE(router.route(alice, to));
  }
  void publish(std::uint16_t first, int count, std::size_t payload = 100) {
    for (int i = 0; i < count; ++i)
      send(kAlice, rtp_packet(1, static_cast<std::uint16_t>(first + i), payload));
  }
  LegId alice = 0, bob = 0, carol = 0;
};

TEST_F(RouterRtcpTest, ALostPacketIsSentAgainFromHereToWhoMissesIt) {
  publish(65530, 20);
  clear();
  send_rtcp(kBob, ReceiverReport{2, {}}, Nack{2, 1, {65534, 65535, 3}});
  EXPECT_EQ(take(kBob),
            (std::vector{rtp_packet(1, 65534), rtp_packet(1, 65535), rtp_packet(1, 3)}));
  EXPECT_TRUE(take(kAlice).empty());
  EXPECT_TRUE(take(kCarol).empty());
  EXPECT_EQ(router.stats(bob)->retransmitted, 3U);
  EXPECT_EQ(router.stats(bob)->nacks_received, 3U);
  // The same again at once is the same loss.
  send_rtcp(kBob, Nack{2, 1, {65534}});
  EXPECT_TRUE(take(kBob).empty());
  now += 60ms;
  send_rtcp(kBob, Nack{2, 1, {65534}});
  EXPECT_EQ(take(kBob).size(), 1U);
  now += 2s;  // too old
  send_rtcp(kBob, Nack{2, 1, {3}});
  EXPECT_TRUE(take(kBob).empty());
}

TEST_F(RouterRtcpTest, WhatNeverCameIsAskedForOnceHoweverManyMissIt) {
  publish(10, 5);
  publish(17, 5);  // 15 and 16 are lost on the way to us
  clear();
  send_rtcp(kBob, Nack{2, 1, {15, 16}});
  send_rtcp(kCarol, Nack{3, 1, {15, 16}});
  const auto asked = items_of<Nack>(take(kAlice));
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].media, 1U);
  EXPECT_EQ(asked[0].lost, (std::vector<std::uint16_t>{15, 16}));
  EXPECT_EQ(router.stats(alice)->nacks_sent, 2U);
  publish(15, 2);
  EXPECT_EQ(take(kBob).size(), 2U);
  EXPECT_EQ(take(kCarol).size(), 2U);
  // Numbers far from all that was sent are not asked for.
  send_rtcp(kBob, Nack{2, 1, {9000, 22}});
  EXPECT_TRUE(take(kAlice).empty());
}

TEST_F(RouterRtcpTest, NacksCannotMultiplyTraffic) {
  publish(0, 400, 1100);
  clear();
  std::vector<std::uint16_t> all(400);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  std::size_t bytes = 0;
  for (int round = 0; round < 50; ++round, now += 10ms) {
    send_rtcp(kBob, Nack{2, 1, all});
    for (const Bytes &each : take(kBob)) bytes += each.size();
  }
  EXPECT_GT(bytes, 60000U);
  EXPECT_LE(bytes, RetransmissionCredit::kBurst);
}

TEST_F(RouterRtcpTest, KeyframeRequestsAreMerged) {
  publish(1, 3);
  clear();
  send_rtcp(kBob, Pli{2, 1});
  send_rtcp(kCarol, Pli{3, 1});
  send_rtcp(kBob, Pli{2, 1});
  auto plis = items_of<Pli>(take(kAlice));
  ASSERT_EQ(plis.size(), 1U);
  EXPECT_EQ(plis[0].media, 1U);
  ASSERT_TRUE(router.next());
  now += 200ms;
  router.run(now);
  EXPECT_TRUE(items_of<Pli>(take(kAlice)).empty());
  now += 300ms;
  EXPECT_LE(*router.next(), now);
  router.run(now);
  EXPECT_EQ(items_of<Pli>(take(kAlice)).size(), 1U);  // for those who asked later
  now += 600ms;
  router.run(now);
  EXPECT_TRUE(items_of<Pli>(take(kAlice)).empty());
  EXPECT_EQ(router.stats(alice)->keyframe_requests_sent, 2U);
  EXPECT_EQ(router.stats(bob)->keyframe_requests_received, 2U);
}

TEST_F(RouterRtcpTest, WhoAsksByFirIsServedByFir) {
  publish(1, 1);
  clear();
  send_rtcp(kBob, Fir{2, 1, 40});
  now += 1s;
  send_rtcp(kCarol, Fir{3, 1, 40});
  const auto firs = items_of<Fir>(take(kAlice));
  ASSERT_EQ(firs.size(), 2U);
  EXPECT_EQ(firs[0].media, 1U);
  EXPECT_NE(firs[0].request, firs[1].request);  // a command of its own each
}

TEST_F(RouterRtcpTest, FeedbackAboutOthersSourcesDoesNothing) {
  const LegId dave = leg("10.0.0.4:4000");
  publish(1, 3);
  clear();
  send_rtcp("10.0.0.4:4000", Pli{4, 1}, Nack{4, 1, {1, 2}});  // no route to it
  send_rtcp(kAlice, Pli{1, 1}, Nack{1, 1, {1}});              // its own
  outbox.flush(now);
  EXPECT_TRUE(wire.sent.empty());
  EXPECT_EQ(router.stats(dave)->keyframe_requests_received, 0U);
}

TEST_F(RouterRtcpTest, SenderReportsKeepTheClockAndTellOurCount) {
  send_rtcp(kAlice, SourceDescription{1, "alice@example"});  // nothing is known of SSRC 1 yet
  publish(1, 4, 100);
  send_rtcp(kAlice, SenderReport{1, 0x0123456789ABCDEF, 777, 4000, 99999, {}},
            SourceDescription{1, "alice@example"});
  now += 1s;
  send_rtcp(kAlice, SenderReport{1, 0x0123456789ABCDEF, 777, 4000, 99999, {}});
  const auto at_bob = take(kBob);
  const auto reports = items_of<SenderReport>(at_bob);
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_EQ(reports[0].ssrc, 1U);
  EXPECT_EQ(reports[0].ntp, 0x0123456789ABCDEFU);
  EXPECT_EQ(reports[0].rtp_timestamp, 777U);
  EXPECT_EQ(reports[0].packets, 4U);
  EXPECT_EQ(reports[0].octets, 400U);
  const auto names = items_of<SourceDescription>(at_bob);
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names.back().cname, "alice@example");
}

TEST_F(RouterRtcpTest, ThePublisherHearsOfItsOwnHopOnly) {
  send_rtcp(kBob, ReceiverReport{2, {ReportBlock{1, 200, 77, 5, 0, 0, 0}}});
  publish(1, 5);
  publish(7, 5);
  send_rtcp(kAlice, SenderReport{1, 0x0123456789ABCDEF, 777, 4, 400, {}});
  clear();
  now += 1s;
  router.run(now);
  const auto reports = items_of<ReceiverReport>(take(kAlice));
  ASSERT_EQ(reports.size(), 1U);
  ASSERT_EQ(reports[0].blocks.size(), 1U);
  EXPECT_EQ(reports[0].blocks[0].ssrc, 1U);
  EXPECT_EQ(reports[0].blocks[0].cumulative_lost, 1);
  EXPECT_EQ(reports[0].blocks[0].last_sr, 0x456789ABU);
  EXPECT_EQ(reports[0].blocks[0].delay_since_last_sr, 65536U);
  EXPECT_TRUE(take(kBob).empty());  // it sends nothing, there is nothing to report
}

TEST_F(RouterRtcpTest, LossAndRoundTripOfAHopComeFromItsReports) {
  publish(1, 4);
  send_rtcp(kAlice, SenderReport{1, 0x0123456789ABCDEF, 777, 4, 400, {}});
  clear();
  now += 150ms;
  // Held for 100 ms.
  send_rtcp(kBob, ReceiverReport{2, {ReportBlock{1, 64, 1, 4, 0, 0x456789AB, 6554}}});
  const auto stats = router.stats(bob);
  EXPECT_NEAR(stats->round_trip_ms, 50, 1);
  EXPECT_DOUBLE_EQ(stats->remote_fraction_lost, 0.25);
  EXPECT_EQ(router.stats(carol)->round_trip_ms, 0);
}

TEST_F(RouterRtcpTest, AGoodbyeIsPassedOn) {
  publish(1, 1);
  clear();
  send_rtcp(kAlice, ReceiverReport{1, {}}, Bye{{1, 5}, "done"});
  const auto byes = items_of<Bye>(take(kBob));
  ASSERT_EQ(byes.size(), 1U);
  EXPECT_EQ(byes[0].ssrcs, std::vector<std::uint32_t>{1});
  EXPECT_EQ(byes[0].reason, "done");
}

// Many items in few bytes must not become many datagrams for others.
TEST_F(RouterRtcpTest, AGoodbyeThatNamesManyIsOneForEachReceiver) {
  std::vector<std::uint32_t> all;
  for (std::uint32_t ssrc = 1; ssrc <= 31; ++ssrc) {
    send(kAlice, rtp_packet(ssrc, 1));
    all.push_back(ssrc);
  }
  clear();
  const Bye bye{all, "done"}, again{std::vector<std::uint32_t>(31, 7), {}};
  send_rtcp(kAlice, ReceiverReport{1, {}}, bye, bye, again, again, again);
  send_rtcp(kAlice, ReceiverReport{1, {}}, again);
  for (const std::string &to : {kBob, kCarol}) {
    const auto datagrams = take(to);
    EXPECT_EQ(datagrams.size(), 1U);
    const auto byes = items_of<Bye>(datagrams);
    ASSERT_EQ(byes.size(), 1U);
    EXPECT_EQ(byes[0].ssrcs, all);
  }
  // It may have been lost: said again a little later, it passes again.
  now += 200ms;
  send_rtcp(kAlice, ReceiverReport{1, {}}, Bye{{7, 7}, {}});
  const auto byes = items_of<Bye>(take(kBob));
  ASSERT_EQ(byes.size(), 1U);
  EXPECT_EQ(byes[0].ssrcs, std::vector<std::uint32_t>{7});
}

TEST_F(RouterRtcpTest, AFloodOfSenderReportsIsThinnedOut) {
  for (std::uint32_t ssrc = 1; ssrc <= Router::kMaxSources; ++ssrc)
    send(kAlice, rtp_packet(ssrc, 1));
  clear();
  Bytes compound;
  for (std::uint32_t i = 0; i < 57; ++i) append(compound, SenderReport{1 + i % 32, 1, 2, 3, 4, {}});
  // Each source at once, but each once.
  send(kAlice, compound);
  EXPECT_EQ(take(kBob).size(), Router::kMaxSources);
  clear();
  std::size_t came = 0;
  for (int i = 0; i < 2000; ++i, now += 5ms) {
    send(kAlice, compound);
    came += take(kBob).size();
    clear();
  }
  EXPECT_LE(came, 10 * (1s / Router::kToldInterval) + Router::kMostTold);
  EXPECT_GT(came, 5 * (1s / Router::kToldInterval));
}

// What honest clients send: each of 32 sources reports once a second, and all of them leave.
TEST_F(RouterRtcpTest, ReportsOfManySourcesAllPass) {
  for (std::uint32_t ssrc = 1; ssrc <= Router::kMaxSources; ++ssrc)
    send(kAlice, rtp_packet(ssrc, 1));
  clear();
  for (int second = 0; second < 10; ++second, now += 1s) {
    for (std::uint32_t ssrc = 1; ssrc <= Router::kMaxSources; ++ssrc)
      send_rtcp(kAlice, SenderReport{ssrc, 1, 2, 3, 4, {}});
    EXPECT_EQ(take(kBob).size(), Router::kMaxSources);
    clear();
  }
  for (std::uint32_t ssrc = 1; ssrc <= Router::kMaxSources; ++ssrc)
    send_rtcp(kAlice, Bye{{ssrc}, {}});
  EXPECT_EQ(items_of<Bye>(take(kBob)).size(), Router::kMaxSources);
}

// Each SSRC in whose name we send stays in a receiver's SRTP context for ever.
TEST_F(RouterRtcpTest, SourcesThatComeAndGoAreSpokenForUpToABound) {
  std::set<std::uint32_t> reported, ended;
  std::size_t media = 0;
  for (std::uint32_t ssrc = 1; ssrc <= 400; ++ssrc, now += 1s) {
    send(kAlice, rtp_packet(ssrc, 1));
    send_rtcp(kAlice, SenderReport{ssrc, 1, 2, 3, 4, {}}, Bye{{ssrc}, {}});
    const auto datagrams = take(kBob);
    for (const auto &each : items_of<SenderReport>(datagrams)) reported.insert(each.ssrc);
    for (const auto &each : items_of<Bye>(datagrams)) ended.insert(each.ssrcs.front());
    media += std::ranges::count(datagrams, rtp_packet(ssrc, 1));
    clear();
  }
  EXPECT_EQ(reported.size(), 256U);
  EXPECT_EQ(ended, reported);
  EXPECT_EQ(media, 400U);
}

TEST_F(RouterRtcpTest, OneLegsFloodOfFeedbackIsBounded) {
  publish(1, 1);
  for (int i = 0; i < 1000; ++i) send_rtcp(kBob, Pli{2, 1});
  EXPECT_EQ(router.stats(bob)->rtcp_received, Router::kMaxRtcpRate);
  EXPECT_EQ(router.stats(bob)->rtcp_excess, 1000U - Router::kMaxRtcpRate);
  now += 100ms;
  send_rtcp(kBob, Pli{2, 1});
  EXPECT_EQ(router.stats(bob)->rtcp_received, Router::kMaxRtcpRate + 1);
}

TEST_F(RouterRtcpTest, MalformedFeedbackIsCounted) {
  Bytes broken;
  append(broken, Pli{2, 1});
  broken[3] = std::byte{200};
  send(kBob, broken);
  EXPECT_EQ(router.stats(bob)->malformed, 1U);
  EXPECT_EQ(router.stats(bob)->rtcp_received, 0U);
}

// Both ends of a hop have keys for RTCP.
TEST_F(RouterRtcpTest, RtcpIsKeyedForEachHop) {
  const auto suite = rtp::SrtpSuite::AesCm128HmacSha1_80;
  const rtp::SrtpKey ours = rtp::SrtpKey::random(suite), theirs = rtp::SrtpKey::random(suite);
  const std::string secure = "10.0.0.5:4000";
  LegOptions options;
  options.rtcp_keys = rtp::SrtpKeys{ours, theirs};
  const LegId dora = leg(secure, options);
  ASSERT_TRUE(router.route(alice, dora));
  auto peer = *rtp::Srtp::make({theirs, ours});
  publish(1, 2);
  EXPECT_EQ(take(secure).size(), 2U);  // media is the peers' own affair
  send_rtcp(kAlice, SenderReport{1, 1, 2, 3, 4, {}});
  auto reports = take(secure);
  ASSERT_EQ(reports.size(), 1U);
  std::size_t size = reports[0].size();
  ASSERT_EQ(peer->unprotect_rtcp(reports[0], size), rtp::Srtp::Verdict::Authentic);
  reports[0].resize(size);
  EXPECT_EQ(items_of<SenderReport>(reports).size(), 1U);
  clear();

  send_rtcp(secure, Pli{5, 1});  // in clear: not believed
  EXPECT_EQ(router.stats(dora)->unauthenticated, 1U);
  EXPECT_TRUE(take(kAlice).empty());
  Bytes compound;
  append(compound, ReceiverReport{5, {}});
  append(compound, Pli{5, 1});
  size = compound.size();
  compound.resize(size + rtp::Srtp::kMaxTrailer);
  ASSERT_TRUE(peer->protect_rtcp(compound, size));
  compound.resize(size);
  send(secure, compound);
  EXPECT_EQ(items_of<Pli>(take(kAlice)).size(), 1U);
  now += 1s;
  send(secure, compound);  // replayed
  EXPECT_EQ(router.stats(dora)->unauthenticated, 2U);
  EXPECT_TRUE(take(kAlice).empty());
}

}  // namespace
}  // namespace junctor::sfu::test
