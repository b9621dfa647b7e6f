// SPDX-License-Identifier: LGPL-2.1-or-later
// The latency of a call, split into the steps of its routes.
#pragma once

#include <array>
#include <vector>

#include "calls/leg.h"
#include "calls/media_path.h"

namespace junctor::calls {

/// Of every route in which something was measured. `legs` by Side.
std::vector<RouteLatency> route_latency(const std::array<LegLatency, 2> &legs,
                                        const CodingLatency &coding);

}  // namespace junctor::calls
