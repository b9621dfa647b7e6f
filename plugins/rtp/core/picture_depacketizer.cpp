// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/picture_depacketizer.h"

#include <utility>

#include "common/bit_reader.h"

namespace junctor::rtp {

Result<void> PictureDepacketizer::add(const IncomingPacket &packet,
                                      std::vector<UnpackedFrame> &frames) {
  if (packet.new_source || packet.discontinuity) {
    broken_ |= packet.discontinuity || open_;
    open_ = false;
    if (packet.new_source) {
      timestamp_.reset();
      keyed_ = !needs_key_;
    }
  }
  // Nobody has said that it is the last part, but there is none any more.
  if (timestamp_ && *timestamp_ != packet.extended_timestamp)
    finish(static_cast<std::int64_t>(*timestamp_ - packet.extended_timestamp), frames);
  timestamp_ = packet.extended_timestamp;
  auto taken = take(packet.packet.view.subspan(packet.header_size, packet.payload_size));
  if (!taken) {
    open_ = false;
    broken_ = true;
  }
  if (packet.marker) finish(0, frames);
  return taken;
}

Result<void> PictureDepacketizer::take(ByteSpan payload) {
  // Empty ones keep a NAT's binding open, and have no picture.
  if (payload.empty()) return {};
  const auto part = read(payload);
  if (!part) return part.error();
  if (part->begins) {
    broken_ |= open_;
    open_ = true;
    picture_.clear();
  }
  // The beginning is missing.
  if (!open_) {
    broken_ = true;
    return {};
  }
  if (picture_.size() + part->zeros_left + part->bytes.size() > kMostBytes)
    return bad_input("a picture of more than 4 MiB");
  picture_.resize(picture_.size() + part->zeros_left);
  picture_.insert(picture_.end(), part->bytes.begin(), part->bytes.end());
  return {};
}

void PictureDepacketizer::finish(std::int64_t offset, std::vector<UnpackedFrame> &frames) {
  timestamp_.reset();
  if (!std::exchange(open_, false) || picture_.empty()) return;
  const std::size_t usual = picture_.size();
  UnpackedFrame frame;
  frame.key = is_key(picture_);
  keyed_ |= frame.key;
  dropped_ = !keyed_;
  if (dropped_) {
    broken_ = true;
    return;
  }
  frame.data = SharedBytes::own(std::exchange(picture_, {}));
  picture_.reserve(usual);
  frame.offset = offset;
  frame.discontinuity = std::exchange(broken_, false);
  frames.push_back(std::move(frame));
}

/// The payload descriptor (section 4.2): X, S and PID; with X there are I, L, T and K, which tell
/// what else there is.
Result<PictureDepacketizer::Part> Vp8Depacketizer::read(ByteSpan payload) const {
  ByteReader reader(payload);
  const std::uint8_t first = reader.u8();
  if ((first & 0x80) != 0) {
    const std::uint8_t more = reader.u8();
    if ((more & 0x80) != 0 && (reader.u8() & 0x80) != 0) reader.u8();  // PictureID, of 7 or 15 bits
    if ((more & 0x40) != 0) reader.u8();                               // TL0PICIDX
    if ((more & 0x30) != 0) reader.u8();                               // TID, Y and KEYIDX
  }
  if (reader.failed() || reader.left() == 0)
    return bad_input("a payload descriptor of VP8 that is longer than its packet");
  return Part{reader.rest(), (first & 0x17) == 0x10};
}

/// RFC 6386, section 9.1.
bool Vp8Depacketizer::is_key(ByteSpan picture) const {
  return (std::to_integer<int>(picture[0]) & 1) == 0;
}

/// The header (section 5.1): P, V, PLEN. Where P is set two bytes of 0 are left out in front of a
/// start code; that of a picture has no group number (Rec. ITU-T H.263, 5.1.1 and 5.2.3).
Result<PictureDepacketizer::Part> H263PlusDepacketizer::read(ByteSpan payload) const {
  ByteReader reader(payload);
  const std::uint16_t header = reader.u16();
  const bool starts = (header & 0x400) != 0;
  if ((header & 0x200) != 0) reader.u8();  // VRC
  reader.take(header >> 3 & 0x3f);         // the picture's header once more
  if (reader.failed()) return bad_input("a header of H.263 that is longer than its packet");
  const ByteSpan bytes = reader.rest();
  const bool picture =
      starts && !bytes.empty() && (std::to_integer<std::uint8_t>(bytes[0]) & 0xfc) == 0x80;
  return Part{bytes, picture, starts ? std::size_t{2} : 0};
}

/// Rec. ITU-T H.263, 5.1.3 and 5.1.4.
bool H263PlusDepacketizer::is_key(ByteSpan picture) const {
  constexpr std::uint32_t kExtended = 7, kAll = 1;
  BitReader reader(picture);
  reader.bits(22);     // the start code
  reader.bits(8 + 5);  // the temporal reference, the first five of PTYPE
  if (reader.bits(3) != kExtended) return !reader.flag() && !reader.failed();
  if (reader.bits(3) == kAll) reader.bits(18);  // UFEP, OPPTYPE
  return reader.bits(3) == 0 && !reader.failed();
}

}  // namespace junctor::rtp
