// SPDX-License-Identifier: LGPL-2.1-or-later
// The forms of raw pictures that our elements know.
#pragma once

#include <gst/video/video.h>

#include <array>

extern "C" {
#include <libavutil/pixfmt.h>
}

// What decoders give, and what cameras do. The first is what encoders take. A format more is a row
// more.
#define JUNCTOR_PICTURE_FORMATS(ROW) \
  ROW(I420, YUV420P)                 \
  ROW(Y42B, YUV422P)                 \
  ROW(Y444, YUV444P)                 \
  ROW(GRAY8, GRAY8)                  \
  ROW(NV12, NV12)                    \
  ROW(NV21, NV21)                    \
  ROW(YUY2, YUYV422)                 \
  ROW(UYVY, UYVY422)                 \
  ROW(I420_10LE, YUV420P10LE)        \
  ROW(I422_10LE, YUV422P10LE)        \
  ROW(Y444_10LE, YUV444P10LE)        \
  ROW(I420_12LE, YUV420P12LE)        \
  ROW(I422_12LE, YUV422P12LE)        \
  ROW(Y444_12LE, YUV444P12LE)        \
  ROW(BGRA, BGRA)                    \
  ROW(BGRx, BGR0)                    \
  ROW(RGBA, RGBA)                    \
  ROW(RGBx, RGB0)                    \
  ROW(BGR, BGR24)                    \
  ROW(RGB, RGB24)

namespace junctor::picture {

struct FormatPair {
  GstVideoFormat ours;
  AVPixelFormat theirs;
};
#define ROW(ours, theirs) FormatPair{GST_VIDEO_FORMAT_##ours, AV_PIX_FMT_##theirs},
inline constexpr std::array kFormats{JUNCTOR_PICTURE_FORMATS(ROW)};
#undef ROW

}  // namespace junctor::picture
