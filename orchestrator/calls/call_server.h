// SPDX-License-Identifier: LGPL-2.1-or-later
// The RTMP server as one call's pipeline sees it.
#pragma once

#include <memory>
#include <string>

#include "calls/downlink.h"
#include "rtmp/core/server.h"

namespace junctor::calls {

/// Passes everything on to `server`, except that the outlet of `name` is the live input of
/// `downlink`: so the player's sink of a pipeline and the ring share an outlet without knowing of
/// each other.
std::shared_ptr<rtmp::Server> make_call_server(std::shared_ptr<rtmp::Server> server,
                                               std::string name,
                                               std::shared_ptr<Downlink> downlink);

}  // namespace junctor::calls
