// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/sound_budget.h"

#include <gtest/gtest.h>

namespace junctor::calls {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Time kStart{std::chrono::hours(1)};
constexpr std::size_t kBytes = 160;

/// Packets of `length`, one each `interval`, for `time`: how many are transcoded.
int transcoded(SoundBudget &budget, Duration length, Duration interval, Duration time,
               Time from = kStart) {
  int count = 0;
  for (Duration at{}; at < time; at += interval)
    if (budget.admit(kBytes, from + at) && budget.spend(length, from + at)) ++count;
  return count;
}

TEST(SoundBudget, LeavesLiveSoundAlone) {
  for (const int ms : {5, 10, 20, 60, 128}) {
    SoundBudget budget(kStart);
    const auto length = milliseconds(ms);
    EXPECT_EQ(transcoded(budget, length, length, length * 3000), 3000) << ms;
    EXPECT_EQ(budget.left_out(), 0u) << ms;
  }
}

TEST(SoundBudget, LeavesAClockThatRunsFastAlone) {
  SoundBudget budget(kStart);
  EXPECT_EQ(transcoded(budget, milliseconds(20), milliseconds(18), seconds(180)), 10000);
}

TEST(SoundBudget, LetsAPublisherCatchUp) {
  SoundBudget budget(kStart);
  transcoded(budget, milliseconds(20), milliseconds(20), seconds(10));
  // Nothing for 900 ms, then all of it at once.
  EXPECT_EQ(transcoded(budget, milliseconds(20), Duration(1), Duration(45),
                       kStart + seconds(10) + milliseconds(900)),
            45);
  EXPECT_EQ(budget.left_out(), 0u);
}

TEST(SoundBudget, LeavesOutWhatComesFasterThanItIsHeard) {
  SoundBudget budget(kStart);
  // Twenty times as fast, for 10 s: the time and a fifth, and what was saved.
  const int count = transcoded(budget, milliseconds(20), milliseconds(1), seconds(10));
  EXPECT_GE(count, 50 * 12);
  EXPECT_LE(count, 50 * 13);
  EXPECT_EQ(budget.left_out(), 10000u - static_cast<unsigned>(count));
}

TEST(SoundBudget, ManySmallPacketsAreDearToo) {
  SoundBudget budget(kStart);
  EXPECT_LE(transcoded(budget, Duration(1), std::chrono::microseconds(10), seconds(1)), 4500);
}

TEST(SoundBudget, BytesThatHoldManySecondsAreNotDecoded) {
  SoundBudget budget(kStart);
  EXPECT_TRUE(budget.admit(SoundBudget::kMostBytes, kStart));
  EXPECT_FALSE(budget.admit(SoundBudget::kMostBytes + 1, kStart));
  EXPECT_FALSE(budget.admit(8 * 1024 * 1024, kStart));
  EXPECT_EQ(budget.left_out(), 2u);
}

TEST(SoundBudget, WhatOnePacketUsedTooMuchIsOwed) {
  SoundBudget budget(kStart);
  ASSERT_TRUE(budget.admit(kBytes, kStart));
  ASSERT_TRUE(budget.spend(seconds(4), kStart)) << "nobody knew before it was decoded";
  EXPECT_FALSE(budget.admit(kBytes, kStart + milliseconds(2400)));
  EXPECT_TRUE(budget.admit(kBytes, kStart + milliseconds(2600)));
}

TEST(SoundBudget, ForgetsWhatIsOwedInTheEnd) {
  SoundBudget budget(kStart);
  ASSERT_TRUE(budget.admit(kBytes, kStart));
  ASSERT_TRUE(budget.spend(seconds(1000), kStart));
  EXPECT_FALSE(budget.admit(kBytes, kStart + seconds(8)));
  EXPECT_TRUE(budget.admit(kBytes, kStart + seconds(9)));
}

}  // namespace
}  // namespace junctor::calls
