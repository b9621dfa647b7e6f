// SPDX-License-Identifier: LGPL-2.1-or-later
// Numbers that wrap on the wire, made whole again.
#pragma once

#include <cstdint>
#include <type_traits>

namespace junctor {

/// The number whose low bits are `wire` and that is nearest to `reference`; half a turn away it is
/// the one before.
template <class Wire>
constexpr std::int64_t nearest(std::int64_t reference, Wire wire) {
  static_assert(std::is_unsigned_v<Wire> && sizeof(Wire) < sizeof reference);
  const auto step =
      static_cast<std::make_signed_t<Wire>>(static_cast<Wire>(wire - static_cast<Wire>(reference)));
  return reference + step;
}

}  // namespace junctor
