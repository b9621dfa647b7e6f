// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/picture.h"

#include <array>
#include <string>

#include "common/bit_reader.h"

namespace junctor::rtmp {

namespace {

struct Size {
  int width, height;
};

/// H.263 table 1 and 5.1.3: source formats 1 to 5.
constexpr std::array<Size, 6> kH263Sizes{
    {{0, 0}, {128, 96}, {176, 144}, {352, 288}, {704, 576}, {1408, 1152}}};
/// PictureSize 2 to 6 of a Sorenson picture.
constexpr std::array<Size, 7> kSorensonSizes{
    {{0, 0}, {0, 0}, {352, 288}, {176, 144}, {128, 96}, {320, 240}, {160, 120}}};

constexpr unsigned kExtendedType = 7;  // source format: PLUSPTYPE follows
constexpr unsigned kCustomFormat = 6;  // of OPPTYPE

/// H.263 5.1.4: what follows PTYPE where its source format is "extended".
std::optional<CodedPicture> parse_plus_type(BitReader &bits) {
  CodedPicture picture;
  const bool full = bits.bits(3) == 1;  // UFEP: else only MPPTYPE, and the size is as before
  unsigned format = 0;
  if (full) {
    format = bits.bits(3);
    bits.bits(15);
  }
  const unsigned type = bits.bits(3);  // MPPTYPE
  bits.bits(6);
  picture.key = type == 0;
  picture.droppable = type == 3;  // a B picture
  if (format >= 1 && format < kH263Sizes.size()) {
    picture.width = kH263Sizes[format].width;
    picture.height = kH263Sizes[format].height;
  } else if (format == kCustomFormat) {
    if (bits.flag()) bits.bits(2);  // CPM, PSBI
    bits.bits(4);                   // pixel aspect ratio
    picture.width = static_cast<int>(bits.bits(9) + 1) * 4;
    bits.flag();
    picture.height = static_cast<int>(bits.bits(9)) * 4;
  }
  if (bits.failed()) return std::nullopt;
  return picture;
}

}  // namespace

std::optional<CodedPicture> parse_h263_picture(ByteSpan bytes) {
  BitReader bits(bytes);
  if (bits.bits(22) != 0x20) return std::nullopt;  // start code
  bits.bits(8);                                    // temporal reference
  if (bits.bits(2) != 2) return std::nullopt;      // always 1 and 0
  bits.bits(3);
  const unsigned format = bits.bits(3);
  if (format == kExtendedType) return parse_plus_type(bits);
  if (format == 0 || format >= kH263Sizes.size()) return std::nullopt;
  CodedPicture picture{.width = kH263Sizes[format].width, .height = kH263Sizes[format].height};
  picture.key = !bits.flag();
  if (bits.failed()) return std::nullopt;
  return picture;
}

std::optional<CodedPicture> parse_sorenson_picture(ByteSpan bytes) {
  BitReader bits(bytes);
  if (bits.bits(17) != 1) return std::nullopt;  // start code
  if (bits.bits(5) > 1) return std::nullopt;    // version
  bits.bits(8);                                 // temporal reference
  const unsigned size = bits.bits(3);
  CodedPicture picture;
  if (size < 2) {
    const int width = size == 0 ? 8 : 16;
    picture.width = static_cast<int>(bits.bits(width));
    picture.height = static_cast<int>(bits.bits(width));
  } else if (size < kSorensonSizes.size()) {
    picture.width = kSorensonSizes[size].width;
    picture.height = kSorensonSizes[size].height;
  } else {
    return std::nullopt;
  }
  const unsigned type = bits.bits(2);
  picture.key = type == 0;
  picture.droppable = type == 2;
  if (bits.failed() || type == 3) return std::nullopt;
  return picture;
}

Result<CodedPicture> parse_vp8_picture(ByteSpan frame) {
  ByteReader reader(frame);
  CodedPicture picture;
  picture.key = (reader.u8() & 1) == 0;
  reader.skip(2);
  if (picture.key) {
    const std::uint32_t start = reader.u24();
    const auto size = [&reader] {
      const std::uint32_t low = reader.u8();
      return static_cast<int>(low | (reader.u8() & 0x3fu) << 8);
    };
    picture.width = size();
    picture.height = size();
    if (!reader.failed() && start != 0x9d012a)
      return bad_input("A VP8 key frame has no start code.");
  }
  if (reader.failed())
    return bad_input("A VP8 frame ends after " + std::to_string(frame.size()) +
                     " bytes, inside its header.");
  return picture;
}

std::size_t h263_padding(ByteSpan picture) {
  std::size_t zeros = 0;
  while (zeros < picture.size() && picture[picture.size() - 1 - zeros] == std::byte{0}) ++zeros;
  return zeros >= 6 ? 6 : zeros >= 4 ? 4 : 0;
}

std::optional<CodedPicture> parse_picture(Codec codec, ByteSpan picture) {
  switch (codec) {
    case Codec::H263:
      return parse_h263_picture(picture);
    case Codec::Sorenson:
      return parse_sorenson_picture(picture);
    case Codec::Vp8: {
      const auto parsed = parse_vp8_picture(picture);
      return parsed ? std::optional(*parsed) : std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace junctor::rtmp
