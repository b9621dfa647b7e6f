// SPDX-License-Identifier: LGPL-2.1-or-later
// Which accounts are in a call, or on their way into one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"

namespace junctor::accounts {

/// A publish that names a callee claims its account when it is accepted, long before its call tells
/// of itself in another thread; until both the call and the publish are over no other callee can be
/// had. Thread-safe.
class BusyTable {
 public:
  /// How long a claim waits for its publish to begin: that follows at once, or never if the
  /// terminal has gone meanwhile.
  static constexpr Duration kStartPatience = std::chrono::seconds(2);

  /// Claims the account for a publish of `connection` that calls `to`. Nothing if it may: the
  /// account is free, or all else is with this callee too. Else whom it is with, and no claim.
  std::optional<std::string> claim(const std::string &account, std::uint64_t connection,
                                   const std::string &to, Time now) {
    const std::lock_guard lock(mutex_);
    Entry &entry = entries_[account];
    std::erase_if(entry.claims, [now](const Claim &each) { return each.until < now; });
    if (!entry.idle() && entry.to != to) return entry.to;
    entry.to = to;
    entry.claims.push_back({connection, now + kStartPatience});
    return std::nullopt;
  }
  /// A publish that names a callee has begun: its claim lasts until it ends. Nothing if it has
  /// none.
  void publish_started(const std::string &account, std::uint64_t connection) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(account);
    if (found == entries_.end()) return;
    const auto claim = found->second.find(connection, false);
    if (claim != found->second.claims.end()) claim->until = kUntilItEnds;
  }
  /// One that had begun is over. To be told after the calls have been, so perhaps when the next
  /// publish of this connection has its claim already: that one stays.
  void publish_ended(const std::string &account, std::uint64_t connection) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(account);
    if (found == entries_.end()) return;
    const auto claim = found->second.find(connection, true);
    if (claim != found->second.claims.end()) found->second.claims.erase(claim);
    if (found->second.idle()) entries_.erase(found);
  }
  void call_began(const std::string &account, const std::string &call, const std::string &to) {
    const std::lock_guard lock(mutex_);
    Entry &entry = entries_[account];
    entry.call = call;
    entry.to = to;
  }
  /// Nothing if the account is in another call by now.
  void call_ended(const std::string &account, const std::string &call) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(account);
    if (found == entries_.end() || found->second.call != call) return;
    found->second.call.clear();
    if (found->second.idle()) entries_.erase(found);
  }

 private:
  static constexpr Time kUntilItEnds = Time::max();

  /// Of one publish. A connection can have several, one after another: all are of one account and
  /// one callee, so which of those that have begun ends first makes no difference.
  struct Claim {
    std::uint64_t connection;
    Time until;
  };
  struct Entry {
    std::string to;             ///< as the account wrote it
    std::string call;           ///< its id; empty: none yet
    std::vector<Claim> claims;  ///< the oldest first
    bool idle() const { return call.empty() && claims.empty(); }
    std::vector<Claim>::iterator find(std::uint64_t connection, bool begun) {
      return std::ranges::find_if(claims, [=](const Claim &claim) {
        return claim.connection == connection && (claim.until == kUntilItEnds) == begun;
      });
    }
  };
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

}  // namespace junctor::accounts
