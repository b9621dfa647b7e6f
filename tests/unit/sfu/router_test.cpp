// SPDX-License-Identifier: LGPL-2.1-or-later
// Who gets what.
#include "sfu/core/router.h"

#include "router_fixture.h"

namespace junctor::sfu::test {
namespace {

TEST_F(RouterTest, RtpGoesByteForByteWhereRoutesLead) {
  const LegId alice = leg(kAlice), bob = leg(kBob), carol = leg(kCarol);
  ASSERT_TRUE(router.route(alice, bob));
  ASSERT_TRUE(router.route(alice, carol));
  ASSERT_TRUE(router.route(bob, alice));
  // With CSRC, header extension, marker and padding: nothing of it is ours.
  const Bytes extension = filled(8, 0x10);
  rtp::PacketExtras extras{{5, 6}, 0xBEDE, extension, 4};
  const Bytes packet = rtp::build_packet({111, true, 65535, 77, 0xAABBCCDD}, filled(33, 3), extras);
  send(kAlice, packet);
  EXPECT_EQ(take(kBob), only(packet));
  EXPECT_EQ(take(kCarol), only(packet));
  EXPECT_TRUE(take(kAlice).empty());
  const Bytes back = rtp_packet(9, 1);
  send(kBob, back);
  EXPECT_EQ(take(kAlice), only(back));
  EXPECT_TRUE(take(kCarol).empty());
  EXPECT_EQ(router.stats(alice)->received_packets, 1U);
  EXPECT_EQ(router.stats(alice)->received_bytes, packet.size());
  EXPECT_EQ(router.stats(carol)->sent.packets, 1U);
  EXPECT_EQ(router.stats().routes, 3U);
}

TEST_F(RouterTest, StrangersAreDroppedAndCounted) {
  const LegId alice = leg(kAlice), bob = leg(kBob);
  ASSERT_TRUE(router.route(alice, bob));
  send(kEve, rtp_packet(1, 1));
  send("10.0.0.1:4001", rtp_packet(1, 1));  // right host, wrong port
  send("[::ffff:10.0.0.1]:4000", rtp_packet(1, 1));
  send_rtcp(kEve, rtp::rtcp::Pli{1, 1});
  EXPECT_TRUE(take(kBob).empty());
  EXPECT_TRUE(wire.sent.empty());  // nobody gets an answer
  EXPECT_EQ(router.stats().strangers, 4U);
  EXPECT_EQ(router.stats(alice)->received_packets, 0U);
}

TEST_F(RouterTest, StunIsForItsOwnerWhereverItComesFrom) {
  leg(kAlice);
  const Bytes request = filled(20, 0);
  send(kEve, request);
  send(kAlice, request);
  ASSERT_EQ(stun.size(), 2U);
  EXPECT_EQ(stun[0], std::pair(kEve, request));
  EXPECT_EQ(stun[1], std::pair(kAlice, request));
  EXPECT_EQ(router.stats().strangers, 0U);
}

TEST_F(RouterTest, WhatIsNeitherIsDropped) {
  const LegId alice = leg(kAlice), bob = leg(kBob);
  ASSERT_TRUE(router.route(alice, bob));
  send(kAlice, filled(100, 22));  // DTLS
  send(kAlice, {});
  send(kAlice, filled(11, 0x80));  // shorter than a header
  Bytes packet = rtp_packet(1, 1, 0);
  packet[0] |= std::byte{0x0f};  // fifteen CSRCs that are not there
  send(kAlice, packet);
  packet[0] = std::byte{0x90};  // an extension that is not there
  send(kAlice, packet);
  Bytes extended = rtp::build_packet({96, false, 1, 1, 1}, {}, {{}, 0xBEDE, filled(4, 0), 0});
  extended[15] = std::byte{200};  // one longer than the packet
  send(kAlice, extended);
  EXPECT_TRUE(take(kBob).empty());
  EXPECT_EQ(router.stats().unknown, 2U);
  EXPECT_EQ(router.stats(alice)->malformed, 4U);
}

TEST_F(RouterTest, ALegWithoutAddressTakesNothingUntilItHasOne) {
  const LegId alice = leg(kAlice), bob = leg("");
  ASSERT_TRUE(router.route(alice, bob));
  ASSERT_TRUE(router.route(bob, alice));
  send(kBob, rtp_packet(2, 1));
  send(kAlice, rtp_packet(1, 1));
  EXPECT_TRUE(take(kAlice).empty());
  EXPECT_TRUE(take(kBob).empty());
  ASSERT_TRUE(router.set_remote(bob, *Endpoint::parse(kBob)));
  send(kBob, rtp_packet(2, 2));
  send(kAlice, rtp_packet(1, 2));
  EXPECT_EQ(take(kAlice).size(), 1U);
  EXPECT_EQ(take(kBob).size(), 1U);
}

TEST_F(RouterTest, ALegThatMovesIsServedAtItsNewAddressOnly) {
  const LegId alice = leg(kAlice), bob = leg(kBob);
  ASSERT_TRUE(router.route(alice, bob));
  ASSERT_TRUE(router.route(bob, alice));
  send(kBob, rtp_packet(2, 1));
  const std::string moved = "10.9.9.9:1";
  ASSERT_TRUE(router.set_remote(bob, *Endpoint::parse(moved)));
  send(kAlice, rtp_packet(1, 1));
  EXPECT_EQ(take(moved).size(), 1U);
  EXPECT_TRUE(take(kBob).empty());
  clear();
  send(kBob, rtp_packet(2, 2));
  send(moved, rtp_packet(2, 3));
  EXPECT_EQ(take(kAlice), only(rtp_packet(2, 3)));
  EXPECT_EQ(router.stats().strangers, 1U);
  EXPECT_EQ(router.stats(bob)->remote.to_string(), moved);
}

TEST_F(RouterTest, NobodyTakesTheAddressOfAnother) {
  leg(kAlice);
  LegOptions same;
  same.remote = *Endpoint::parse(kAlice);
  const auto second = router.add_leg(same, now);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().fault, Fault::Refused);
  const LegId bob = leg(kBob);
  EXPECT_FALSE(router.set_remote(bob, *Endpoint::parse(kAlice)));
  EXPECT_TRUE(router.set_remote(bob, *Endpoint::parse(kBob)));
  EXPECT_EQ(router.stats().legs, 2U);
}

TEST_F(RouterTest, LegsAndRoutesAreBounded) {
  std::vector<LegId> legs;
  for (int i = 0; i < 8; ++i) legs.push_back(leg("10.1.0.1:" + std::to_string(1000 + i)));
  EXPECT_FALSE(router.add_leg({}, now));
  EXPECT_FALSE(router.route(legs[0], legs[0]));
  EXPECT_FALSE(router.route(legs[0], 999));
  router.remove_leg(legs[0]);
  EXPECT_TRUE(router.add_leg({}, now));
  EXPECT_FALSE(router.route(legs[0], legs[1]));  // its number is not used again
}

TEST_F(RouterTest, WhoHasGoneIsNeitherHeardNorSentTo) {
  const LegId alice = leg(kAlice), bob = leg(kBob), carol = leg(kCarol);
  for (const LegId from : {alice, bob, carol})
    for (const LegId to : {alice, bob, carol}) EXPECT_EQ(bool(router.route(from, to)), from != to);
  send(kBob, rtp_packet(2, 1));
  send(kAlice, rtp_packet(1, 1));
  router.remove_leg(bob);
  outbox.flush(now);
  EXPECT_TRUE(wire.to(kBob).empty());
  clear();
  send(kBob, rtp_packet(2, 2));
  send(kAlice, rtp_packet(1, 2));
  send_rtcp(kAlice, rtp::rtcp::Nack{1, 2, {1}});
  EXPECT_TRUE(take(kBob).empty());
  EXPECT_EQ(take(kCarol), only(rtp_packet(1, 2)));
  EXPECT_FALSE(router.stats(bob));
  router.unroute(alice, carol);
  send(kAlice, rtp_packet(1, 3));
  EXPECT_TRUE(take(kCarol).empty());
  EXPECT_EQ(router.stats().routes, 1U);
}

TEST_F(RouterTest, PadsAreLegsWithoutAddress) {
  const LegId alice = leg(kAlice);
  std::vector<Bytes> tapped;
  LegOptions options;
  options.deliver = [&](ByteSpan packet, bool) {
    tapped.emplace_back(packet.begin(), packet.end());
  };
  const LegId pads = leg("", options);
  EXPECT_FALSE(router.set_remote(pads, *Endpoint::parse(kBob)));
  ASSERT_TRUE(router.route(alice, pads));
  ASSERT_TRUE(router.route(pads, alice));
  send(kAlice, rtp_packet(1, 1));
  EXPECT_EQ(tapped, only(rtp_packet(1, 1)));
  Bytes injected = rtp_packet(2, 1);
  router.inject(pads, injected, now);
  EXPECT_EQ(take(kAlice), only(rtp_packet(2, 1)));
}

TEST_F(RouterTest, APacketThatComesTwiceIsPassedOnOnce) {
  const LegId alice = leg(kAlice), bob = leg(kBob);
  ASSERT_TRUE(router.route(alice, bob));
  for (const std::uint16_t sequence : {1, 2, 4, 2, 3, 4, 5}) send(kAlice, rtp_packet(1, sequence));
  EXPECT_EQ(take(kBob).size(), 5U);
  EXPECT_EQ(router.stats(alice)->duplicates, 2U);
  EXPECT_EQ(router.stats(alice)->lost, 0U);
}

TEST_F(RouterTest, WhoSendsJunkUnderTheNextNumbersSilencesNobody) {
  const LegId alice = leg(kAlice), bob = leg(kBob);
  ASSERT_TRUE(router.route(alice, bob));
  send(kAlice, rtp_packet(1, 1));
  // From the address of Alice, as far as anybody here can see.
  for (std::uint16_t sequence = 2; sequence < 50; ++sequence)
    send(kAlice, rtp_packet(1, sequence, 20));
  clear();
  for (std::uint16_t sequence = 2; sequence < 50; ++sequence) send(kAlice, rtp_packet(1, sequence));
  EXPECT_EQ(take(kBob).size(), 48U);
  EXPECT_EQ(router.stats(alice)->duplicates, 0U);
}

TEST_F(RouterTest, ALegThatIsNowhereIsNotSentTo) {
  const LegId alice = leg(kAlice), bob = leg(kBob);
  ASSERT_TRUE(router.route(alice, bob));
  ASSERT_TRUE(router.route(bob, alice));
  router.clear_remote(bob);
  send(kAlice, rtp_packet(1, 1));
  send(kBob, rtp_packet(2, 1));
  EXPECT_TRUE(take(kBob).empty());
  EXPECT_TRUE(take(kAlice).empty());
  EXPECT_EQ(router.stats().strangers, 1U);
  ASSERT_TRUE(router.set_remote(bob, *Endpoint::parse(kBob)));
  send(kAlice, rtp_packet(1, 2));
  EXPECT_EQ(take(kBob).size(), 1U);
}

TEST_F(RouterTest, LossIsCountedAcrossARestartOfNumbers) {
  const LegId alice = leg(kAlice), bob = leg(kBob);
  ASSERT_TRUE(router.route(alice, bob));
  for (const std::uint16_t sequence : {65534, 65535, 2, 3}) send(kAlice, rtp_packet(1, sequence));
  EXPECT_EQ(router.stats(alice)->lost, 2U);
  send(kAlice, rtp_packet(1, 30000));        // a straggler of nobody
  EXPECT_EQ(router.stats(alice)->lost, 1U);  // it is a packet more
  for (const std::uint16_t sequence : {20000, 20001, 20003}) send(kAlice, rtp_packet(1, sequence));
  EXPECT_EQ(router.stats(alice)->lost, 1U + 1U - 1U);
  EXPECT_EQ(take(kBob).size(), 8U);  // all of them passed on
}

TEST_F(RouterTest, SourcesOfALegAreBoundedAndIdleOnesMakeRoom) {
  const LegId alice = leg(kAlice), bob = leg(kBob);
  ASSERT_TRUE(router.route(alice, bob));
  for (std::uint32_t ssrc = 1; ssrc <= Router::kMaxSources; ++ssrc)
    send(kAlice, rtp_packet(ssrc, 1));
  send(kAlice, rtp_packet(1000, 1));
  EXPECT_EQ(take(kBob).size(), Router::kMaxSources);
  EXPECT_EQ(router.stats(alice)->malformed, 1U);
  now += 6s;
  send(kAlice, rtp_packet(1000, 2));
  EXPECT_EQ(take(kBob), only(rtp_packet(1000, 2)));
  EXPECT_EQ(router.stats(alice)->sources, Router::kMaxSources);
}

TEST_F(RouterTest, WhatSilentSourcesSentIsNotKept) {
  const LegId alice = leg(kAlice), bob = leg(kBob);
  ASSERT_TRUE(router.route(alice, bob));
  const auto run = [&](int seconds) {
    for (int i = 0; i < seconds; ++i) {
      now += 1s;
      router.run(now);
    }
  };
  const auto burst = [&] {
    for (std::uint32_t ssrc = 1; ssrc <= 4; ++ssrc)
      for (std::uint16_t i = 0; i < 1000; ++i) send(kAlice, rtp_packet(ssrc, i, 1000));
    EXPECT_GT(router.stats().held_bytes, 1'000'000U);
  };
  burst();
  run(4);
  EXPECT_EQ(router.stats().held_bytes, 0U);
  // They go on, with a packet a second.
  burst();
  for (std::uint16_t second = 0; second < 20; ++second) {
    for (std::uint32_t ssrc = 1; ssrc <= 4; ++ssrc)
      send(kAlice, rtp_packet(ssrc, static_cast<std::uint16_t>(1000 + second), 12));
    clear();
    run(1);
  }
  EXPECT_LT(router.stats().held_bytes, 50'000U);
  router.remove_leg(alice);
  EXPECT_EQ(router.stats().held_bytes, 0U);
}

// A table that deletes must still find those that were put behind what is gone.
TEST(AddressTable, FindsWhatIsInItAndNothingElse) {
  AddressTable<int> table;
  std::vector<std::optional<int>> expected(2000);
  std::deque<int> values;
  const auto key = [](std::size_t i) {
    return AddressKey(*to_raw({i % 2 ? "10.0.0.1" : "2001:db8::1", static_cast<std::uint16_t>(i)}));
  };
  std::uint32_t random = 1;
  for (int step = 0; step < 20000; ++step) {
    random = random * 1664525 + 1013904223;
    const std::size_t at = (random >> 8) % (step < 10000 ? 2000 : 40);
    if (expected[at]) {
      table.erase(key(at));
      expected[at].reset();
    } else {
      table.insert(key(at), values.emplace_back(step));
      expected[at] = step;
    }
    table.erase(key(2001));
    if (step % 500) continue;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const int *found = table.find(key(i));
      ASSERT_EQ(found ? std::optional(*found) : std::nullopt, expected[i]) << i;
    }
  }
}

}  // namespace
}  // namespace junctor::sfu::test
