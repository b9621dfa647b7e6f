// SPDX-License-Identifier: LGPL-2.1-or-later
// How the parts of the orchestrator are joined: what happens in one, and what another does then.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "accounts/authenticator.h"
#include "accounts/book.h"
#include "accounts/busy.h"
#include "accounts/dialling.h"
#include "accounts/networks.h"
#include "calls/service.h"
#include "rtmp/core/server.h"
#include "sip/core/agent.h"

namespace junctor {

/// Calls a function with the calls on their thread, in the order given; drops it if there are none.
using ToCalls = std::function<void(std::function<void(calls::Service &)>)>;

/// What the RTMP server asks of the checks, and tells the calls. Called on the server's reactor.
rtmp::ServerEvents terminal_events(const std::shared_ptr<accounts::Authenticator> &checks,
                                   const std::shared_ptr<accounts::BusyTable> &busy,
                                   const ToCalls &to_calls, const LogSink &log);

/// Marks the accounts of a call that has changed as busy or free.
void note_call(accounts::BusyTable &busy, const calls::View &call);

/// What it takes to find a callee's phones.
struct Dialler {
  std::shared_ptr<const accounts::DialRules> rules;
  std::shared_ptr<const accounts::Book> book;
  std::shared_ptr<sip::Agent> agent;
  std::shared_ptr<Reactor> reactor;  ///< that the calls' media live on
  Duration answer_timeout{};
  rtp::SrtpPolicy srtp = rtp::SrtpPolicy::Off;  ///< where neither account nor rule says otherwise

  /// Who `to` is: the address that a rule allows, or an account with its phones, the one that
  /// registered last first. The error is a sentence for the caller. Signalling thread.
  Result<calls::Callee> contacts(const std::string &from, const std::string &to) const;
};

/// How many legs over SIP the agent may have where so many calls may run: of each, all phones of an
/// account may ring at once. Never fewer than an agent has by itself, for a call that only asks
/// whether it may come is one to it too.
std::size_t sip_legs(std::size_t calls);

/// What the agent needs for a trunk, whose password has been read from its file.
Result<sip::TrunkOptions> trunk_options(const config::Trunk &trunk);

/// How the media of who calls is encrypted: as its account or the trunk that it comes over says,
/// else as usual.
rtp::SrtpPolicy srtp_of(const sip::IncomingCall &caller, const config::Sip &config,
                        const accounts::Book &book);

/// An account is gone (`removed`), or its tokens are void: its calls and streams end. One that is
/// gone cannot be called either; its phones have a password of their own, which no revocation
/// touches. Each of the three may be null. Signalling thread.
void expel(const std::string &account, bool removed, sip::Agent *agent, calls::Service *calls,
           const std::shared_ptr<rtmp::Server> &server);

}  // namespace junctor
