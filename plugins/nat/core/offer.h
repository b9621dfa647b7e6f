// SPDX-License-Identifier: LGPL-2.1-or-later
// What the rendezvous says to one end of a channel about nodes and relays.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/result.h"
#include "nat/core/description.h"
#include "nat/core/turn_server.h"

namespace junctor::nat {

/// A node that expects both ends.
struct NodeOffer {
  std::string name;
  Description description;
};
/// More of what the node says, as a peer would: its candidates.
struct NodeSignal {
  std::string name;
  MoreCandidates more;
};
/// It has a channel to both ends.
struct NodeUp {
  std::string name;
};
struct NodeFailed {
  std::string name, why;
  bool leaving = false;  ///< it passes on what comes until there is another way
};
/// None but those that were offered.
struct NoNode {
  std::string why;
};
/// In the order in which they are to be used.
struct TurnOffer {
  std::vector<TurnServer> servers;
  /// Of user and password; nothing: as long as the channel.
  std::optional<std::chrono::seconds> lifetime{};
};
struct NoTurn {
  std::string why;
};

/// Whether a direct way is to be expected, from what both NATs are known to do.
struct DirectWay {
  bool expected = true;
};

using Offer =
    std::variant<NodeOffer, NodeSignal, NodeUp, NodeFailed, NoNode, TurnOffer, NoTurn, DirectWay>;

/// Bytes of a name of a node, which is 1 to so many letters, digits, '-', '_' and '.'.
inline constexpr std::size_t kMostNodeName = 64;

/// JSON with a "type": node, node-signal, node-up, node-failed, no-node, turn, no-turn, direct.
/// BadInput for what is none or breaks a bound.
Result<Offer> parse_offer(std::string_view text);

/// The USERNAME of probes that a node sends to the end whose tag is `tag`: another one for each
/// node, so that one socket tells them apart. `session` is that of the keys, "SESSION/NODE".
std::string leg_tag(std::string_view tag, std::string_view session);
/// What names the channel between one end and a node in their keys.
inline std::string leg_session(std::string_view session, std::string_view node) {
  return std::string(session) + "/" + std::string(node);
}

}  // namespace junctor::nat
