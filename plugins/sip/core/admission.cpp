// SPDX-License-Identifier: LGPL-2.1-or-later
// How many requests may be open at once.
#include "sip/core/admission.h"

#include <algorithm>

namespace junctor::sip {

void Admission::expire(Time now) {
  while (!open_.empty() && now - open_.front().since >= limits_.lifetime) {
    const auto peer = peers_.find(open_.front().peer);
    peer->second.pop_front();
    if (peer->second.empty()) peers_.erase(peer);
    transactions_.erase(open_.front().transaction);
    open_.pop_front();
  }
}

std::size_t Admission::share() const {
  return std::max(kLeastShare, limits_.in_all / std::max<std::size_t>(peers_.size(), 1));
}

bool Admission::holds(const std::string &transaction, Time now) {
  expire(now);
  return transactions_.contains(transaction);
}

Duration Admission::take(const std::string &peer, const std::string &transaction, Time now,
                         const std::function<bool()> &vouched) {
  expire(now);
  const auto until_end = [&](Time since) { return since + limits_.lifetime - now; };
  const auto known = peers_.find(peer);
  const std::size_t own = known == peers_.end() ? 0 : known->second.size();
  if (own > 0 && own >= limits_.per_peer) return until_end(known->second.front());
  if (open_.size() >= limits_.in_all && !open_.empty()) {
    const bool trusted = vouched && vouched();
    if (open_.size() >= limits_.in_all * (trusted ? kAll : kStrangers))
      return until_end(open_.front().since);
    if (!trusted && own >= share()) return until_end(known->second.front());
  }
  open_.push_back({now, peer, transaction});
  peers_[peer].push_back(now);
  if (!transaction.empty()) transactions_.insert(transaction);
  return {};
}

}  // namespace junctor::sip
