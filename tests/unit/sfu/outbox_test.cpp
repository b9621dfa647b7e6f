// SPDX-License-Identifier: LGPL-2.1-or-later
// How packets are put together for the system, and what happens where it refuses.
#include "sfu/core/outbox.h"

#include <algorithm>
#include <deque>

#include "fake_wire.h"

namespace junctor::sfu::test {
namespace {

constexpr Time kStart{std::chrono::seconds(100)};

class OutboxTest : public ::testing::Test {
 protected:
  void TearDown() override {
    outbox.forget(alice);
    outbox.forget(bob);
  }
  /// Bytes that stay.
  const Bytes &keep(std::size_t size, int with) { return kept_.emplace_back(filled(size, with)); }

  FakeWire wire;
  Outbox outbox{wire.sender()};
  Destination alice = destination("10.0.0.1:4000"), bob = destination("[2001:db8::1]:5000");

 private:
  std::deque<Bytes> kept_;
};

TEST_F(OutboxTest, EqualPacketsToOnePeerLeaveAsOneMessage) {
  for (int i = 0; i < 10; ++i) {
    outbox.add(alice, keep(160, i), Class::Sound);
    outbox.add(bob, keep(160, 100 + i), Class::Sound);
  }
  outbox.flush(kStart);
  EXPECT_EQ(wire.messages, 2U);
  EXPECT_EQ(wire.cut_up, 2U);
  EXPECT_EQ(outbox.calls(), 1U);
  const auto at_bob = wire.to("[2001:db8::1]:5000");
  ASSERT_EQ(at_bob.size(), 10U);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(at_bob[i], filled(160, 100 + i));
  EXPECT_EQ(alice.counters.packets, 10U);
  EXPECT_EQ(alice.counters.bytes, 1600U);
}

TEST_F(OutboxTest, AShorterOneEndsARun) {
  const std::vector<std::size_t> sizes{1200, 1200, 300, 1200, 1300, 1300, 40};
  int value = 0;
  for (const std::size_t size : sizes) outbox.add(alice, keep(size, value++), Class::Picture);
  outbox.flush(kStart);
  EXPECT_EQ(wire.messages, 3U);  // 1200 1200 300 | 1200 | 1300 1300 40
  ASSERT_EQ(wire.sent.size(), sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i)
    EXPECT_EQ(wire.sent[i].bytes, filled(sizes[i], static_cast<int>(i)));
}

TEST_F(OutboxTest, NoMessageIsLargerThanTheSystemTakes) {
  for (int i = 0; i < 200; ++i) outbox.add(alice, keep(1500, i), Class::Picture);
  for (int i = 0; i < 200; ++i) outbox.add(bob, keep(20, i), Class::Sound);
  outbox.flush(kStart);  // FakeWire checks the bounds
  EXPECT_EQ(wire.to("10.0.0.1:4000").size(), 200U);
  EXPECT_EQ(wire.to("[2001:db8::1]:5000").size(), 200U);
}

TEST_F(OutboxTest, ManyPeersNeedMoreThanOneCall) {
  std::deque<Destination> peers;
  for (int i = 0; i < 150; ++i)
    outbox.add(peers.emplace_back(destination("10.0.1.1:" + std::to_string(1000 + i))), keep(50, i),
               Class::Sound);
  outbox.flush(kStart);
  EXPECT_EQ(wire.sent.size(), 150U);
  EXPECT_EQ(outbox.calls(), 3U);
}

TEST_F(OutboxTest, WhereNothingCanBeCutUpPacketsLeaveOneByOne) {
  wire.refuse_segments = EIO;
  for (int turn = 0; turn < 2; ++turn) {
    for (int i = 0; i < 3; ++i) outbox.add(alice, keep(160, i), Class::Sound);
    outbox.flush(kStart);
  }
  EXPECT_EQ(wire.sent.size(), 6U);
  EXPECT_EQ(alice.counters.packets, 6U);
  EXPECT_EQ(outbox.calls(), 1U + 3U + 1U);  // not tried again
}

TEST_F(OutboxTest, PiecesTooLargeForThePathLeaveOneByOneAndSmallerOnesTogether) {
  wire.refuse_segments = EINVAL;
  for (int i = 0; i < 2; ++i) outbox.add(alice, keep(1480, i), Class::Picture);
  outbox.flush(kStart);
  wire.refuse_segments = 0;
  for (int i = 0; i < 2; ++i) outbox.add(alice, keep(1480, i), Class::Picture);
  outbox.flush(kStart);
  EXPECT_EQ(wire.cut_up, 0U);
  for (int i = 0; i < 2; ++i) outbox.add(alice, keep(1200, i), Class::Picture);
  outbox.flush(kStart);
  EXPECT_EQ(wire.cut_up, 1U);
  EXPECT_EQ(wire.sent.size(), 6U);
}

TEST_F(OutboxTest, ADeadPeerCostsTheOthersNothing) {
  wire.dead = "10.0.0.1:4000";
  outbox.add(alice, keep(160, 1), Class::Sound);
  outbox.add(bob, keep(160, 2), Class::Sound);
  outbox.flush(kStart);
  EXPECT_EQ(alice.counters.failed, 1U);
  EXPECT_EQ(bob.counters.packets, 1U);
  EXPECT_EQ(wire.sent, (std::vector<Sent>{{"[2001:db8::1]:5000", filled(160, 2)}}));
}

TEST_F(OutboxTest, WhatTheSystemDoesNotTakeLeavesLater) {
  wire.room = 1;
  outbox.add(alice, keep(160, 1), Class::Picture);
  outbox.add(alice, keep(200, 2), Class::Picture);
  outbox.add(bob, keep(160, 3), Class::Sound);
  outbox.flush(kStart);
  EXPECT_TRUE(outbox.blocked());
  EXPECT_EQ(wire.sent.size(), 1U);
  Bytes passing = filled(160, 4);
  outbox.add(bob, passing, Class::Picture);
  outbox.flush(kStart);
  passing = filled(160, 99);  // what waits is a copy
  wire.room.reset();
  outbox.writable(kStart + 1ms);
  EXPECT_FALSE(outbox.blocked());
  EXPECT_EQ(wire.sent, (std::vector<Sent>{{"10.0.0.1:4000", filled(160, 1)},
                                          {"[2001:db8::1]:5000", filled(160, 3)},
                                          {"10.0.0.1:4000", filled(200, 2)},
                                          {"[2001:db8::1]:5000", filled(160, 4)}}));
  EXPECT_EQ(alice.counters.packets, 2U);
  EXPECT_EQ(alice.counters.all_dropped(), 0U);
}

TEST_F(OutboxTest, CopiesNeedNotStay) {
  for (int i = 0; i < 100; ++i) {
    const Bytes passing = filled(1500, i);  // together more than it holds
    outbox.add_copy(alice, passing, Class::Control, kStart);
  }
  outbox.flush(kStart);
  ASSERT_EQ(wire.sent.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(wire.sent[i].bytes, filled(1500, i));
}

TEST_F(OutboxTest, WhoIsForgottenIsNotSentTo) {
  outbox.add(alice, keep(160, 1), Class::Sound);
  outbox.add(bob, keep(160, 2), Class::Sound);
  outbox.forget(alice);
  outbox.flush(kStart);
  EXPECT_EQ(wire.sent.size(), 1U);
  wire.room = 0;
  outbox.add(bob, keep(160, 3), Class::Sound);
  outbox.flush(kStart);
  outbox.forget(bob);
  wire.room.reset();
  outbox.writable(kStart);
  EXPECT_EQ(wire.sent.size(), 1U);
}

}  // namespace
}  // namespace junctor::sfu::test
