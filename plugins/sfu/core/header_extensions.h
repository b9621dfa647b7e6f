// SPDX-License-Identifier: LGPL-2.1-or-later
// What of an RTP header's extension a relay may read, though the payload is encrypted (RFC 8285).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/bytes.h"

namespace junctor::sfu {

/// The number that each has in a leg's packets, from its offer and answer; 0: it has none.
struct ExtensionNumbers {
  std::uint8_t transport_cc = 0;           ///< draft-holmer-rmcat-transport-wide-cc-extensions-01
  std::uint8_t audio_level = 0;            ///< RFC 6464
  std::uint8_t mid = 0;                    ///< RFC 9143
  std::uint8_t rid = 0;                    ///< RFC 8852
  std::uint8_t frame_marking = 0;          ///< draft-ietf-avtext-framemarking-16
  std::uint8_t dependency_descriptor = 0;  ///< AV1 RTP specification, appendix A
  bool any() const {
    return transport_cc || audio_level || mid || rid || frame_marking || dependency_descriptor;
  }
};

/// "transport-cc", "audio-level", "mid", "rid", "frame-marking", "dependency-descriptor"; null for
/// others.
std::uint8_t *number_of(ExtensionNumbers &numbers, std::string_view name);

struct ExtensionValues {
  std::optional<std::uint16_t> transport_number;
  std::optional<std::uint8_t> audio_level;  ///< 0 the loudest, 127 silence, in -dBov
  ByteSpan mid, rid;                        ///< in the packet
  bool key_frame = false;                   ///< the first packet of one, as far as it is told
};

/// `profile` and `extension` as PacketView has them. What contradicts itself is left out.
ExtensionValues read_extensions(std::uint16_t profile, ByteSpan extension,
                                const ExtensionNumbers &numbers);

}  // namespace junctor::sfu
