// SPDX-License-Identifier: LGPL-2.1-or-later
// Bits of configurations and of pictures' heads, most significant first.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/bytes.h"

namespace junctor {

/// Over bytes that outlive it. A read past the end yields 0 bits and sets failed(), for good.
class BitReader {
 public:
  explicit BitReader(ByteSpan bytes) : bytes_(bytes) {}

  bool flag() { return bits(1) != 0; }
  /// At most 32.
  std::uint32_t bits(int count) {
    std::uint32_t value = 0;
    for (; count > 0; --count, ++position_) {
      const std::size_t at = position_ / 8;
      if (at >= bytes_.size()) {
        failed_ = true;
        return 0;
      }
      value = value << 1 | (std::to_integer<std::uint32_t>(bytes_[at]) >> (7 - position_ % 8) & 1);
    }
    return value;
  }
  /// ue(v) of H.264 (Rec. ITU-T H.264, 9.1). 0 for one of more than 32 bits, which is none: what
  /// follows it means nothing and cannot be read.
  std::int64_t unsigned_golomb() {
    int zeros = 0;
    while (!flag()) {
      if (failed_) return 0;
      if (++zeros <= 32) continue;
      failed_ = true;
      return 0;
    }
    return (std::int64_t{1} << zeros) - 1 + bits(zeros);
  }
  /// se(v), 9.1.1.
  std::int64_t signed_golomb() {
    const std::int64_t code = unsigned_golomb();
    return code % 2 != 0 ? (code + 1) / 2 : -(code / 2);
  }
  /// How many are left.
  std::size_t left() const { return bytes_.size() * 8 - std::min(position_, bytes_.size() * 8); }
  bool failed() const { return failed_; }

 private:
  ByteSpan bytes_;
  std::size_t position_ = 0;
  bool failed_ = false;
};

}  // namespace junctor
