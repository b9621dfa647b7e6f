// SPDX-License-Identifier: LGPL-2.1-or-later
// Which pictures pass where fewer a second are wanted.
#include "picture/core/pace.h"

#include <gtest/gtest.h>

#include <vector>

namespace junctor::picture {
namespace {

/// Of `count` pictures at `rate` a second, with times in whole milliseconds, those that pass.
std::vector<int> passed(Pace &pace, int rate, int count, int from_ms = 0) {
  std::vector<int> numbers;
  for (int n = 0; n < count; ++n)
    if (pace.takes(std::chrono::milliseconds(from_ms + n * 1000 / rate))) numbers.push_back(n);
  return numbers;
}

TEST(Pace, WithoutALimitAllPass) {
  Pace pace;
  EXPECT_EQ(passed(pace, 1000, 500).size(), 500u);
}

TEST(Pace, ARateWithinTheLimitPassesWholly) {
  for (const int rate : {5, 15, 25, 29, 30}) {
    Pace pace(30);
    EXPECT_EQ(passed(pace, rate, 300).size(), 300u) << rate;
  }
}

TEST(Pace, TwiceTheRateLosesEachSecondPicture) {
  Pace pace(30);
  const auto numbers = passed(pace, 60, 12);
  EXPECT_EQ(numbers, (std::vector<int>{0, 2, 4, 6, 8, 10}));
}

TEST(Pace, TheMeanIsKeptWhateverComes) {
  for (const int rate : {31, 40, 50, 75, 100, 240}) {
    Pace pace(30);
    const auto in_ten_seconds = passed(pace, rate, 10 * rate).size();
    EXPECT_LE(in_ten_seconds, 301u) << rate;
    EXPECT_GE(in_ten_seconds, 240u) << rate;
  }
}

TEST(Pace, APictureThatIsALittleEarlyPasses) {
  Pace pace(30);
  for (const int at : {0, 28, 71, 98, 138, 164})
    EXPECT_TRUE(pace.takes(std::chrono::milliseconds(at))) << at;
}

TEST(Pace, NothingIsMadeUpForAfterAPause) {
  Pace pace(10);
  EXPECT_EQ(passed(pace, 10, 5).size(), 5u);
  EXPECT_LE(passed(pace, 100, 100, 10'000).size(), 11u);  // first and last of one second
}

// As a picture is missing, or late.
TEST(Pace, ALateOneDrawsTheNextNoNearer) {
  Pace pace(30);
  std::vector<int> passed;
  for (const int at : {0, 17, 50, 67, 83, 100, 117})
    if (pace.takes(std::chrono::milliseconds(at))) passed.push_back(at);
  EXPECT_EQ(passed, (std::vector<int>{0, 50, 83, 117}));
}

TEST(Pace, TimesThatGoBackBeginAnew) {
  Pace pace(10);
  EXPECT_EQ(passed(pace, 10, 5, 10'000).size(), 5u);
  EXPECT_EQ(passed(pace, 10, 5).size(), 5u);
}

}  // namespace
}  // namespace junctor::picture
