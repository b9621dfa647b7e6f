// SPDX-License-Identifier: LGPL-2.1-or-later
// Which accounts are in a call.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace junctor::accounts {

/// Told by the calls in their thread, asked when a terminal publishes in another. Thread-safe.
class BusyTable {
 public:
  void began(const std::string &account, const std::string &call, const std::string &to) {
    const std::lock_guard lock(mutex_);
    calls_[account] = {call, to};
  }
  /// Nothing if the account is in another call by now.
  void ended(const std::string &account, const std::string &call) {
    const std::lock_guard lock(mutex_);
    const auto found = calls_.find(account);
    if (found != calls_.end() && found->second.first == call) calls_.erase(found);
  }
  /// Whom the account is in a call with, as it wrote it.
  std::optional<std::string> callee_of(const std::string &account) const {
    const std::lock_guard lock(mutex_);
    const auto found = calls_.find(account);
    if (found == calls_.end()) return std::nullopt;
    return found->second.second;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::pair<std::string, std::string>> calls_;  ///< account: call, callee
};

}  // namespace junctor::accounts
