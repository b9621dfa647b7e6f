// SPDX-License-Identifier: LGPL-2.1-or-later
// What stands between this machine and the others, as far as UDP can tell (RFC 4787, RFC 5780).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/endpoint.h"

namespace junctor::nat {

/// What a mapping, or who may send in through it, depends on (RFC 4787 sections 4.1 and 5).
enum class Dependence : std::uint8_t {
  Unknown,
  EndpointIndependent,
  AddressDependent,
  AddressAndPortDependent,
};

/// How a NAT chooses the external ports of new mappings.
enum class PortPattern : std::uint8_t { Unknown, Preserving, Sequential, Random };

enum class UdpAccess : std::uint8_t {
  Works,
  Blocked,   ///< TCP to the same server works
  NoAnswer,  ///< and over TCP neither: no network, or no server there
};

struct Behaviour {
  UdpAccess udp = UdpAccess::NoAnswer;
  std::string udp_why;                 ///< where it does not work; a part of a sentence
  Endpoint local;                      ///< of the first socket, as this machine knows it
  std::optional<Endpoint> external;    ///< the same as the server sees it
  std::vector<std::string> addresses;  ///< all external addresses that were seen
  bool translated = false;             ///< external and local differ
  Dependence mapping = Dependence::Unknown;
  std::string mapping_why;  ///< where it is unknown
  Dependence filtering = Dependence::Unknown;
  std::string filtering_why;
  PortPattern ports = PortPattern::Unknown;
  int port_step = 0;  ///< where they are sequential: between two new mappings
  std::string ports_why;
  std::optional<bool> hairpin;         ///< nothing where it is unknown or has no meaning
  std::optional<Duration> round_trip;  ///< to the first server
  Duration took{};
};

std::string_view to_string(Dependence dependence);
std::string_view to_string(PortPattern pattern);
std::string_view to_string(UdpAccess access);

/// One sentence, like "behind a NAT (endpoint-independent mapping, address-dependent filtering)".
std::string summary(const Behaviour &behaviour);
/// What it means for calls without a relay: a sentence or two.
std::string meaning(const Behaviour &behaviour);

}  // namespace junctor::nat
