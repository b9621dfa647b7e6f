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
    open_.pop_front();
  }
}

Duration Admission::take(const std::string &peer, Time now) {
  expire(now);
  const auto known = peers_.find(peer);
  Time oldest = now - limits_.lifetime;
  if (open_.size() >= limits_.in_all) oldest = open_.front().since;
  if (known != peers_.end() && known->second.size() >= limits_.per_peer)
    oldest = std::max(oldest, known->second.front());
  if (oldest > now - limits_.lifetime) return oldest + limits_.lifetime - now;
  open_.push_back({now, peer});
  peers_[peer].push_back(now);
  return {};
}

}  // namespace junctor::sip
