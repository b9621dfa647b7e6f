// SPDX-License-Identifier: LGPL-2.1-or-later
// Samples of G.711 by the packet.
#pragma once

#include <cstdint>
#include <span>

namespace junctor::sound {

/// How a sample of one byte is to be read.
enum class Law : std::uint8_t { A, U };

/// Each sample of `from` in 16 bits. `to` has room for as many.
void expand(Law law, std::span<const std::uint8_t> from, std::span<std::int16_t> to);

/// The one of the law for each. `to` has room for as many.
void compress(Law law, std::span<const std::int16_t> from, std::span<std::uint8_t> to);

}  // namespace junctor::sound
