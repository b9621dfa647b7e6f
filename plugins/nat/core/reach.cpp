// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/reach.h"

namespace junctor::nat {

namespace {

/// What of a behaviour decides.
struct Side {
  Dependence mapping, filtering;
  bool predictable;

  explicit Side(const Behaviour &behaviour)
      : mapping(known(behaviour.mapping)),
        filtering(known(behaviour.filtering)),
        predictable(!stable() && (behaviour.ports == PortPattern::Sequential ||
                                  behaviour.ports == PortPattern::Preserving)) {}
  static Dependence known(Dependence dependence) {
    return dependence == Dependence::Unknown ? Dependence::EndpointIndependent : dependence;
  }
  /// The external address is the same for every peer.
  bool stable() const { return mapping == Dependence::EndpointIndependent; }
  /// Whether a probe gets in at the address that the STUN server saw, once this side has probed.
  bool admits(const Side &sender) const {
    if (filtering == Dependence::EndpointIndependent) return true;
    if (!stable()) return false;  // that address was for the server; probes leave from others
    return filtering == Dependence::AddressDependent || sender.stable();
  }
  bool admits_by_prediction(const Side &sender) const {
    return predictable &&
           (sender.stable() || sender.predictable || filtering == Dependence::AddressDependent);
  }
  bool admits_by_luck(const Side &sender) const {
    return !stable() && (filtering == Dependence::AddressDependent || sender.stable());
  }
};

std::string who_changes(const Side &left, const Side &right) {
  if (!left.stable() && !right.stable())
    return "both sides' NATs take another port for each peer, and admit only ports that were sent "
           "to";
  return "one side's NAT takes another port for each peer, and the other side's admits only ports "
         "that it has sent to";
}

}  // namespace

bool same_site(const Behaviour &left, const Behaviour &right) {
  return left.translated && right.translated && left.external && right.external &&
         left.external->address == right.external->address;
}

std::string_view way(const Reach &reach) {
  if (reach.plain) return "probes";
  if (reach.prediction) return "prediction";
  return reach.many_sockets ? "many-sockets" : "none";
}

Reach reach(const Behaviour &left, const Behaviour &right) {
  Reach found;
  if (left.udp != UdpAccess::Works || right.udp != UdpAccess::Works) {
    found.reason = left.udp != UdpAccess::Works && right.udp != UdpAccess::Works
                       ? "no UDP passes on either side"
                       : "no UDP passes on one side";
    return found;
  }
  for (const Behaviour *side : {&left, &right})
    found.guessed |= side->mapping == Dependence::Unknown || side->filtering == Dependence::Unknown;
  const Side one(left), other(right);
  found.plain = one.admits(other) || other.admits(one);
  found.prediction =
      found.plain || one.admits_by_prediction(other) || other.admits_by_prediction(one);
  found.many_sockets = found.prediction || one.admits_by_luck(other) || other.admits_by_luck(one);
  if (found.plain) {
    found.reason = found.guessed
                       ? "a direct path is tried, though not everything about the NATs is known"
                       : "a probe gets in on one side, and the answer goes back to it";
  } else {
    found.reason = who_changes(one, other);
    if (found.prediction)
      found.reason += "; the next port can be foretold";
    else if (found.many_sockets)
      found.reason += "; the port can only be guessed";
  }
  return found;
}

}  // namespace junctor::nat
