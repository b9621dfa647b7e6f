// SPDX-License-Identifier: LGPL-2.1-or-later
// The size of pictures, from an H.264 sequence parameter set.
#pragma once

#include <optional>

#include "common/bytes.h"

namespace junctor::rtmp {

struct PictureSize {
  int width = 0, height = 0;
};

/// The cropped size in luma samples, from a whole SPS NAL unit with its header byte (Rec. ITU-T
/// H.264 (08/2021), 7.3.2.1.1). Nothing for a truncated or impossible one, or one of more than
/// 16,384 samples a side.
std::optional<PictureSize> picture_size(ByteSpan sps);

}  // namespace junctor::rtmp
