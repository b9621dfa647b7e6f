// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/survey.h"

#include "nat/core/candidate.h"
#include "nat/core/discovery.h"
#include "nat/core/exchange_runner.h"

namespace junctor::nat {

namespace {

Result<void> run_to_end(Exchange &exchange, ExchangeSockets sockets) {
  auto reactor = Reactor::create();
  if (!reactor) return reactor.error();
  const ExchangeRunner runner(*reactor, std::move(sockets), exchange, [&] {
    if (exchange.done()) (*reactor)->stop();
  });
  (*reactor)->run();
  return {};
}

}  // namespace

Result<std::vector<NearestRegion::Measured>> measure_regions(std::vector<Region> regions) {
  if (regions.empty()) return bad_input("there is no STUN server to measure");
  const bool family = is_v6(regions.front().stun);
  std::erase_if(regions, [&](const Region &each) { return is_v6(each.stun) != family; });
  auto sockets = ExchangeSockets::open(1, regions.front().stun);
  if (!sockets) return sockets.error();
  NearestRegion nearest(std::move(regions));
  if (auto ran = run_to_end(nearest, *std::move(sockets)); !ran) return ran.error();
  return nearest.ranking();
}

Result<Behaviour> discover_behaviour(std::vector<Endpoint> servers) {
  if (servers.empty()) return bad_input("there is no STUN server to ask");
  auto sockets = ExchangeSockets::open(Discovery::kSockets, servers.front());
  if (!sockets) return sockets.error();
  Discovery discovery({.servers = std::move(servers), .local = sockets->local});
  if (auto ran = run_to_end(discovery, *std::move(sockets)); !ran) return ran.error();
  return discovery.behaviour();
}

}  // namespace junctor::nat
