// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/parameters.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "common/aac_tables.h"
#include "common/bit_reader.h"

namespace junctor::rtp {

namespace {

// The layouts that RTP streams may have: those of the first edition, which all decoders know.
constexpr std::span<const int> kLayouts = std::span(kAacChannels).first<8>();
constexpr unsigned kAacLc = 2;
// More than any configuration of AAC-LC has.
constexpr std::size_t kMaxConfig = 64;

/// The table's size if it has no such rate.
std::size_t index_of(std::uint32_t rate) {
  return static_cast<std::size_t>(
      std::ranges::find(kAacRates, rate,
                        [](int each) { return static_cast<std::uint32_t>(each); }) -
      kAacRates.begin());
}

class BitWriter {
 public:
  void put(unsigned value, unsigned count) {
    while (count-- > 0) {
      if (used_ % 8 == 0) bytes_.push_back(std::byte{0});
      bytes_.back() |= static_cast<std::byte>((value >> count & 1) << (7 - used_ % 8));
      ++used_;
    }
  }
  const Bytes &bytes() const { return bytes_; }
  std::string hex() const {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const std::byte byte : bytes_) {
      text += kDigits[std::to_integer<unsigned>(byte) >> 4];
      text += kDigits[std::to_integer<unsigned>(byte) & 15];
    }
    return text;
  }

 private:
  Bytes bytes_;
  std::size_t used_ = 0;
};

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const char *end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end ? std::optional(value) : std::nullopt;
}

/// Nothing unless it is an even number of hex digits, within bounds.
std::optional<Bytes> from_hex(std::string_view text) {
  if (text.empty() || text.size() % 2 != 0 || text.size() > 2 * kMaxConfig) return std::nullopt;
  Bytes bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    const auto [stop, error] = std::from_chars(&text[i], &text[i] + 2, value, 16);
    if (error != std::errc() || stop != &text[i] + 2) return std::nullopt;
    bytes.push_back(static_cast<std::byte>(value));
  }
  return bytes;
}

Result<AacConfig> read_asc(BitReader &bits) {
  const unsigned type = bits.bits(5), rate = bits.bits(4), layout = bits.bits(4);
  const bool short_frames = bits.flag(), layered = bits.flag();
  if (bits.failed()) return bad_input("its AAC configuration is too short");
  if (type != kAacLc)
    return bad_input("its AAC has object type " + std::to_string(type) + ", not 2 (LC)");
  if (rate >= kAacRates.size() || layout == 0 || layout >= kLayouts.size())
    return bad_input("its AAC has a sampling rate or channels that have no code of their own");
  if (short_frames || layered)
    return bad_input("its AAC has frames of 960 samples, or several layers");
  return AacConfig{static_cast<std::uint32_t>(kAacRates[rate]), kLayouts[layout]};
}

void write_asc(const AacConfig &config, BitWriter &bits) {
  bits.put(kAacLc, 5);
  bits.put(static_cast<unsigned>(index_of(config.rate)), 4);
  bits.put(static_cast<unsigned>(std::ranges::find(kLayouts, config.channels) - kLayouts.begin()),
           4);
  bits.put(0, 3);  // 1024 samples a frame, no core coder, no extension
}

/// StreamMuxConfig (ISO/IEC 14496-3 section 1.7.3).
Result<AacConfig> read_latm(ByteSpan config) {
  BitReader bits(config);
  const bool version = bits.flag(), same_time = bits.flag();
  const unsigned frames = bits.bits(6), programs = bits.bits(4), layers = bits.bits(3);
  if (version || !same_time || frames != 0 || programs != 0 || layers != 0)
    return bad_input("its LATM has several programs, layers or frames in a packet, or version 1");
  return read_asc(bits);
}

/// RFC 3640 section 3.3.6.
Result<void> check_hbr(const std::map<std::string, std::string> &parameters) {
  const auto is = [&](const char *key, std::string_view wanted) {
    const auto found = parameters.find(key);
    return found != parameters.end() && std::ranges::equal(found->second, wanted, {}, [](char c) {
             return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
           });
  };
  if (!is("mode", "aac-hbr")) return bad_input("its mode is not AAC-hbr");
  if (!is("sizelength", "13") || !is("indexlength", "3") || !is("indexdeltalength", "3"))
    return bad_input("its sizelength, indexlength and indexdeltalength are not 13, 3 and 3");
  // What makes headers longer, units shorter, or their order another.
  for (const char *key :
       {"maxdisplacement", "ctsdeltalength", "dtsdeltalength", "randomaccessindication",
        "streamstateindication", "auxiliarydatasizelength"})
    if (parameters.contains(key) && !is(key, "0"))
      return bad_input(std::string("its ") + key + " is not 0");
  if (parameters.contains("constantduration") && !is("constantduration", "1024"))
    return bad_input("its constantduration is not 1024");
  return {};
}

struct NamedSize {
  const char *name;
  int width, height;
};
constexpr std::array kNamedSizes{NamedSize{"sqcif", 128, 96}, NamedSize{"qcif", 176, 144},
                                 NamedSize{"cif", 352, 288}, NamedSize{"cif4", 704, 576},
                                 NamedSize{"cif16", 1408, 1152}};

/// H.263 annex X.4: the standard sizes that a level guarantees, and its bit rate.
struct H263Level {
  int level;
  int kbit_per_second;
  std::array<PictureSize, 2> sizes;
};
constexpr std::array kH263Levels{
    H263Level{10, 64, {PictureSize{176, 144, 2}, PictureSize{}}},
    H263Level{20, 128, {PictureSize{352, 288, 2}, PictureSize{176, 144, 1}}},
    H263Level{30, 384, {PictureSize{352, 288, 1}, PictureSize{176, 144, 1}}},
    H263Level{40, 2048, {PictureSize{352, 288, 1}, PictureSize{176, 144, 1}}},
    H263Level{45, 128, {PictureSize{176, 144, 2}, PictureSize{}}},
    H263Level{50, 4096, {PictureSize{352, 288, 1}, PictureSize{176, 144, 1}}},
    H263Level{60, 8192, {PictureSize{352, 288, 1}, PictureSize{176, 144, 1}}},
    H263Level{70, 16384, {PictureSize{352, 288, 1}, PictureSize{176, 144, 1}}},
};

/// "640,480,2" of CUSTOM; H.263 has multiples of 4 up to 2048x1152.
std::optional<PictureSize> custom_size(std::string_view text) {
  std::array<int, 3> values{};
  for (int &value : values) {
    const auto end = std::min(text.find(','), text.size());
    const auto read = number<int>(text.substr(0, end));
    if (!read) return std::nullopt;
    value = *read;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  const auto [width, height, interval] = values;
  if (!text.empty() || width < 4 || width > 2048 || height < 4 || height > 1152 || width % 4 != 0 ||
      height % 4 != 0 || interval < 1 || interval > 32)
    return std::nullopt;
  return PictureSize{width, height, interval};
}

}  // namespace

bool is_aac_rate(std::uint32_t rate) { return index_of(rate) < kAacRates.size(); }

bool is_aac_layout(int channels) {
  return channels > 0 && std::ranges::find(kLayouts, channels) != kLayouts.end();
}

Result<AacConfig> AacConfig::from_asc(ByteSpan asc) {
  BitReader bits(asc);
  return read_asc(bits);
}

Result<AacConfig> AacConfig::from_fmtp(const Format &format, std::string_view fmtp) {
  const auto parameters = parse_fmtp(fmtp);
  const bool latm = format.encoding_name == "MP4A-LATM";
  if (!latm) {
    if (auto hbr = check_hbr(parameters); !hbr) return hbr.error();
  } else if (const auto in_band = parameters.find("cpresent");
             in_band == parameters.end() || in_band->second != "0") {
    return bad_input("it has its configuration in band: cpresent is not 0");
  }
  const auto config = parameters.find("config");
  if (config == parameters.end()) return bad_input("it has no config");
  const auto bytes = from_hex(config->second);
  if (!bytes) return bad_input("its config is not hexadecimal, or too long");
  return latm ? read_latm(*bytes) : from_asc(*bytes);
}

Bytes AacConfig::asc() const {
  BitWriter bits;
  write_asc(*this, bits);
  return bits.bytes();
}

std::string AacConfig::asc_hex() const {
  BitWriter bits;
  write_asc(*this, bits);
  return bits.hex();
}

std::string AacConfig::latm_hex() const {
  BitWriter bits;
  // Version 0, the same framing for all, one frame, one program, one layer.
  bits.put(0, 1);
  bits.put(1, 1);
  bits.put(0, 13);
  write_asc(*this, bits);
  bits.put(0, 3);     // frames of a length of their own
  bits.put(0xff, 8);  // of a variable rate
  bits.put(0, 2);     // nothing more, no checksum
  return bits.hex();
}

std::string AacConfig::fmtp(const Format &format) const {
  // Levels 1, 2, 4 and 5 of the AAC profile (ISO/IEC 14496-3 section 1.5.2.3).
  std::string level = "43";
  if (rate <= 24000 && channels <= 2)
    level = "40";
  else if (rate <= 48000)
    level = channels <= 2 ? "41" : "42";
  if (format.encoding_name == "MP4A-LATM")
    return "profile-level-id=" + level + ";object=2;cpresent=0;config=" + latm_hex();
  return "streamtype=5;profile-level-id=" + level +
         ";mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=" + asc_hex();
}

H263Limits H263Limits::from_fmtp(std::string_view fmtp) {
  H263Limits limits;
  const auto add = [&](const PictureSize &size) {
    const bool known = std::ranges::any_of(limits.sizes, [&](const PictureSize &other) {
      return other.width == size.width && other.height == size.height;
    });
    if (!known) limits.sizes.push_back(size);
  };
  std::vector<PictureSize> custom;
  // Not by parse_fmtp(): the order of sizes tells the preference (RFC 4629 section 8.2), and CUSTOM
  // may come more than once.
  std::optional<int> level;
  for (std::string_view rest = fmtp; !rest.empty();) {
    const auto end = std::min(rest.find(';'), rest.size());
    const auto parameters = parse_fmtp(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (parameters.empty()) continue;
    const auto &[key, value] = *parameters.begin();
    if (key == "custom") {
      if (const auto size = custom_size(value)) custom.push_back(*size);
      continue;
    }
    const auto content = number<int>(value);
    if (!content || *content < 1) continue;
    if (key == "level") level = *content;
    // In units of 100 bit/s.
    if (key == "maxbr") limits.kbit_per_second = std::max(1, std::min(*content, 1'000'000) / 10);
    for (const NamedSize &size : kNamedSizes)
      if (key == size.name && *content <= 32) add({size.width, size.height, *content});
  }
  for (const PictureSize &size : custom) add(size);
  if (level)
    for (const H263Level &known : kH263Levels) {
      if (known.level != *level) continue;
      if (limits.sizes.empty())
        for (const PictureSize &size : known.sizes)
          if (size.width != 0) add(size);
      if (limits.kbit_per_second == 0) limits.kbit_per_second = known.kbit_per_second;
    }
  if (limits.sizes.empty()) add({176, 144, 1});
  return limits;
}

Vp8Limits Vp8Limits::from_fmtp(std::string_view fmtp) {
  const auto parameters = parse_fmtp(fmtp);
  const auto positive = [&](const char *key) {
    const auto found = parameters.find(key);
    const auto value = found == parameters.end() ? std::nullopt : number<int>(found->second);
    return value && *value > 0 ? *value : 0;
  };
  return {positive("max-fr"), positive("max-fs")};
}

SpeexPreferences SpeexPreferences::from_fmtp(std::string_view fmtp) {
  const auto parameters = parse_fmtp(fmtp);
  const auto value = [&](const char *key) {
    const auto found = parameters.find(key);
    return found == parameters.end() ? std::string_view() : std::string_view(found->second);
  };
  SpeexPreferences preferences;
  preferences.vbr = value("vbr") == "on";
  preferences.vad = value("vbr") == "vad";
  preferences.cng = value("cng") == "on";
  std::string_view modes = value("mode");
  if (!modes.empty() && modes.front() == '"') modes.remove_prefix(1);
  const auto mode = number<int>(modes.substr(0, modes.find_first_of("\",")));
  if (mode && *mode >= 0 && *mode <= 10) preferences.mode = *mode;
  return preferences;
}

}  // namespace junctor::rtp
