// SPDX-License-Identifier: LGPL-2.1-or-later
// What a datagram on a shared port is, by its first byte (RFC 7983, RFC 5761).
#pragma once

#include <cstdint>

#include "common/bytes.h"
#include "rtp/core/packet.h"

namespace junctor::rtp {

enum class PacketKind : std::uint8_t { Stun, Zrtp, Dtls, TurnChannel, Rtp, Rtcp, Unknown };

/// Tells apart what may share a port; says nothing about whether it is well formed.
inline PacketKind packet_kind(ByteSpan datagram) {
  if (datagram.empty()) return PacketKind::Unknown;
  const auto first = std::to_integer<unsigned>(datagram[0]);
  if (first < 4) return PacketKind::Stun;
  if (first >= 16 && first < 20) return PacketKind::Zrtp;
  if (first >= 20 && first < 64) return PacketKind::Dtls;
  if (first >= 64 && first < 80) return PacketKind::TurnChannel;
  if (first >= 128 && first < 192)
    return looks_like_rtcp(datagram) ? PacketKind::Rtcp : PacketKind::Rtp;
  return PacketKind::Unknown;
}

}  // namespace junctor::rtp
