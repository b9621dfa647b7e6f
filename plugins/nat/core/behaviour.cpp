// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/behaviour.h"

namespace junctor::nat {

std::string_view to_string(Dependence dependence) {
  switch (dependence) {
    case Dependence::EndpointIndependent:
      return "endpoint-independent";
    case Dependence::AddressDependent:
      return "address-dependent";
    case Dependence::AddressAndPortDependent:
      return "address-and-port-dependent";
    case Dependence::Unknown:
      break;
  }
  return "unknown";
}

std::string_view to_string(PortPattern pattern) {
  switch (pattern) {
    case PortPattern::Preserving:
      return "preserving";
    case PortPattern::Sequential:
      return "sequential";
    case PortPattern::Random:
      return "random";
    case PortPattern::Unknown:
      break;
  }
  return "unknown";
}

std::string_view to_string(UdpAccess access) {
  switch (access) {
    case UdpAccess::Works:
      return "works";
    case UdpAccess::Blocked:
      return "blocked";
    case UdpAccess::NoAnswer:
      break;
  }
  return "no-answer";
}

std::string summary(const Behaviour &behaviour) {
  if (behaviour.udp == UdpAccess::Blocked) return "UDP is blocked; TCP gets through";
  if (behaviour.udp == UdpAccess::NoAnswer) return "nothing answers: " + behaviour.udp_why;
  const std::string filtering = std::string(to_string(behaviour.filtering)) + " filtering";
  if (!behaviour.translated && behaviour.filtering == Dependence::Unknown)
    return "on an address that nothing translates (whether a firewall is in front is not known)";
  if (!behaviour.translated)
    return behaviour.filtering == Dependence::EndpointIndependent
               ? "a public address with nothing in front of it"
               : "a public address behind a firewall (" + filtering + ")";
  return "behind a NAT (" + std::string(to_string(behaviour.mapping)) + " mapping, " + filtering +
         ")";
}

std::string meaning(const Behaviour &behaviour) {
  if (behaviour.udp == UdpAccess::Blocked)
    return "No direct path. Media needs a relay that is reached over TCP or TLS.";
  if (behaviour.udp == UdpAccess::NoAnswer)
    return "No direct path was found, and no relay would be reached either.";
  const Dependence filtering = behaviour.filtering, mapping = behaviour.mapping;
  if (mapping == Dependence::Unknown || filtering == Dependence::Unknown)
    return "Direct paths are tried; what to expect cannot be said before all is known.";
  if (mapping == Dependence::EndpointIndependent) {
    if (filtering == Dependence::EndpointIndependent)
      return "Direct paths work with everybody who can send UDP.";
    if (filtering == Dependence::AddressDependent)
      return "Direct paths work with everybody, once both sides send to each other.";
    return "Direct paths work with everybody but those whose NAT takes another port for each "
           "destination and lets in only whom it sent to; of these with some, by guessing their "
           "port.";
  }
  std::string text =
      "Direct paths work with those who let in any port of an address they sent to. With those who "
      "look at the port too, ";
  if (behaviour.ports == PortPattern::Sequential)
    return text +
           "the next port can be foretold: they mostly work. With the same kind of NAT on "
           "both sides a node or a relay is needed.";
  return text + "and with NATs of this kind, a node or a relay is needed.";
}

}  // namespace junctor::nat
