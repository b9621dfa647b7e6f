// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nodes/choice.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <tuple>

#include "nat/core/reach.h"

namespace junctor::nodes {

namespace {

constexpr std::array<std::string_view, 3> kRules{"nearest", "least-loaded", "cheapest"};
constexpr std::uint32_t kLegsOfASession = 2;
constexpr double kFar = std::numeric_limits<double>::infinity();

nat::Behaviour known(const std::optional<nat::Behaviour> &nat) {
  if (nat) return *nat;
  nat::Behaviour any;
  any.udp = nat::UdpAccess::Works;
  return any;
}

/// How many kinds of clients it lets in: the fewer, the less use it is to others.
int openness(const std::optional<nat::Behaviour> &nat) {
  if (!nat || nat->mapping != nat::Dependence::EndpointIndependent) return 0;
  switch (nat->filtering) {
    case nat::Dependence::EndpointIndependent:
      return 3;
    case nat::Dependence::AddressDependent:
      return 2;
    default:
      return 1;
  }
}

bool has_room(const Node &node) {
  return !node.draining && node.used + kLegsOfASession <= node.legs;
}

/// It need not be the same for both: the node passes packets from one to the other.
bool shares_families(const Node &node, const Client &caller, const Client &callee) {
  return node.families.meet(caller.families) && node.families.meet(callee.families);
}

bool is_reached(const Node &node, const Client &caller, const Client &callee) {
  const nat::Behaviour at = known(node.nat);
  return shares_families(node, caller, callee) && nat::reach(at, known(caller.nat)).plain &&
         nat::reach(at, known(callee.nat)).plain;
}

double load(const Node &node) { return static_cast<double>(node.used) / std::max(1U, node.legs); }

}  // namespace

std::string_view to_string(Rule rule) { return kRules[static_cast<std::size_t>(rule)]; }

Result<Rule> rule_from_string(std::string_view text) {
  const auto found = std::ranges::find(kRules, text);
  if (found == kRules.end()) return bad_input("must be nearest, least-loaded or cheapest");
  return static_cast<Rule>(found - kRules.begin());
}

std::optional<double> round_trip_ms(const RegionTimes &one, const RegionTimes &other) {
  std::optional<double> best;
  for (const auto &mine : one)
    for (const auto &theirs : other)
      if (mine.name == theirs.name) {
        const double sum = mine.round_trip_ms + theirs.round_trip_ms;
        if (!best || sum < *best) best = sum;
      }
  return best;
}

std::vector<Choice> choose(const std::vector<Node> &nodes, const Client &caller,
                           const Client &callee, Rule rule) {
  std::vector<Choice> choices;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (!has_room(nodes[i]) || !is_reached(nodes[i], caller, callee)) continue;
    Choice choice{i, std::nullopt, ""};
    const auto one = round_trip_ms(nodes[i].regions, caller.regions),
               other = round_trip_ms(nodes[i].regions, callee.regions);
    if (one && other) choice.round_trip_ms = *one + *other;
    choices.push_back(std::move(choice));
  }
  const auto rank = [&](const Choice &choice) {
    const Node &node = nodes[choice.index];
    const double first = rule == Rule::LeastLoaded ? load(node)
                         : rule == Rule::Cheapest  ? node.price
                                                   : 0;
    return std::tuple(first, choice.round_trip_ms.value_or(kFar), openness(node.nat), load(node),
                      node.name);
  };
  std::ranges::sort(choices, {}, rank);
  for (Choice &choice : choices) {
    const Node &node = nodes[choice.index];
    switch (rule) {
      case Rule::Nearest:
        choice.why = choice.round_trip_ms
                         ? "the nearest, " + std::to_string(std::lround(*choice.round_trip_ms)) +
                               " ms over both clients' regions"
                         : "both clients reach it; nobody has measured how far it is";
        break;
      case Rule::LeastLoaded:
        choice.why = "the least loaded, " + std::to_string(node.used) + " of " +
                     std::to_string(node.legs) + " legs in use";
        break;
      case Rule::Cheapest:
        choice.why = "the cheapest";
        break;
    }
  }
  return choices;
}

std::string why_none(const std::vector<Node> &nodes, const Client &caller, const Client &callee) {
  if (nodes.empty()) return "no node is online";
  const auto reached = std::ranges::count_if(
      nodes, [&](const Node &node) { return is_reached(node, caller, callee); });
  const std::string all = std::to_string(nodes.size()) + (nodes.size() == 1 ? " node" : " nodes");
  const auto sharing = std::ranges::count_if(
      nodes, [&](const Node &node) { return shares_families(node, caller, callee); });
  if (sharing == 0)
    return "of " + all + " online none shares an address family with each client (caller: " +
           to_string(caller.families) + ", callee: " + to_string(callee.families) + ")";
  if (reached == 0)
    return "of " + all + " online both clients' NATs reach none" +
           (sharing < std::ssize(nodes) ? " of those that share an address family with each" : "");
  return "of " + all + " online those that both clients reach are full or stopping";
}

}  // namespace junctor::nodes
