// SPDX-License-Identifier: LGPL-2.1-or-later
// How long the refusal of a failed check is held back.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <unordered_map>

#include "common/clock.h"
#include "common/endpoint.h"

namespace junctor::accounts {

/// Counts wrong credentials for each address, so that guessing costs the guesser time. Who shows
/// right ones is never delayed, whatever others behind the same address do. Not thread-safe.
class FailureTable {
 public:
  /// `ceiling`: the longest delay.
  explicit FailureTable(Duration ceiling) : ceiling_(ceiling) {}

  /// Counts a failure at `now`; answers how long its refusal is to be held back: nothing for the
  /// first two, then 100 ms, doubled each time.
  Duration note(const Endpoint &address, Time now);
  std::size_t size() const { return entries_.size(); }

  static constexpr std::size_t kMaxEntries = 4096;
  static constexpr Duration kForget = std::chrono::minutes(5);

 private:
  struct Entry {
    std::string key;
    unsigned failures = 0;
    Time last{};
  };
  Duration ceiling_;
  std::list<Entry> entries_;  // the one that failed last is first
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
};

}  // namespace junctor::accounts
