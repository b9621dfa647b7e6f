// SPDX-License-Identifier: LGPL-2.1-or-later
// Challenges of logins, each good for one.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "common/clock.h"
#include "common/result.h"

namespace junctor::accounts {

/// A challenge carries its own proof that it was made here for this name and is young, so that
/// nothing is kept of those that nobody answers: asking for challenges costs the asker, not us, and
/// pushes nobody else's out. Kept are only those that a right answer used up, until they are too
/// old anyway. Not thread-safe; time is an argument.
class Challenges {
 public:
  /// How long after its making a challenge can be answered. Clients come back at once.
  static constexpr Duration kLife = std::chrono::seconds(30);
  static constexpr std::size_t kMaxUsed = 4096;
  /// Of one name, so that no account keeps the others out.
  static constexpr std::size_t kMaxUsedByName = 64;

  Challenges();

  /// 56 hex digits.
  std::string make(std::string_view name, Time now) const;
  /// Whether `challenge` may still be answered for this name. The error is a sentence.
  Result<void> check(std::string_view challenge, std::string_view name, Time now) const;
  /// After a right answer to a challenge that check() let pass for this name: it admits nobody
  /// else. Fails when more than kMaxUsed are used up within their life, or kMaxUsedByName of it.
  Result<void> use(const std::string &challenge, const std::string &name, Time now);
  std::size_t used() const { return used_.size(); }

 private:
  std::string proof(std::string_view head, std::string_view name) const;
  void forget_old(Time now);

  std::string key_;
  std::unordered_set<std::string> used_;
  std::unordered_map<std::string, std::size_t> used_by_name_;
  struct Used {
    std::string challenge, name;
    Time at;
  };
  std::list<Used> order_;  ///< the oldest first
};

}  // namespace junctor::accounts
