// SPDX-License-Identifier: LGPL-2.1-or-later
// The M × N rule.
#include "watchdog/core/rule.h"

#include <gtest/gtest.h>

namespace junctor::watchdog {
namespace {

using std::chrono::milliseconds;

constexpr Time kStart{std::chrono::hours(1)};

Time at(int ms) { return kStart + milliseconds(ms); }

/// A rule of 1000 ms × 3, and the checks made when they are due.
class RuleTest : public testing::Test {
 protected:
  /// Makes all checks that are due until `ms`; the last report, if any.
  std::optional<Report> run_until(int ms) {
    std::optional<Report> last;
    while (rule.next_check() && *rule.next_check() <= at(ms))
      if (const auto report = rule.check(*rule.next_check())) last = report;
    return last;
  }

  Rule rule{Settings{milliseconds(1000), 3}};
};

TEST_F(RuleTest, JudgesNothingUntilArmed) {
  EXPECT_EQ(rule.state(), MediaState::Idle);
  EXPECT_FALSE(rule.next_check());
  EXPECT_FALSE(rule.media(at(0)));
  EXPECT_FALSE(rule.check(at(5000)));
  EXPECT_EQ(rule.state(), MediaState::Idle);
}

TEST_F(RuleTest, LosesAfterExactlyIntervalTimesTries) {
  const Report armed = rule.arm(at(0));
  EXPECT_EQ(armed.state, MediaState::Waiting);
  EXPECT_EQ(rule.next_check(), at(1000));

  EXPECT_FALSE(run_until(2999));
  EXPECT_EQ(rule.state(), MediaState::Waiting);
  EXPECT_EQ(rule.tries(), 2u);

  const auto lost = run_until(3000);
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->state, MediaState::Lost);
  EXPECT_EQ(lost->tries, 3u);
  EXPECT_EQ(lost->silent_for, milliseconds(3000));
}

TEST_F(RuleTest, MediaInTheLastTrySaves) {
  rule.arm(at(0));
  run_until(2000);
  const auto flowing = rule.media(at(2999));
  ASSERT_TRUE(flowing);
  EXPECT_EQ(flowing->state, MediaState::Flowing);
  EXPECT_EQ(flowing->tries, 2u);
  EXPECT_EQ(flowing->silent_for, milliseconds(2999));
  EXPECT_FALSE(run_until(3000));
  EXPECT_EQ(rule.state(), MediaState::Flowing);
}

TEST_F(RuleTest, SilenceAfterMediaCountsTheSameWay) {
  rule.arm(at(0));
  rule.media(at(500));
  EXPECT_FALSE(run_until(1000));  // heard: the silence counts from here

  const auto waiting = run_until(2000);
  ASSERT_TRUE(waiting);
  EXPECT_EQ(waiting->state, MediaState::Waiting);
  EXPECT_EQ(waiting->tries, 1u);
  EXPECT_EQ(waiting->silent_for, milliseconds(1000));

  EXPECT_FALSE(run_until(3000));
  const auto lost = run_until(4000);
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->state, MediaState::Lost);
  EXPECT_EQ(lost->tries, 3u);
  EXPECT_EQ(lost->silent_for, milliseconds(3000));
}

TEST_F(RuleTest, MediaOnceInEachIntervalIsNoSilence) {
  rule.arm(at(0));
  rule.media(at(10));
  for (int second = 1; second < 100; ++second) {
    EXPECT_FALSE(run_until(second * 1000));
    EXPECT_FALSE(rule.media(at(second * 1000 + 999)));
  }
  EXPECT_EQ(rule.state(), MediaState::Flowing);
}

TEST_F(RuleTest, MediaResetsTheCount) {
  rule.arm(at(0));
  run_until(2000);
  rule.media(at(2500));
  EXPECT_EQ(rule.tries(), 0u);
  run_until(5000);
  EXPECT_EQ(rule.state(), MediaState::Waiting);
  EXPECT_EQ(rule.tries(), 2u);
}

TEST_F(RuleTest, LostStaysUntilMediaComes) {
  rule.arm(at(0));
  run_until(3000);
  EXPECT_FALSE(rule.next_check());
  EXPECT_FALSE(rule.check(at(60000)));

  const auto back = rule.media(at(60500));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->state, MediaState::Flowing);
  EXPECT_EQ(back->silent_for, milliseconds(60500));
  EXPECT_EQ(rule.next_check(), at(61500));

  const auto again = run_until(64500);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->state, MediaState::Lost);
}

TEST_F(RuleTest, ArmingAgainStartsAnewFromEveryState) {
  rule.arm(at(0));
  run_until(3000);
  ASSERT_EQ(rule.state(), MediaState::Lost);
  EXPECT_EQ(rule.arm(at(3500)).state, MediaState::Waiting);
  EXPECT_EQ(rule.next_check(), at(4500));
  EXPECT_EQ(rule.tries(), 0u);

  rule.media(at(3600));
  rule.arm(at(4000));
  EXPECT_EQ(rule.state(), MediaState::Waiting);
  const auto lost = run_until(7000);  // what came before arming does not count
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->state, MediaState::Lost);
}

TEST_F(RuleTest, DisarmedForgetsItsSilence) {
  rule.arm(at(0));
  run_until(2000);
  rule.disarm();
  EXPECT_FALSE(rule.next_check());
  EXPECT_FALSE(run_until(9000));
  rule.arm(at(9000));
  EXPECT_EQ(rule.next_check(), at(10000));
}

TEST_F(RuleTest, OneTryLosesAtTheFirstSilentCheck) {
  rule.configure({milliseconds(200), 1});
  rule.arm(at(0));
  const auto lost = run_until(200);
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->state, MediaState::Lost);
}

TEST_F(RuleTest, NewSettingsCountFromTheNextCheckOn) {
  rule.arm(at(0));
  rule.configure({milliseconds(100), 4});
  EXPECT_EQ(rule.next_check(), at(1000));
  run_until(1000);
  EXPECT_EQ(rule.next_check(), at(1100));
  EXPECT_FALSE(run_until(1299));
  ASSERT_TRUE(run_until(1300));
  EXPECT_EQ(rule.state(), MediaState::Lost);
}

TEST_F(RuleTest, ALateCheckCountsOnce) {
  rule.arm(at(0));
  EXPECT_FALSE(rule.check(at(2700)));
  EXPECT_EQ(rule.tries(), 1u);
  EXPECT_EQ(rule.next_check(), at(3700));
}

TEST_F(RuleTest, AfterAStallTheNextCheckIsAWholeIntervalAway) {
  rule.arm(at(0));
  rule.check(at(1900));
  EXPECT_EQ(rule.next_check(), at(2900));
  rule.check(at(3000));  // a little late: that does not add up
  EXPECT_EQ(rule.next_check(), at(3900));
}

}  // namespace
}  // namespace junctor::watchdog
