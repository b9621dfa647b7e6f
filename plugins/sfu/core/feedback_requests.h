// SPDX-License-Identifier: LGPL-2.1-or-later
// What many receivers ask of one source, merged into what the source is asked.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "common/clock.h"

namespace junctor::sfu {

/// Keyframe requests: at most one a window. One that comes within the window of another waits for
/// its end: the keyframe under way may have been meant for somebody who joined later, or be lost.
class KeyframeRequests {
 public:
  static constexpr Duration kWindow = std::chrono::milliseconds(500);

  /// A receiver asks. True: ask the source now.
  bool ask(Time now) {
    if (asked_ && now - *asked_ < kWindow) {
      waiting_ = true;
      return false;
    }
    asked_ = now;
    waiting_ = false;
    return true;
  }
  /// True, once: one has waited long enough, ask the source now.
  bool due(Time now) { return waiting_ && ask(now); }
  std::optional<Time> next() const {
    return waiting_ ? std::optional(*asked_ + kWindow) : std::nullopt;
  }
  /// A keyframe has been seen to begin: whoever asked has it.
  void passed() { waiting_ = false; }

 private:
  std::optional<Time> asked_;
  bool waiting_ = false;
};

/// Packets that are asked for, or sent, again: each at most kTries times, with a pause between
/// them.
class RepeatLimit {
 public:
  static constexpr unsigned kTries = 3;
  static constexpr std::size_t kPackets = 256;  ///< known at one time; of more the earlier go

  /// True: now; it counts as done.
  bool allow(std::uint16_t sequence, Time now, Duration pause) {
    Entry &entry = entries_[sequence % kPackets];
    if (entry.tries == 0 || entry.sequence != sequence || now - entry.last > kForgotten)
      entry = {sequence, 0, {}};
    else if (entry.tries >= kTries || now - entry.last < pause)
      return false;
    ++entry.tries;
    entry.last = now;
    return true;
  }

 private:
  static constexpr Duration kForgotten = std::chrono::seconds(10);  // numbers come round again
  struct Entry {
    std::uint16_t sequence = 0;
    std::uint8_t tries = 0;
    Time last{};
  };
  std::array<Entry, kPackets> entries_{};
};

/// Bytes that may go out beside what a receiver gets anyway: half of that, and a burst. Whoever can
/// ask for retransmissions must not be able to multiply our traffic.
class RetransmissionCredit {
 public:
  static constexpr std::size_t kBurst = 64UL * 1024;

  void earn(std::size_t sent) { credit_ = std::min(credit_ + sent / 2, kBurst); }
  bool spend(std::size_t bytes) {
    if (bytes > credit_) return false;
    credit_ -= bytes;
    return true;
  }

 private:
  std::size_t credit_ = kBurst;
};

}  // namespace junctor::sfu
