// SPDX-License-Identifier: LGPL-2.1-or-later
// The RTMP server as one call's pipeline sees it.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "calls/downlink.h"
#include "rtmp/core/server.h"

namespace junctor::calls {

/// By the name of the outlet that each writes to.
using Downlinks = std::map<std::string, std::shared_ptr<Downlink>>;

/// Passes everything on to `server`, except that an outlet of `downlinks` is the live input of its
/// downlink: so the player's sink of a pipeline and the ring share an outlet without knowing of
/// each other.
std::shared_ptr<rtmp::Server> make_call_server(std::shared_ptr<rtmp::Server> server,
                                               Downlinks downlinks);

}  // namespace junctor::calls
