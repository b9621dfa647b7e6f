// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/survey.h"

#include <algorithm>
#include <utility>

#include "nat/core/candidate.h"
#include "nat/core/discovery.h"
#include "nat/core/exchange_runner.h"

namespace junctor::nat {

namespace {

Result<void> run_to_end(Exchange &exchange, ExchangeSockets sockets, const std::stop_token &stop) {
  auto reactor = Reactor::create();
  if (!reactor) return reactor.error();
  const std::stop_callback stopping(stop, [&] { (*reactor)->stop(); });
  const ExchangeRunner runner(*reactor, std::move(sockets), exchange, [&] {
    if (exchange.done()) (*reactor)->stop();
  });
  (*reactor)->run();
  if (!exchange.done()) return refused("told to stop");
  return {};
}

using Ranking = std::vector<NearestRegion::Measured>;

/// One socket measures all, so they are of one family.
Result<Ranking> measure(const std::vector<Region> &regions, const std::stop_token &stop) {
  if (regions.empty()) return bad_input("there is no STUN server to measure");
  auto sockets = ExchangeSockets::open(1, regions.front().stun);
  if (!sockets) return sockets.error();
  NearestRegion nearest(regions);
  if (auto ran = run_to_end(nearest, *std::move(sockets), stop); !ran) return ran.error();
  return nearest.ranking();
}

bool answers(const Result<Ranking> &ranking) {
  return ranking && std::ranges::any_of(*ranking, [](const NearestRegion::Measured &each) {
           return each.round_trip.has_value();
         });
}

}  // namespace

Result<RegionSurvey> measure_regions(const std::vector<Region> &regions,
                                     const std::stop_token &stop) {
  std::vector<Region> first, others;
  for (const Region &each : regions) (is_v6(each.stun) ? others : first).push_back(each);
  auto ranking = measure(first, stop);
  if (!answers(ranking) && !others.empty()) {
    if (auto instead = measure(others, stop); answers(instead) || !ranking) {
      ranking = std::move(instead);
      std::swap(first, others);
    }
  }
  if (!ranking) return ranking.error();
  return RegionSurvey{*std::move(ranking), std::move(others)};
}

Result<Behaviour> discover_behaviour(std::vector<Endpoint> servers, const std::stop_token &stop) {
  if (servers.empty()) return bad_input("there is no STUN server to ask");
  auto sockets = ExchangeSockets::open(Discovery::kSockets, servers.front());
  if (!sockets) return sockets.error();
  Discovery discovery({.servers = std::move(servers), .local = sockets->local});
  if (auto ran = run_to_end(discovery, *std::move(sockets), stop); !ran) return ran.error();
  return discovery.behaviour();
}

}  // namespace junctor::nat
