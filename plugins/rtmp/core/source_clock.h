// SPDX-License-Identifier: LGPL-2.1-or-later
// One clock for both media of a source.
#pragma once

#include <array>
#include <cstdint>

#include "rtmp/core/media.h"

namespace junctor::rtmp {

/// Judges a source's timestamps: whether its clock has been set anew, and what a frame's time is on
/// the one clock that its media share. Each medium is compared with itself alone, for sound and
/// picture may lie apart. All times in ms; reads no clock; not thread-safe.
class SourceClock {
 public:
  /// A medium that falls back, or runs ahead of the time that has passed, by more has had its clock
  /// set anew.
  static constexpr std::int64_t kFallsBack = 2000;
  static constexpr std::int64_t kRunsAhead = 10000;

  struct Reading {
    std::int64_t dts = 0;  ///< on the shared clock
    bool anew = false;     ///< the shared clock begins with this frame: place the source again
  };

  /// Another source follows.
  void reset() { media_ = {}; }

  /// Of a frame that comes at `now`, on any clock that does not fall back. When one medium's clock
  /// is set anew, both begin again. A medium that begins beyond these bounds from the other has a
  /// clock of its own: it is laid beside the other.
  Reading read(Medium medium, std::int64_t dts, std::int64_t now) {
    const auto index = static_cast<std::size_t>(medium);
    Reading reading{dts, !media_[index].known && !media_[1 - index].known};
    if (media_[index].known && jumps(dts - media_[index].dts, now - media_[index].when)) {
      reset();
      reading.anew = true;
    }
    State &its = media_[index];
    const State &other = media_[1 - index];
    if (!its.known && other.known) {
      const std::int64_t ahead = dts - (other.dts + other.shift);
      its.shift = jumps(ahead, now - other.when) ? -ahead : 0;
    }
    its.known = true;
    its.dts = dts;
    its.when = now;
    reading.dts += its.shift;
    return reading;
  }

 private:
  struct State {
    bool known = false;
    std::int64_t dts = 0;    ///< of the latest frame, on the medium's own clock
    std::int64_t when = 0;   ///< it came
    std::int64_t shift = 0;  ///< from its own clock to the shared one
  };
  static bool jumps(std::int64_t step, std::int64_t passed) {
    return step < -kFallsBack || step > passed + kRunsAhead;
  }

  std::array<State, 2> media_;  ///< by Medium
};

}  // namespace junctor::rtmp
