// SPDX-License-Identifier: LGPL-2.1-or-later
// What each codec needs in a launch line, as data.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "common/codec.h"
#include "rtp/core/formats.h"
#include "rtp/core/parameters.h"

namespace junctor::calls {

/// Fragments of launch lines for one codec. "Elementary stream" is what `rtmpauthsrc` gives and
/// `rtmpplaysink` takes. A codec more is a row more.
struct CodecRow {
  Codec codec;
  std::string_view spoken;  ///< as people write it
  /// Elementary stream to what `picturefit` or `soundfit` takes; empty where it takes that itself.
  std::string_view decode;
  /// From the caps that `picturefit` or `soundfit` is to give on to the elementary stream; empty:
  /// this build cannot encode it. May hold the holes max_width, max_height, kbit, slices, level,
  /// h263_width, h263_height, h263_quantizer and speex_quality.
  std::string_view encode;
  /// What the two cost in percent of a core: for pictures at 640x480, 30 a second (H.263: at
  /// 352x288). Measured with these very fragments; only their proportions mean much elsewhere.
  double decode_percent, encode_percent;
  /// What the encoder makes of sound: samples a second, and in each packet. 0 for pictures.
  int rate, samples;
};

std::span<const CodecRow> codec_rows();
/// Null for a codec that no row names.
const CodecRow *find_codec_row(Codec codec);
std::string_view spoken(Codec codec);

/// One way in which SIP carries a codec. A format more is a row more.
struct FormatRow {
  Codec codec;
  std::string_view encoding_name;  ///< as in a=rtpmap
  std::uint32_t clock_rate;        ///< Hz; 0 for any
  /// Elementary stream to what `sipcallsink` takes: empty where it packs the frames itself.
  std::string_view pay;
  /// RTP to elementary stream: empty where `sipcallsink depayload=true` takes the frames out
  /// itself.
  std::string_view depay;
  /// In place of the codec's own; empty: that. May hold the holes aac_rate and aac_channels.
  std::string_view encode;
};

std::span<const FormatRow> format_rows();
/// Null for a format that no row names.
const FormatRow *find_format_row(const rtp::Format &format);
/// Whether RTMP can carry what this format carries: it has Speex at 16 kHz alone.
bool is_as_in_rtmp(const FormatRow &format);

/// A size that H.263 has (Rec. ITU-T H.263, table 1). Its samples are 12 wide for 11 high.
struct H263Size {
  std::string_view name;  ///< for people
  int width, height;
  int kbit_per_second;
};
/// From the smallest to the largest.
std::span<const H263Size> h263_sizes();
/// What pictures are made for who has not said more: CIF.
const H263Size &usual_h263_size();

/// The quantizer at which H.263 of any size has about its usual rate, and the one, up to 31, that
/// is needed for a receiver of so many kbit a second (0: any).
inline constexpr int kUsualH263Quantizer = 8;
int h263_quantizer(const H263Size &size, int kbit_per_second);

/// Pictures of H.264 and VP8 are not encoded for fewer, whatever is asked for.
inline constexpr int kLeastPictureKbit = 60;

/// What speexenc calls the mode that a receiver prefers (RFC 5574): its quality.
inline constexpr int kUsualSpeexQuality = 8;
int speex_quality(const rtp::SpeexPreferences &preferences, std::uint32_t clock_rate);

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
/// The same of VP8 for a receiver that names its limits.
struct Vp8Bounds {
  int max_width = 0, max_height = 0;  ///< of a picture that is not upright, in whole macroblocks
  int kbit_per_second = 0;
  int max_rate = 30;  ///< pictures a second

  bool operator==(const Vp8Bounds &) const = default;
};
/// Keeps within `limits` and within what is encoded for who names none: 1280x720 at 30.
Vp8Bounds vp8_bounds(const rtp::Vp8Limits &limits);
/// The greatest level that is not above `level_idc`; the lowest if there is none.
const H264Level &h264_level(std::uint8_t level_idc);
/// The same of a receiver. Level 1b has level 1's pictures, though its number may be that of 1.1
/// (Rec. ITU-T H.264, A.3.1).
const H264Level &h264_level(const rtp::H264Profile &receiver);

}  // namespace junctor::calls
