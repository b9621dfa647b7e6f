// SPDX-License-Identifier: LGPL-2.1-or-later
// IP address and port.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "common/handle.h"
#include "common/result.h"

namespace junctor {

/// A numeric IPv4 or IPv6 address and a port. Never resolves names.
struct Endpoint {
  std::string address;     ///< numeric, IPv6 without brackets
  std::uint16_t port = 0;  ///< 0 asks the system for one

  bool operator==(const Endpoint &) const = default;

  /// "ADDRESS:PORT" or "[v6]:PORT", as the command line writes it.
  static Result<Endpoint> parse(std::string_view text);
  std::string to_string() const;

  Result<sockaddr_storage> to_sockaddr() const;
  static Endpoint from_sockaddr(const sockaddr *address);
};

/// Who shares a limit: an IPv4 address, or the /64 of an IPv6 one (RFC 6177: what a site is given),
/// as text. Anything else is itself.
std::string address_group(const std::string &address);

/// Length of the sockaddr for its family.
socklen_t sockaddr_length(const sockaddr_storage &address);

/// A bound, listening, non-blocking, close-on-exec TCP socket.
Result<UniqueFd> listen_tcp(const Endpoint &endpoint);
/// A bound, non-blocking, close-on-exec UDP socket.
Result<UniqueFd> bind_udp(const Endpoint &endpoint);
/// Where the socket is bound.
Endpoint local_endpoint(int fd);

}  // namespace junctor
