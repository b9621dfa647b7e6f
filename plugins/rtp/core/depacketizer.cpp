// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/depacketizer.h"

#include <string>
#include <utility>

#include "rtp/core/h264_depacketizer.h"
#include "rtp/core/picture_depacketizer.h"

namespace junctor::rtp {

namespace {

constexpr std::uint32_t kAacSamples = 1024;  // an access unit
constexpr std::size_t kAuHeaderBits = 16;    // sizelength 13, indexlength or indexdeltalength 3

enum class Packing { None, Samples, Whole, AuHeaders, NalUnits, Vp8, H263Plus };

Packing packing_of(const Format &format) {
  switch (format.codec) {
    case Codec::Pcma:
    case Codec::Pcmu:
      return Packing::Samples;
    case Codec::Speex:
      return Packing::Whole;
    case Codec::Aac:
      return format.encoding_name == "MPEG4-GENERIC" ? Packing::AuHeaders : Packing::None;
    case Codec::H264:
      return Packing::NalUnits;
    case Codec::Vp8:
      return Packing::Vp8;
    case Codec::H263:
      return format.encoding_name == "H263" ? Packing::None : Packing::H263Plus;
    default:
      return Packing::None;
  }
}

SharedBytes payload_of(const IncomingPacket &packet) {
  return {packet.packet.owner, packet.packet.view.subspan(packet.header_size, packet.payload_size)};
}

}  // namespace

std::unique_ptr<Depacketizer> make_depacketizer(const Format &format,
                                                std::span<const Bytes> parameter_sets) {
  const Packing packing = packing_of(format);
  switch (packing) {
    case Packing::Samples:
    case Packing::Whole:
      return std::make_unique<WholeDepacketizer>(packing == Packing::Samples);
    case Packing::AuHeaders:
      return std::make_unique<AacDepacketizer>();
    case Packing::NalUnits:
      return std::make_unique<H264Depacketizer>(parameter_sets);
    case Packing::Vp8:
      return std::make_unique<Vp8Depacketizer>();
    case Packing::H263Plus:
      return std::make_unique<H263PlusDepacketizer>();
    case Packing::None:
      break;
  }
  return nullptr;
}

bool has_depacketizer(const Format &format) { return packing_of(format) != Packing::None; }

Result<void> WholeDepacketizer::add(const IncomingPacket &packet,
                                    std::vector<UnpackedFrame> &frames) {
  // Empty ones keep a NAT's binding open, and have no sound.
  if (packet.payload_size == 0) return {};
  const auto samples = static_cast<std::uint32_t>(a_sample_a_byte_ ? packet.payload_size : 0);
  frames.push_back({payload_of(packet), 0, samples, packet.discontinuity});
  return {};
}

Result<void> AacDepacketizer::add(const IncomingPacket &packet,
                                  std::vector<UnpackedFrame> &frames) {
  if (packet.discontinuity || packet.new_source) {
    partial_.reset();
    broken_ |= packet.discontinuity;
  }
  auto read = this->read(packet, frames);
  if (!read) {
    partial_.reset();
    broken_ = true;
  }
  return read;
}

Result<void> AacDepacketizer::read(const IncomingPacket &packet,
                                   std::vector<UnpackedFrame> &frames) {
  if (packet.payload_size == 0) return {};
  const SharedBytes payload = payload_of(packet);
  ByteReader reader(payload.view);
  const std::size_t bits = reader.u16();
  if (bits == 0 || bits % kAuHeaderBits != 0)
    return bad_input("an AU header section of " + std::to_string(bits) +
                     " bits, which is no whole number of AAC-hbr's headers");
  sizes_.clear();
  std::size_t total = 0;
  for (std::size_t i = 0; i < bits / kAuHeaderBits && !reader.failed(); ++i) {
    const std::uint16_t header = reader.u16();
    // The first one's index says nothing where nothing is interleaved, and not all leave it 0.
    if (i > 0 && (header & 7) != 0) return bad_input("interleaved access units");
    sizes_.push_back(header >> 3);
    total += sizes_.back();
  }
  if (reader.failed()) return bad_input("an AU header section longer than its packet");
  if (sizes_.size() == 1 && total > reader.left())
    return add_part(packet, total, reader.rest(), frames);
  if (total > reader.left())
    return bad_input("access units of " + std::to_string(total) + " bytes, of which " +
                     std::to_string(reader.left()) + " are there");
  if (partial_) {
    partial_.reset();
    broken_ = true;
  }
  std::uint32_t offset = 0;
  for (const std::size_t size : sizes_) {
    if (size > 0) put({payload.owner, reader.take(size)}, offset, frames);
    offset += kAacSamples;
  }
  return {};
}

/// Each part is behind a header with the size of the whole; the marker is on the last one.
Result<void> AacDepacketizer::add_part(const IncomingPacket &packet, std::size_t size,
                                       ByteSpan part, std::vector<UnpackedFrame> &frames) {
  if (!partial_ || partial_->extended_timestamp != packet.extended_timestamp ||
      partial_->size != size) {
    broken_ |= partial_.has_value();
    partial_ = Partial{packet.extended_timestamp, size, broken_, {}};
  }
  ByteWriter(partial_->bytes).raw(part);
  const std::size_t there = partial_->bytes.size();
  if (there < size && packet.marker && partial_->torn) {
    partial_.reset();
    return {};
  }
  if (there > size || (there < size && packet.marker))
    return bad_input("parts of " + std::to_string(there) + " bytes of an access unit that has " +
                     std::to_string(size));
  if (there < size) return {};
  put(SharedBytes::own(std::move(partial_->bytes)), 0, frames);
  partial_.reset();
  return {};
}

void AacDepacketizer::put(SharedBytes data, std::uint32_t offset,
                          std::vector<UnpackedFrame> &frames) {
  frames.push_back({std::move(data), offset, kAacSamples, std::exchange(broken_, false)});
}

}  // namespace junctor::rtp
