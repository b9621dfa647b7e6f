// SPDX-License-Identifier: LGPL-2.1-or-later
// The relay as nodes run it, with routes from standard input.
#include "sfu/core/relay.h"

#include <cstdio>
#include <iostream>
#include <map>
#include <string>

#include "common/reactor.h"

using namespace junctor;

namespace {

Endpoint loopback(std::uint16_t port) { return {"127.0.0.1", port}; }

}  // namespace

int main(int count, char **arguments) {
  if (count != 2) {
    std::fputs("usage: relay PORT, and lines \"FROM TO\" of ports\n", stderr);
    return 2;
  }
  auto reactor = Reactor::create();
  if (!reactor) return 1;
  auto relay = sfu::Relay::listen(
      *reactor, loopback(static_cast<std::uint16_t>(std::stoi(arguments[1]))), {4096, true});
  if (!relay) {
    std::fprintf(stderr, "relay: %s\n", relay.error().detail.c_str());
    return 1;
  }
  std::map<std::uint16_t, sfu::LegId> legs;
  const auto leg = [&](std::uint16_t port) {
    auto [place, made] = legs.try_emplace(port, 0);
    if (made) {
      sfu::LegOptions options;
      options.remote = loopback(port);
      auto added = (*relay)->add_leg(std::move(options));
      if (added) place->second = *added;
    }
    return place->second;
  };
  std::uint16_t from, to;
  while (std::cin >> from >> to)
    if (const auto routed = (*relay)->route(leg(from), leg(to)); !routed) {
      std::fprintf(stderr, "relay: %s\n", routed.error().detail.c_str());
      return 1;
    }
  std::puts("relay: listening");
  std::fflush(stdout);
  (*reactor)->run();
}
