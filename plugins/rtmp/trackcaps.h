// SPDX-License-Identifier: LGPL-2.1-or-later
// Tracks as caps, and bytes as buffers.
#pragma once

#include <gst/gst.h>

#include "common/result.h"
#include "rtmp/core/media.h"

namespace junctor::rtmp {

/// What the pads of both elements carry, as pad templates write it. Speex streams begin with their
/// two Ogg header packets, flagged as headers and in the caps' `streamheader`.
#define JUNCTOR_RTMP_AUDIO_CAPS                                 \
  "audio/mpeg, mpegversion=(int)4, stream-format=(string)raw; " \
  "audio/x-alaw, rate=(int)8000, channels=(int)[1, 2]; "        \
  "audio/x-mulaw, rate=(int)8000, channels=(int)[1, 2]; "       \
  "audio/x-speex, rate=(int)16000, channels=(int)1"
#define JUNCTOR_RTMP_VIDEO_CAPS                                           \
  "video/x-h264, stream-format=(string)avc, alignment=(string)au; "       \
  "video/x-vp8; video/x-h263, variant=(string)itu; video/x-flash-video, " \
  "flvversion=(int)1"

/// Fixed caps of a track, owned by the caller. BadInput for a configuration that is not one.
Result<GstCaps *> caps_of(const Track &track);

/// The track that fixed caps describe. BadInput says what is missing.
Result<Track> track_of(const GstCaps *caps);

/// The bytes of `buffer`, which they hold. Copies only if the buffer is of several memories. Empty
/// if it cannot be read.
SharedBytes unwrap(GstBuffer *buffer);

}  // namespace junctor::rtmp
