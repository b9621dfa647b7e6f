// SPDX-License-Identifier: LGPL-2.1-or-later
// How long media take, and what is told of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "calls/call_latency.h"
#include "calls/passage.h"
#include "calls/planner.h"
#include "calls/track_watcher.h"

namespace junctor::calls {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr Time kStart{1000s};
constexpr std::int64_t kMillisecond = 1'000'000;

TEST(Passage, BuffersAreFoundAgainByTheirTime) {
  Passage passage;
  for (int i = 0; i < 10; ++i) {
    passage.enter(i * 40 * kMillisecond, kStart + i * 40ms);
    passage.leave(i * 40 * kMillisecond, kStart + i * 40ms + 8ms);
  }
  const LatencyFigures figures = passage.figures(kStart + 400ms);
  EXPECT_EQ(figures.count, 10U);
  EXPECT_EQ(figures.most_ms, 8);
}

TEST(Passage, AFrameMadeOfSeveralCountsFromTheOneItBeginsWith) {
  Passage passage;
  // Packets of 20 ms, frames of 23 ms that leave when they are full.
  for (int i = 0; i < 4; ++i) passage.enter(i * 20 * kMillisecond, kStart + i * 20ms);
  passage.leave(0, kStart + 40ms);
  EXPECT_EQ(passage.figures(kStart + 1s).most_ms, 40);
  passage.leave(23 * kMillisecond, kStart + 60ms);  // begins within the second packet
  EXPECT_EQ(passage.figures(kStart + 1s).most_ms, 40);
  passage.leave(46 * kMillisecond, kStart + 101ms);
  EXPECT_EQ(passage.figures(kStart + 1s).most_ms, 55);
  EXPECT_EQ(passage.figures(kStart + 1s).count, 3U);
}

TEST(Passage, AFilterTakesWhatItHoldsBackAndNotAPacket) {
  Passage passage;
  // Packets of 128 ms come out at once, but for their last 2 ms, which come with the next.
  for (int i = 0; i < 8; ++i) {
    const Time now = kStart + i * 128ms;
    passage.enter(i * 128 * kMillisecond, now);
    passage.leave((i == 0 ? 0 : i * 128 - 2) * kMillisecond, now);
  }
  EXPECT_EQ(passage.figures(kStart + 1s).count, 8U);
  EXPECT_EQ(passage.figures(kStart + 1s).most_ms, 2);
}

TEST(Passage, WhatIsCutOutOfALongPacketDidNotWaitInIt) {
  Passage passage;
  passage.enter(0, kStart);
  for (int i = 0; i < 6; ++i) passage.leave(i * 20 * kMillisecond, kStart);
  EXPECT_EQ(passage.figures(kStart + 1s).most_ms, 0);
  passage.enter(128 * kMillisecond, kStart + 128ms);
  passage.leave(120 * kMillisecond, kStart + 128ms);  // whose last 12 ms came then
  EXPECT_EQ(passage.figures(kStart + 1s).most_ms, 8);
}

TEST(Passage, OfThePacketsOfAPictureTheLastCounts) {
  Passage passage;
  for (int i = 0; i < 200; ++i) passage.enter(5, kStart + i * 100us);
  passage.leave(5, kStart + 25ms);
  EXPECT_NEAR(passage.figures(kStart + 1s).most_ms, 5.1, 0.001);
}

TEST(Passage, WhatNeverCameInIsNotCounted) {
  Passage passage;
  passage.leave(0, kStart);
  passage.enter(5'000 * kMillisecond, kStart);
  passage.leave(4'000 * kMillisecond, kStart + 1ms);  // before it
  passage.leave(7'000 * kMillisecond, kStart + 1ms);  // long after it
  EXPECT_EQ(passage.figures(kStart + 1s).count, 0U);
}

rtmp::Frame picture(std::int64_t dts, bool key) {
  rtmp::Frame frame;
  frame.medium = Medium::Video;
  frame.key = key;
  frame.dts = dts;
  frame.waited = 3ms;
  return frame;
}

TEST(TrackWatcher, MeasuresHowFarKeyframesAreApart) {
  TrackWatcher watcher(nullptr, nullptr, nullptr);
  const auto figures = watcher.figures();
  watcher.on_publisher();
  watcher.on_frame(picture(100, true));
  for (int i = 1; i < 50; ++i) watcher.on_frame(picture(100 + 40 * i, false));
  EXPECT_EQ(figures->keyframe_distance_ms, 0) << "one keyframe says nothing";
  watcher.on_frame(picture(2100, true));
  EXPECT_EQ(figures->keyframe_distance_ms, 2000);
  watcher.on_frame(picture(3100, true));
  EXPECT_EQ(figures->keyframe_distance_ms, 2000) << "the longest of the last few";
  watcher.on_frame(picture(7100, false));
  EXPECT_EQ(figures->keyframe_distance_ms, 4000) << "already longer in coming";
  for (int i = 1; i <= 4; ++i) watcher.on_frame(picture(7100 + 500 * i, true));
  EXPECT_EQ(figures->keyframe_distance_ms, 4500);
  watcher.on_frame(picture(9600, true));
  EXPECT_EQ(figures->keyframe_distance_ms, 500);
  EXPECT_NEAR(figures->receive[1].figures(Clock::now()).median_ms, 3, 0.4);
  watcher.on_publisher();
  EXPECT_EQ(figures->keyframe_distance_ms, 0) << "another publisher";
}

TEST(Planner, SaysHowLongAMissedPictureIsMissed) {
  const auto steps = [] {
    std::vector<PlanStep> steps(3);
    steps[0].direction = steps[1].direction = kToCallee;
    steps[2].direction = kToCaller;
    steps[0].medium = steps[2].medium = Medium::Video;
    for (PlanStep &step : steps) {
      step.from = step.to = "h264";
      step.reason = "Passed through.";
    }
    return steps;
  };
  auto told = steps();
  tell_first_picture(told, Side::Caller, 1960);
  EXPECT_EQ(told[0].first_picture_ms, 1960);
  EXPECT_THAT(told[0].reason, HasSubstr("each 2.0 s"));
  EXPECT_EQ(told[1].first_picture_ms, std::nullopt) << "sound";
  EXPECT_EQ(told[2].first_picture_ms, std::nullopt) << "a phone can be asked";
  told = steps();
  told[0].transcoded = true;  // our encoder is asked
  tell_first_picture(told, Side::Caller, 1960);
  EXPECT_EQ(told[0].first_picture_ms, std::nullopt);
  told = steps();
  tell_first_picture(told, Side::Caller, 0);  // not known yet
  EXPECT_EQ(told[0].first_picture_ms, std::nullopt);
}

std::vector<std::string_view> names(const RouteLatency &route) {
  std::vector<std::string_view> names;
  for (const auto &stage : route.stages) names.push_back(stage.name);
  return names;
}

TEST(CallLatency, EachRouteHasTheStepsThatItHas) {
  const LatencyFigures some{10, 1, 2, 3};
  std::array<LegLatency, 2> legs;
  CodingLatency coding;
  EXPECT_TRUE(route_latency(legs, coding).empty()) << "nothing has flowed";
  // A terminal calls a phone; sound flows, and is passed through.
  auto &terminal = legs[0].of[0], &phone = legs[1].of[0];
  terminal.receive = terminal.send = some;
  phone.receive = phone.reorder = phone.pass_on = phone.packetize = phone.send = some;
  auto routes = route_latency(legs, coding);
  ASSERT_EQ(routes.size(), 2U);
  EXPECT_EQ(routes[0].direction, kToCallee);
  EXPECT_EQ(routes[0].medium, Medium::Audio);
  EXPECT_THAT(names(routes[0]), ElementsAre("receive", "packetize", "send"));
  EXPECT_EQ(routes[0].stages[0].figures, some);
  EXPECT_EQ(routes[1].direction, kToCaller);
  EXPECT_THAT(names(routes[1]), ElementsAre("receive", "reorder", "packetize", "send"));

  coding.to[0][0] = coding.to[1][0] = {some, some};
  routes = route_latency(legs, coding);
  EXPECT_THAT(names(routes[0]), ElementsAre("receive", "decode", "encode", "packetize", "send"));
  EXPECT_THAT(names(routes[1]), ElementsAre("receive", "reorder", "decode", "encode", "send"));

  terminal.send = {};  // nobody plays
  EXPECT_EQ(route_latency(legs, coding).size(), 1U);
}

}  // namespace
}  // namespace junctor::calls
