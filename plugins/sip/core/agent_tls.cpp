// SPDX-License-Identifier: LGPL-2.1-or-later
// Whom the agent's TLS connections are for.
#include <algorithm>
#include <set>

#include "sip/core/stack.h"
#include "sip/core/uri.h"

namespace junctor::sip {

Result<std::unique_ptr<SofiaTls>> AgentImpl::make_tls() {
  const auto awaited = [this](const Endpoint &peer) {
    std::vector<std::string> hosts;
    for (const TlsTarget &target : tls_targets(peer))
      if (std::ranges::find(hosts, target.host) == hosts.end()) hosts.push_back(target.host);
    return hosts;
  };
  const auto refused = [this](const Endpoint &peer, const std::string &why) {
    on_tls_refused(peer, why);
  };
  const auto name = [this](const Endpoint &peer, const SofiaTls::Connected &connected) {
    return server_name(peer, connected);
  };
  return SofiaTls::create(
      *options_.tls,
      {.awaited = awaited, .server_name = name, .refused = refused, .log = options_.log});
}

std::vector<TlsTarget> AgentImpl::tls_targets(const Endpoint &peer) const {
  std::vector<TlsTarget> targets;
  const auto add = [&](const TlsTarget &target) {
    if (target.may_be_at(peer) && std::ranges::find(targets, target) == targets.end())
      targets.push_back(target);
  };
  for (const auto *calls : {&calls_, &lingering_})
    for (const auto &[id, call] : *calls)
      for (const TlsTarget &target : call->tls_targets()) add(target);
  for (const auto &trunk : trunks_)
    if (const auto target = tls_target(trunk->next_hop());
        target && trunk->status().state != TrunkState::Static)
      add(*target);
  return targets;
}

/// Which of its connections is for which request is Sofia's to know: only what is left, when those
/// that are connected already and other addresses are set aside, is certain.
std::string AgentImpl::server_name(const Endpoint &peer,
                                   const SofiaTls::Connected &connected) const {
  std::set<std::string> asked, registered;
  for (const auto &[id, call] : calls_) {
    const auto target = call->awaited_target();
    if (target && target->may_be_at(peer)) asked.insert(call->awaited_name());
  }
  for (const auto &trunk : trunks_)
    (trunk->is_waiting() ? asked : registered).insert(trunk->tls_name());
  for (std::set<std::string> *names : {&asked, &registered}) {
    std::erase_if(*names, [&](const auto &name) { return name.empty() || connected(name); });
    if (!names->empty()) return names->size() == 1 ? *names->begin() : "";
  }
  return {};
}

/// Sofia tells its transactions nothing of it, which would wait for half a minute. It says nothing
/// of whom it connects for either, so that only what can be for nobody else ends a call.
void AgentImpl::on_tls_refused(const Endpoint &peer, const std::string &why) {
  const std::vector<TlsTarget> targets = tls_targets(peer);
  if (targets.size() != 1) return;
  std::vector<std::weak_ptr<CallImpl>> concerned;
  for (const auto &[id, call] : calls_)
    if (call->awaited_target() == targets.front()) concerned.push_back(call);
  deliver([concerned, target = targets.front(), text = peer.to_string() + ": " + why] {
    for (const auto &each : concerned)
      if (const auto call = each.lock(); call && call->awaited_target() == target)
        call->on_unreachable(text);
  });
}

}  // namespace junctor::sip
