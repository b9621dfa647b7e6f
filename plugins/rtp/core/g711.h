// SPDX-License-Identifier: LGPL-2.1-or-later
// From one law of ITU-T G.711 to the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "common/codec.h"

namespace junctor::rtp {

/// How the payload of one format becomes another's, byte by byte.
enum class Conversion : std::uint8_t { None, AlawToUlaw, UlawToAlaw };

/// What makes `from` pass for `to`; nothing if that takes a decoder.
std::optional<Conversion> conversion(Codec from, Codec to);

/// Each sample as the nearest one that the other law has; of two, the louder.
void convert(Conversion conversion, std::span<std::byte> samples);

}  // namespace junctor::rtp
