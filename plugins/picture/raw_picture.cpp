// SPDX-License-Identifier: LGPL-2.1-or-later
#include "picture/raw_picture.h"

#include <algorithm>
#include <array>

#include "picture/picture_formats.h"

extern "C" {
#include <libavutil/frame.h>
}

namespace junctor::picture {

namespace {

/// Full range is told by its own formats in older streams, and by `color_range` in all.
AVPixelFormat without_range(int format) {
  switch (format) {
    case AV_PIX_FMT_YUVJ420P:
      return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
      return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
      return AV_PIX_FMT_YUV444P;
    default:
      return static_cast<AVPixelFormat>(format);
  }
}

/// What the stream does not say stays as it is usual for the size.
void set_colours(GstVideoColorimetry &colours, const AVFrame &frame, AVPixelFormat format) {
  if (frame.color_range == AVCOL_RANGE_JPEG || format != frame.format)
    colours.range = GST_VIDEO_COLOR_RANGE_0_255;
  const auto matrix = gst_video_color_matrix_from_iso(static_cast<guint>(frame.colorspace));
  const auto transfer = gst_video_transfer_function_from_iso(static_cast<guint>(frame.color_trc));
  const auto primaries =
      gst_video_color_primaries_from_iso(static_cast<guint>(frame.color_primaries));
  if (matrix != GST_VIDEO_COLOR_MATRIX_UNKNOWN) colours.matrix = matrix;
  if (transfer != GST_VIDEO_TRANSFER_UNKNOWN) colours.transfer = transfer;
  if (primaries != GST_VIDEO_COLOR_PRIMARIES_UNKNOWN) colours.primaries = primaries;
}

/// Where the planes of a picture lie in the memories of a buffer, one behind the other.
struct Layout {
  std::array<gsize, GST_VIDEO_MAX_PLANES> offset{};
  std::array<gint, GST_VIDEO_MAX_PLANES> stride{};
};

}  // namespace

std::optional<GstVideoInfo> info_of(const AVFrame &frame, const GstStructure *coming) {
  const AVPixelFormat format = without_range(frame.format);
  const auto row = std::ranges::find(kFormats, format, &FormatPair::theirs);
  GstVideoInfo info;
  if (row == kFormats.end() ||
      !gst_video_info_set_format(&info, row->ours, static_cast<guint>(frame.width),
                                 static_cast<guint>(frame.height)))
    return std::nullopt;
  gst_structure_get_fraction(coming, "framerate", &info.fps_n, &info.fps_d);
  gst_structure_get_fraction(coming, "pixel-aspect-ratio", &info.par_n, &info.par_d);
  if (frame.sample_aspect_ratio.num > 0 && frame.sample_aspect_ratio.den > 0) {
    info.par_n = frame.sample_aspect_ratio.num;
    info.par_d = frame.sample_aspect_ratio.den;
  }
  if (frame.interlaced_frame != 0) info.interlace_mode = GST_VIDEO_INTERLACE_MODE_MIXED;
  if (GST_VIDEO_INFO_IS_YUV(&info)) set_colours(info.colorimetry, frame, format);
  return info;
}

BufferRef shared(const AVFrame &frame, const GstVideoInfo &info) {
  BufferRef buffer(gst_buffer_new());
  Layout layout;
  gsize total = 0;
  const guint planes = GST_VIDEO_INFO_N_PLANES(&info);
  for (guint plane = 0; plane < planes; ++plane) {
    AVBufferRef *holder =
        av_frame_get_plane_buffer(const_cast<AVFrame *>(&frame), static_cast<int>(plane));
    // Upside down, the first row is the last in memory.
    if (holder == nullptr || frame.linesize[plane] <= 0) return nullptr;
    const auto component = static_cast<guint>(info.finfo->plane[plane]);
    const auto rows = static_cast<gsize>(GST_VIDEO_INFO_COMP_HEIGHT(&info, component));
    const auto stride = static_cast<gsize>(frame.linesize[plane]);
    const auto begin = static_cast<gsize>(frame.data[plane] - holder->data);
    const gsize size = std::min(rows * stride, holder->size - begin);
    layout.offset[plane] = total;
    layout.stride[plane] = frame.linesize[plane];
    total += size;
    gst_buffer_append_memory(
        buffer.get(), gst_memory_new_wrapped(GST_MEMORY_FLAG_READONLY, holder->data, holder->size,
                                             begin, size, av_buffer_ref(holder), [](gpointer data) {
                                               auto *held = static_cast<AVBufferRef *>(data);
                                               av_buffer_unref(&held);
                                             }));
  }
  gst_buffer_add_video_meta_full(buffer.get(), GST_VIDEO_FRAME_FLAG_NONE,
                                 GST_VIDEO_INFO_FORMAT(&info),
                                 static_cast<guint>(GST_VIDEO_INFO_WIDTH(&info)),
                                 static_cast<guint>(GST_VIDEO_INFO_HEIGHT(&info)), planes,
                                 layout.offset.data(), layout.stride.data());
  return buffer;
}

BufferRef packed(GstBuffer *picture, const GstVideoInfo &info) {
  BufferRef copy(gst_buffer_new_allocate(nullptr, GST_VIDEO_INFO_SIZE(&info), nullptr));
  GstVideoFrame from, to;
  if (!copy || !gst_video_frame_map(&from, &info, picture, GST_MAP_READ)) return nullptr;
  const bool mapped = gst_video_frame_map(&to, &info, copy.get(), GST_MAP_WRITE);
  if (mapped) {
    gst_video_frame_copy(&to, &from);
    gst_video_frame_unmap(&to);
  }
  gst_video_frame_unmap(&from);
  return mapped ? std::move(copy) : nullptr;
}

}  // namespace junctor::picture
