// SPDX-License-Identifier: LGPL-2.1-or-later
// What the two sides of a call can say of their media.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "calls/planner.h"
#include "common/bytes.h"
#include "sip/core/agent.h"

namespace junctor::calls {

/// An AVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 5.3.3.1) up to the SPS's first bytes.
inline SharedBytes avcc(std::uint8_t profile, std::uint8_t constraints, std::uint8_t level) {
  const std::uint8_t bytes[] = {1, profile, constraints, level,   0xff,        0xe1,
                                0, 4,       0x67,        profile, constraints, level,
                                1, 0,       2,           0x68,    0xce};
  return SharedBytes::copy(std::as_bytes(std::span(bytes)));
}

/// As negotiated, without a session.
inline sip::Media media(Codec codec, std::string fmtp = "") {
  sip::Media media;
  media.medium = medium_of(codec);
  media.accepted = true;
  media.format = rtp::find_format(codec);
  media.fmtp = std::move(fmtp);
  return media;
}

/// Of a call from a terminal to a phone.
inline Plan make_plan(std::vector<sip::Media> negotiated, PushTracks push,
                      std::optional<PullCodecs> pull) {
  return make_plan(LegMedia::terminal(std::move(push), pull),
                   LegMedia::phone(std::move(negotiated)));
}

}  // namespace junctor::calls
