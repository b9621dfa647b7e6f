// SPDX-License-Identifier: LGPL-2.1-or-later
// How much sound of one direction may be transcoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "common/clock.h"

namespace junctor::calls {

/// Sound that is heard comes as fast as time passes. What a peer sends beyond that nobody hears,
/// and transcoding it takes the reactor from all other calls, however short each packet is. So each
/// direction may use kSpeed times the time that passes, and what it has not used for up to kSaved:
/// a publisher catches up so after a stall. What goes beyond is left out. Any thread.
class SoundBudget {
 public:
  static constexpr double kSpeed = 1.2;
  static constexpr Duration kSaved = std::chrono::milliseconds(1000);
  /// Sound that nobody asked for is not held against a peer for longer.
  static constexpr Duration kMostOwed = std::chrono::seconds(10);
  /// Bytes that come at once: two seconds of G.711. The longest AAC frame has 6144 bits a channel
  /// (ISO/IEC 14496-3, 4.5.3.1).
  static constexpr std::size_t kMostBytes = 16UL * 1024;
  /// What a packet costs, however little sound it has.
  static constexpr Duration kPerPacket = std::chrono::microseconds(500);

  explicit SoundBudget(Time now) : refilled_(now) {}

  /// Coded sound comes that is to be decoded. False: it is to be left out.
  bool admit(std::size_t bytes, Time now);
  /// So much sound has been decoded. False: it is not to be encoded.
  bool spend(Duration sound, Time now);
  /// How often either has said so.
  std::uint64_t left_out() const;

 private:
  void refill(Time now);      // under the lock
  mutable std::mutex mutex_;  // guards all below; a leaf
  Time refilled_;
  Duration left_ = kSaved;
  std::uint64_t left_out_ = 0;
};

}  // namespace junctor::calls
