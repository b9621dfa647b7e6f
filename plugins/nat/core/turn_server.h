// SPDX-License-Identifier: LGPL-2.1-or-later
// A TURN server as people name it (RFC 8656, RFC 7065).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace junctor::nat {

enum class TurnTransport : std::uint8_t { Udp, Tcp, Tls };  ///< from the client to the server
std::string_view to_string(TurnTransport transport);        ///< "udp", "tcp", "tls"

struct TurnServer {
  std::string host;  ///< DNS name or numeric address
  std::uint16_t port = 3478;
  TurnTransport transport = TurnTransport::Udp;
  std::string user, password;  ///< never to be logged
  /// Of Tls: SHA-256 of the server's certificate in DER, lower-case hex. Set, only that one is
  /// trusted, else what the system trusts for `host`.
  std::string certificate_sha256{};

  bool operator==(const TurnServer &) const = default;

  /// "turn://USER:PASSWORD@HOST:PORT?transport=udp|tcp|tls", "turns://…" for TLS; user and password
  /// percent-encoded; "&certificate-sha256=HEX". Without a port 3478, with TLS 5349. The error
  /// names no password.
  static Result<TurnServer> parse(std::string_view text);
  /// "turn:HOST[:PORT][?transport=udp|tcp]" or "turns:…" (RFC 7065), as rendezvous tell them.
  static Result<TurnServer> from_url(std::string_view url, std::string user, std::string password,
                                     std::string certificate_sha256);
  /// Several, with "," between; at most 8.
  static Result<std::vector<TurnServer>> parse_list(std::string_view text);
  /// "HOST:PORT over tls", for people.
  std::string to_string() const;
};

}  // namespace junctor::nat
