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
  explicit Bench(Duration wait) : buffer(wait) {}
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
