// SPDX-License-Identifier: LGPL-2.1-or-later
// Feedback about rates on the wire, and what is made of it.
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "rtp/core/rtcp.h"
#include "sfu/core/arrivals.h"
#include "sfu/core/bandwidth_estimator.h"
#include "sfu/core/congestion_feedback.h"

namespace junctor::sfu {
namespace {

using namespace std::chrono_literals;

Bytes bytes(std::initializer_list<int> values) {
  Bytes made;
  for (const int each : values) made.push_back(static_cast<std::byte>(each));
  return made;
}

// Written by hand from section 3.1 of the draft: 1 received with a small delta, 2 lost, then a
// vector of two-bit symbols with a large negative one.
TEST(TransportFeedback, IsReadFromTheWire) {
  const Bytes wire = bytes({0x8f, 205,  0,    6,                 // V, FMT 15; 7 words
                            0,    0,    0,    1,    0, 0, 0, 2,  // SSRCs
                            0xff, 0xfe, 0,    6,                 // base 65534, 6 packets
                            0,    0,    3,    9,                 // reference 3 * 64 ms, feedback 9
                            0x20, 1,    0xC1, 0x40,              // 1 small; then seven symbols
                            4,    8,    4,    0});
  // The vector's seven symbols are 00 00 01 01 00 00 00: lost, lost, small, small …
  const auto items = read_congestion(wire);
  ASSERT_EQ(items.size(), 1U);
  const auto &feedback = std::get<TransportFeedback>(items[0]);
  EXPECT_EQ(feedback.media, 2U);
  EXPECT_EQ(feedback.base, 65534);
  EXPECT_EQ(feedback.number, 9);
  const Quarters base = 3 * 256;
  EXPECT_EQ(feedback.arrivals,
            (std::vector<std::optional<Quarters>>{base + 4, {}, {}, base + 12, base + 16, {}}));
}

TEST(TransportFeedback, WhatIsWrittenReadsTheSame) {
  TransportFeedback feedback{1, 2, 65000, 200, {}};
  Quarters at = 256 * 1000 + 77;
  std::uint32_t random = 7;
  for (int i = 0; i < 1500; ++i) {
    random = random * 1664525 + 1013904223;
    const unsigned kind = random >> 28;
    if (i > 600 && i < 900) {
      feedback.arrivals.emplace_back();
      continue;
    }
    at += kind < 2 ? -300 : kind == 3 ? 9000 : static_cast<int>(random >> 8 & 31);
    if (kind == 4)
      feedback.arrivals.emplace_back();
    else
      feedback.arrivals.emplace_back(at);
  }
  Bytes compound;
  rtp::rtcp::append(compound, rtp::rtcp::ReceiverReport{1, {}});
  append(compound, feedback);
  append(compound, Remb{5, 3'000'000'000, {7, 8}});
  EXPECT_TRUE(rtp::rtcp::parse(compound));  // others skip it
  const auto items = read_congestion(compound);
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(std::get<TransportFeedback>(items[0]), feedback);
  const auto &remb = std::get<Remb>(items[1]);
  EXPECT_EQ(remb.ssrcs, (std::vector<std::uint32_t>{7, 8}));
  EXPECT_NEAR(static_cast<double>(remb.bits_per_second), 3e9, 3e9 / 0x20000);
}

TEST(TransportFeedback, WhatContradictsItselfIsSkipped) {
  TransportFeedback feedback{1, 2, 1, 0, {4, 5, 6}};
  Bytes whole;
  append(whole, feedback);
  ASSERT_EQ(read_congestion(whole).size(), 1U);
  Bytes many = whole;
  many[14] = std::byte{0xff};  // 65,283 packets
  EXPECT_TRUE(read_congestion(many).empty());
  Bytes reserved = whole;
  reserved[20] |= std::byte{0x40};  // symbols that have no meaning
  EXPECT_TRUE(read_congestion(reserved).empty());
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_TRUE(read_congestion(ByteSpan(whole).first(size)).empty());
}

// One chunk may say of thousands that they are lost.
TEST(TransportFeedback, ThoseOfADatagramTellOfSoManyPacketsInAll) {
  const auto told = [](const std::vector<CongestionItem> &items) {
    std::size_t packets = 0;
    for (const CongestionItem &item : items)
      if (const auto *feedback = std::get_if<TransportFeedback>(&item))
        packets += feedback->arrivals.size();
    return packets;
  };
  TransportFeedback feedback{1, 2, 1, 0, {}};
  feedback.arrivals.resize(1000);
  Bytes compound;
  for (int i = 0; i < 66; ++i) append(compound, feedback);
  append(compound, Remb{5, 300'000, {7}});
  EXPECT_LT(compound.size(), 1700U);
  auto items = read_congestion(compound);
  EXPECT_GE(told(items), 4000U);
  EXPECT_LE(told(items), TransportFeedback::kMostPackets);
  EXPECT_TRUE(std::holds_alternative<Remb>(items.back()));
  // Nobody numbers packets: what is said of them is not looked at.
  items = read_congestion(compound, 0);
  ASSERT_EQ(items.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<Remb>(items[0]));
  // What turns out to be wrong has been read as well.
  Bytes wrong;
  feedback.arrivals.resize(TransportFeedback::kMostPackets);
  append(wrong, feedback);
  wrong[20] |= std::byte{0x60};  // symbols that have no meaning
  append(wrong, TransportFeedback{1, 2, 1, 0, {4, 5, 6}});
  EXPECT_TRUE(read_congestion(wrong).empty());
}

TEST(Remb, OneThatNamesMoreThanItHoldsIsSkipped) {
  Bytes wire;
  append(wire, Remb{5, 300'000, {7, 8}});
  wire[16] = std::byte{255};
  EXPECT_TRUE(read_congestion(wire).empty());
}

TEST(NumberedPackets, TellsWhatCameSinceTheLastTime) {
  NumberedPackets packets;
  EXPECT_FALSE(packets.take_feedback());
  const Time start{std::chrono::seconds(100)};
  packets.add(65534, 100, start);
  packets.add(65535, 100, start + 1ms);
  packets.add(1, 100, start + 3ms);
  auto feedback = packets.take_feedback();
  ASSERT_TRUE(feedback);
  EXPECT_EQ(feedback->base, 65534);
  ASSERT_EQ(feedback->arrivals.size(), 4U);
  EXPECT_FALSE(feedback->arrivals[2]);
  EXPECT_EQ(*feedback->arrivals[3] - *feedback->arrivals[0], 12);
  EXPECT_FALSE(packets.take_feedback());
  packets.add(2, 77, start + 5ms);
  feedback = packets.take_feedback();
  ASSERT_TRUE(feedback);
  EXPECT_EQ(feedback->base, 2);
  EXPECT_EQ(feedback->number, 1);
  EXPECT_EQ(packets.find(2)->size, 77U);
  EXPECT_FALSE(packets.find(0));
  for (int i = 3; i < 3000; ++i) packets.add(static_cast<std::uint16_t>(i), 1, start + 6ms);
  EXPECT_LE(packets.take_feedback()->arrivals.size(), NumberedPackets::kMostTold);
  EXPECT_FALSE(packets.find(65534));
}

TEST(NumberedPackets, TellsOfBothSidesOfTheWrapOfTheWire) {
  // 24 signed bits of 64 ms: some six days.
  const Time wrap{std::chrono::milliseconds(64) * (1 << 23)};
  NumberedPackets packets;
  packets.add(1, 100, wrap - 1ms);
  packets.add(2, 100, wrap + 1ms);
  const auto feedback = packets.take_feedback();
  ASSERT_TRUE(feedback);
  Bytes wire;
  append(wire, *feedback);
  const auto items = read_congestion(wire);
  ASSERT_EQ(items.size(), 1U);
  const auto &arrivals = std::get<TransportFeedback>(items[0]).arrivals;
  ASSERT_EQ(arrivals.size(), 2U);
  ASSERT_TRUE(arrivals[0] && arrivals[1]);
  EXPECT_EQ(*arrivals[1] - *arrivals[0], 8);
}

/// A path of some rate with a queue in front of it, and a sender of another rate. `clock` is what
/// the receiver's shows beyond the sender's.
class Path {
 public:
  explicit Path(double capacity, double loss = 0, Quarters clock = 0)
      : capacity_(capacity), loss_(loss), clock_(clock) {}
  /// Sends for a second, with feedback each 100 ms.
  void second(BandwidthEstimator &estimator, double rate) {
    for (int part = 0; part < 10; ++part) {
      std::vector<PacketResult> results;
      const Time end = now_ + 100ms;
      const auto gap =
          std::chrono::duration_cast<Duration>(std::chrono::duration<double>(kSize * 8 / rate));
      for (; now_ < end; now_ += gap) {
        free_ = std::max(free_, now_) + std::chrono::duration_cast<Duration>(
                                            std::chrono::duration<double>(kSize * 8 / capacity_));
        random_ = random_ * 1664525 + 1013904223;
        const bool lost = (random_ >> 8) % 1000 < loss_ * 1000;
        const auto arrival = std::chrono::duration_cast<std::chrono::microseconds>(
            (free_ + 30ms).time_since_epoch());
        // The wire has room for so much of a clock.
        const auto shown = static_cast<std::int32_t>(clock_ + arrival.count() / 250);
        results.push_back({now_, kSize, lost ? std::nullopt : std::optional<Quarters>(shown)});
      }
      estimator.on_feedback(results, now_);
    }
  }
  double queue_ms() const {
    return std::max(0.0, std::chrono::duration<double, std::milli>(free_ - now_).count());
  }
  Time now() const { return now_; }
  void lose(double share) { loss_ = share; }

 private:
  static constexpr std::uint32_t kSize = 1200;
  double capacity_, loss_;
  Quarters clock_;
  Time now_{std::chrono::seconds(100)}, free_{};
  std::uint32_t random_ = 1;
};

TEST(BandwidthEstimator, SaysNothingBeforeItIsTold) {
  const BandwidthEstimator estimator;
  EXPECT_FALSE(estimator.estimate(Time()));
}

TEST(BandwidthEstimator, FindsTheRateOfABottleneck) {
  BandwidthEstimator estimator;
  Path path(2e6);
  double worst = 0, sum = 0;
  for (int i = 0; i < 60; ++i) {
    path.second(estimator, estimator.estimate(path.now()).value_or(1e6));
    if (i < 30) continue;
    worst = std::max(worst, path.queue_ms());
    sum += *estimator.estimate(path.now()) / 30;
  }
  EXPECT_GT(sum, 1.4e6);
  EXPECT_LT(sum, 2.1e6);
  EXPECT_LT(worst, 150);
}

TEST(BandwidthEstimator, TakesClocksThatAreNegative) {
  BandwidthEstimator estimator, narrow;
  Path path(100e6, 0, -1'000'000), bottleneck(0.5e6, 0, -1'000'000);
  for (int i = 0; i < 20; ++i) path.second(estimator, 2e6);
  EXPECT_GT(*estimator.estimate(path.now()), 1.9e6);
  for (int i = 0; i < 3; ++i) bottleneck.second(narrow, 1e6);
  EXPECT_LT(*narrow.estimate(bottleneck.now()), 0.55e6);
}

TEST(BandwidthEstimator, GoesOnWhereTheClockWraps) {
  BandwidthEstimator estimator;
  constexpr Quarters kSecond = 4000;
  Path path(2e6, 0, INT32_MAX - 130 * kSecond);  // it begins at 100 s
  for (int i = 0; i < 60; ++i) {
    path.second(estimator, estimator.estimate(path.now()).value_or(1e6));
    if (i > 20) {
      EXPECT_LT(path.queue_ms(), 150) << i;
    }
  }
}

TEST(BandwidthEstimator, FallsWhenThePathGetsNarrow) {
  BandwidthEstimator estimator;
  Path wide(5e6);
  for (int i = 0; i < 20; ++i) wide.second(estimator, 2e6);
  EXPECT_GT(*estimator.estimate(wide.now()), 1.9e6);
  EXPECT_FALSE(estimator.overused());
  Path narrow(0.5e6);
  BandwidthEstimator other;
  for (int i = 0; i < 3; ++i) narrow.second(other, 1e6);
  EXPECT_LT(*other.estimate(narrow.now()), 0.55e6);
  EXPECT_GT(*other.estimate(narrow.now()), 0.3e6);
}

TEST(BandwidthEstimator, DoesNotRiseBeyondWhatWasTried) {
  BandwidthEstimator estimator;
  Path path(100e6);
  for (int i = 0; i < 100; ++i) path.second(estimator, 1e6);
  EXPECT_GT(*estimator.estimate(path.now()), 1.3e6);
  EXPECT_LT(*estimator.estimate(path.now()), 1.6e6);
}

TEST(BandwidthEstimator, MuchLossLowersItALittleDoesNot) {
  BandwidthEstimator lossy, sound;
  Path bad(100e6, 0.2), good(100e6, 0.01);
  for (int i = 0; i < 5; ++i) {
    bad.second(lossy, 1e6);
    good.second(sound, 1e6);
  }
  EXPECT_LT(*lossy.estimate(bad.now()), 0.75e6);
  EXPECT_GT(*sound.estimate(good.now()), 1e6);
}

// Not every sender sends less: a queue that is short and full loses half of this one for good.
TEST(BandwidthEstimator, LossesDoNotLowerItBelowWhatArrives) {
  BandwidthEstimator estimator;
  Path path(100e6, 0.5);
  for (int i = 0; i < 20; ++i) path.second(estimator, 1e6);
  EXPECT_GT(*estimator.estimate(path.now()), 0.25e6);
  EXPECT_LT(*estimator.estimate(path.now()), 0.5e6);
  path.lose(1);
  for (int i = 0; i < 5; ++i) path.second(estimator, 1e6);
  EXPECT_LT(*estimator.estimate(path.now()), 0.1e6);
  path.lose(0.5);
  for (int i = 0; i < 60; ++i) path.second(estimator, 1e6);
  EXPECT_GT(*estimator.estimate(path.now()), 0.25e6);
}

TEST(BandwidthEstimator, ReportsOfLossServeWhereThereIsNoFeedback) {
  BandwidthEstimator estimator;
  Time now{std::chrono::seconds(100)};
  for (int i = 0; i < 10; ++i, now += 1s) estimator.on_loss(0.3, now);
  EXPECT_LT(*estimator.estimate(now), 0.5 * BandwidthEstimator::kStart);
}

TEST(BandwidthEstimator, RembCapsItForAWhile) {
  BandwidthEstimator estimator;
  Path path(100e6);
  path.second(estimator, 2e6);
  const double before = *estimator.estimate(path.now());
  estimator.on_remb(200e3, path.now());
  EXPECT_DOUBLE_EQ(*estimator.estimate(path.now()), 200e3);
  EXPECT_DOUBLE_EQ(*estimator.estimate(path.now() + 11s), before);
}

TEST(BandwidthEstimator, WhatIsToldTwiceCountsOnce) {
  BandwidthEstimator once, twice;
  std::vector<PacketResult> results;
  Time now{std::chrono::seconds(100)};
  for (int i = 0; i < 200; ++i)
    results.push_back(
        {now + i * 5ms, 1200, i % 4 == 0 ? std::nullopt : std::optional<Quarters>(i * 20)});
  once.on_feedback(results, now + 1s);
  twice.on_feedback(results, now + 1s);
  twice.on_feedback(results, now + 1s);
  EXPECT_EQ(once.estimate(now + 1s), twice.estimate(now + 1s));
}

}  // namespace
}  // namespace junctor::sfu
