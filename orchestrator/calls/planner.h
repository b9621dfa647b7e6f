// SPDX-License-Identifier: LGPL-2.1-or-later
// Which way each medium goes through a call, and why.
#pragma once

#include <array>
#include <bitset>
#include <optional>
#include <string>
#include <vector>

#include "calls/codec_table.h"
#include "calls/pull_codecs.h"
#include "calls/service.h"
#include "common/codec.h"
#include "rtmp/core/server.h"
#include "rtp/core/parameters.h"
#include "sip/core/agent.h"

namespace junctor::calls {

/// What the push terminal sends, as far as it is known.
struct PushTracks {
  std::optional<rtmp::Track> audio, video;
  const std::optional<rtmp::Track> &of(Medium medium) const {
    return medium == Medium::Audio ? audio : video;
  }
};

/// One medium in one direction.
struct Route {
  bool flows = false;
  bool waits = false;  ///< does not flow yet, for a terminal that may still come
  std::optional<Codec> from, to;
  bool transcoded = false;
  const FormatRow *format = nullptr;  ///< how SIP carries it
  bool single_nal = false;            ///< H.264 to a receiver in packetization mode 0
  const H264Level *level = nullptr;   ///< H.264 encoded for a phone: what it must keep to
  const H263Size *h263 = nullptr;     ///< H.263: the size that it is encoded at
  rtp::AacConfig aac;                 ///< AAC encoded for a phone: what was agreed on
  int h263_rate = 30;                 ///< H.263: pictures a second, at most
  bool upright = false;               ///< the picture is higher than it is wide
  std::string reason;                 ///< a sentence

  bool operator==(const Route &) const = default;
};

/// Some of the four routes of a plan: those to the callee by Medium, then those to the caller.
using RouteSet = std::bitset<4>;

struct Plan {
  /// Indexed by Medium.
  std::array<Route, 2> to_callee, to_caller;
  /// What the push terminal sends, by Medium, whether it has a route or not.
  std::array<bool, 2> pushed{};

  const Route &callee(Medium medium) const { return to_callee[static_cast<std::size_t>(medium)]; }
  const Route &caller(Medium medium) const { return to_caller[static_cast<std::size_t>(medium)]; }
  bool is_pushed(Medium medium) const { return pushed[static_cast<std::size_t>(medium)]; }
  /// For people: all four, flowing or not.
  std::vector<PlanStep> steps() const;
  RouteSet flowing() const;
  /// The same, but some of its routes do not flow. `why` is what failed with them.
  Plan without(RouteSet left_out, const std::string &why) const;

  bool operator==(const Plan &) const = default;
};

/// The cheapest route of each medium: passed through where both sides speak the same, else decoded
/// and encoded. `pull` is nothing while nobody has played: then nothing flows to the caller. Pure.
Plan make_plan(const std::vector<sip::Media> &negotiated, const PushTracks &push,
               const std::optional<PullCodecs> &pull);

/// What is offered to a callee: everything that this build can carry. First what passes through
/// from the push terminal, then what nearly every phone has, then the rest, in the table's order.
/// `names` are those that may be offered, as rtp::find_formats() knows them; none: all.
std::vector<sip::Offered> make_offer(const PushTracks &push,
                                     const std::vector<std::string> &names = {});

/// What to leave out of a plan that cannot run as it is, in the order of trying: that which a call
/// misses least comes first, so pictures before sound, and what is transcoded before what is passed
/// through. Nothing that would leave a call without media, now and later. Pure.
std::vector<RouteSet> reductions(const Plan &plan);

/// "caller-to-callee video, callee-to-caller audio": the set for people.
std::string to_string(RouteSet routes);

}  // namespace junctor::calls
