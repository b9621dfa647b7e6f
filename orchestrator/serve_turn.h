// SPDX-License-Identifier: LGPL-2.1-or-later
// The relay as the configuration wants it.
#pragma once

#include <functional>
#include <memory>

#include "common/tls.h"
#include "config/config.h"
#include "turn/relay.h"

namespace junctor {

/// Where our own answers as this machine sees it: an address of `public-host` may be one of the
/// router before it.
Endpoint own_relay_seen_from_here(const config::Config &config);
/// Whether it answers there. Blocks, for some two seconds at most.
bool own_relay_answers(const Endpoint &at);

/// Null where it is off, or where our own is to be used if it is installed, and it is not: the log
/// says so. `certificate` is asked for what is shown under TLS. Signalling thread.
Result<std::unique_ptr<turn::Relay>> open_relay(
    const config::Config &config,
    const std::function<Result<TlsFiles>(const Endpoint &)> &certificate, const LogSink &log);

}  // namespace junctor
