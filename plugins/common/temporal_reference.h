// SPDX-License-Identifier: LGPL-2.1-or-later
// When a picture of the H.263 family is shown, as its header says it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "common/bytes.h"

namespace junctor {

/// The temporal reference of a coded picture (Rec. ITU-T H.263, 5.1.2): eight bits behind the 22 of
/// the picture start code, or, of Sorenson H.263, behind the 17 of its start code and the five of
/// its version (SWF file format specification, "H.263 Video Bitstream Format": the same field).
/// Nothing where the bytes do not begin with such a picture.
std::optional<std::uint8_t> temporal_reference(ByteSpan picture);

/// Writes it. False, and nothing is changed, where the bytes do not begin with such a picture.
bool set_temporal_reference(std::span<std::byte> picture, std::uint8_t value);

/// Counts in the picture clock of H.263, 30000/1001 a second: a reference is that of the picture
/// before, plus one, plus what was left out between the two.
class PictureClock {
 public:
  /// The reference of the next picture, shown at `time`, which counts from anywhere: the first
  /// has 0. Pictures that come faster than the clock, or with no later time, are one apart.
  std::uint8_t next(std::chrono::nanoseconds time);

 private:
  bool begun_ = false;
  std::int64_t last_ = 0;
  std::int64_t ahead_ = 0;  // of what the times say
};

}  // namespace junctor
