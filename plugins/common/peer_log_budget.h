// SPDX-License-Identifier: LGPL-2.1-or-later
// Lines that many peers may cause in the log: a few of each, and no more than a bound in all.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "common/clock.h"

namespace junctor {

/// Allows a burst, and then so many a second. Not thread-safe.
class Throttle {
 public:
  Throttle(unsigned burst, Duration interval) : burst_(burst), interval_(interval) {}
  bool may(Time now) const { return full(now) + interval_ - now <= interval_ * burst_; }
  void take(Time now) { full_ = full(now) + interval_; }
  /// Whether nothing is left of what was taken.
  bool idle(Time now) const { return full_ <= now; }

 private:
  Time full(Time now) const { return full_ > now ? full_ : now; }

  unsigned burst_;
  Duration interval_;
  Time full_{};  ///< when the whole burst may be taken again
};

/// So that one peer that is refused again and again, or a thousand, neither fill the disk nor hide
/// what others do. Not thread-safe.
class PeerLogBudget {
 public:
  static constexpr unsigned kPeerBurst = 40, kBurst = 200;
  static constexpr Duration kPeerInterval = std::chrono::milliseconds(250);
  static constexpr Duration kInterval = std::chrono::milliseconds(50);
  /// Peers that are remembered; others share one budget while there are so many.
  static constexpr std::size_t kMostPeers = 4096;

  /// For a line about `peer`, an address_group(). Nothing if it is to be left out at `now`; else
  /// how many were left out since the one before, of all peers.
  std::optional<unsigned> take(const std::string &peer, Time now) {
    // First: looking for room among the peers takes longer.
    if (!all_.may(now)) {
      ++left_out_;
      return std::nullopt;
    }
    auto found = peers_.find(peer);
    if (found == peers_.end()) {
      if (peers_.size() >= kMostPeers)
        std::erase_if(peers_, [now](const auto &each) { return each.second.idle(now); });
      const bool room = peers_.size() < kMostPeers;
      found = peers_.try_emplace(room ? peer : "others", kPeerBurst, kPeerInterval).first;
    }
    if (!found->second.may(now)) {
      ++left_out_;
      return std::nullopt;
    }
    all_.take(now);
    found->second.take(now);
    return std::exchange(left_out_, 0U);
  }
  std::size_t peers() const { return peers_.size(); }

 private:
  Throttle all_{kBurst, kInterval};
  std::unordered_map<std::string, Throttle> peers_;
  unsigned left_out_ = 0;
};

}  // namespace junctor
