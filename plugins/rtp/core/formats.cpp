// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/formats.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "common/avc.h"
#include "rtp/core/parameters.h"

namespace junctor::rtp {

namespace {

// Static numbers keep their static type in our offers (RFC 3551); the rest have dynamic ones. 97 is
// left for the second packetization mode of H.264, 101 for telephone-event, as everybody has it.
constexpr std::array kFormats{
    Format{Codec::Pcma, "PCMA", 8000, 1, 8, 8, "", true},
    Format{Codec::Pcmu, "PCMU", 8000, 1, 0, 0, "", true},
    // RFC 5574; without a mode any is decoded.
    Format{Codec::Speex, "SPEEX", 16000, 1, -1, 98, ""},
    Format{Codec::Speex, "SPEEX", 8000, 1, -1, 99, ""},
    // RFC 3640 and RFC 6416; AacConfig::fmtp() makes their parameters.
    Format{Codec::Aac, "MPEG4-GENERIC", 44100, 1, -1, 100, "", false, true},
    Format{Codec::Aac, "MP4A-LATM", 44100, 1, -1, 102, "", false, true},
    Format{Codec::H264, "H264", 90000, 1, -1, 96,
           "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1", true},
    // RFC 7741: 1280x720 in macroblocks.
    Format{Codec::Vp8, "VP8", 90000, 1, -1, 103, "max-fr=30;max-fs=3600"},
    // RFC 4629, and RFC 2190 for the static number, whose parameters are the same. Sizes are those
    // that every decoder of H.263 has.
    Format{Codec::H263, "H263-2000", 90000, 1, -1, 104, "CIF=1;QCIF=1"},
    Format{Codec::H263, "H263-1998", 90000, 1, -1, 105, "CIF=1;QCIF=1"},
    Format{Codec::H263, "H263", 90000, 1, 34, 34, "CIF=1;QCIF=1"},
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// RFC 6184 table 5: profile_idc and constraint flags name a profile together.
enum class Profile {
  ConstrainedBaseline,
  Baseline,
  Main,
  Extended,
  ConstrainedHigh,
  High,
  High10,
  High422,
  High444,
  Unknown
};

Profile profile_of(const H264Profile &h264) {
  const bool set0 = h264.constraints & 0x80, set1 = h264.constraints & 0x40;
  const bool set4 = h264.constraints & 0x08, set5 = h264.constraints & 0x04;
  switch (h264.profile_idc) {
    case 66:
      return set1 ? Profile::ConstrainedBaseline : Profile::Baseline;
    case 77:
      return set0 ? Profile::ConstrainedBaseline : Profile::Main;
    case 88:
      if (set0) return set1 ? Profile::ConstrainedBaseline : Profile::Baseline;
      return set1 ? Profile::Main : Profile::Extended;
    case 100:
      return set4 && set5 ? Profile::ConstrainedHigh : Profile::High;
    case 110:
      return Profile::High10;
    case 122:
      return Profile::High422;
    case 244:
      return Profile::High444;
    default:
      return Profile::Unknown;
  }
}

// What a decoder of `receiver` also decodes (ITU-T H.264 annex A.2).
bool includes(Profile receiver, Profile sent) {
  using enum Profile;
  if (receiver == Unknown || sent == Unknown) return false;
  if (receiver == sent || sent == ConstrainedBaseline) return true;
  switch (receiver) {
    case Extended:
      return sent == Baseline;
    case ConstrainedHigh:
      // Main without interlace would fit, but nothing in its flags says so.
      return false;
    case High:
      return sent == Main || sent == ConstrainedHigh;
    case High10:
      return sent == Main || sent == ConstrainedHigh || sent == High;
    case High422:
      return sent == Main || sent == ConstrainedHigh || sent == High || sent == High10;
    case High444:
      return sent == Main || sent == ConstrainedHigh || sent == High || sent == High10 ||
             sent == High422;
    default:
      return false;
  }
}

// Levels in steps of ten, so that 1b fits between 1 and 1.1.
int level_order(const H264Profile &h264) {
  if (h264.level_idc == 9) return 105;
  const bool early = h264.profile_idc == 66 || h264.profile_idc == 77 || h264.profile_idc == 88;
  if (early && h264.level_idc == 11 && (h264.constraints & 0x10)) return 105;
  return h264.level_idc * 10;
}

}  // namespace

std::span<const Format> formats() { return kFormats; }

const Format *find_format(std::string_view encoding_name, std::uint32_t clock_rate, int channels) {
  for (const Format &format : kFormats) {
    if (!equal_without_case(format.encoding_name, encoding_name)) continue;
    if (format.variable ? is_aac_rate(clock_rate) && is_aac_layout(channels)
                        : format.clock_rate == clock_rate && format.channels == channels)
      return &format;
  }
  return nullptr;
}

const Format *find_static_format(int payload_type) {
  if (payload_type < 0) return nullptr;
  for (const Format &format : kFormats)
    if (format.static_payload_type == payload_type) return &format;
  return nullptr;
}

const Format *find_format(Codec codec) {
  for (const Format &format : kFormats)
    if (format.codec == codec) return &format;
  return nullptr;
}

std::string name_of(const Format &format) {
  std::string name(format.encoding_name);
  if (!format.variable) name += '/' + std::to_string(format.clock_rate);
  return name;
}

std::vector<const Format *> find_formats(std::string_view name) {
  std::vector<const Format *> found;
  const auto add = [&](auto &&matches) {
    if (!found.empty()) return;
    for (const Format &format : kFormats)
      if (matches(format)) found.push_back(&format);
  };
  add([&](const Format &format) { return equal_without_case(to_string(format.codec), name); });
  add([&](const Format &format) { return equal_without_case(format.encoding_name, name); });
  add([&](const Format &format) { return equal_without_case(name_of(format), name); });
  return found;
}

std::map<std::string, std::string> parse_fmtp(std::string_view text) {
  std::map<std::string, std::string> parameters;
  while (!text.empty()) {
    const auto end = text.find(';');
    const std::string_view part = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    const auto equals = part.find('=');
    std::string key(trimmed(part.substr(0, equals)));
    if (key.empty()) continue;
    std::ranges::transform(key, key.begin(), lower);
    parameters.emplace(std::move(key), equals == std::string_view::npos
                                           ? std::string()
                                           : std::string(trimmed(part.substr(equals + 1))));
  }
  return parameters;
}

std::optional<H264Profile> H264Profile::from_profile_level_id(std::string_view hex) {
  std::uint32_t value = 0;
  const char *end = hex.data() + hex.size();
  if (hex.size() != 6) return std::nullopt;
  const auto [stop, error] = std::from_chars(hex.data(), end, value, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  H264Profile profile;
  profile.profile_idc = static_cast<std::uint8_t>(value >> 16);
  profile.constraints = static_cast<std::uint8_t>(value >> 8);
  profile.level_idc = static_cast<std::uint8_t>(value);
  return profile;
}

H264Profile H264Profile::from_fmtp(std::string_view fmtp) {
  const auto parameters = parse_fmtp(fmtp);
  H264Profile profile;
  if (const auto id = parameters.find("profile-level-id"); id != parameters.end())
    profile = from_profile_level_id(id->second).value_or(profile);
  if (const auto mode = parameters.find("packetization-mode"); mode != parameters.end())
    if (mode->second == "1" || mode->second == "2")
      profile.packetization_mode = mode->second[0] - '0';
  return profile;
}

std::optional<H264Profile> H264Profile::from_avcc(std::span<const std::byte> config) {
  // From the SPS: the copies in front of it are of the muxer's making, and phones decode the SPS.
  const auto parsed = parse_avc_config(config);
  if (!parsed) return std::nullopt;
  H264Profile profile;
  profile.profile_idc = parsed->profile;
  profile.constraints = parsed->constraints;
  profile.level_idc = parsed->level;
  return profile;
}

std::string H264Profile::profile_level_id() const {
  char text[7];
  std::snprintf(text, sizeof text, "%02x%02x%02x", profile_idc, constraints, level_idc);
  return text;
}

bool can_receive(const H264Profile &receiver, const H264Profile &sent) {
  return includes(profile_of(receiver), profile_of(sent)) &&
         level_order(sent) <= level_order(receiver);
}

bool same_profile(const H264Profile &a, const H264Profile &b) {
  return profile_of(a) != Profile::Unknown && profile_of(a) == profile_of(b);
}

}  // namespace junctor::rtp
