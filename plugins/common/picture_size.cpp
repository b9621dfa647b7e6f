// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/picture_size.h"

#include <array>
#include <cstdint>

#include "common/bit_reader.h"

namespace junctor {

namespace {

constexpr std::int64_t kLargest = 1 << 24;
/// Profiles whose parameter sets tell the chroma format (7.3.2.1.1); 144 is High 4:4:4 as it was
/// before 2007.
constexpr std::array kHighProfiles = {100, 110, 122, 244, 44,  83,  86,
                                      118, 128, 138, 139, 134, 135, 144};

/// A NAL unit's payload without its emulation prevention bytes (7.4.1).
Bytes raw_payload(ByteSpan unit) {
  Bytes raw;
  raw.reserve(unit.size());
  int zeros = 0;
  for (const std::byte byte : unit) {
    if (zeros >= 2 && byte == std::byte{3}) {
      zeros = 0;
      continue;
    }
    zeros = byte == std::byte{0} ? zeros + 1 : 0;
    raw.push_back(byte);
  }
  return raw;
}

void skip_scaling_list(BitReader &reader, int size) {
  std::int64_t last = 8, next = 8;
  for (int i = 0; i < size && !reader.failed(); ++i) {
    if (next != 0) next = (last + reader.signed_golomb() + 256) % 256;
    if (next != 0) last = next;
  }
}

/// chroma_format_idc, and past all that depends on the profile. Separate colour planes count as 0.
std::int64_t read_chroma(BitReader &reader) {
  std::int64_t chroma = reader.unsigned_golomb();
  if (chroma == 3 && reader.flag()) chroma = 0;
  reader.unsigned_golomb();  // bit_depth_luma_minus8
  reader.unsigned_golomb();  // bit_depth_chroma_minus8
  reader.flag();             // qpprime_y_zero_transform_bypass_flag
  if (reader.flag())
    for (int i = 0; i < (chroma == 3 ? 12 : 8) && !reader.failed(); ++i)
      if (reader.flag()) skip_scaling_list(reader, i < 6 ? 16 : 64);
  return chroma;
}

void skip_order_count(BitReader &reader) {
  const std::int64_t type = reader.unsigned_golomb();
  if (type == 0) {
    reader.unsigned_golomb();
  } else if (type == 1) {
    reader.flag();
    reader.signed_golomb();
    reader.signed_golomb();
    const std::int64_t count = reader.unsigned_golomb();
    for (std::int64_t i = 0; i < count && !reader.failed(); ++i) reader.signed_golomb();
  }
}

}  // namespace

std::optional<PictureSize> picture_size(ByteSpan sps, SpsPayload payload) {
  if (sps.empty()) return std::nullopt;
  Bytes raw;
  if (payload == SpsPayload::Unescaped) raw = raw_payload(sps.subspan(1));
  BitReader reader(payload == SpsPayload::Unescaped ? ByteSpan(raw) : sps.subspan(1));
  const auto profile = static_cast<int>(reader.bits(8));
  reader.bits(16);           // constraint flags, level
  reader.unsigned_golomb();  // seq_parameter_set_id
  std::int64_t chroma = 1;
  for (const int high : kHighProfiles)
    if (profile == high) chroma = read_chroma(reader);
  reader.unsigned_golomb();  // log2_max_frame_num_minus4
  skip_order_count(reader);
  reader.unsigned_golomb();  // max_num_ref_frames
  reader.flag();             // gaps_in_frame_num_value_allowed_flag
  std::int64_t width = (reader.unsigned_golomb() + 1) * 16;
  const std::int64_t map_units = reader.unsigned_golomb() + 1;
  const bool frames_only = reader.flag();
  std::int64_t height = map_units * 16 * (frames_only ? 1 : 2);
  const std::int64_t coded_width = width, coded_height = height;
  if (!frames_only) reader.flag();  // mb_adaptive_frame_field_flag
  reader.flag();                    // direct_8x8_inference_flag
  if (reader.flag()) {
    // 7.4.2.1.1: in units of chroma samples, and of field lines where there are fields.
    const std::int64_t unit_x = chroma == 1 || chroma == 2 ? 2 : 1;
    const std::int64_t unit_y = (chroma == 1 ? 2L : 1L) * (frames_only ? 1 : 2);
    const std::int64_t left = reader.unsigned_golomb(), right = reader.unsigned_golomb();
    const std::int64_t top = reader.unsigned_golomb(), bottom = reader.unsigned_golomb();
    width -= (left + right) * unit_x;
    height -= (top + bottom) * unit_y;
  }
  if (reader.failed() || width <= 0 || height <= 0 || coded_width > kLargest ||
      coded_height > kLargest)
    return std::nullopt;
  return PictureSize{static_cast<int>(width), static_cast<int>(height),
                     static_cast<int>(coded_width), static_cast<int>(coded_height)};
}

bool may_be_decoded(int width, int height) {
  constexpr std::int64_t kMacroblock = 16;
  const std::int64_t wide = (width + kMacroblock - 1) / kMacroblock;
  const std::int64_t high = (height + kMacroblock - 1) / kMacroblock;
  return wide * high <= kMostMacroblocks && wide * wide <= 8 * kMostMacroblocks &&
         high * high <= 8 * kMostMacroblocks;
}

}  // namespace junctor
