// SPDX-License-Identifier: LGPL-2.1-or-later
#include "config/turn.h"

#include <algorithm>

#include "nat/core/stun_host.h"

namespace junctor::config {

Result<void> check_turn_url(std::string_view url) {
  const Error wrong =
      bad_input("'" + std::string(url) +
                "' is no TURN server; write turn:HOST:PORT, with ?transport=tcp for "
                "TCP, or turns:HOST:PORT for TLS");
  std::string_view rest = url;
  if (rest.starts_with("turns:"))
    rest.remove_prefix(6);
  else if (rest.starts_with("turn:"))
    rest.remove_prefix(5);
  else
    return wrong;
  if (const auto query = rest.find('?'); query != std::string_view::npos) {
    const std::string_view parameter = rest.substr(query + 1);
    if (parameter != "transport=udp" && parameter != "transport=tcp") return wrong;
    rest = rest.substr(0, query);
  }
  if (!nat::StunHost::parse(rest)) return wrong;
  return {};
}

Result<void> parse_turn(std::string_view text, Turn &turn) {
  turn.urls.clear();
  turn.mode = text == "auto" ? TurnMode::Own : text == "off" ? TurnMode::Off : TurnMode::Other;
  if (turn.mode != TurnMode::Other) return {};
  constexpr std::size_t kMost = 8;
  do {
    const auto comma = std::min(text.find(','), text.size());
    const std::string_view url = text.substr(0, comma);
    if (auto good = check_turn_url(url); !good)
      return bad_input("must be auto, off or URLs: " + good.error().detail);
    if (turn.urls.size() == kMost)
      return bad_input("at most " + std::to_string(kMost) + " TURN servers can be named");
    turn.urls.emplace_back(url);
    text.remove_prefix(std::min(comma + 1, text.size()));
  } while (!text.empty());
  return {};
}

Result<Endpoint> parse_turn_listen(std::string_view text) {
  auto endpoint = parse_listen(text);
  if (!endpoint) return endpoint.error();
  if (!*endpoint || (*endpoint)->port == 0)
    return bad_input("must be ADDRESS:PORT; turn.server = \"off\" is what switches TURN off");
  return **endpoint;
}

}  // namespace junctor::config
