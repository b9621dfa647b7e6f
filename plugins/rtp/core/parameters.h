// SPDX-License-Identifier: LGPL-2.1-or-later
// What the parameters of a=fmtp say, codec by codec.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "common/result.h"
#include "rtp/core/formats.h"

namespace junctor::rtp {

/// Whether ISO/IEC 14496-3 has a code for this sampling rate (table 1.18), in Hz.
bool is_aac_rate(std::uint32_t rate);
/// Whether it has one for this number of channels (table 1.19): 1 to 6, and 8.
bool is_aac_layout(int channels);

/// AAC-LC, 1024 samples a frame: the one profile that is carried. What AudioSpecificConfig (ISO/IEC
/// 14496-3 section 1.6.2.1) says of it.
struct AacConfig {
  std::uint32_t rate = 44100;  ///< Hz; one that is_aac_rate()
  int channels = 1;            ///< one that is_aac_layout()
  bool operator==(const AacConfig &) const = default;

  /// From an AudioSpecificConfig, as an RTMP sequence header and `codec_data` have it. What follows
  /// the first two bytes is left to decoders (an SBR extension only adds to what LC decoders give).
  /// BadInput, naming what it is instead, for other object types, rates by number, layouts by
  /// description, short frames and layers.
  static Result<AacConfig> from_asc(ByteSpan asc);
  /// From the parameters of MPEG4-GENERIC (RFC 3640 section 4.1) or MP4A-LATM (RFC 6416 section
  /// 7.3). BadInput for any mode but AAC-hbr with its sizes of 13, 3 and 3 bits; for interleaved
  /// units, and more in their headers; for a LATM
  /// configuration in band, or one of more than one program, layer or frame; for none at all.
  static Result<AacConfig> from_fmtp(const Format &format, std::string_view fmtp);

  Bytes asc() const;             ///< AudioSpecificConfig
  std::string asc_hex() const;   ///< the same: "1208"
  std::string latm_hex() const;  ///< StreamMuxConfig: "400024103fc0"
  /// The parameters that announce it in `format`, one of the two above.
  std::string fmtp(const Format &format) const;
};

/// One size of picture and how often it may come.
struct PictureSize {
  int width = 0, height = 0;
  /// Least time between pictures, in units of 1001/30000 s (MPI): 1 to 32.
  int interval = 1;
  bool operator==(const PictureSize &) const = default;
};

/// What a receiver of H.263 takes (RFC 4629 section 8.1; the static type has the same parameters).
struct H263Limits {
  /// In the receiver's order of preference; never empty: without any it is QCIF (section 8.2).
  /// CUSTOM sizes come after the standard ones.
  std::vector<PictureSize> sizes;
  int kbit_per_second = 0;  ///< MAXBR, or of the level; 0 unless told

  /// What cannot be read is skipped.
  static H263Limits from_fmtp(std::string_view fmtp);
};

/// What a receiver of VP8 takes (RFC 7741 section 6.1); 0 where it does not say.
struct Vp8Limits {
  int max_rate = 0;         ///< max-fr: pictures a second
  int max_macroblocks = 0;  ///< max-fs: 16x16 pixels each
  static Vp8Limits from_fmtp(std::string_view fmtp);
};

/// What a receiver of Speex prefers (RFC 5574 section 4.1.1).
struct SpeexPreferences {
  bool vbr = false, vad = false, cng = false;
  /// The first mode (bit rate) of its list: 1 to 8 at 8 kHz, 0 to 10 above; -1 for any.
  int mode = -1;
  static SpeexPreferences from_fmtp(std::string_view fmtp);
};

}  // namespace junctor::rtp
