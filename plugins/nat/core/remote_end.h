// SPDX-License-Identifier: LGPL-2.1-or-later
// What another end may have us do by its strings.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/peer_log_budget.h"
#include "nat/core/description.h"

namespace junctor::nat {

/// Its strings in a minute, its generations of addresses, and the addresses in each of them: who
/// names others' addresses is not to have us send to many of them, nor for ever. One thread.
class RemoteEnd {
 public:
  static constexpr unsigned kMostStrings = 64;  ///< in a minute
  /// So many generations at once, and then one an interval: no end that keeps to
  /// Channel::kGatherings says more.
  static constexpr unsigned kGenerations = 12;
  static constexpr Duration kGenerationInterval = std::chrono::seconds(2);

  /// Whether one more string is read.
  bool take_string(Time now) {
    if (now - minute_ >= std::chrono::minutes(1)) {
      minute_ = now;
      strings_ = 0;
    }
    return ++strings_ <= kMostStrings;
  }

  /// Its first string.
  void begin(const Description &description) {
    generation_ = description.generation;
    candidates_ = description.candidates.size();
  }

  enum class Generation : std::uint8_t { Past, Present, New, TooMany };
  Generation take_generation(std::uint32_t number, Time now) {
    if (number <= generation_)
      return number == generation_ ? Generation::Present : Generation::Past;
    if (!generations_.may(now)) return Generation::TooMany;
    generations_.take(now);
    generation_ = number;
    candidates_ = 0;
    return Generation::New;
  }
  std::uint32_t generation() const { return generation_; }

  /// Whether one more candidate of this generation is tried.
  bool take_candidate() { return ++candidates_ <= kMostCandidates; }

 private:
  Time minute_{};
  unsigned strings_ = 0;
  std::uint32_t generation_ = 0;
  std::size_t candidates_ = 0;
  Throttle generations_{kGenerations, kGenerationInterval};
};

}  // namespace junctor::nat
