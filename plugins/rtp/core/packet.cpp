// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/packet.h"

#include <algorithm>

namespace junctor::rtp {

namespace {

constexpr unsigned kVersion = 2;

unsigned octet(ByteSpan bytes, std::size_t index) {
  return std::to_integer<unsigned>(bytes[index]);
}

}  // namespace

std::optional<PacketView> parse_header(ByteSpan bytes) {
  if (bytes.size() < kFixedHeaderSize || octet(bytes, 0) >> 6 != kVersion) return std::nullopt;
  const bool has_extension = octet(bytes, 0) & 0x10;
  PacketView view;
  view.csrc_count = octet(bytes, 0) & 0x0f;
  ByteReader reader(bytes);
  reader.skip(1);
  const std::uint8_t second = reader.u8();
  view.header.marker = second & 0x80;
  view.header.payload_type = second & 0x7f;
  view.header.sequence = reader.u16();
  view.header.timestamp = reader.u32();
  view.header.ssrc = reader.u32();
  for (std::size_t i = 0; i < view.csrc_count; ++i) view.csrc[i] = reader.u32();
  if (has_extension) {
    view.extension_profile = reader.u16();
    const std::size_t words = reader.u16();
    view.extension = reader.take(words * 4);
  }
  if (reader.failed()) return std::nullopt;
  view.header_size = bytes.size() - reader.left();
  view.payload = reader.rest();
  return view;
}

std::optional<PacketView> parse_packet(ByteSpan datagram) {
  auto view = parse_header(datagram);
  if (!view) return std::nullopt;
  if (octet(datagram, 0) & 0x20) {
    if (view->payload.empty()) return std::nullopt;
    const std::size_t padding = octet(view->payload, view->payload.size() - 1);
    if (padding == 0 || padding > view->payload.size()) return std::nullopt;
    view->payload = view->payload.first(view->payload.size() - padding);
  }
  return view;
}

bool looks_like_rtcp(ByteSpan datagram) {
  if (datagram.size() < 4 || octet(datagram, 0) >> 6 != kVersion) return false;
  const unsigned type = octet(datagram, 1);
  return type >= 192 && type <= 223;
}

std::array<std::byte, kFixedHeaderSize> build_header(const Header &header) {
  const auto byte = [](std::uint32_t value) { return static_cast<std::byte>(value & 0xff); };
  return {byte(kVersion << 6),          byte((header.marker ? 0x80U : 0U) | header.payload_type),
          byte(header.sequence >> 8U),  byte(header.sequence),
          byte(header.timestamp >> 24), byte(header.timestamp >> 16),
          byte(header.timestamp >> 8),  byte(header.timestamp),
          byte(header.ssrc >> 24),      byte(header.ssrc >> 16),
          byte(header.ssrc >> 8),       byte(header.ssrc)};
}

Bytes build_packet(const Header &header, ByteSpan payload, const PacketExtras &extras) {
  const auto fixed = build_header(header);
  Bytes packet(fixed.begin(), fixed.end());
  const std::size_t csrcs = std::min<std::size_t>(extras.csrc.size(), 15);
  packet[0] |= static_cast<std::byte>(csrcs | (extras.extension_profile ? 0x10U : 0U) |
                                      (extras.padding > 0 ? 0x20U : 0U));
  ByteWriter writer(packet);
  for (std::size_t i = 0; i < csrcs; ++i) writer.u32(extras.csrc[i]);
  if (extras.extension_profile)
    writer.u16(*extras.extension_profile).u16(extras.extension.size() / 4).raw(extras.extension);
  writer.raw(payload);
  if (extras.padding > 0) {
    packet.resize(packet.size() + extras.padding - 1U, std::byte{0});
    writer.u8(extras.padding);
  }
  return packet;
}

}  // namespace junctor::rtp
