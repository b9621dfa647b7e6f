// SPDX-License-Identifier: LGPL-2.1-or-later
#include "wiring.h"

#include <algorithm>

#include "common/peer_log_budget.h"
#include "rendezvous/account_log.h"
#include "sip/core/registrar.h"

namespace junctor {

rtmp::ServerEvents terminal_events(const std::shared_ptr<accounts::Authenticator> &checks,
                                   const std::shared_ptr<accounts::BusyTable> &busy,
                                   const ToCalls &to_calls, const LogSink &log) {
  rtmp::ServerEvents events;
  events.authenticate = [checks](const rtmp::Request &request, rtmp::Decision decision) {
    checks->check(request, std::move(decision));
  };
  events.publish_started = [=](const rtmp::Request &request) {
    checks->stream_started(request.identity, request.role);
    // Only one that names a callee has claimed its account.
    if (request.parameter("to")) busy->publish_started(request.identity, request.connection);
    to_calls([request](calls::Service &calls) { calls.on_publish_started(request); });
  };
  events.publish_ended = [=](const rtmp::Request &request, bool finished) {
    checks->stream_ended(request.identity, request.role);
    to_calls([busy, request, finished](calls::Service &calls) {
      calls.on_publish_ended(request, finished);
      if (request.parameter("to")) busy->publish_ended(request.identity, request.connection);
    });
  };
  events.play_started = [=](const rtmp::Request &request) {
    checks->stream_started(request.identity, request.role);
    to_calls([request](calls::Service &calls) { calls.on_play_started(request); });
  };
  events.play_ended = [=](const rtmp::Request &request) {
    checks->stream_ended(request.identity, request.role);
    to_calls([request](calls::Service &calls) { calls.on_play_ended(request); });
  };
  const auto budget = std::make_shared<PeerLogBudget>();
  const auto starts = std::make_shared<rendezvous::AccountLog>();
  events.checked = [log, budget, starts](const rtmp::Request &request,
                                         const rtmp::Verdict &verdict) {
    if (!log) return;
    const std::string &who = verdict.identity.empty() ? request.identity : verdict.identity;
    std::string text = "rtmp " + request.address.to_string() + " " +
                       std::string(to_string(request.role)) + " " +
                       std::string(to_string(request.stage)) + (who.empty() ? "" : " as " + who) +
                       (verdict.accepted ? ": accepted" : ": refused: " + verdict.reason);
    const Time now = Clock::now();
    const std::string address = address_group(request.address.address);
    bool told = false;  // the server tells of refusals itself
    if (verdict.accepted && request.stage == rtmp::Stage::Start) {
      // Each in its own account's budget: they stand for what an account does.
      starts->tick(now);
      const auto left_out = starts->take(who.empty() ? address : who, now);
      told = left_out.has_value();
      if (told && *left_out > 0)
        text += " (and " + std::to_string(*left_out) + " more that were not logged)";
    } else if (verdict.accepted) {
      // What comes before publish and play costs a client nothing, and theirs says it all.
      told = budget->take(address, now).has_value();
    }
    log(told ? LogLevel::Info : LogLevel::Debug, text);
  };
  return events;
}

void note_call(accounts::BusyTable &busy, const calls::View &call) {
  for (const auto &[account, other] :
       {std::pair(call.from, call.to), std::pair(call.to, call.from)})
    if (std::ranges::find(call.terminals, account) != call.terminals.end())
      busy.call_began(account, call.id, other);
    else
      busy.call_ended(account, call.id);
}

namespace {

/// Nothing where the rules do not allow the target.
std::optional<sip::Redirection> redirection(const Result<accounts::Target> &target,
                                            const accounts::Snapshot &accounts,
                                            rtp::SrtpPolicy usual) {
  if (!target) return std::nullopt;
  if (const auto *own = std::get_if<accounts::AccountTarget>(&*target)) {
    const auto *account = accounts.find(own->name);
    return sip::Redirection{.srtp = account ? account->srtp.value_or(usual) : usual};
  }
  const auto &uri = std::get<accounts::UriTarget>(*target);
  return sip::Redirection{.uri = uri.uri,
                          .proxy = uri.proxy,
                          .user = uri.user,
                          .password = uri.password,
                          .asserted = uri.asserted,
                          .srtp = uri.srtp.value_or(usual)};
}

}  // namespace

Result<calls::Callee> Dialler::contacts(const std::string &from, const std::string &to) const {
  const auto target = rules->resolve(to, *book->snapshot(), from);
  if (!target) return target.error();
  sip::InviteOptions invite;
  invite.from_user = from;
  invite.from_display = from;
  invite.reactor = reactor;
  invite.answer_timeout = answer_timeout;
  invite.srtp = srtp;
  if (const auto *uri = std::get_if<accounts::UriTarget>(&*target)) {
    invite.uri = uri->uri;
    invite.proxy = uri->proxy;
    invite.user = uri->user;
    invite.password = uri->password;
    if (!uri->trunk.empty()) {
      invite.from_user = uri->from_user;
      invite.from_host = uri->from_host;
      invite.asserted = uri->asserted;
    }
    invite.srtp = uri->srtp.value_or(srtp);
    // The rules hold for wherever the callee sends us, or they could be got around.
    invite.redirect = [rules = rules, book = book, from, usual = srtp](const std::string &moved) {
      return redirection(rules->resolve(moved, *book->snapshot(), from), *book->snapshot(), usual);
    };
    return calls::Callee{"", {invite}};
  }
  const std::string &name = std::get<accounts::AccountTarget>(*target).name;
  if (const auto snapshot = book->snapshot(); const auto *account = snapshot->find(name))
    invite.srtp = account->srtp.value_or(srtp);
  auto phones = agent->registrations(name);
  // The one that registered last is the likeliest to be there.
  std::stable_sort(phones.begin(), phones.end(),
                   [](const auto &a, const auto &b) { return a.expires > b.expires; });
  calls::Callee callee{name, {}};
  for (const auto &phone : phones) {
    invite.uri = phone.contact;
    invite.proxy = phone.route;
    callee.phones.push_back(invite);
  }
  return callee;
}

std::size_t sip_legs(std::size_t calls) {
  return std::max(sip::AgentOptions().max_calls, calls * sip::Registrar::Options().max_contacts);
}

Result<sip::TrunkOptions> trunk_options(const config::Trunk &trunk) {
  auto networks = accounts::Networks::parse(trunk.networks);
  if (!networks) return networks.error();
  sip::TrunkOptions options;
  options.name = trunk.name;
  options.uri = trunk.uri;
  options.user = trunk.user;
  options.password = trunk.password;
  options.proxy = trunk.proxy;
  options.registers = trunk.registers;
  options.expires = trunk.expires;
  options.numbers = trunk.numbers;
  options.account = trunk.account;
  if (!networks->empty())
    options.may_call = [networks = *networks](const std::string &address) {
      return networks.contain({address, 0});
    };
  return options;
}

rtp::SrtpPolicy srtp_of(const sip::IncomingCall &caller, const config::Sip &config,
                        const accounts::Book &book) {
  const auto snapshot = book.snapshot();
  const auto *account = snapshot->find(caller.account);
  if (account && account->srtp) return *account->srtp;
  const auto trunk = std::ranges::find(config.trunks, caller.trunk, &config::Trunk::name);
  if (trunk != config.trunks.end() && trunk->srtp) return *trunk->srtp;
  return config.srtp;
}

void expel(const std::string &account, bool removed, sip::Agent *agent, calls::Service *calls,
           const std::shared_ptr<rtmp::Server> &server) {
  if (agent && removed) agent->forget_registrations(account);
  if (calls)
    for (const auto &call : calls->list())
      if (std::ranges::find(call.terminals, account) != call.terminals.end() ||
          (removed && (call.from == account || call.to == account)))
        calls->hangup(call.id, EndReason::Admin);
  if (!server) return;
  server->reactor()->post([server, account] {
    const std::string why = "The account was removed, or its token revoked.";
    server->end_publisher(account, rtmp::Server::kAnyConnection, "NetStream.Publish.Denied", why);
    server->outlet(account)->end("NetStream.Play.Failed", why);
  });
}

}  // namespace junctor
