// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rendezvous/surroundings.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "nat/core/host_addresses.h"
#include "nat/core/stun_host.h"
#include "nat/core/survey.h"

namespace junctor::rendezvous {

namespace wire = nat::rendezvous;

std::vector<wire::Region> servers_of(const wire::Welcome &welcome) {
  std::vector<wire::Region> servers = welcome.regions;
  for (const std::string &each : welcome.stun) servers.push_back({each, each});
  return servers;
}

namespace {

constexpr auto kGrace = std::chrono::milliseconds(100);

void add(std::vector<nat::Region> &regions, const std::string &name, const Endpoint &address) {
  // One that is named by a region and by itself is one.
  if (regions.size() < 2 * nat::NearestRegion::kMostRegions &&
      std::ranges::find(regions, address, &nat::Region::stun) == regions.end())
    regions.push_back({name, address});
}

}  // namespace

Surroundings survey(const std::vector<wire::Region> &servers, const std::stop_token &stop) {
  Surroundings found;
  std::vector<nat::Region> regions;
  for (const wire::Region &each : servers) {
    const auto host = nat::StunHost::parse(each.stun);
    if (!host) continue;
    const auto addresses = host->resolve_each();
    if (stop.stop_requested()) return found;
    if (!addresses) continue;
    for (const Endpoint &one : *addresses) add(regions, each.name, one);
  }
  const auto measured = nat::measure_regions(regions, stop);
  if (!measured) return found;
  for (const auto &each : measured->ranking) {
    found.stun_servers.push_back(each.region.stun);
    if (each.round_trip && each.region.name.size() <= wire::kMostName)
      found.regions.push_back(
          {each.region.name, std::chrono::duration<double, std::milli>(*each.round_trip).count()});
  }
  if (auto behaviour = nat::discover_behaviour(found.stun_servers, stop)) found.nat = *behaviour;
  constexpr std::size_t kFirst = 3;
  auto place = found.stun_servers.begin() +
               static_cast<std::ptrdiff_t>(std::min(kFirst, found.stun_servers.size()));
  for (const nat::Region &each : measured->others)
    place = found.stun_servers.insert(place, each.stun) + 1;
  return found;
}

Lookout::Lookout(std::function<void(Surroundings)> found, Survey survey, Addresses addresses)
    : found_(std::move(found)),
      survey_(std::move(survey)),
      addresses_of_(std::move(addresses)),
      context_(g_main_context_ref_thread_default(), g_main_context_unref) {}

Lookout::Lookout(std::function<void(Surroundings)> found)
    : Lookout(std::move(found), survey, nat::host_addresses) {}

Lookout::~Lookout() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  // While the process ends no thread may be in a library that has cleaned up. DNS cannot be
  // stopped, and may take its time.
  if (thread_ended_.wait_for(kGrace) == std::future_status::timeout) thread_.detach();
}

void Lookout::look(std::vector<wire::Region> servers) {
  servers_ = std::move(servers);
  if (running_) {
    again_ = true;
    return;
  }
  const Time now = Clock::now();
  if (last_ && now - *last_ < kLeast && addresses_of_() == addresses_) {
    timer_ = ContextTimer(context_.get(), *last_ + kLeast - now, [this] { start(); });
    return;
  }
  start();
}

void Lookout::start() {
  timer_.reset();
  running_ = true;
  last_ = Clock::now();
  addresses_ = addresses_of_();
  // Who never had a network has all servers on this machine.
  const bool alone = nat::is_alone(addresses_);
  networked_ |= !alone;
  old_ = alone && networked_;
  std::promise<void> ended;
  thread_ended_ = ended.get_future();
  // It holds nothing that ends with us.
  thread_ = std::jthread([this, alive = std::weak_ptr<bool>(alive_), context = context_,
                          survey = survey_, servers = servers_,
                          ended = std::move(ended)](const std::stop_token &stop) mutable {
    auto found = std::make_shared<Surroundings>(survey(servers, stop));
    if (!stop.stop_requested())
      post_to(context.get(), [this, alive, found] {
        if (!alive.expired()) done(std::move(*found));
      });
    ended.set_value();
  });
}

/// Of a network that is gone, or of none: that would be taken for a NAT that lets nothing pass.
/// Those from before may be back by the end.
void Lookout::look_at_addresses() { old_ |= running_ && addresses_of_() != addresses_; }

void Lookout::done(Surroundings found) {
  look_at_addresses();
  running_ = false;
  const bool again = std::exchange(again_, false);
  timer_ = ContextTimer(context_.get(), old_ ? kLeast : kAgain, [this] { start(); });
  const std::weak_ptr<bool> alive = alive_;
  if (!old_) found_(std::move(found));
  if (again && !alive.expired()) look(servers_);
}

}  // namespace junctor::rendezvous
