// SPDX-License-Identifier: LGPL-2.1-or-later
// Which coded pictures a decoder may be given.
#pragma once

#include <string>

#include "common/bytes.h"
#include "common/codec.h"
#include "rtmp/core/server.h"

namespace junctor::pictures {

/// Looks at the coded pictures of one track on their way to a decoder, whose memory and time grow
/// with the size that they tell: none that is larger than may_be_decoded() reaches it, nor what
/// follows until a size that may is told. A decoder of H.264 learns sizes from parameter sets
/// alone: it gets no set that is too large, or whose size cannot be told.
class PictureBound {
 public:
  explicit PictureBound(Codec codec) : codec_(codec) {}

  /// The configuration record (H.264) from here on. Whether the decoder may have it.
  bool configure(ByteSpan record);
  /// The next picture, H.264 with NAL units as configured. Whether the decoder may have it.
  bool admit(ByteSpan picture);
  /// The size of the last that was too large, as in "16000x16000"; empty for none, or where it is
  /// not known.
  const std::string &too_large() const { return too_large_; }

 private:
  bool fits(ByteSpan sps);
  bool fits(int width, int height);

  const Codec codec_;
  int nal_length_size_ = 0;  ///< 0: not configured
  bool open_ = false;
  std::string too_large_;
};

/// Of a track's pictures, as far as it is told with the track: their size if that is beyond
/// may_be_decoded(), as in "16000x16000"; else empty.
std::string too_large_to_decode(const rtmp::Track &track);

}  // namespace junctor::pictures
