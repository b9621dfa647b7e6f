// SPDX-License-Identifier: LGPL-2.1-or-later
#include "wiring.h"

#include <algorithm>

namespace junctor {

rtmp::ServerEvents terminal_events(const std::shared_ptr<accounts::Authenticator> &checks,
                                   const std::shared_ptr<accounts::BusyTable> &busy,
                                   const ToCalls &to_calls, const LogSink &log) {
  rtmp::ServerEvents events;
  events.authenticate = [checks](const rtmp::Request &request, rtmp::Decision decision) {
    checks->check(request, std::move(decision));
  };
  events.publish_started = [=](const rtmp::Request &request) {
    checks->stream_started(request.identity);
    // Only one that names a callee has claimed its account.
    if (request.parameter("to")) busy->publish_started(request.identity, request.connection);
    to_calls([request](calls::Service &calls) { calls.on_publish_started(request); });
  };
  events.publish_ended = [=](const rtmp::Request &request, bool finished) {
    checks->stream_ended(request.identity);
    to_calls([busy, request, finished](calls::Service &calls) {
      calls.on_publish_ended(request, finished);
      if (request.parameter("to")) busy->publish_ended(request.identity, request.connection);
    });
  };
  events.play_started = [=](const rtmp::Request &request) {
    checks->stream_started(request.identity);
    to_calls([request](calls::Service &calls) { calls.on_play_started(request); });
  };
  events.play_ended = [=](const rtmp::Request &request) {
    checks->stream_ended(request.identity);
    to_calls([request](calls::Service &calls) { calls.on_play_ended(request); });
  };
  events.checked = [log](const rtmp::Request &request, const rtmp::Verdict &verdict) {
    if (!log) return;
    const std::string &who = verdict.identity.empty() ? request.identity : verdict.identity;
    const std::string text =
        "rtmp " + request.address.to_string() + " " + std::string(to_string(request.role)) + " " +
        std::string(to_string(request.stage)) + (who.empty() ? "" : " as " + who) +
        (verdict.accepted ? ": accepted" : ": refused: " + verdict.reason);
    // The server tells of refusals itself.
    log(verdict.accepted ? LogLevel::Info : LogLevel::Debug, text);
  };
  return events;
}

void note_call(accounts::BusyTable &busy, const calls::View &call) {
  if (call.state == calls::State::Ended)
    busy.call_ended(call.from, call.id);
  else
    busy.call_began(call.from, call.id, call.to);
}

Result<std::vector<sip::InviteOptions>> Dialler::contacts(const std::string &from,
                                                          const std::string &to) const {
  const auto target = rules->resolve(to, *book->snapshot(), from);
  if (!target) return target.error();
  sip::InviteOptions invite;
  invite.from_user = from;
  invite.from_display = from;
  invite.reactor = reactor;
  invite.answer_timeout = answer_timeout;
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
    // The rules hold for wherever the callee sends us, or they could be got around.
    invite.may_redirect = [rules = rules, book = book, from](const std::string &moved) {
      return static_cast<bool>(rules->resolve(moved, *book->snapshot(), from));
    };
    return std::vector{invite};
  }
  const std::string &name = std::get<accounts::AccountTarget>(*target).name;
  auto phones = agent->registrations(name);
  if (phones.empty())
    return Error{Fault::Unreachable, "No phone of '" + name + "' is registered now."};
  // The one that registered last is the likeliest to be there.
  std::stable_sort(phones.begin(), phones.end(),
                   [](const auto &a, const auto &b) { return a.expires > b.expires; });
  std::vector<sip::InviteOptions> invites;
  for (const auto &phone : phones) {
    invite.uri = phone.contact;
    invite.proxy = phone.route;
    invites.push_back(invite);
  }
  return invites;
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

void expel(const std::string &account, bool removed, sip::Agent *agent, calls::Service *calls,
           const std::shared_ptr<rtmp::Server> &server) {
  if (agent && removed) agent->forget_registrations(account);
  if (calls)
    for (const auto &call : calls->list())
      if (call.from == account || (removed && call.to == account))
        calls->hangup(call.id, EndReason::Admin);
  if (!server) return;
  server->reactor()->post([server, account] {
    const std::string why = "The account was removed, or its token revoked.";
    server->end_publisher(account, "NetStream.Publish.Denied", why);
    server->outlet(account)->end("NetStream.Play.Failed", why);
  });
}

}  // namespace junctor
