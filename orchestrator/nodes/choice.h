// SPDX-License-Identifier: LGPL-2.1-or-later
// Which nodes may carry a session, and in which order they are tried.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "nat/core/behaviour.h"
#include "nat/core/rendezvous_message.h"

namespace junctor::nodes {

using RegionTimes = std::vector<nat::rendezvous::RegionTime>;

/// What is known of a client. Nothing of its NAT: it is taken for one that any node reaches.
struct Client {
  std::optional<nat::Behaviour> nat;
  RegionTimes regions;
  nat::Families families{};
};

/// What is known of a node that is here.
struct Node {
  std::string name;
  std::optional<nat::Behaviour> nat;
  RegionTimes regions;
  nat::Families families{};
  std::uint32_t legs = 0;  ///< that it may carry at once
  std::uint32_t used = 0;  ///< that it carries
  double price = 0;        ///< of a gigabyte
  bool draining = false;   ///< takes nothing new
};

enum class Rule : std::uint8_t {
  Nearest,      ///< the smallest sum of round trips to both clients
  LeastLoaded,  ///< the smallest part of its legs in use
  Cheapest,     ///< the smallest price
};
std::string_view to_string(Rule rule);  ///< "nearest", "least-loaded", "cheapest"
Result<Rule> rule_from_string(std::string_view text);

struct Choice {
  std::size_t index = 0;                ///< in the nodes given
  std::optional<double> round_trip_ms;  ///< from one client over it to the other and back, as
                                        ///< far as regions tell
  std::string why;                      ///< a part of a sentence
};

/// Those that both clients reach, by an address family that each shares with the node and by the
/// table of nat::reach(), and that have room for them, the best first. Where the rule finds no
/// difference: the nearer ones, then those whose NATs let in fewest, for they are of use to fewer
/// others.
std::vector<Choice> choose(const std::vector<Node> &nodes, const Client &caller,
                           const Client &callee, Rule rule);

/// Why choose() names none: a sentence.
std::string why_none(const std::vector<Node> &nodes, const Client &caller, const Client &callee);

/// The smallest sum over a region that both have measured; nothing where there is none.
std::optional<double> round_trip_ms(const RegionTimes &one, const RegionTimes &other);

}  // namespace junctor::nodes
