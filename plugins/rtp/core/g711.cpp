// SPDX-License-Identifier: LGPL-2.1-or-later
// From one law of ITU-T G.711 to the other.
#include "rtp/core/g711.h"

#include <array>

#include "common/g711.h"

namespace junctor::rtp {

namespace {

using g711::from_alaw, g711::from_ulaw;
using Table = std::array<std::uint8_t, 256>;

constexpr int magnitude(int value) { return value < 0 ? -value : value; }

template <class From, class To>
constexpr Table table(From from, To to) {
  Table out{};
  for (int code = 0; code < 256; ++code) {
    const int wanted = from(code);
    int best = code;  // of the same sign, whatever its size
    for (int candidate = code & 0x80; candidate < (code & 0x80) + 0x80; ++candidate) {
      const int off = magnitude(to(candidate) - wanted), least = magnitude(to(best) - wanted);
      if (off < least || (off == least && magnitude(to(candidate)) > magnitude(to(best))))
        best = candidate;
    }
    out[static_cast<std::size_t>(code)] = static_cast<std::uint8_t>(best);
  }
  return out;
}

constexpr Table kAlawToUlaw = table(from_alaw, from_ulaw);
constexpr Table kUlawToAlaw = table(from_ulaw, from_alaw);

}  // namespace

std::optional<Conversion> conversion(Codec from, Codec to) {
  if (from == to) return Conversion::None;
  if (from == Codec::Pcma && to == Codec::Pcmu) return Conversion::AlawToUlaw;
  if (from == Codec::Pcmu && to == Codec::Pcma) return Conversion::UlawToAlaw;
  return std::nullopt;
}

void convert(Conversion conversion, std::span<std::byte> samples) {
  if (conversion == Conversion::None) return;
  const Table &table = conversion == Conversion::AlawToUlaw ? kAlawToUlaw : kUlawToAlaw;
  for (std::byte &sample : samples)
    sample = static_cast<std::byte>(table[std::to_integer<std::size_t>(sample)]);
}

}  // namespace junctor::rtp
