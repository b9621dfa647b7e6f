// SPDX-License-Identifier: LGPL-2.1-or-later
// What a client finds out of its network at the start.
#include <algorithm>
#include <thread>

#include "nat/core/stun_host.h"
#include "nat/core/survey.h"
#include "phone/phone.h"

namespace junctor::phone {

namespace {

Surroundings survey(const std::vector<wire::Region> &servers) {
  Surroundings found;
  std::vector<nat::Region> regions;
  for (const wire::Region &each : servers) {
    const auto host = nat::StunHost::parse(each.stun);
    const auto address = host ? host->resolve() : Result<Endpoint>(host.error());
    // One that is named by a region and by itself is one.
    if (address && std::ranges::find(regions, *address, &nat::Region::stun) == regions.end())
      regions.push_back({each.name, *address});
  }
  if (regions.size() > nat::NearestRegion::kMostRegions)
    regions.resize(nat::NearestRegion::kMostRegions);
  if (regions.empty()) return found;
  std::vector<Endpoint> asked;
  if (const auto ranking = nat::measure_regions(std::move(regions)))
    for (const auto &each : *ranking) {
      asked.push_back(each.region.stun);
      found.stun.push_back(each.region.stun.to_string());
      if (each.round_trip)
        found.regions.push_back(
            {each.region.name,
             std::chrono::duration<double, std::milli>(*each.round_trip).count()});
    }
  if (asked.empty()) return found;
  if (auto behaviour = nat::discover_behaviour(std::move(asked))) found.nat = *behaviour;
  return found;
}

}  // namespace

void look_around(std::vector<wire::Region> servers, std::function<void(Surroundings)> done) {
  // It holds nothing of the phone's but `done`, which is called on the phone's thread.
  std::thread([servers = std::move(servers), done = std::move(done)]() mutable {
    post_to(nullptr, [found = survey(servers), done = std::move(done)] { done(found); });
  }).detach();
}

}  // namespace junctor::phone
