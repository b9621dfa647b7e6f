// SPDX-License-Identifier: LGPL-2.1-or-later
// When numbered packets came, or went: for transport-wide feedback both ways.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "common/clock.h"
#include "rtp/core/unwrap.h"
#include "sfu/core/congestion_feedback.h"

namespace junctor::sfu {

/// One publisher's packets, by their transport-wide numbers. The publisher's numbers pass the relay
/// unchanged, for the header is authenticated from end to end: so both the feedback that it gets
/// and that of its receivers tell of the same numbers.
class NumberedPackets {
 public:
  static constexpr std::size_t kPackets = 2048;  ///< known at one time
  static constexpr std::size_t kMostTold = 500;  ///< of one feedback

  struct Known {
    Time at{};
    std::uint32_t size = 0;
  };

  void add(std::uint16_t number, std::uint32_t size, Time now) {
    const std::uint64_t extended = numbers_.push(number);
    Entry &entry = entries_[number % kPackets];
    entry = {extended, {now, size}};
    if (!next_) next_ = extended;
    // One that overtook the first of all, or comes behind what was told, is told of once more.
    if (extended < *next_ && *next_ - extended < kMostTold) next_ = extended;
    if (extended >= highest_) highest_ = extended;
  }
  std::optional<Known> find(std::uint16_t number) const {
    const Entry &entry = entries_[number % kPackets];
    if (entry.extended == 0 || static_cast<std::uint16_t>(entry.extended) != number)
      return std::nullopt;
    return entry.known;
  }
  /// Of what came since the last one; nothing where nothing came.
  std::optional<TransportFeedback> take_feedback() {
    if (!next_ || *next_ > highest_) return std::nullopt;
    if (highest_ - *next_ >= kMostTold) next_ = highest_ - kMostTold + 1;
    TransportFeedback feedback;
    feedback.base = static_cast<std::uint16_t>(*next_);
    feedback.number = number_++;
    for (; *next_ <= highest_; ++*next_) {
      const Entry &entry = entries_[*next_ % kPackets];
      if (entry.extended == *next_)
        feedback.arrivals.emplace_back(
            std::chrono::duration_cast<std::chrono::microseconds>(entry.known.at.time_since_epoch())
                .count() /
            250);
      else
        feedback.arrivals.emplace_back();
    }
    return feedback;
  }

 private:
  struct Entry {
    std::uint64_t extended = 0;
    Known known;
  };
  rtp::Unwrapper<std::uint16_t> numbers_;
  std::array<Entry, kPackets> entries_{};
  std::optional<std::uint64_t> next_;  // to be told
  std::uint64_t highest_ = 0;
  std::uint8_t number_ = 0;
};

}  // namespace junctor::sfu
