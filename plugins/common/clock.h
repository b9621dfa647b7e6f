// SPDX-License-Identifier: LGPL-2.1-or-later
// The one clock type of the cores.
#pragma once

#include <chrono>

namespace junctor {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using Duration = Clock::duration;

}  // namespace junctor
