// SPDX-License-Identifier: LGPL-2.1-or-later
// telephone-event (RFC 4733) in offer and answer.
#pragma once

#include <cstdint>
#include <vector>

#include "rtp/core/session.h"
#include "sip/core/sdp.h"

namespace junctor::sip {

struct OwnMedium;

/// Events beside the formats of one clock rate: both share one time line, so one rate (RFC 4733
/// section 2.1).
struct OwnEvents {
  int payload_type = -1;  ///< in our numbering
  std::uint32_t clock_rate = 0;
};

/// For each clock rate of an audio medium's formats, in their order; the first has 101, as
/// everybody does. Nothing for video.
std::vector<OwnEvents> own_events(const OwnMedium &medium);
/// Puts them into a line of our offer.
void offer_events(const OwnMedium &medium, sdp::MediaLine &line);
/// What an answer makes of them, once `stream` has the rest. Events of 8000 Hz are
/// understood beside audio of another rate, for there are phones that know no other, but none are
/// sent so.
void read_events(const OwnMedium &medium, const sdp::MediaLine &answer, rtp::Stream &stream);
/// Takes those of an offer, by the same rule, and puts them into our answer.
void answer_events(const sdp::MediaLine &offer, rtp::Stream &stream, sdp::MediaLine &answer);
/// For another offer of ours: events in use keep their numbers, and others' numbers are left alone
/// (RFC 3264 section 8.3.2).
void keep_events(const rtp::Stream &in_use, OwnMedium &medium);

}  // namespace junctor::sip
