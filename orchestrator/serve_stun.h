// SPDX-License-Identifier: LGPL-2.1-or-later
// The STUN server as the configuration wants it.
#pragma once

#include <memory>
#include <string>

#include "common/log.h"
#include "common/reactor.h"
#include "config/config.h"
#include "nat/core/stun_server.h"

namespace junctor {

/// Null where it is off. A second port that nobody named, and that somebody else has, is gone
/// without: the log says so.
Result<std::shared_ptr<nat::StunServer>> open_stun(const config::Config &config,
                                                   const std::shared_ptr<Reactor> &reactor,
                                                   const LogSink &log);

/// Where it answers, and how much of a NAT it can show, for people.
std::string describe(const nat::StunServer &server);

}  // namespace junctor
