// SPDX-License-Identifier: LGPL-2.1-or-later
// Publishers' clocks laid onto one running time.
#pragma once

#include <algorithm>
#include <cstdint>

namespace junctor::rtmp {

/// Places timestamps of one publisher after another on one line that never falls back. Milliseconds
/// in, nanoseconds of running time out.
///
/// What a listener is given of the past (the pictures since the last keyframe, so that the first
/// one can be decoded) is squeezed a hundredfold: it goes by at once and the live frames after it
/// come at the present, not a group of pictures late. The squeezed stamps still rise and keep their
/// order, as payloaders and decoders want.
class Timeline {
 public:
  /// Ties `first` to `now` or to just after all that was placed before, whichever is later.
  void tie(std::int64_t first, std::int64_t now) { tie_past(first, first, now); }

  /// The same for frames of the past from `first` to `last`, the newest.
  void tie_past(std::int64_t first, std::int64_t last, std::int64_t now) {
    start_ = highest_ < 0 ? now : std::max(now, highest_ + kMillisecond);
    floor_ = start_ > now ? start_ : std::max<std::int64_t>(highest_, 0);
    first_ = first;
    last_ = std::max(first, last);
  }

  /// Where `ms` lies. Rises with `ms`; never before what was placed of an earlier publisher.
  std::int64_t place(std::int64_t ms) {
    const std::int64_t past = std::min(ms, last_) - first_;
    // Before the first frame time runs as ever: sound may be a little older than the picture.
    const std::int64_t squeezed = past > 0 ? past * kMillisecond / kSqueeze : past * kMillisecond;
    const std::int64_t live = std::max<std::int64_t>(ms - last_, 0) * kMillisecond;
    const std::int64_t placed = std::max(start_ + squeezed + live, floor_);
    highest_ = std::max(highest_, placed);
    return placed;
  }

 private:
  static constexpr std::int64_t kMillisecond = 1'000'000;  // ns
  static constexpr std::int64_t kSqueeze = 100;

  std::int64_t first_ = 0, last_ = 0;   // ms of the publisher
  std::int64_t start_ = 0, floor_ = 0;  // ns: where first_ lies; where nothing lies before
  std::int64_t highest_ = -1;           // ns: the latest place given; below 0 if there is none
};

}  // namespace junctor::rtmp
