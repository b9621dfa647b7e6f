// SPDX-License-Identifier: LGPL-2.1-or-later
// How long media take between two points of a pipeline.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>

#include "common/latency.h"

namespace junctor::calls {

/// Buffers that pass one point, found again at another by their presentation time: what leaves
/// began with the last buffer that came in at that time or before it, and so much later than that
/// buffer did as it is behind its beginning: a filter that holds back 2 ms takes 2 ms, however long
/// the packets are. So decoders, encoders and whatever cuts sound anew between them may be in
/// between, with all that they wait for. One thread at each point; any thread reads.
class Passage {
 public:
  /// Buffers that may be between the points at once.
  static constexpr std::size_t kBuffers = 64;
  /// One that came in so long before is none that this one is made of.
  static constexpr std::int64_t kFarApart = 1'000'000'000;

  /// `pts` in nanoseconds. Of buffers with one `pts`, as the packets of a picture, the last counts.
  void enter(std::int64_t pts, Time now);
  void leave(std::int64_t pts, Time now);
  LatencyFigures figures(Time now) const { return meter_.figures(now); }

 private:
  struct Entry {
    std::int64_t pts = -1;
    Time when{};
  };
  std::mutex mutex_;  // guards the two below; a leaf
  std::array<Entry, kBuffers> entries_;
  std::size_t next_ = 0;
  LatencyMeter meter_;
};

}  // namespace junctor::calls
