// SPDX-License-Identifier: LGPL-2.1-or-later
// Where one end of a channel may be reached.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/endpoint.h"

namespace junctor::nat {

/// In the order of preference: the direct way inside one network before the one through NATs.
enum class CandidateKind : std::uint8_t {
  Host,       ///< an address of the device itself
  External,   ///< what a STUN server saw, or where a verified packet came from
  Predicted,  ///< what a NAT is likely to take next
  Relayed,    ///< on a relay
};
std::string_view to_string(CandidateKind kind);  ///< "host", "external", "predicted", "relayed"
std::optional<CandidateKind> candidate_kind_from_string(std::string_view text);

struct Candidate {
  CandidateKind kind = CandidateKind::Host;
  Endpoint endpoint;
  bool operator==(const Candidate &) const = default;
};

/// Whether packets may be sent there at all: a unicast address that needs no scope, and a port.
bool is_reachable_address(const Endpoint &endpoint);
bool is_loopback(const Endpoint &endpoint);
/// How far an address is good for (RFC 1122 section 3.2.1.3, RFC 3927, RFC 4291 section 2.5).
enum class Scope : std::uint8_t {
  Machine,  ///< loopback
  Link,     ///< link-local
  Wider,
};
Scope scope_of(const Endpoint &endpoint);
/// Of networks that are not the internet: RFC 1918, RFC 6598, link-local, unique local, loopback.
bool is_private(const Endpoint &endpoint);
inline bool is_v6(const Endpoint &endpoint) {
  return endpoint.address.find(':') != std::string::npos;
}

/// The address families that a device has addresses of. None: it is not known.
struct Families {
  bool v4 = false, v6 = false;
  bool operator==(const Families &) const = default;

  bool known() const { return v4 || v6; }
  /// Whether packets can pass between two such devices. What is not known is taken for one of both.
  bool meet(const Families &other) const {
    return !known() || !other.known() || (v4 && other.v4) || (v6 && other.v6);
  }
  void add(const Endpoint &endpoint) { (is_v6(endpoint) ? v6 : v4) = true; }
};
std::string to_string(const Families &families);  ///< "IPv4", "IPv6", "IPv4 and IPv6", "unknown"

}  // namespace junctor::nat
