// SPDX-License-Identifier: LGPL-2.1-or-later
// From one law of ITU-T G.711 to the other.
#include "rtp/core/g711.h"

#include <array>

namespace junctor::rtp {

namespace {

using Table = std::array<std::uint8_t, 256>;

/// Table 2a of the recommendation, in 16 bits: bit 8 is the sign, then segment and step; even bits
/// are inverted on the wire.
constexpr int from_alaw(int code) {
  const int bits = code ^ 0x55, segment = bits >> 4 & 7;
  const int step = (bits & 15) << 4;
  const int size = segment == 0 ? step + 8 : (step + 0x108) << (segment - 1);
  return bits & 0x80 ? size : -size;
}

/// Table 1a/2b: all bits inverted, and a bias of 33 (here 33 << 2) below each segment.
constexpr int from_ulaw(int code) {
  const int bits = ~code & 0xff, segment = bits >> 4 & 7;
  const int size = ((((bits & 15) << 3) + 0x84) << segment) - 0x84;
  return bits & 0x80 ? -size : size;
}

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
