// SPDX-License-Identifier: LGPL-2.1-or-later
// Samples of both laws of ITU-T G.711 as linear ones of 16 bits, and back.
#pragma once

#include <bit>
#include <cstdint>

namespace junctor::g711 {

/// Table 2a of the recommendation, in 16 bits: bit 8 is the sign, then segment and step; even bits
/// are inverted on the wire. `code` is from 0 to 255.
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

/// The sample of A-law whose step `linear` lies in, from -32768 to 32767.
constexpr std::uint8_t to_alaw(int linear) {
  // One's complement, for both signs have as many values.
  const unsigned size = static_cast<unsigned>(linear < 0 ? ~linear : linear) >> 4;
  unsigned bits = size;
  if (size > 15) {
    const auto segment = static_cast<unsigned>(std::bit_width(size)) - 4;
    bits = segment << 4 | (size >> (segment - 1) & 15);
  }
  return static_cast<std::uint8_t>((bits | (linear < 0 ? 0 : 0x80)) ^ 0x55);
}

/// The sample of µ-law whose step `linear` lies in; what is beyond its range, 32635, is its
/// largest.
constexpr std::uint8_t to_ulaw(int linear) {
  constexpr unsigned kBias = 33, kLargest = 0x1fff;
  unsigned size = (static_cast<unsigned>(linear < 0 ? ~linear : linear) >> 2) + kBias;
  if (size > kLargest) size = kLargest;
  const auto segment = static_cast<unsigned>(std::bit_width(size)) - 6;
  const unsigned bits = segment << 4 | (size >> (segment + 1) & 15);
  return static_cast<std::uint8_t>(~(bits | (linear < 0 ? 0x80 : 0)));
}

}  // namespace junctor::g711
