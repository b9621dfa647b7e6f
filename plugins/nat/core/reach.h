// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether two devices can reach each other by UDP, from what stands in front of each.
#pragma once

#include <string>
#include <string_view>

#include "nat/core/behaviour.h"

namespace junctor::nat {

/// What follows from RFC 4787's behaviours for two who know each other's external address as a STUN
/// server saw it, probe it, and answer probes where they came from (RFC 5128 section 3.3). Each way
/// includes the milder ones before it.
struct Reach {
  bool plain = false;         ///< by probes to the addresses that are known
  bool prediction = false;    ///< by probes to the ports that a NAT will take next, too
  bool many_sockets = false;  ///< by many sockets on one side and guesses on the other: luck
  /// Something that it depends on is unknown; taken for what lets through.
  bool guessed = false;
  std::string reason;  ///< in words, a part of a sentence that begins anywhere
};

/// The same with the sides exchanged, but for the words.
Reach reach(const Behaviour &left, const Behaviour &right);

/// The mildest way that leads through: "probes", "prediction", "many-sockets" or "none".
std::string_view way(const Reach &reach);

/// Both have the same external address: behind one NAT, so perhaps in one network, where their own
/// addresses do whatever the NAT would.
bool same_site(const Behaviour &left, const Behaviour &right);

}  // namespace junctor::nat
