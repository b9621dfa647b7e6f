// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/turn_server.h"

#include <algorithm>
#include <array>

#include "common/endpoint.h"
#include "common/percent.h"
#include "nat/core/stun_host.h"

namespace junctor::nat {

namespace {

constexpr std::array<std::string_view, 3> kTransports{"udp", "tcp", "tls"};
constexpr std::size_t kMostServers = 8;
constexpr std::size_t kLongestCredential = 512;  // RFC 8489 section 14.3: less than 509 bytes
constexpr std::uint16_t kTlsPort = 5349;
constexpr std::size_t kSha256Digits = 64;

/// What stands before `separator`, which is taken off `rest` with it; all of it where it is not
/// there.
std::string_view take(std::string_view &rest, char separator) {
  const auto at = std::min(rest.find(separator), rest.size());
  const std::string_view taken = rest.substr(0, at);
  rest.remove_prefix(std::min(at + 1, rest.size()));
  return taken;
}

bool is_sha256(std::string_view text) {
  return text.size() == kSha256Digits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<void> apply(std::string_view parameter, TurnServer &server) {
  std::string_view value = parameter;
  const std::string_view name = take(value, '=');
  if (name == "transport") {
    const auto found = std::ranges::find(kTransports, value);
    if (found == kTransports.end())
      return bad_input("transport must be udp, tcp or tls, not '" + std::string(value) + "'");
    server.transport = static_cast<TurnTransport>(found - kTransports.begin());
  } else if (name == "certificate-sha256") {
    if (!is_sha256(value)) return bad_input("certificate-sha256 must be 64 of 0-9 and a-f");
    server.certificate_sha256 = value;
  } else {
    return bad_input("'" + std::string(name) +
                     "' is not known; transport and certificate-sha256 are");
  }
  return {};
}

}  // namespace

std::string_view to_string(TurnTransport transport) {
  return kTransports[static_cast<std::size_t>(transport)];
}

Result<TurnServer> TurnServer::parse(std::string_view text) {
  // The text is not in the error: it holds a password.
  const auto wrong = [](const std::string &what) {
    return bad_input("TURN server: " + what +
                     "; write turn://USER:PASSWORD@HOST:PORT?transport=udp, tcp or tls");
  };
  TurnServer server;
  bool tls = false;
  if (text.starts_with("turns:")) {
    tls = true;
    text.remove_prefix(6);
  } else if (text.starts_with("turn:")) {
    text.remove_prefix(5);
  } else {
    return wrong("it must begin with turn:// or turns://");
  }
  if (text.starts_with("//")) text.remove_prefix(2);
  std::string_view parameters = text;
  std::string_view place = take(parameters, '?');
  if (parameters.find('@') != std::string_view::npos)
    return wrong("a '?' in user or password is written %3F");
  if (tls) server.transport = TurnTransport::Tls;
  while (!parameters.empty())
    if (auto applied = apply(take(parameters, '&'), server); !applied)
      return wrong(applied.error().detail);
  if (tls) server.transport = TurnTransport::Tls;
  if (const auto at = place.rfind('@'); at != std::string_view::npos) {
    std::string_view password = place.substr(0, at);
    server.user = percent_decode(take(password, ':'));
    server.password = percent_decode(password);
    place.remove_prefix(at + 1);
  }
  if (server.user.empty() || server.password.empty()) return wrong("user and password are missing");
  if (server.user.size() > kLongestCredential || server.password.size() > kLongestCredential)
    return wrong("user or password is too long");
  const auto host = StunHost::parse(place);
  if (!host) return wrong("'" + std::string(place) + "' is no HOST or HOST:PORT");
  server.host = host->host;
  const bool named = !place.ends_with(']') && place.find(':') != std::string_view::npos;
  server.port = named || server.transport != TurnTransport::Tls ? host->port : kTlsPort;
  return server;
}

Result<TurnServer> TurnServer::from_url(std::string_view url, std::string user,
                                        std::string password, std::string certificate_sha256) {
  const auto colon = url.find(':');
  if (colon == std::string_view::npos || url.find('@') != std::string_view::npos ||
      user.size() > kLongestCredential || password.size() > kLongestCredential ||
      !(certificate_sha256.empty() || is_sha256(certificate_sha256)))
    return bad_input("TURN server: it must be like turn:HOST:PORT?transport=udp, tcp or tls");
  auto server =
      parse(std::string(url.substr(0, colon + 1)) + "u:p@" + std::string(url.substr(colon + 1)));
  if (!server) return server;
  server->user = std::move(user);
  server->password = std::move(password);
  server->certificate_sha256 = std::move(certificate_sha256);
  return server;
}

Result<std::vector<TurnServer>> TurnServer::parse_list(std::string_view text) {
  std::vector<TurnServer> servers;
  while (!text.empty()) {
    auto server = parse(take(text, ','));
    if (!server) return server.error();
    if (servers.size() == kMostServers)
      return bad_input("at most " + std::to_string(kMostServers) + " TURN servers can be named");
    servers.push_back(std::move(*server));
  }
  return servers;
}

std::string TurnServer::to_string() const {
  return Endpoint{host, port}.to_string() + " over " + std::string(nat::to_string(transport));
}

}  // namespace junctor::nat
