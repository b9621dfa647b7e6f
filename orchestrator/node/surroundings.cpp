// SPDX-License-Identifier: LGPL-2.1-or-later
#include "node/surroundings.h"

#include <algorithm>

#include "nat/core/stun_host.h"
#include "nat/core/survey.h"

namespace junctor::node {

namespace {

constexpr std::size_t kMostServers = 4;

std::optional<Endpoint> address_of(const std::string &text) {
  const auto host = nat::StunHost::parse(text);
  if (!host) return std::nullopt;
  const auto address = host->resolve();
  return address ? std::optional(*address) : std::nullopt;
}

}  // namespace

Surroundings survey(const std::vector<std::string> &stun,
                    const std::vector<nat::rendezvous::Region> &regions) {
  std::vector<nat::Region> named;
  for (const auto &each : regions)
    if (const auto address = address_of(each.stun)) named.push_back({each.name, *address});
  const std::size_t in_regions = named.size();
  for (const std::string &each : stun)
    if (const auto address = address_of(each);
        address && std::ranges::count(named, *address, &nat::Region::stun) == 0)
      named.push_back({"", *address});
  Surroundings found;
  if (named.empty()) return found;
  const auto measured = nat::measure_regions(std::move(named));
  if (!measured) return found;
  for (const auto &each : *measured) {
    if (!each.round_trip) continue;
    if (found.stun_servers.size() < kMostServers) found.stun_servers.push_back(each.region.stun);
    if (in_regions > 0 && !each.region.name.empty())
      found.regions.push_back(
          {each.region.name, std::chrono::duration<double, std::milli>(*each.round_trip).count()});
  }
  if (found.stun_servers.empty()) return found;
  if (auto behaviour = nat::discover_behaviour(found.stun_servers)) found.nat = *behaviour;
  return found;
}

}  // namespace junctor::node
