// SPDX-License-Identifier: LGPL-2.1-or-later
// Nearest region and NAT behaviour for who may wait: each function blocks until it knows, or is
// told to stop.
#pragma once

#include <stop_token>
#include <vector>

#include "common/result.h"
#include "nat/core/behaviour.h"
#include "nat/core/nearest_region.h"

namespace junctor::nat {

struct RegionSurvey {
  std::vector<NearestRegion::Measured> ranking;  ///< the nearest first
  std::vector<Region> others;                    ///< of the other family of addresses
};

/// Round trips to those of IPv4, for what stands between this machine and others are NATs of IPv4,
/// if any are; where none of them answers, to those of IPv6. A server with addresses of both is
/// named twice. At most 3 s. Not for the signalling thread or a reactor.
Result<RegionSurvey> measure_regions(const std::vector<Region> &regions,
                                     const std::stop_token &stop = {});

/// What stands in front of this machine, asked of STUN servers, at least one; the first is asked
/// everything. At most 3 s. Not for the signalling thread or a reactor.
Result<Behaviour> discover_behaviour(std::vector<Endpoint> servers,
                                     const std::stop_token &stop = {});

}  // namespace junctor::nat
