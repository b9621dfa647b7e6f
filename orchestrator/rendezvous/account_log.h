// SPDX-License-Identifier: LGPL-2.1-or-later
// Lines that accounts cause in the log by what they say: a burst of each, then a few a second.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "common/clock.h"
#include "common/peer_log_budget.h"

namespace junctor::rendezvous {

/// So that no account with a token fills the disk, or hides what others do; enough for one that has
/// as many sessions as it may. Not thread-safe.
class AccountLog {
 public:
  static constexpr unsigned kBurst = 200;
  static constexpr Duration kInterval = std::chrono::milliseconds(100);

  /// For a line that `account` causes. Nothing if it is to be left out at `now`; else how many of
  /// this account were left out since the one before.
  std::optional<unsigned> take(const std::string &account, Time now) {
    Account &one = accounts_.try_emplace(account).first->second;
    if (!one.throttle.may(now)) {
      ++one.left_out;
      return std::nullopt;
    }
    one.throttle.take(now);
    return std::exchange(one.left_out, 0U);
  }
  /// Of who has been quiet for long nothing is remembered.
  void tick(Time now) {
    std::erase_if(accounts_, [now](const auto &each) {
      return each.second.throttle.idle(now) && each.second.left_out == 0;
    });
  }

 private:
  struct Account {
    Throttle throttle{kBurst, kInterval};
    unsigned left_out = 0;
  };
  std::map<std::string, Account> accounts_;
};

}  // namespace junctor::rendezvous
