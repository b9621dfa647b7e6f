// SPDX-License-Identifier: LGPL-2.1-or-later
// Times of sound whose rate is changed.
#include "sound/core/sample_clock.h"

#include <gtest/gtest.h>

namespace junctor::sound {
namespace {

using namespace std::chrono_literals;

TEST(SampleClock, WhatComesOutHasNoGapsHoweverTimesAreRounded) {
  SampleClock clock(44100, 8000);
  clock.begin(5s);
  Moment expected = 5s;
  for (int n = 0; n < 10'000; ++n) {
    // Times of FLV: whole milliseconds.
    const auto at =
        std::chrono::floor<std::chrono::milliseconds>(5s + n * 1024 * Moment(1s) / 44100);
    ASSERT_TRUE(clock.follows(at)) << n;
    clock.take(1024);
    const auto span = clock.give(n % 3 ? 186 : 185);
    ASSERT_EQ(*span.at, expected) << n;
    expected += span.length;
  }
}

TEST(SampleClock, TimesAreThoseOfTheSamples) {
  SampleClock clock(48000, 8000);
  clock.begin(1s);
  EXPECT_EQ(*clock.give(160).at, 1s);
  const auto next = clock.give(8000);
  EXPECT_EQ(*next.at, 1s + 20ms);
  EXPECT_EQ(next.length, 1s);
  for (int hour = 0; hour < 3600; ++hour) clock.give(8000);
  EXPECT_EQ(*clock.give(1).at, 1s + 20ms + 3601s);
}

TEST(SampleClock, AGapIsWhatIsFurtherOff) {
  SampleClock clock(8000, 8000);
  EXPECT_TRUE(clock.follows(7s)) << "nothing has begun";
  clock.begin(1s);
  clock.take(160);
  EXPECT_TRUE(clock.follows(1s + 20ms + 31ms));
  EXPECT_FALSE(clock.follows(1s + 20ms + 32ms));
  EXPECT_TRUE(clock.follows(1s + 20ms - 31ms));
  EXPECT_FALSE(clock.follows(1s + 20ms - 32ms));
}

TEST(SampleClock, WithoutATimeNoneIsTold) {
  SampleClock clock(8000, 16000);
  const auto span = clock.give(320);
  EXPECT_FALSE(span.at);
  EXPECT_EQ(span.length, 20ms);
  clock.begin(3s);
  EXPECT_EQ(*clock.give(320).at, 3s);
  clock.begin(std::nullopt);
  EXPECT_FALSE(clock.begun());
  EXPECT_FALSE(clock.give(1).at);
}

}  // namespace
}  // namespace junctor::sound
