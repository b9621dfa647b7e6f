// SPDX-License-Identifier: LGPL-2.1-or-later
// The rendezvous of this orchestrator: what it takes from the configuration and the accounts.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "accounts/book.h"
#include "config/config.h"
#include "rendezvous/socket.h"
#include "turn/relay.h"

namespace junctor {

/// `stun`: where the STUN server of this orchestrator listens, with the ports that were got;
/// nothing where it is off. Of two doors clients learn how their NAT chooses ports. `relay` may be
/// null. `changed` is told of each change of a session. Signalling thread.
std::unique_ptr<rendezvous::Socket> make_rendezvous(
    const config::Config &config, const std::shared_ptr<accounts::Book> &book,
    const std::vector<Endpoint> &stun, const turn::Relay *relay,
    std::function<void(const rendezvous::View &)> changed, const LogSink &log);

}  // namespace junctor
