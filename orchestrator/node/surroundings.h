// SPDX-License-Identifier: LGPL-2.1-or-later
// What stands between this machine and others, as a rendezvous wants to know it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/endpoint.h"
#include "nat/core/behaviour.h"
#include "nat/core/rendezvous_message.h"

namespace junctor::node {

struct Surroundings {
  std::optional<nat::Behaviour> nat;                 ///< nothing: no STUN server answers
  std::vector<nat::rendezvous::RegionTime> regions;  ///< the nearest first
  std::vector<Endpoint> stun_servers;                ///< numeric, of one family
};

/// Blocks for seconds: asks DNS, then the servers. `stun` are HOST:PORT.
Surroundings survey(const std::vector<std::string> &stun,
                    const std::vector<nat::rendezvous::Region> &regions);

}  // namespace junctor::node
