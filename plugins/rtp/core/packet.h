// SPDX-License-Identifier: LGPL-2.1-or-later
// One RTP packet on the wire (RFC 3550 section 5.1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/bytes.h"

namespace junctor::rtp {

inline constexpr std::size_t kFixedHeaderSize = 12;

/// The fixed part of a header.
struct Header {
  std::uint8_t payload_type = 0;  ///< 0 to 127
  bool marker = false;
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::uint32_t ssrc = 0;
};

/// A parsed packet; the spans point into what was parsed.
struct PacketView {
  Header header;
  std::size_t csrc_count = 0;
  std::array<std::uint32_t, 15> csrc{};
  std::optional<std::uint16_t> extension_profile;  ///< section 5.3.1
  ByteSpan extension;                              ///< without its four-byte head
  std::size_t header_size = kFixedHeaderSize;      ///< with CSRCs and extension
  ByteSpan payload;                                ///< without padding
};

/// Nothing for another version, for a datagram too short for what its header says, and for padding
/// longer than the payload.
std::optional<PacketView> parse_packet(ByteSpan datagram);

/// Like parse_packet() for the first memory of a packet whose payload lies elsewhere: padding is
/// not looked at, `payload` is what follows the header here.
std::optional<PacketView> parse_header(ByteSpan bytes);

/// Whether a datagram on a shared port is RTCP (RFC 5761 section 4).
bool looks_like_rtcp(ByteSpan datagram);

/// The fixed header alone, without CSRCs, extension and padding.
std::array<std::byte, kFixedHeaderSize> build_header(const Header &header);

/// What a whole packet has beyond its header and payload.
struct PacketExtras {
  std::vector<std::uint32_t> csrc;  ///< at most 15
  std::optional<std::uint16_t> extension_profile;
  ByteSpan extension;        ///< a multiple of four bytes
  std::uint8_t padding = 0;  ///< bytes to add, the count byte among them
};
Bytes build_packet(const Header &header, ByteSpan payload, const PacketExtras &extras = {});

}  // namespace junctor::rtp
