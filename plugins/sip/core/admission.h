// SPDX-License-Identifier: LGPL-2.1-or-later
// How many requests may be open at once.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "common/clock.h"

namespace junctor::sip {

/// Counts the transactions that strangers open. Each one is kept for 64 * T1 after its answer (RFC
/// 3261 sections 17.2.1 and 17.2.2: to answer what is repeated, and to repeat the answer to an
/// INVITE until its ACK), whether or not anybody means it. Not thread-safe; time comes as an
/// argument.
///
/// A few that fill it do not shut it for all: from `in_all` on, only those are refused who have
/// more than their share, and nobody who is vouched for. Memory has a bound all the same:
/// kStrangers times `in_all`, and kAll times for those who are vouched for.
class Admission {
 public:
  struct Limits {
    std::size_t per_peer = 1000;
    std::size_t in_all = 5000;
    Duration lifetime = std::chrono::seconds(32);
  };
  static constexpr std::size_t kLeastShare = 8, kStrangers = 2, kAll = 3;
  explicit Admission(Limits limits) : limits_(limits) {}

  /// Whether one more of `peer` may begin at `now`. Zero if so, and it is counted; else in how
  /// long one that counts against it ends. `transaction` is what holds() is asked for later; empty
  /// if it will not be. `vouched` is asked only from `in_all` on.
  Duration take(const std::string &peer, const std::string &transaction, Time now,
                const std::function<bool()> &vouched = {});
  /// Whether `transaction` has been counted and is still there: what comes is a repetition.
  bool holds(const std::string &transaction, Time now);
  std::size_t open() const { return open_.size(); }

 private:
  struct Open {
    Time since;
    std::string peer, transaction;
  };
  void expire(Time now);
  std::size_t share() const;

  Limits limits_;
  std::deque<Open> open_;  // the oldest first
  std::unordered_map<std::string, std::deque<Time>> peers_;
  std::unordered_set<std::string> transactions_;
};

}  // namespace junctor::sip
