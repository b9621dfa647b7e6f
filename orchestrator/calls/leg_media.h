// SPDX-License-Identifier: LGPL-2.1-or-later
// What a leg gives and takes, as the planner sees it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "calls/pull_codecs.h"
#include "common/codec.h"
#include "rtmp/core/server.h"
#include "sip/core/agent.h"

namespace junctor::calls {

/// The two ends of a call: who calls, and who is called.
enum class Side : std::uint8_t { Caller, Callee };
inline constexpr std::array kSides{Side::Caller, Side::Callee};
constexpr Side other(Side side) { return side == Side::Caller ? Side::Callee : Side::Caller; }
constexpr std::string_view to_string(Side side) {
  return side == Side::Caller ? "caller" : "callee";
}
constexpr std::size_t index_of(Side side) { return static_cast<std::size_t>(side); }

/// What is at an end.
enum class LegKind : std::uint8_t {
  Terminal,  ///< of RTMP: a push and a pull of one account
  Phone,     ///< of SIP
};

struct PushFigures;

/// What a push terminal sends, as far as it is known.
struct PushTracks {
  std::optional<rtmp::Track> audio, video;
  const std::optional<rtmp::Track> &of(Medium medium) const {
    return medium == Medium::Audio ? audio : video;
  }
  /// By Medium: why what it sends of this cannot be used; empty where it can, or sends none.
  std::array<std::string, 2> left_out;
  const std::string &why_left_out(Medium medium) const {
    return left_out[static_cast<std::size_t>(medium)];
  }
  std::shared_ptr<const PushFigures> figures;  ///< null while no track is known
};

/// The media of one leg, whichever kind it is.
struct LegMedia {
  LegKind kind = LegKind::Terminal;
  PushTracks tracks;                   ///< of a terminal
  std::optional<PullCodecs> pull;      ///< of a terminal; nothing while nobody has played
  std::vector<sip::Media> negotiated;  ///< of a phone

  static LegMedia terminal(PushTracks tracks, std::optional<PullCodecs> pull) {
    return {LegKind::Terminal, std::move(tracks), pull, {}};
  }
  static LegMedia phone(std::vector<sip::Media> negotiated) {
    return {LegKind::Phone, {}, std::nullopt, std::move(negotiated)};
  }
};

}  // namespace junctor::calls
