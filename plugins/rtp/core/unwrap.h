// SPDX-License-Identifier: LGPL-2.1-or-later
// Counters that wrap on the wire, made to rise for ever.
#pragma once

#include <cstdint>
#include <optional>

#include "common/unwrap.h"

namespace junctor::rtp {

/// Extends 16- or 32-bit counters to 64 bits: each value is taken as the one nearest to the last.
/// The first becomes itself plus one whole turn, so that earlier ones stay positive.
template <class Wire>
class Unwrapper {
 public:
  /// The extended value; does not move.
  std::uint64_t peek(Wire value) const {
    if (!last_) return kTurn + value;
    return static_cast<std::uint64_t>(nearest(static_cast<std::int64_t>(*last_), value));
  }
  std::uint64_t push(Wire value) {
    const std::uint64_t extended = peek(value);
    // Only forward: a straggler must not drag the reference back.
    if (!last_ || extended > *last_) last_ = extended;
    return extended;
  }
  void reset() { last_.reset(); }
  bool started() const { return last_.has_value(); }

 private:
  static constexpr std::uint64_t kTurn = std::uint64_t{1} << (8 * sizeof(Wire));
  std::optional<std::uint64_t> last_;
};

}  // namespace junctor::rtp
