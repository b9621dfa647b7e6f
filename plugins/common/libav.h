// SPDX-License-Identifier: LGPL-2.1-or-later
// Decoders of libavcodec, as those of sound and of pictures use them. Whoever includes this links
// libavcodec and libavutil.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "common/bytes.h"
#include "common/result.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/error.h>
}

namespace junctor::libav {

struct Free {
  void operator()(AVCodecContext *context) const { avcodec_free_context(&context); }
  void operator()(AVPacket *packet) const { av_packet_free(&packet); }
  void operator()(AVFrame *frame) const { av_frame_free(&frame); }
};
using CodecRef = std::unique_ptr<AVCodecContext, Free>;
using PacketRef = std::unique_ptr<AVPacket, Free>;
using FrameRef = std::unique_ptr<AVFrame, Free>;

/// What libavcodec says of bad data is said by its results.
inline constexpr int kUnsaid = AV_LOG_TRACE;

inline Error failure(int error) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(error, text, sizeof text);
  return bad_input(text);
}

/// A decoder of one thread, silent, that begins with `setup`, which may be empty; not open yet.
/// Null if there is no memory.
inline CodecRef make_decoder(const AVCodec *codec, ByteSpan setup) {
  CodecRef context(avcodec_alloc_context3(codec));
  if (!context) return nullptr;
  context->thread_count = 1;
  context->log_level_offset = kUnsaid;
  if (setup.empty()) return context;
  auto *extra =
      static_cast<std::uint8_t *>(av_mallocz(setup.size() + AV_INPUT_BUFFER_PADDING_SIZE));
  if (!extra) return nullptr;
  std::memcpy(extra, setup.data(), setup.size());
  context->extradata = extra;  // freed with it
  context->extradata_size = static_cast<int>(setup.size());
  return context;
}

/// Puts a copy of `bytes`, with the padding that libavcodec reads beyond them, into `packet`, which
/// is empty.
inline Result<void> fill(AVPacket &packet, ByteSpan bytes) {
  if (av_new_packet(&packet, static_cast<int>(bytes.size())) < 0)
    return internal_error("there is no memory for it");
  std::memcpy(packet.data, bytes.data(), bytes.size());
  return {};
}

/// Decodes `packet`, which is empty then. BadInput with libavcodec's word for why it cannot.
inline Result<void> send(AVCodecContext &codec, AVPacket &packet) {
  const int taken = avcodec_send_packet(&codec, &packet);
  av_packet_unref(&packet);
  if (taken < 0) return failure(taken);
  return {};
}

}  // namespace junctor::libav
