// SPDX-License-Identifier: LGPL-2.1-or-later
// Pictures of libavcodec as GStreamer has them.
#pragma once

#include <gst/video/video.h>

#include <optional>

#include "common/gst/refs.h"

struct AVFrame;

namespace junctor::picture {

/// What caps say of a picture. `coming` is what the caps of the coded ones say: its rate, and where
/// the picture does not tell its own the shape of its samples. Nothing for a form that no row of
/// kFormats names.
std::optional<GstVideoInfo> info_of(const AVFrame &frame, const GstStructure *coming);

/// A read-only buffer on the planes of `frame`, which it holds, with a GstVideoMeta that says where
/// they lie. No copy. Null where they cannot be shared so.
BufferRef shared(const AVFrame &frame, const GstVideoInfo &info);

/// A buffer with a copy of `picture`, as shared() made it, whose planes lie as `info` says.
BufferRef packed(GstBuffer *picture, const GstVideoInfo &info);

}  // namespace junctor::picture
