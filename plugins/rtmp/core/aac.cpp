// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/aac.h"

#include <algorithm>
#include <array>
#include <string>

#include "common/aac_tables.h"
#include "common/bit_reader.h"

namespace junctor::rtmp {

namespace {

constexpr unsigned kSbr = 5, kPs = 29, kEscape = 31;
constexpr unsigned kSyncExtension = 0x2b7;

unsigned object_type(BitReader &reader) {
  const unsigned type = reader.bits(5);
  return type == kEscape ? 32 + reader.bits(6) : type;
}

/// 0 for a reserved index.
int sample_rate(BitReader &reader) {
  const unsigned index = reader.bits(4);
  if (index == kExplicitAacRate) return static_cast<int>(reader.bits(24));
  return index < kAacRates.size() ? kAacRates[index] : 0;
}

/// -1 if reserved.
int channels_of(unsigned configuration) { return kAacChannels[configuration & 15]; }

bool is_aac(unsigned type) {
  constexpr std::array kTypes{1u, 2u, 3u, 4u, 6u, 17u, 19u, 20u, 22u, 23u, 39u, 42u};
  return std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

}  // namespace

Result<AacConfig> parse_audio_specific_config(ByteSpan bytes) {
  BitReader reader(bytes);
  AacConfig config;
  unsigned type = object_type(reader);
  config.rate = sample_rate(reader);
  const unsigned configuration = reader.bits(4);
  config.channels = channels_of(configuration);
  if (type == kSbr || type == kPs) {
    config.extension_rate = sample_rate(reader);
    if (!reader.failed() && config.extension_rate == 0)
      return bad_input("The AudioSpecificConfig has a reserved extension rate.");
    type = object_type(reader);
  }
  config.object_type = static_cast<int>(type);
  // GASpecificConfig (14496-3, 4.4.1): frame length, core coder with its delay, extension.
  reader.bits(1);
  if (reader.bits(1) == 1) reader.bits(14);
  reader.bits(1);
  if (reader.failed())
    return bad_input("The AudioSpecificConfig has only " + std::to_string(bytes.size()) +
                     " bytes.");
  if (!is_aac(type))
    return bad_input("The AudioSpecificConfig has object type " + std::to_string(type) +
                     ", which is no AAC.");
  if (config.rate == 0) return bad_input("The AudioSpecificConfig has a reserved sample rate.");
  if (config.channels < 0)
    return bad_input("The AudioSpecificConfig has channel configuration " +
                     std::to_string(configuration) + ", which is reserved.");
  // SBR told in a way that old decoders do not see: at the end, behind a mark.
  if (config.extension_rate == 0 && configuration != 0 && type == 2 && reader.left() >= 16 &&
      reader.bits(11) == kSyncExtension && object_type(reader) == kSbr && reader.bits(1) == 1) {
    const int rate = sample_rate(reader);
    if (!reader.failed()) config.extension_rate = rate;
  }
  return config;
}

Result<Bytes> build_audio_specific_config(int object_type, int rate, int channels) {
  if (object_type < 1 || object_type > 4 || rate < 1 || rate > 0xffffff || channels < 1 ||
      channels == 7 || channels > 8)
    return bad_input("No AudioSpecificConfig for object type " + std::to_string(object_type) +
                     ", " + std::to_string(rate) + " Hz and " + std::to_string(channels) +
                     " channels.");
  const std::uint64_t configuration = channels == 8 ? 7 : static_cast<std::uint64_t>(channels);
  const auto type = static_cast<std::uint64_t>(object_type);
  const auto known = std::find(kAacRates.begin(), kAacRates.end(), rate);
  Bytes bytes;
  // Type 5 bits, rate 4 (+ 24), channels 4, then 3 flags of 0.
  if (known != kAacRates.end())
    ByteWriter(bytes).u16(type << 11 | static_cast<std::uint64_t>(known - kAacRates.begin()) << 7 |
                          configuration << 3);
  else
    ByteWriter(bytes)
        .u8(type << 3 | kExplicitAacRate >> 1)
        .u32(static_cast<std::uint64_t>(kExplicitAacRate & 1) << 31 |
             static_cast<std::uint64_t>(rate) << 7 | configuration << 3);
  return bytes;
}

}  // namespace junctor::rtmp
