// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/nearest_region.h"

#include <algorithm>

namespace junctor::nat {

namespace stun = rtp::stun;

NearestRegion::NearestRegion(std::vector<Region> regions, NearestOptions options)
    : options_(options) {
  if (regions.size() > kMostRegions) regions.resize(kMostRegions);
  for (Region &region : regions) measured_.push_back({std::move(region), {}, 0, 0, {}});
  last_sent_.resize(measured_.size());
  ended_ = measured_.empty();
}

std::optional<Time> NearestRegion::due(const Measured &measured, std::size_t index) const {
  if (measured.answers >= options_.samples || measured.requests >= options_.requests)
    return std::nullopt;
  return measured.requests == 0 ? start_ : last_sent_[index] + options_.interval;
}

std::optional<Time> NearestRegion::end() const {
  Time end = *start_ + options_.deadline;
  if (first_complete_) end = std::min(end, *first_complete_ + options_.patience);
  return end;
}

std::vector<Outgoing> NearestRegion::poll(Time now) {
  std::vector<Outgoing> out;
  if (ended_) return out;
  if (!start_) start_ = now;
  const bool complete = std::ranges::all_of(
      measured_, [this](const Measured &each) { return each.answers >= options_.samples; });
  if (complete || now >= *end()) {
    ended_ = true;
    return out;
  }
  for (std::size_t i = 0; i < measured_.size(); ++i) {
    Measured &each = measured_[i];
    const auto when = due(each, i);
    if (!when || *when > now) continue;
    const auto id = stun::random_transaction_id();
    sent_[id] = {i, now};
    last_sent_[i] = now;
    ++each.requests;
    out.push_back({0, each.region.stun,
                   stun::Writer(stun::Class::Request, stun::Method::Binding, id).finish()});
  }
  return out;
}

void NearestRegion::received(unsigned, const Endpoint &from, ByteSpan datagram, Time now) {
  if (ended_) return;
  const auto message = stun::Message::parse(datagram);
  if (!message || message->kind() != stun::Class::Success) return;
  const auto found = sent_.find(message->id());
  if (found == sent_.end()) return;
  Measured &each = measured_[found->second.region];
  if (each.region.stun != from) return;
  const Duration took = now - found->second.when;
  sent_.erase(found);
  each.round_trip = std::min(each.round_trip.value_or(took), took);
  if (const auto external = message->mapped_address()) each.external = external;
  if (++each.answers >= options_.samples && !first_complete_) first_complete_ = now;
}

std::optional<Time> NearestRegion::next() const {
  if (ended_) return std::nullopt;
  if (!start_) return Time();
  // Complete: at once.
  if (std::ranges::all_of(
          measured_, [this](const Measured &each) { return each.answers >= options_.samples; }))
    return *start_;
  Time next = *end();
  for (std::size_t i = 0; i < measured_.size(); ++i)
    if (const auto when = due(measured_[i], i)) next = std::min(next, *when);
  return next;
}

std::vector<NearestRegion::Measured> NearestRegion::ranking() const {
  std::vector<Measured> sorted = measured_;
  std::ranges::stable_sort(sorted, [](const Measured &a, const Measured &b) {
    return a.round_trip.value_or(Duration::max()) < b.round_trip.value_or(Duration::max());
  });
  return sorted;
}

}  // namespace junctor::nat
