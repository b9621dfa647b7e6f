// SPDX-License-Identifier: LGPL-2.1-or-later
#include "accounts/failures.h"

#include <algorithm>

namespace junctor::accounts {

Duration FailureTable::note(const Endpoint &address, Time now) {
  const std::string key = address_group(address.address);
  const auto found = index_.find(key);
  if (found == index_.end()) {
    if (entries_.size() >= kMaxEntries) {
      index_.erase(entries_.back().key);
      entries_.pop_back();
    }
    entries_.push_front({key, 0, now});
    index_[key] = entries_.begin();
  } else {
    entries_.splice(entries_.begin(), entries_, found->second);
  }
  Entry &entry = entries_.front();
  if (now - entry.last > kForget) entry.failures = 0;
  entry.last = now;
  ++entry.failures;
  if (entry.failures <= 2) return Duration::zero();
  const unsigned doublings = std::min(entry.failures - 3, 16U);
  return std::min<Duration>(std::chrono::milliseconds(100) * (1U << doublings), ceiling_);
}

}  // namespace junctor::accounts
