// SPDX-License-Identifier: LGPL-2.1-or-later
// Nearest region and NAT behaviour for who may wait: each function blocks until it knows.
#pragma once

#include <vector>

#include "common/result.h"
#include "nat/core/behaviour.h"
#include "nat/core/nearest_region.h"

namespace junctor::nat {

/// Round trips to all, the nearest first. One socket measures all, so they are of one family: that
/// of the first. At most 1.5 s. Not for the signalling thread or a reactor.
Result<std::vector<NearestRegion::Measured>> measure_regions(std::vector<Region> regions);

/// What stands in front of this machine, asked of STUN servers, at least one; the first is asked
/// everything. At most 3 s. Not for the signalling thread or a reactor.
Result<Behaviour> discover_behaviour(std::vector<Endpoint> servers);

}  // namespace junctor::nat
