// SPDX-License-Identifier: LGPL-2.1-or-later
// Which way each medium goes through a call, and why.
#pragma once

#include <array>
#include <bitset>
#include <optional>
#include <string>
#include <vector>

#include "calls/codec_table.h"
#include "calls/leg_media.h"
#include "calls/service.h"
#include "rtp/core/parameters.h"

namespace junctor::calls {

/// One medium in one direction.
struct Route {
  bool flows = false;
  bool waits = false;  ///< does not flow yet, for a terminal that may still come
  std::optional<Codec> from, to;
  bool transcoded = false;
  /// How SIP brings it and carries it on; null at a terminal, whose RTMP needs neither.
  const FormatRow *from_format = nullptr, *to_format = nullptr;
  bool single_nal = false;                 ///< H.264 to a receiver in packetization mode 0
  const H264Level *level = nullptr;        ///< H.264 encoded for a phone: what it must keep to
  const H263Size *h263 = nullptr;          ///< H.263: the size that it is encoded at
  rtp::AacConfig aac;                      ///< AAC encoded for a phone: what was agreed on
  int h263_rate = 30;                      ///< H.263: pictures a second, at most
  int h263_kbit = 0;                       ///< H.263: what the phone takes; 0: what is usual
  int most_kbit = 0;                       ///< pictures encoded: what the phone wants; 0: any
  int speex_quality = kUsualSpeexQuality;  ///< Speex encoded
  std::optional<Vp8Bounds> vp8;            ///< VP8 encoded for a phone: what it must keep to
  bool upright = false;                    ///< the picture is higher than it is wide
  std::string reason;                      ///< a sentence

  bool operator==(const Route &) const = default;
};

/// Some of the four routes of a plan: those to the callee by Medium, then those to the caller.
using RouteSet = std::bitset<4>;

struct Plan {
  /// By Side.
  std::array<LegKind, 2> kinds{LegKind::Terminal, LegKind::Phone};
  /// Indexed by Medium.
  std::array<Route, 2> to_callee, to_caller;
  /// What the push terminal of a side sends, by Side and Medium, whether it has a route or not.
  std::array<std::array<bool, 2>, 2> pushed{};

  const Route &to(Side side, Medium medium) const {
    return (side == Side::Callee ? to_callee : to_caller)[static_cast<std::size_t>(medium)];
  }
  Route &to(Side side, Medium medium) {
    return (side == Side::Callee ? to_callee : to_caller)[static_cast<std::size_t>(medium)];
  }
  const Route &callee(Medium medium) const { return to(Side::Callee, medium); }
  const Route &caller(Medium medium) const { return to(Side::Caller, medium); }
  bool is_pushed(Side side, Medium medium) const {
    return pushed[index_of(side)][static_cast<std::size_t>(medium)];
  }
  /// For people: all four, flowing or not.
  std::vector<PlanStep> steps() const;
  /// What transcoding its sound is expected to cost, in percent of a core; 0 if none is transcoded.
  double sound_percent() const;
  RouteSet flowing() const;
  /// The same, but some of its routes do not flow. `why` is what failed with them.
  Plan without(RouteSet left_out, const std::string &why) const;

  bool operator==(const Plan &) const = default;
};

/// The cheapest route of each medium: passed through where both sides speak the same, else decoded
/// and encoded. Nothing flows to a terminal that nobody has played yet. One of the legs is a
/// terminal. Pure.
Plan make_plan(const LegMedia &caller, const LegMedia &callee);

/// Writes into the step whose picture comes from the push terminal of a side as it is what a missed
/// picture costs there: it cannot be asked for a keyframe. `distance_ms` is that between its
/// keyframes; 0: not known.
void tell_first_picture(std::vector<PlanStep> &steps, Side from, std::int64_t distance_ms);

/// Writes into the step of the picture to a side that what comes is left out, for `size`, as in
/// "16000x16000", is more than what is decoded here.
void tell_too_large(std::vector<PlanStep> &steps, Side to, const std::string &size);

/// What is offered to a phone: everything that this build can carry. First what passes through
/// from the push terminal, then what nearly every phone has, then the rest, in the table's order.
/// `names` are those that may be offered, as rtp::find_formats() knows them; none: all.
/// Its ranks, for answers, put first what passes through both ways.
std::vector<sip::Offered> make_offer(const LegMedia &terminal,
                                     const std::vector<std::string> &names = {});

/// What to leave out of a plan that cannot run as it is, in the order of trying: that which a call
/// misses least comes first, so pictures before sound, and what is transcoded before what is passed
/// through. Nothing that would leave a call without media, now and later. Pure.
std::vector<RouteSet> reductions(const Plan &plan);

/// "caller-to-callee video, callee-to-caller audio": the set for people.
std::string to_string(RouteSet routes);

}  // namespace junctor::calls
