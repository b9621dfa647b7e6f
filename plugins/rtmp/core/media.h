// SPDX-License-Identifier: LGPL-2.1-or-later
// Tracks and frames, as they flow between RTMP and the rest.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/codec.h"

namespace junctor::rtmp {

/// One track of a stream. `config` is the decoder configuration: AVCDecoderConfigurationRecord for
/// H264, AudioSpecificConfig for AAC, empty for codecs that need none.
struct Track {
  Codec codec = Codec::H264;
  SharedBytes config;
  int rate = 0;               ///< audio: Hz
  int channels = 0;           ///< audio
  int width = 0, height = 0;  ///< video: from the pictures, else metadata; 0 if not told
};

/// Whether both say the same to a decoder and in metadata.
inline bool same_track(const Track &a, const Track &b) {
  return a.codec == b.codec && a.rate == b.rate && a.channels == b.channels && a.width == b.width &&
         a.height == b.height && std::ranges::equal(a.config.view, b.config.view);
}

/// One access unit of one medium, as the elementary stream has it (H264: length-prefixed NAL
/// units).
struct Frame {
  Medium medium = Medium::Video;
  bool key = false;              ///< video: starts a decodable picture
  bool droppable = false;        ///< video: no other picture refers to it
  std::int64_t dts = 0;          ///< ms, on the publisher's clock
  std::int32_t composition = 0;  ///< ms to add for the PTS
  /// How long its last byte had been in the kernel when it was read; not set where frames are made.
  Duration waited{};
  SharedBytes data;
};

}  // namespace junctor::rtmp
