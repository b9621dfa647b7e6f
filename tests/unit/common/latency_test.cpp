// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/latency.h"

#include <gtest/gtest.h>

#include <thread>

using namespace junctor;
using namespace std::chrono_literals;

namespace {

constexpr Time kStart{1000s};

}  // namespace

TEST(LatencyMeter, NothingMeasuredIsNothing) {
  const LatencyMeter meter;
  EXPECT_EQ(meter.figures(kStart), LatencyFigures{});
}

TEST(LatencyMeter, MedianNinetyNinthAndMost) {
  LatencyMeter meter;
  for (int i = 1; i <= 1000; ++i) meter.add(i * 100us, kStart);
  const LatencyFigures figures = meter.figures(kStart + 1s);
  EXPECT_EQ(figures.count, 1000U);
  EXPECT_NEAR(figures.median_ms, 50, 50 * 0.125);
  EXPECT_NEAR(figures.p99_ms, 99, 99 * 0.125);
  EXPECT_EQ(figures.most_ms, 100);
}

TEST(LatencyMeter, EachLatencyIsExactToAnEighth) {
  for (Duration latency = 4us; latency < 2s; latency += latency / 7 + 1us) {
    LatencyMeter meter;
    meter.add(latency, kStart);
    const double ms = std::chrono::duration<double, std::milli>(latency).count();
    EXPECT_NEAR(meter.figures(kStart).median_ms, ms, ms / 8) << latency.count();
  }
}

TEST(LatencyMeter, WhatIsBeyondItsRangeCountsAtItsEnds) {
  LatencyMeter meter;
  meter.add(-5ms, kStart);
  EXPECT_LT(meter.figures(kStart).median_ms, 0.001);
  for (int i = 0; i < 10; ++i) meter.add(10min, kStart);
  EXPECT_EQ(meter.figures(kStart).count, 11U);
  EXPECT_GT(meter.figures(kStart).median_ms, 1500);
  EXPECT_EQ(meter.figures(kStart).most_ms, 600'000);
}

TEST(LatencyMeter, ForgetsWhatIsOld) {
  LatencyMeter meter;
  for (int i = 0; i < 100; ++i) meter.add(80ms, kStart);
  for (int i = 0; i < 200; ++i) meter.add(1ms, kStart + LatencyMeter::kWindow);
  EXPECT_EQ(meter.figures(kStart + LatencyMeter::kWindow).count, 300U);
  EXPECT_GT(meter.figures(kStart + LatencyMeter::kWindow).p99_ms, 70);
  meter.add(1ms, kStart + 2 * LatencyMeter::kWindow);
  const LatencyFigures later = meter.figures(kStart + 2 * LatencyMeter::kWindow);
  EXPECT_EQ(later.count, 201U);
  EXPECT_EQ(later.most_ms, 1);
  EXPECT_EQ(meter.figures(kStart + 10 * LatencyMeter::kWindow).count, 0U);
}

TEST(LatencyMeter, IsReadWhileItIsWritten) {
  LatencyMeter meter;
  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) {
      const LatencyFigures figures = meter.figures(kStart);
      EXPECT_LE(figures.median_ms, 10);
    }
  });
  for (int i = 0; i < 50'000; ++i) meter.add(std::chrono::microseconds(i % 10'000), kStart);
  done = true;
  reader.join();
  EXPECT_EQ(meter.figures(kStart).count, 50'000U);
}
