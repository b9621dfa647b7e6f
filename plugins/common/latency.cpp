// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/latency.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace junctor {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
/// Nanoseconds in a unit, nearly a microsecond: a shift.
constexpr int kUnitShift = 10;

std::int64_t window_number(Time now) { return now.time_since_epoch() / LatencyMeter::kWindow; }

std::size_t class_of(std::uint64_t units, std::size_t classes) {
  if (units < 4) return units;
  const int doubling = std::bit_width(units) - 1;  // 2 and more
  const std::size_t quarter = (units >> (doubling - 2)) & 3;
  return std::min(4 * static_cast<std::size_t>(doubling - 1) + quarter, classes - 1);
}

/// The middle of a class.
double milliseconds_of(std::size_t at) {
  constexpr double kUnit = (1 << kUnitShift) / 1e6;
  if (at < 4) return (static_cast<double>(at) + 0.5) * kUnit;
  const int doubling = static_cast<int>(at / 4) + 1;
  const double width = static_cast<double>(std::uint64_t{1} << (doubling - 2));
  return (static_cast<double>(4 + at % 4) + 0.5) * width * kUnit;
}

}  // namespace

void LatencyMeter::add(Duration latency, Time now) {
  const std::int64_t number = window_number(now);
  Window &window = windows_[static_cast<std::size_t>(number) % windows_.size()];
  if (window.number.load(kRelaxed) != number) {
    for (auto &each : window.classes) each.store(0, kRelaxed);
    window.most.store(0, kRelaxed);
    window.number.store(number, kRelaxed);
  }
  const auto nanoseconds = static_cast<std::uint64_t>(std::max<Duration::rep>(latency.count(), 0));
  auto &count = window.classes[class_of(nanoseconds >> kUnitShift, kClasses)];
  // One thread writes: no exchange is needed.
  const std::uint16_t before = count.load(kRelaxed);
  if (before < std::numeric_limits<std::uint16_t>::max())
    count.store(static_cast<std::uint16_t>(before + 1), kRelaxed);
  const auto microseconds = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(nanoseconds / 1000, std::numeric_limits<std::uint32_t>::max()));
  if (microseconds > window.most.load(kRelaxed)) window.most.store(microseconds, kRelaxed);
}

LatencyFigures LatencyMeter::figures(Time now) const {
  const std::int64_t number = window_number(now);
  std::array<std::uint64_t, kClasses> sums{};
  LatencyFigures figures;
  std::uint32_t most = 0;
  for (const Window &window : windows_) {
    const std::int64_t its = window.number.load(kRelaxed);
    if (its != number && its != number - 1) continue;
    for (std::size_t i = 0; i < kClasses; ++i) sums[i] += window.classes[i].load(kRelaxed);
    most = std::max(most, window.most.load(kRelaxed));
  }
  for (const std::uint64_t sum : sums) figures.count += sum;
  if (figures.count == 0) return figures;
  figures.most_ms = most / 1000.0;
  const auto quantile = [&](std::uint64_t of_hundred) {
    const std::uint64_t rank = (figures.count * of_hundred + 99) / 100;
    std::uint64_t passed = 0;
    for (std::size_t i = 0; i < kClasses; ++i)
      if ((passed += sums[i]) >= rank) return std::min(milliseconds_of(i), figures.most_ms);
    return figures.most_ms;
  };
  figures.median_ms = quantile(50);
  figures.p99_ms = quantile(99);
  return figures;
}

}  // namespace junctor
