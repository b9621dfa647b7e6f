// SPDX-License-Identifier: LGPL-2.1-or-later
// How many requests may be open at once.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <unordered_map>

#include "common/clock.h"

namespace junctor::sip {

/// Counts the transactions that strangers open. Each one is kept for 64 * T1 after its answer (RFC
/// 3261 sections 17.2.1 and 17.2.2: to answer what is repeated, and to repeat the answer to an
/// INVITE until its ACK), whether or not anybody means it. Not thread-safe; time comes as an
/// argument.
class Admission {
 public:
  struct Limits {
    std::size_t per_peer = 1000;
    std::size_t in_all = 5000;
    Duration lifetime = std::chrono::seconds(32);
  };
  explicit Admission(Limits limits) : limits_(limits) {}

  /// Whether one more of `peer` may begin at `now`. Zero if so, and it is counted; else in how
  /// long one that counts against it ends.
  Duration take(const std::string &peer, Time now);
  std::size_t open() const { return open_.size(); }

 private:
  struct Open {
    Time since;
    std::string peer;
  };
  void expire(Time now);

  Limits limits_;
  std::deque<Open> open_;  // the oldest first
  std::unordered_map<std::string, std::deque<Time>> peers_;
};

}  // namespace junctor::sip
