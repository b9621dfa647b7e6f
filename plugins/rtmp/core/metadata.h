// SPDX-License-Identifier: LGPL-2.1-or-later
// onMetaData.
#pragma once

#include <optional>

#include "rtmp/core/command.h"
#include "rtmp/core/media.h"
#include "rtmp/core/tag.h"

namespace junctor::rtmp {

/// What a publisher says about its stream; hints only, the tags decide. 0 where it is silent.
struct Metadata {
  int width = 0, height = 0;
  double framerate = 0;
  int audio_rate = 0;      ///< Hz
  int audio_channels = 0;  ///< from "stereo" or "audiochannels"
};

/// Nothing if `data` is no onMetaData. Values beyond reason (16,384 pixels, 1,000 frames a second,
/// 192 kHz) are dropped.
std::optional<Metadata> parse_metadata(const Data &data);

/// onMetaData that announces just these tracks: ffmpeg waits for a track that is announced.
Data make_metadata(const std::optional<Track> &audio, const std::optional<Track> &video,
                   TagStyle style = TagStyle::Legacy);

}  // namespace junctor::rtmp
