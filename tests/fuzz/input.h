// SPDX-License-Identifier: LGPL-2.1-or-later
// What every fuzz target needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "common/bytes.h"

namespace junctor::fuzz {

inline ByteSpan input(const std::uint8_t *data, std::size_t size) {
  return {reinterpret_cast<const std::byte *>(data), size};
}

/// A finding: what must hold for any input does not.
inline void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace junctor::fuzz
