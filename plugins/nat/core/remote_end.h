// SPDX-License-Identifier: LGPL-2.1-or-later
// What another end may have us do by its strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "common/peer_log_budget.h"
#include "common/result.h"
#include "nat/core/description.h"

namespace junctor::nat {

/// Its strings in a minute, its generations of addresses, and the addresses in each of them: who
/// names others' addresses is not to have us send to many of them, nor for ever. One thread.
/// Refusals are sentences for it, in which it is called by its name.
class RemoteEnd {
 public:
  static constexpr unsigned kMostStrings = 64;  ///< in a minute
  /// So many generations at once, and then one an interval: no end that keeps to
  /// Channel::kGatherings says more.
  static constexpr unsigned kGenerations = 12;
  static constexpr Duration kGenerationInterval = std::chrono::seconds(2);

  explicit RemoteEnd(std::string name) : name_(std::move(name)) {}

  /// Refused where no more strings are read.
  Result<void> take_string(Time now) {
    if (now - minute_ >= std::chrono::minutes(1)) {
      minute_ = now;
      strings_ = 0;
    }
    if (++strings_ <= kMostStrings) return {};
    return refused(name_ + " has sent more than " + std::to_string(kMostStrings) +
                   " strings within a minute");
  }

  /// Its first string.
  void begin(const Description &description) {
    generation_ = description.generation;
    candidates_ = description.candidates.size();
  }

  /// Calls `forget()` where these are addresses of a new generation, then `add(candidate)` for each
  /// that is tried: none of an earlier generation, of this one no more than kMostCandidates.
  /// Whether they are of a new one; Refused where there are too many of those.
  template <class Forget, class Add>
  Result<bool> take(const MoreCandidates &more, Time now, Forget &&forget, Add &&add) {
    if (more.generation < generation_) return false;
    const bool anew = more.generation > generation_;
    if (anew) {
      if (!generations_.may(now)) return refused(name_ + " changes addresses too often");
      generations_.take(now);
      generation_ = more.generation;
      candidates_ = 0;
      forget();
    }
    for (const Candidate &each : more.candidates)
      if (++candidates_ <= kMostCandidates) add(each);
    return anew;
  }
  std::uint32_t generation() const { return generation_; }

 private:
  std::string name_;
  Time minute_{};
  unsigned strings_ = 0;
  std::uint32_t generation_ = 0;
  std::size_t candidates_ = 0;
  Throttle generations_{kGenerations, kGenerationInterval};
};

}  // namespace junctor::nat
