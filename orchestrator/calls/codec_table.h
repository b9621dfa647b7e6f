// SPDX-License-Identifier: LGPL-2.1-or-later
// What each codec needs in a launch line, as data.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "common/codec.h"

namespace junctor::calls {

/// Fragments of launch lines for one codec. "Elementary stream" is what `rtmpauthsrc` gives and
/// `rtmpplaysink` takes. A codec more is a row more.
struct CodecRow {
  Codec codec;
  /// Elementary stream to raw; empty: this build cannot decode it.
  std::string_view decode;
  /// Raw of any size or rate to elementary stream; empty: this build cannot encode it. May hold
  /// the holes max_width, max_height, kbit, slices and level.
  std::string_view encode;
  /// Elementary stream to what `sipcallsink` takes: empty where it packs the frames itself,
  /// nothing for a codec that is not carried over RTP.
  std::optional<std::string_view> pay;
  std::string_view depay;  ///< RTP to elementary stream
};

std::span<const CodecRow> codec_rows();
/// Null for a codec that no row names.
const CodecRow *find_codec_row(Codec codec);

/// H.264 for a receiver in packetization mode 0 (RFC 6184 section 6.2): one NAL unit a packet, so
/// the encoder slices pictures to fit.
inline constexpr std::string_view kH264SingleNalSlices = "option-string=slice-max-size=1150";

/// How large and how heavy a picture of an H.264 level may be here: its frame size in macroblocks
/// (Table A-1 of H.264) as a rectangle, and a bit rate that phones on ordinary lines bear.
struct H264Level {
  std::uint8_t level_idc;
  std::string_view name;
  int max_width, max_height;  ///< of a picture that is not upright; both even
  int kbit_per_second;
  int max_rate;  ///< pictures a second that MaxMBPS allows at that size, 30 at most
};
/// The greatest level that is not above `level_idc`; the lowest if there is none.
const H264Level &h264_level(std::uint8_t level_idc);

}  // namespace junctor::calls
