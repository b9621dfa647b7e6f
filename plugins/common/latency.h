// SPDX-License-Identifier: LGPL-2.1-or-later
// How long a step takes, of late: median, 99th percentile, most.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "common/clock.h"

namespace junctor {

/// Of the last kWindow to twice that; in milliseconds, exact to an eighth, `most` to a microsecond.
struct LatencyFigures {
  std::uint64_t count = 0;  ///< 0: nothing was measured, and the rest says nothing
  double median_ms = 0, p99_ms = 0, most_ms = 0;
  bool operator==(const LatencyFigures &) const = default;
};

/// A histogram of fixed size: four classes for each doubling from a microsecond to two seconds.
/// Nothing is allocated, no lock is taken: cheap enough for every frame. One thread adds, any
/// thread reads. What is read while a window ends may lack some of it.
class LatencyMeter {
 public:
  static constexpr Duration kWindow = std::chrono::seconds(5);

  /// Negative ones count as zero. `now` may be a turn's time: it chooses the window.
  void add(Duration latency, Time now);
  LatencyFigures figures(Time now) const;

 private:
  static constexpr std::size_t kClasses = 84;
  struct Window {
    std::atomic<std::int64_t> number = -1;
    std::atomic<std::uint32_t> most = 0;  // microseconds
    std::array<std::atomic<std::uint16_t>, kClasses> classes{};
  };
  std::array<Window, 2> windows_;
};

}  // namespace junctor
