// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/reorder.h"

#include <gtest/gtest.h>

using namespace junctor;
using namespace junctor::rtp;
using namespace std::chrono_literals;
using Arrival = ReorderBuffer::Arrival;

namespace {

constexpr Time kStart{1000s};

struct Bench {
  explicit Bench(Duration wait) : Bench(wait, wait) {}
  Bench(Duration start, Duration most) : buffer(ReorderWait(start, most)) {}
  Arrival push(unsigned sequence, Duration at = 0ms) {
    IncomingPacket packet;
    packet.sequence = static_cast<std::uint16_t>(sequence);
    packet.arrival = kStart + at;
    return buffer.push(packet, out);
  }
  // "1 2 !5": what came out so far, with ! before a discontinuity.
  std::string text() const {
    std::string text;
    for (const IncomingPacket &packet : out)
      text += (text.empty() ? "" : " ") + std::string(packet.discontinuity ? "!" : "") +
              std::to_string(packet.sequence);
    return text;
  }
  ReorderBuffer buffer;
  std::vector<IncomingPacket> out;
};

}  // namespace

TEST(Reorder, InOrderLeavesAtOnceAlsoAcrossTheWrap) {
  Bench bench(40ms);
  for (unsigned sequence = 65534; sequence < 65534 + 4; ++sequence)
    EXPECT_EQ(bench.push(sequence), Arrival::Passed);
  EXPECT_EQ(bench.text(), "65534 65535 0 1");
  EXPECT_FALSE(bench.buffer.deadline());
}

TEST(Reorder, GapIsFilled) {
  Bench bench(40ms);
  bench.push(1);
  EXPECT_EQ(bench.push(3, 1ms), Arrival::Held);
  EXPECT_EQ(bench.push(4, 2ms), Arrival::Held);
  EXPECT_EQ(bench.buffer.deadline(), kStart + 41ms);
  EXPECT_EQ(bench.buffer.missing(10), std::vector<std::uint16_t>{2});
  EXPECT_EQ(bench.push(2, 3ms), Arrival::Passed);
  EXPECT_EQ(bench.text(), "1 2 3 4");
  EXPECT_EQ(bench.buffer.counters().reordered, 1U);
  EXPECT_EQ(bench.buffer.counters().lost, 0U);
}

TEST(Reorder, GapIsGivenUpAfterTheWaitNotBefore) {
  Bench bench(40ms);
  bench.push(1);
  bench.push(4, 5ms);
  bench.buffer.expire(kStart + 44ms, bench.out);
  EXPECT_EQ(bench.text(), "1");
  bench.buffer.expire(kStart + 45ms, bench.out);
  EXPECT_EQ(bench.text(), "1 !4");
  EXPECT_EQ(bench.buffer.counters().lost, 2U);
  EXPECT_EQ(bench.push(2, 46ms), Arrival::Late);
  EXPECT_EQ(bench.push(2, 47ms), Arrival::Duplicate);
  EXPECT_EQ(bench.buffer.counters().late, 1U);
  bench.push(5, 48ms);
  EXPECT_EQ(bench.text(), "1 !4 5");
}

TEST(Reorder, SecondGapWaitsFromItsOwnBeginning) {
  Bench bench(40ms);
  bench.push(1);
  bench.push(3, 0ms);
  bench.push(5, 30ms);
  bench.buffer.expire(kStart + 40ms, bench.out);
  EXPECT_EQ(bench.text(), "1 !3");
  EXPECT_EQ(bench.buffer.deadline(), kStart + 70ms);
  bench.push(4, 50ms);
  EXPECT_EQ(bench.text(), "1 !3 4 5");
}

TEST(Reorder, NoWaitPassesOnAtOnce) {
  Bench bench(0ms);
  bench.push(1);
  EXPECT_EQ(bench.push(3), Arrival::Passed);
  EXPECT_EQ(bench.push(2), Arrival::Late);
  EXPECT_EQ(bench.text(), "1 !3");
}

TEST(Reorder, DuplicatesHeldAndPassed) {
  Bench bench(40ms);
  bench.push(1);
  EXPECT_EQ(bench.push(1), Arrival::Duplicate);
  bench.push(3);
  EXPECT_EQ(bench.push(3), Arrival::Duplicate);
  EXPECT_EQ(bench.buffer.counters().duplicates, 2U);
}

TEST(Reorder, HoldsNoMoreThanItsWindow) {
  Bench bench(1h);
  bench.push(0);
  for (unsigned sequence = 2; sequence < 2 + 2000; ++sequence) bench.push(sequence);
  EXPECT_GE(bench.out.size(), 2000U - ReorderBuffer::kWindow);
  EXPECT_EQ(bench.buffer.counters().lost, 1U);
  // Every other one missing: each held packet is a gap of its own.
  Bench sparse(1h);
  for (unsigned sequence = 0; sequence < 4000; sequence += 2) sparse.push(sequence);
  EXPECT_GE(sparse.out.size(), 2000U - ReorderBuffer::kWindow);
  EXPECT_LE(sparse.buffer.missing(10000).size(), ReorderBuffer::kWindow);
}

TEST(Reorder, FarJumpNeedsTwoInARow) {
  Bench bench(40ms);
  bench.push(10);
  EXPECT_EQ(bench.push(30000), Arrival::Probation);
  bench.push(11);
  EXPECT_EQ(bench.push(20000), Arrival::Probation);
  EXPECT_EQ(bench.push(20001), Arrival::Passed);
  EXPECT_EQ(bench.text(), "10 11 !20000 20001");
  // Far back as well: a peer that restarted its numbering.
  EXPECT_EQ(bench.push(5), Arrival::Probation);
  EXPECT_EQ(bench.push(6), Arrival::Passed);
  EXPECT_EQ(bench.text(), "10 11 !20000 20001 !5 6");
}

TEST(Reorder, WhatWasMissingIsLateHoweverFarBehindAndNoRestart) {
  Bench bench(20ms);
  bench.push(1);
  for (unsigned sequence = 4; sequence <= 160; ++sequence) {
    bench.push(sequence, sequence * 5ms);
    bench.buffer.expire(kStart + sequence * 5ms, bench.out);
  }
  bench.out.clear();
  EXPECT_EQ(bench.push(2, 805ms), Arrival::Late);
  EXPECT_EQ(bench.push(3, 806ms), Arrival::Late);
  EXPECT_EQ(bench.push(2, 807ms), Arrival::Duplicate);
  EXPECT_EQ(bench.push(3, 808ms), Arrival::Duplicate);
  EXPECT_EQ(bench.push(161, 810ms), Arrival::Passed);
  EXPECT_EQ(bench.text(), "161");
  EXPECT_EQ(bench.buffer.restarts(), 0U);
  EXPECT_EQ(bench.buffer.counters().late, 2U);
  // Where nothing was missing it is a peer that restarted its numbering.
  EXPECT_EQ(bench.push(10, 815ms), Arrival::Probation);
  EXPECT_EQ(bench.push(11, 820ms), Arrival::Passed);
  EXPECT_EQ(bench.buffer.restarts(), 1U);
}

TEST(Reorder, RestartPassesOnWhatIsHeld) {
  Bench bench(40ms);
  bench.push(1);
  bench.push(3);
  bench.buffer.restart(bench.out);
  bench.push(40000);
  EXPECT_EQ(bench.text(), "1 !3 40000");
}

// Any order within the window comes out sorted and complete.
TEST(Reorder, ShuffledBlocksComeOutSorted) {
  Bench bench(1h);
  bench.push(65000);
  unsigned state = 1;
  for (unsigned block = 0; block < 50; ++block) {
    std::vector<unsigned> order;
    for (unsigned i = 0; i < 20; ++i) order.push_back(65001 + block * 20 + i);
    for (std::size_t i = order.size() - 1; i > 0; --i) {
      state = state * 1664525 + 1013904223;
      std::swap(order[i], order[state % (i + 1)]);
    }
    for (const unsigned sequence : order) bench.push(sequence);
  }
  ASSERT_EQ(bench.out.size(), 1001U);
  for (std::size_t i = 0; i < bench.out.size(); ++i)
    EXPECT_EQ(bench.out[i].sequence, static_cast<std::uint16_t>(65000 + i));
  EXPECT_EQ(bench.buffer.counters().lost, 0U);
}

// ---- How long gaps wait: traces of packets ----

TEST(ReorderWait, GrowsAtOnceToWhatCameTooLate) {
  Bench bench(10ms, 200ms);
  bench.push(1);
  bench.push(3, 0ms);
  bench.buffer.expire(kStart + 10ms, bench.out);
  EXPECT_EQ(bench.push(2, 60ms), Arrival::Late);
  // A quarter and two milliseconds beyond the 60 ms of that one.
  EXPECT_EQ(bench.buffer.wait().at(kStart + 60ms), 77ms);
  bench.push(5, 100ms);
  EXPECT_EQ(bench.buffer.deadline(), kStart + 177ms);
  EXPECT_EQ(bench.push(4, 165ms), Arrival::Passed);
  EXPECT_EQ(bench.text(), "1 !3 4 5");
  EXPECT_EQ(bench.buffer.counters().lost, 1U);
}

TEST(ReorderWait, GrowsWhileAGapWaits) {
  Bench bench(10ms, 200ms);
  bench.push(1);
  bench.push(3);
  bench.buffer.expire(kStart + 10ms, bench.out);
  bench.push(5, 50ms);
  EXPECT_EQ(bench.buffer.deadline(), kStart + 60ms);
  bench.push(2, 55ms);
  EXPECT_EQ(bench.buffer.deadline(), kStart + 50ms + 70750us);
}

TEST(ReorderWait, ShrinksToNothingWhereNothingIsOutOfOrder) {
  ReorderWait wait(20ms, 200ms);
  wait.begin(kStart);
  EXPECT_EQ(wait.at(kStart + 5s), 20ms);
  EXPECT_NEAR(std::chrono::duration<double>(wait.at(kStart + 10s)).count(), 0.010, 0.0001);
  Duration before = 20ms;
  for (Duration age = 0s; age < 60s; age += 100ms) {
    const Duration now = wait.at(kStart + age);
    EXPECT_LE(now, before);
    before = now;
  }
  EXPECT_EQ(before, 0ms);
}

TEST(ReorderWait, StaysUnderSteadyDisorder) {
  // Each fifth second one of 50 packets a second is overtaken by two; none is ever given up.
  Bench bench(20ms, 200ms);
  unsigned sequence = 0;
  for (int second = 0; second < 300; ++second) {
    for (int i = 0; i < 50; ++i, ++sequence) {
      const Duration at = second * 1s + i * 20ms;
      if (second % 5 == 4 && i == 10) {
        bench.buffer.expire(kStart + at + 60ms, bench.out);
        bench.push(sequence + 1, at + 20ms);
        bench.push(sequence + 2, at + 40ms);
        bench.buffer.expire(kStart + at + 49ms, bench.out);
        bench.push(sequence, at + 50ms);
        i += 2;
        sequence += 2;
        continue;
      }
      bench.push(sequence, at);
    }
  }
  EXPECT_EQ(bench.buffer.counters().reordered, 60U - bench.buffer.counters().late);
  EXPECT_LE(bench.buffer.counters().late, 1U);  // the first showed how long to wait
  EXPECT_EQ(bench.buffer.counters().lost, bench.buffer.counters().late);
}

TEST(ReorderWait, WhatIsLaterThanTheMostChangesNothing) {
  Bench bench(10ms, 200ms);
  bench.push(1);
  bench.push(3);
  bench.buffer.expire(kStart + 10ms, bench.out);
  EXPECT_EQ(bench.push(2, 201ms), Arrival::Late);
  EXPECT_EQ(bench.buffer.wait().at(kStart + 201ms), 10ms);
  bench.push(5, 300ms);
  bench.buffer.expire(kStart + 310ms, bench.out);
  EXPECT_EQ(bench.push(4, 300ms + 190ms), Arrival::Late);
  EXPECT_EQ(bench.buffer.wait().at(kStart + 490ms), 200ms);
}

TEST(ReorderWait, LossWithoutDisorderIsSoonNotWaitedFor) {
  Bench bench(20ms, 200ms);
  Duration longest{}, at{};
  for (unsigned sequence = 0; sequence < 50 * 60; ++sequence, at += 20ms) {
    if (sequence % 33 == 32) continue;
    bench.push(sequence, at);
    if (const auto deadline = bench.buffer.deadline(); deadline && at > 30s)
      longest = std::max(longest, *deadline - (kStart + at));
    bench.buffer.expire(kStart + at + 19ms, bench.out);
  }
  EXPECT_EQ(longest, 0ms);
  EXPECT_EQ(bench.buffer.wait().at(kStart + at), 0ms);
  EXPECT_EQ(bench.buffer.counters().late, 0U);
}

TEST(ReorderWait, WaitsForARepairAsLongAsOneTakes) {
  ReorderWait wait(0ms, 200ms);
  wait.begin(kStart);
  wait.set_repair(true, 0ms);
  EXPECT_EQ(wait.at(kStart), ReorderWait::kUnknownRepair);
  wait.set_repair(true, 80ms);
  EXPECT_EQ(wait.at(kStart), 110ms);
  wait.set_repair(true, 180ms);  // its answer would come too late
  EXPECT_EQ(wait.at(kStart), 0ms);
  EXPECT_TRUE(wait.may_repair());  // in time for a gap that waits for what is out of order
  wait.set_repair(true, 200ms);
  EXPECT_FALSE(wait.may_repair());
  wait.set_repair(false, 80ms);
  EXPECT_EQ(wait.at(kStart), 0ms);
}

TEST(ReorderWait, APeerThatRepairsNothingIsNotWaitedFor) {
  ReorderWait wait(0ms, 200ms);
  wait.begin(kStart);
  wait.set_repair(true, 80ms);
  Time now = kStart;
  const auto lose = [&](unsigned times) {
    for (unsigned i = 0; i < times; ++i, now += 1s) wait.on_given_up(now, now + 110ms);
  };
  lose(ReorderWait::kVainRepairs - 1);
  EXPECT_EQ(wait.at(now), 110ms);
  wait.on_filled(70ms, now);  // it does, now and then
  lose(ReorderWait::kVainRepairs - 1);
  EXPECT_GT(wait.at(now), 0ms);
  wait.on_filled(2ms, now);  // no repair, only disorder
  lose(1);
  EXPECT_LT(wait.at(now + 8s), 110ms);
  // Tried again later, though not as often.
  now += 12s;
  EXPECT_EQ(wait.at(now), 110ms);
  lose(ReorderWait::kVainRepairs / 2);
  EXPECT_LT(wait.at(now), 110ms);
}
