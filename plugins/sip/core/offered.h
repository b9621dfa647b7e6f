// SPDX-License-Identifier: LGPL-2.1-or-later
// What a caller wants to offer.
#pragma once

#include <optional>
#include <string>

#include "rtp/core/formats.h"
#include "rtp/core/parameters.h"

namespace junctor::sip {

/// One format to offer.
struct Offered {
  const rtp::Format *format = nullptr;
  /// Empty: that of the table, and for H264 of InviteOptions::h264, in both packetization modes.
  std::string fmtp{};
  /// Of a variable format, whose `fmtp` follows from it; nothing: as the table says.
  std::optional<rtp::AacConfig> aac{};
  /// In an answer of ours the lowest rank that the offer has is taken; of equals, what the offer
  /// has first. Of several formats of H264 the one that takes what we send: packetization mode 1,
  /// then a profile that covers the first one here.
  int rank = 0;
};

}  // namespace junctor::sip
