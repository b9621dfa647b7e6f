// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/path_watch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

namespace junctor::nat {
namespace {

using namespace std::chrono_literals;
using Verdict = PathWatch::Verdict;

class PathIsWatched : public testing::Test {
 protected:
  /// What it says from now on, with the times at which it wants to be asked.
  std::vector<std::pair<long, Verdict>> run(Duration time) {
    std::vector<std::pair<long, Verdict>> said;
    const Time end = now_ + time;
    for (int turns = 0; turns < 1000 && now_ < end; ++turns) {
      const Verdict verdict = watch_.poll(now_, round_trip_);
      if (verdict != Verdict::Wait) said.emplace_back((now_ - begin_) / 1ms, verdict);
      if (verdict == Verdict::Ask && answers_) watch_.answered(now_);
      const Time next = watch_.next(round_trip_);
      EXPECT_GT(next, now_);
      now_ = std::min(std::max(next, now_ + 1ms), end);
    }
    return said;
  }
  void media(Duration time) {
    for (const Time end = now_ + time; now_ < end; now_ += 20ms) {
      watch_.media(now_);
      EXPECT_EQ(watch_.poll(now_, round_trip_), Verdict::Wait);
    }
  }
  const Time begin_ = Time{} + 1h;
  Time now_ = begin_;
  PathWatch watch_{PathWatch::Options()};
  std::optional<Duration> round_trip_ = 20ms;
  bool answers_ = true;
  PathIsWatched() { watch_.answered(now_); }
};

TEST_F(PathIsWatched, AsksAtEachHeartbeatAndIsContentWithAnswers) {
  EXPECT_EQ(run(10s), (std::vector<std::pair<long, Verdict>>{
                          {2500, Verdict::Ask}, {5000, Verdict::Ask}, {7500, Verdict::Ask}}));
}

TEST_F(PathIsWatched, WithoutAnswersItIsSilentInTime) {
  answers_ = false;
  const auto said = run(4s);
  ASSERT_FALSE(said.empty());
  EXPECT_EQ(said.back(), std::pair(3100L, Verdict::Silent));
  EXPECT_GE(said.size(), 10U) << "a lost question or two is nothing";
}

TEST_F(PathIsWatched, WhereMediaStopsItIsSilentSooner) {
  media(2s);
  answers_ = false;
  const auto said = run(2s);
  ASSERT_FALSE(said.empty());
  EXPECT_EQ(said.front(), std::pair(2230L, Verdict::Ask)) << "250 ms after the last packet";
  EXPECT_EQ(said[said.size() - 1], std::pair(2430L, Verdict::Silent));
}

TEST_F(PathIsWatched, APeerThatOnlyFallsSilentIsAskedOnce) {
  media(2s);
  EXPECT_EQ(run(2s), (std::vector<std::pair<long, Verdict>>{{2230, Verdict::Ask}}));
}

TEST_F(PathIsWatched, FewPacketsPromiseNoMore) {
  media(100ms);
  EXPECT_EQ(run(2s).size(), 0U);
}

TEST_F(PathIsWatched, ALongRoundTripIsWaitedFor) {
  round_trip_ = 500ms;
  answers_ = false;
  EXPECT_EQ(run(5s).back(), std::pair(4500L, Verdict::Silent));
}

TEST_F(PathIsWatched, WhatIsInDoubtIsAskedAtOnceAndNotWaitedForForLong) {
  run(1s);
  watch_.doubt(now_);
  EXPECT_EQ(run(2s), (std::vector<std::pair<long, Verdict>>{{1000, Verdict::Ask}}));
  answers_ = false;
  watch_.doubt(now_);
  const auto said = run(1s);
  ASSERT_GE(said.size(), 3U);
  EXPECT_EQ(said.front(), std::pair(3000L, Verdict::Ask));
  EXPECT_TRUE(std::ranges::count(said, std::pair(3200L, Verdict::Silent))) << said.size();
}

TEST_F(PathIsWatched, MediaThatComesAfterADoubtEndsIt) {
  run(1s);
  answers_ = false;
  watch_.doubt(now_);
  EXPECT_EQ(watch_.poll(now_, round_trip_), Verdict::Ask);
  now_ += 20ms;
  watch_.media(now_);  // may have been under way
  EXPECT_LE(watch_.next(round_trip_), now_ + 50ms);
  now_ += 40ms;
  watch_.media(now_);
  EXPECT_TRUE(run(2s).empty());
}

TEST_F(PathIsWatched, ARoundTripThatIsNotKnownMayBeLong) {
  round_trip_.reset();
  answers_ = false;
  watch_.doubt(now_);
  const auto said = run(1s);
  EXPECT_TRUE(std::ranges::count(said, std::pair(600L, Verdict::Silent)));
  EXPECT_FALSE(std::ranges::count(said, std::pair(250L, Verdict::Silent)));
}

/// A way on which each question is answered after `took`: what its round trip is known to be after
/// `lasted`; nothing where it was taken for dead.
std::optional<Duration> measured(Duration took, Duration lasted) {
  PathWatch watch{PathWatch::Options()};
  Questions questions;
  std::optional<Duration> round_trip;
  std::deque<std::pair<Time, std::uint32_t>> answers;
  Time now = Time{} + 1h;
  watch.answered(now);
  for (const Time end = now + lasted; now < end;) {
    while (!answers.empty() && answers.front().first <= now) {
      if (const auto known = questions.answered(answers.front().second, now)) {
        round_trip = known;
        watch.answered(now);
      }
      answers.pop_front();
    }
    switch (watch.poll(now, round_trip)) {
      case Verdict::Ask:
        answers.emplace_back(now + took, questions.ask(now));
        break;
      case Verdict::Silent:
        return std::nullopt;
      case Verdict::Wait:
        break;
    }
    Time next = watch.next(round_trip);
    if (!answers.empty()) next = std::min(next, answers.front().first);
    now = std::max(next, now + 1ms);
  }
  return round_trip;
}

TEST(QuestionsOverAWay, AreAnsweredHoweverLongTheWayIs) {
  for (const Duration took :
       {Duration(1ms), Duration(49ms), Duration(80ms), Duration(160ms), Duration(500ms)})
    EXPECT_EQ(measured(took, 10s), took) << took / 1ms;
  EXPECT_FALSE(measured(2s, 10s));
}

TEST(QuestionsOverAWay, CountEachOfTheLastThatIsAnsweredInItsOrder) {
  const Time now = Time{} + 1h;
  Questions questions;
  EXPECT_FALSE(questions.answered(0, now));
  EXPECT_FALSE(questions.answered(1, now)) << "none was asked";
  for (std::uint32_t i = 1; i <= 40; ++i) EXPECT_EQ(questions.ask(now + i * 1ms), i);
  EXPECT_FALSE(questions.answered(0, now + 1s));
  EXPECT_FALSE(questions.answered(8, now + 1s)) << "longer ago than is known";
  EXPECT_EQ(questions.answered(9, now + 1s), 991ms);
  EXPECT_EQ(questions.answered(30, now + 1s), 970ms) << "those between were lost";
  EXPECT_FALSE(questions.answered(30, now + 1s));
  EXPECT_FALSE(questions.answered(29, now + 1s));
  EXPECT_FALSE(questions.answered(41, now + 1s)) << "not asked";
  EXPECT_EQ(questions.answered(40, now + 1s), 960ms);
}

}  // namespace
}  // namespace junctor::nat
