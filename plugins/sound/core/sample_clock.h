// SPDX-License-Identifier: LGPL-2.1-or-later
// Presentation times of sound whose rate is changed.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace junctor::sound {

using Moment = std::chrono::nanoseconds;

/// Counts samples, so that what comes out has no gaps where what went in has none, however its
/// times were rounded. One thread at a time.
class SampleClock {
 public:
  /// Sound that is so far off where it is expected goes on all the same; more is a gap.
  static constexpr Moment kTolerance = Moment(std::chrono::seconds(1)) / 32;

  struct Span {
    std::optional<Moment> at;  ///< nothing if no time was ever told
    Moment length{};
  };

  /// Samples a second, above 0.
  SampleClock(int rate_in, int rate_out) : rate_in_(rate_in), rate_out_(rate_out) {}
  /// Whether sound of this time goes on from what was taken. So does all before the first begin().
  bool follows(Moment at) const;
  bool begun() const { return start_.has_value(); }
  /// What is taken and given from now on begins at `at`; without a time it is not told.
  void begin(std::optional<Moment> at);
  /// So many samples go in.
  void take(std::int64_t samples) { in_ += samples; }
  /// So many come out: when, and how long they are.
  Span give(std::int64_t samples);

 private:
  int rate_in_, rate_out_;
  std::optional<Moment> start_;
  std::int64_t in_ = 0, out_ = 0;  ///< since start_
};

}  // namespace junctor::sound
