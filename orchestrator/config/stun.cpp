// SPDX-License-Identifier: LGPL-2.1-or-later
#include "config/stun.h"

#include <algorithm>
#include <vector>

namespace junctor::config {

Result<void> parse_alternate(std::string_view text, Stun &stun) {
  stun.next_port = text == "auto";
  stun.alternate.reset();
  if (stun.next_port) return {};
  auto endpoint = parse_listen(text);
  if (!endpoint) return bad_input(endpoint.error().detail + ", or `auto`");
  stun.alternate = *endpoint;
  return {};
}

std::optional<Endpoint> stun_alternate(const Config &config) {
  if (config.stun.alternate || !config.stun.next_port || !config.listen.stun)
    return config.stun.alternate;
  std::vector<std::uint16_t> wanted;
  if (config.listen.sip) wanted.push_back(config.listen.sip->port);
  if (config.turn.mode == TurnMode::Own) {
    wanted.push_back(config.turn.listen.port);
    if (config.turn.tls) wanted.push_back(config.turn.tls->port);
  }
  Endpoint next = *config.listen.stun;
  if (next.port == 0) return next;  // any free one beside any free one
  do ++next.port;
  while (std::ranges::find(wanted, next.port) != wanted.end());
  return next;
}

Result<void> check_stun(const Config &config) {
  if (!config.stun.alternate) return {};
  if (!config.listen.stun)
    return bad_input("stun.alternate is set, but listen.stun (--stun) is off: set both or neither");
  const auto is_v6 = [](const Endpoint &each) {
    return each.address.find(':') != std::string::npos;
  };
  if (is_v6(*config.stun.alternate) != is_v6(*config.listen.stun))
    return bad_input("stun.alternate is " + config.stun.alternate->to_string() +
                     ", but listen.stun (--stun) " + config.listen.stun->to_string() +
                     ": no client reaches both from one socket; name two addresses of IPv4 or two "
                     "of IPv6, or leave it at \"auto\"");
  return {};
}

}  // namespace junctor::config
