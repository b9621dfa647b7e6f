// SPDX-License-Identifier: LGPL-2.1-or-later
// Which accounts are in a call, or on their way into one.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

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
    std::erase_if(entry.claims, [now](const auto &each) { return each.second < now; });
    if (!entry.idle() && entry.to != to) return entry.to;
    entry.to = to;
    entry.claims[connection] = now + kStartPatience;
    return std::nullopt;
  }
  /// The publish has begun: its claim lasts until it ends. Nothing if it made none.
  void publish_started(const std::string &account, std::uint64_t connection) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(account);
    if (found == entries_.end()) return;
    const auto claim = found->second.claims.find(connection);
    if (claim != found->second.claims.end()) claim->second = Time::max();
  }
  /// To be told after the calls have been.
  void publish_ended(const std::string &account, std::uint64_t connection) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(account);
    if (found == entries_.end()) return;
    found->second.claims.erase(connection);
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
  struct Entry {
    std::string to;                        ///< as the account wrote it
    std::string call;                      ///< its id; empty: none yet
    std::map<std::uint64_t, Time> claims;  ///< connection: until when
    bool idle() const { return call.empty() && claims.empty(); }
  };
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

}  // namespace junctor::accounts
