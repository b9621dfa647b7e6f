// SPDX-License-Identifier: LGPL-2.1-or-later
// Ring media: short pieces of sound and picture, encoded once, played round and round.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/clock.h"
#include "rtmp/core/server.h"

namespace junctor::calls {

/// What a standing picture says.
enum class Card : std::uint8_t {
  Calling,    ///< the callee has not been reached yet
  Ringing,    ///< it rings
  Connected,  ///< it has answered, its picture is on its way
  AudioOnly,  ///< it has answered without video
  OnHold,     ///< it holds the call: it sends neither sound nor picture
  Incoming,   ///< it calls
  // How a call ended that has not come about.
  Busy,
  Declined,
  NoAnswer,
  Unreachable,
  Failed,
  Missed,  ///< to a callee: it called, and the call is over or elsewhere
};
inline constexpr int kCardWidth = 640, kCardHeight = 360;

enum class Tone : std::uint8_t {
  Silence,
  Ringback,  ///< to a caller: it rings over there
  Ring,      ///< to a callee: somebody calls
  Hold,
  // How a call ended that has not come about, as telephone exchanges tell it (ITU-T E.180).
  Busy,
  Congestion,
  SpecialInformation,
};

/// Packets at equal distances; the first one of a picture is a keyframe. Immutable once made.
struct Loop {
  rtmp::Track track;
  struct Packet {
    bool key = false;
    SharedBytes data;
  };
  std::vector<Packet> packets;
  std::int64_t units_per_packet = 0, units_per_second = 1;
  /// Of a picture that may stand for the whole of a call: after so long its keyframes alone are
  /// played, for players have learnt its rate by then and nothing moves. 0: always all of it.
  Duration thins_after{};

  /// When packet `index` is due, counted on over the end of the loop.
  Duration due(std::uint64_t index) const {
    return std::chrono::microseconds(static_cast<std::int64_t>(index) * units_per_packet *
                                     1'000'000 / units_per_second);
  }
  const Packet &packet(std::uint64_t index) const { return packets[index % packets.size()]; }
};

/// The drawing of a card, SVG of 640 by 360. `name` may be anybody's text: it is escaped, made
/// valid UTF-8 and cut to a length that fits.
std::string drawing(Card card, const std::string &name);

/// `text` as XML character data: valid UTF-8, no control characters, at most `longest` characters.
std::string escaped_for_xml(const std::string &text, std::size_t longest);

}  // namespace junctor::calls
