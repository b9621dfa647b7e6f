// SPDX-License-Identifier: LGPL-2.1-or-later
// A session of two clients: who, how far, and which ways they tried.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace junctor::rendezvous {

using WallTime = std::chrono::system_clock::time_point;

enum class State : std::uint8_t { Opened, Ringing, Answered, Ended };
std::string_view to_string(State state);  ///< "opened", "ringing" …

/// What one of the two said about a rung of its ladder.
struct RungEntry {
  std::string by;          ///< "caller" or "callee"
  std::string rung, node;  ///< "p2p", "sfu", "relay"; the node of "sfu"
  std::string state;       ///< "trying", "up", "carrying", "failed" …
  std::string why;         ///< in words
  double ms = 0;           ///< since the rung was tried
  WallTime at{};
};

/// "p2p", "sfu n7" …
inline std::string way_of(const std::string &rung, const std::string &node) {
  return node.empty() ? rung : rung + " " + node;
}

/// A session as others see it.
struct View {
  std::string id, from, to;
  State state = State::Opened;
  std::string reason, detail;  ///< once it has ended: an end reason, and a sentence
  WallTime created{};
  std::optional<WallTime> ringing{}, answered{}, ended{};
  /// What is to be expected of the direct way: "probes", "prediction", "many-sockets", "none" or
  /// "unknown", and why; empty before the answer.
  std::string direct{}, direct_why{};
  /// What carries the media of each, as it said last; empty: nothing yet.
  std::string caller_rung{}, callee_rung{};
  std::vector<RungEntry> rungs{};  ///< the newest kMostRungs
};

inline constexpr std::size_t kMostRungs = 100;

}  // namespace junctor::rendezvous
