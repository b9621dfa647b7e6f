// SPDX-License-Identifier: LGPL-2.1-or-later
// RTP payload formats as a table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/codec.h"

namespace junctor::rtp {

/// One way to carry a codec. A codec more is a row more; a codec may have several.
struct Format {
  Codec codec;
  std::string_view encoding_name;  ///< as in a=rtpmap, upper case
  std::uint32_t clock_rate;        ///< Hz; of a variable format what our offers use if not told
  int channels;                    ///< 1 for video; of a variable format as above
  int static_payload_type;         ///< RFC 3551; -1 if dynamic only
  int offered_payload_type;        ///< what our offers use
  std::string_view offered_fmtp;   ///< of our offers; empty for none, or of parameters (AAC)
  bool by_default = false;         ///< offered where nobody says what is to be
  /// Clock rate and channels are those of the stream, which rtpmap and configuration tell (AAC).
  bool variable = false;
};

/// Every format this build can carry, in order of preference within a medium.
std::span<const Format> formats();

/// By rtpmap, names compared without case. Nothing if unknown. A variable format is found at every
/// clock rate and number of channels that AAC has a code for.
const Format *find_format(std::string_view encoding_name, std::uint32_t clock_rate, int channels);
const Format *find_static_format(int payload_type);
/// The preferred one of the codec's formats; null for a codec that is not carried over RTP.
const Format *find_format(Codec codec);

/// "SPEEX/16000": the encoding name with its clock rate, without that for a variable format.
std::string name_of(const Format &format);
/// Those that a name for people means, in order of preference: a codec ("speex": both rates), an
/// encoding name ("h263-1998"), or one with a clock rate ("speex/8000", "h263/90000"); without
/// case. Empty for an unknown name.
std::vector<const Format *> find_formats(std::string_view name);

/// "a=1;b=2" as a map, keys in lower case.
std::map<std::string, std::string> parse_fmtp(std::string_view text);

/// H.264 (RFC 6184): what decides whether a stream may pass through untouched.
struct H264Profile {
  std::uint8_t profile_idc = 66, constraints = 0xe0, level_idc = 31;
  int packetization_mode = 0;
  /// The defaults above where a parameter is absent or unreadable. (RFC 6184 infers level 1, 128x96
  /// pixels, for an absent profile-level-id; no phone that leaves it out means that.)
  static H264Profile from_fmtp(std::string_view fmtp);
  /// From six hex digits; nothing if it is not that.
  static std::optional<H264Profile> from_profile_level_id(std::string_view hex);
  /// Of the SPS in an AVCDecoderConfigurationRecord; nothing if it is not one.
  static std::optional<H264Profile> from_avcc(std::span<const std::byte> config);
  std::string profile_level_id() const;  ///< six hex digits
};

/// Whether a decoder that announced `receiver` decodes a stream of `sent` (RFC 6184 section 8.1:
/// profiles by their constraint sets, level by order). Packetization is not compared: it is ours to
/// choose.
bool can_receive(const H264Profile &receiver, const H264Profile &sent);

/// Whether both name the same profile, in whatever words, at whatever level; false if it is none
/// that is known.
bool same_profile(const H264Profile &a, const H264Profile &b);

}  // namespace junctor::rtp
