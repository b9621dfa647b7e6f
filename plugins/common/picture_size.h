// SPDX-License-Identifier: LGPL-2.1-or-later
// The size of pictures, from an H.264 sequence parameter set, and how large they may be.
#pragma once

#include <cstdint>
#include <optional>

#include "common/bytes.h"

namespace junctor {

struct PictureSize {
  int width = 0, height = 0;              ///< cropped, in luma samples
  int coded_width = 0, coded_height = 0;  ///< in whole macroblocks: what a decoder has memory for
};

/// Whether the payload of the SPS is read with its emulation prevention bytes (Rec. ITU-T H.264
/// (08/2021), 7.4.1) taken out, as it should be, or as it stands, as decoders do that find nothing
/// in it otherwise.
enum class SpsPayload : std::uint8_t { Unescaped, AsItStands };

/// From a whole SPS NAL unit with its header byte (7.3.2.1.1). Nothing for a truncated or
/// impossible one, or one of more than 2^24 samples a side.
std::optional<PictureSize> picture_size(ByteSpan sps, SpsPayload payload = SpsPayload::Unescaped);

/// MaxFS of level 5.1 (table A-1), in macroblocks: 4096x2304.
inline constexpr int kMostMacroblocks = 36864;
inline constexpr const char *kMostSamples = "4096x2304";

/// Whether pictures of this size may be decoded here, which takes memory and time by their size:
/// no more than kMostMacroblocks, and no side longer than that level allows (A.3.1: the root of
/// 8 MaxFS, 8,688 samples). Of any codec; in samples.
bool may_be_decoded(int width, int height);

}  // namespace junctor
