// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/h264_depacketizer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/avc.h"
#include "common/bit_reader.h"

namespace junctor::rtp {

namespace {

constexpr std::uint8_t kTypeMask = 0x1f;
constexpr std::uint8_t kIdr = 5, kSps = 7, kPps = 8, kLastSingle = 23, kStapA = 24, kFuA = 28;
constexpr std::uint8_t kStart = 0x80, kEnd = 0x40;  // of a fragment's header
constexpr std::size_t kLength = 4;
constexpr std::size_t kSpsIdAt = 4, kPpsIdAt = 1;  // bytes
/// Of an id, as the standard allows (Rec. ITU-T H.264, 7.4.2.1.1 and 7.4.2.2), and in a record.
constexpr std::uint32_t kSpsIds = 32, kPpsIds = 256;
constexpr std::size_t kMostSps = 31, kMostPps = 255;
/// Of a parameter set: several times what one with all scaling lists and VUI has.
constexpr std::size_t kMostSetBytes = 1024;

std::uint8_t type_of(ByteSpan unit) { return std::to_integer<std::uint8_t>(unit[0]) & kTypeMask; }

bool is_set(std::uint8_t type) { return type == kSps || type == kPps; }

/// The next ue(v); nothing for one that is none, or not below `end`.
std::optional<std::uint32_t> number_in(BitReader &reader, std::uint32_t end) {
  const std::int64_t number = reader.unsigned_golomb();
  if (reader.failed() || number >= end) return std::nullopt;
  return static_cast<std::uint32_t>(number);
}

/// The id that a parameter set has behind so many bytes; nothing for one that is none.
std::optional<std::uint32_t> id_of(ByteSpan set, std::size_t behind, std::uint32_t end) {
  if (set.size() <= behind) return std::nullopt;
  BitReader reader(set.subspan(behind));
  return number_in(reader, end);
}

/// The SPS that a PPS leans on.
std::optional<std::uint32_t> sps_of(ByteSpan pps) {
  BitReader reader(pps.subspan(kPpsIdAt));
  number_in(reader, kPpsIds);
  return number_in(reader, kSpsIds);
}

}  // namespace

H264Depacketizer::H264Depacketizer(std::span<const Bytes> parameter_sets) {
  for (const Bytes &set : parameter_sets)
    if (!set.empty() && is_set(type_of(set))) keep_set(set);
  configure();
}

Result<void> H264Depacketizer::add(const IncomingPacket &packet,
                                   std::vector<UnpackedFrame> &frames) {
  if (packet.new_source) {
    unit_.clear();
    key_ = false;
    open_.reset();
    timestamp_.reset();
  }
  if (packet.discontinuity) {
    drop_fragment();
    broken_ = true;
  }
  // The packet with the marker was lost, or there was none.
  if (timestamp_ && *timestamp_ != packet.extended_timestamp) {
    finish(static_cast<std::int64_t>(*timestamp_ - packet.extended_timestamp), frames);
    broken_ |= packet.discontinuity;
  }
  timestamp_ = packet.extended_timestamp;
  auto read = this->read(packet);
  if (!read) {
    drop_fragment();
    broken_ = true;
  }
  if (packet.marker) finish(0, frames);
  return read;
}

Result<void> H264Depacketizer::read(const IncomingPacket &packet) {
  // Empty ones keep a NAT's binding open, and have no picture.
  if (packet.payload_size == 0) return {};
  const ByteSpan payload = packet.packet.view.subspan(packet.header_size, packet.payload_size);
  const std::uint8_t type = type_of(payload);
  if (type == kFuA) return read_fragment(payload);
  close_fragment();
  if (type == kStapA) return read_aggregate(payload.subspan(1));
  if (type == 0 || type > kLastSingle)
    return bad_input("a payload of type " + std::to_string(type) +
                     ", which packetization modes 0 and 1 do not have");
  return put(payload);
}

/// RFC 6184, section 5.7.1.
Result<void> H264Depacketizer::read_aggregate(ByteSpan units) {
  ByteReader reader(units);
  // Some have a byte or two more than they say.
  while (reader.left() > sizeof(std::uint16_t)) {
    const ByteSpan unit = reader.take(reader.u16());
    if (reader.failed()) return bad_input("a NAL unit of a STAP-A that is longer than its packet");
    if (unit.empty()) continue;
    if (auto taken = put(unit); !taken) return taken;
  }
  return {};
}

/// RFC 6184, section 5.8.
Result<void> H264Depacketizer::read_fragment(ByteSpan payload) {
  if (payload.size() < 2) return bad_input("an FU-A without a header");
  const auto indicator = std::to_integer<std::uint8_t>(payload[0]);
  const auto header = std::to_integer<std::uint8_t>(payload[1]);
  const ByteSpan part = payload.subspan(2);
  if ((header & kStart) != 0) {
    close_fragment();
    open_ = unit_.size();
    const auto whole = static_cast<std::uint8_t>((indicator & ~kTypeMask) | (header & kTypeMask));
    ByteWriter(unit_).u32(0).u8(whole);
  }
  // Its beginning was lost.
  if (!open_) {
    broken_ = true;
    return {};
  }
  if (unit_.size() + part.size() > kMostBytes) return bad_input("a picture of more than 4 MiB");
  unit_.insert(unit_.end(), part.begin(), part.end());
  if ((header & kEnd) != 0) close_fragment();
  return {};
}

/// What follows is no part of it, though not all say which part is the last. None is missing in
/// between: drop_fragment() has been there otherwise.
void H264Depacketizer::close_fragment() {
  if (!open_) return;
  const std::size_t begin = *std::exchange(open_, std::nullopt);
  const ByteSpan unit = ByteSpan(unit_).subspan(begin + kLength);
  const std::uint8_t type = type_of(unit);
  if (is_set(type)) {
    keep_set(unit);
    unit_.resize(begin);
    return;
  }
  key_ |= type == kIdr;
  const std::size_t size = unit.size();
  for (std::size_t n = 0; n < kLength; ++n)
    unit_[begin + n] = static_cast<std::byte>(size >> (8 * (kLength - 1 - n)));
}

Result<void> H264Depacketizer::put(ByteSpan unit) {
  const std::uint8_t type = type_of(unit);
  if (is_set(type)) {
    keep_set(unit);
    return {};
  }
  if (unit_.size() + kLength + unit.size() > kMostBytes)
    return bad_input("a picture of more than 4 MiB");
  key_ |= type == kIdr;
  ByteWriter(unit_).u32(static_cast<std::uint32_t>(unit.size())).raw(unit);
  return {};
}

void H264Depacketizer::keep_set(ByteSpan unit) {
  if (unit.size() > kMostSetBytes) return;
  const bool is_sps = type_of(unit) == kSps;
  const auto id = is_sps ? id_of(unit, kSpsIdAt, kSpsIds) : id_of(unit, kPpsIdAt, kPpsIds);
  if (!id) return;
  Sets &sets = is_sps ? sps_ : pps_;
  // Some encoders number them anew with each keyframe: those before are of no use, then.
  if (!sets.contains(*id) && sets.size() == (is_sps ? kMostSps : kMostPps)) {
    if (is_sps) sps_.clear();
    pps_.clear();
  }
  Bytes &known = sets[*id];
  if (std::ranges::equal(known, unit)) return;
  known.assign(unit.begin(), unit.end());
  sets_new_ = true;
}

/// Whether there is another configuration now. A PPS whose SPS is not there would spoil it:
/// decoders read no further.
bool H264Depacketizer::configure() {
  if (!std::exchange(sets_new_, false)) return false;
  std::vector<ByteSpan> sps, pps;
  sps.reserve(sps_.size());
  pps.reserve(pps_.size());
  for (const auto &[id, set] : sps_) sps.emplace_back(set);
  for (const auto &[id, set] : pps_)
    if (const auto wanted = sps_of(set); wanted && sps_.contains(*wanted)) pps.emplace_back(set);
  auto config = build_avc_config(sps, pps);
  if (!config) return false;
  config_ = SharedBytes::own(*std::move(config));
  return true;
}

/// What there is of a unit of which a part is missing.
void H264Depacketizer::drop_fragment() {
  if (open_) unit_.resize(*std::exchange(open_, std::nullopt));
}

void H264Depacketizer::finish(std::int64_t offset, std::vector<UnpackedFrame> &frames) {
  timestamp_.reset();
  close_fragment();
  const bool key = std::exchange(key_, false);
  if (unit_.empty()) return;
  UnpackedFrame frame;
  if (configure()) frame.config = config_;
  dropped_ = config_.view.empty();
  if (dropped_) {
    unit_.clear();
    broken_ = true;
    return;
  }
  const std::size_t usual = unit_.size();
  frame.data = SharedBytes::own(std::exchange(unit_, {}));
  unit_.reserve(usual);
  frame.offset = offset;
  frame.key = key;
  frame.discontinuity = std::exchange(broken_, false);
  frames.push_back(std::move(frame));
}

}  // namespace junctor::rtp
