// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cstring>
#include <string>
#include <utility>

#include "sound/core/decoder.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/error.h>
}

namespace junctor::sound {

namespace {

struct Free {
  void operator()(AVCodecContext *context) const { avcodec_free_context(&context); }
  void operator()(AVPacket *packet) const { av_packet_free(&packet); }
  void operator()(AVFrame *frame) const { av_frame_free(&frame); }
};
using CodecRef = std::unique_ptr<AVCodecContext, Free>;
using PacketRef = std::unique_ptr<AVPacket, Free>;
using FrameRef = std::unique_ptr<AVFrame, Free>;

/// What libavcodec says of bad data is said by its results.
constexpr int kUnsaid = AV_LOG_TRACE;

Error failure(int error) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(error, text, sizeof text);
  return bad_input(text);
}

class AacDecoder final : public Decoder {
 public:
  AacDecoder(CodecRef codec, PacketRef packet, FrameRef frame)
      : Decoder("AAC"),
        codec_(std::move(codec)),
        packet_(std::move(packet)),
        frame_(std::move(frame)) {}

  /// The half of each frame that overlaps the next one, too.
  void forget() override { avcodec_flush_buffers(codec_.get()); }

 private:
  Result<void> take_packet(ByteSpan packet) override {
    if (av_new_packet(packet_.get(), static_cast<int>(packet.size())) < 0)
      return internal_error("there is no memory for it");
    std::memcpy(packet_->data, packet.data(), packet.size());
    const int taken = avcodec_send_packet(codec_.get(), packet_.get());
    av_packet_unref(packet_.get());
    if (taken < 0) return failure(taken);
    return {};
  }

  std::optional<Sound> next_frame() override {
    if (avcodec_receive_frame(codec_.get(), frame_.get()) < 0) return std::nullopt;
    const AVChannelLayout &layout = frame_->ch_layout;
    const Source form{frame_->format, frame_->sample_rate, layout.nb_channels,
                      layout.order == AV_CHANNEL_ORDER_NATIVE ? layout.u.mask : 0};
    return Sound{form, frame_->extended_data, static_cast<std::size_t>(frame_->nb_samples)};
  }

  CodecRef codec_;
  PacketRef packet_;
  FrameRef frame_;
};

}  // namespace

Result<std::unique_ptr<Decoder>> make_aac_decoder(ByteSpan setup) {
  const AVCodec *codec = avcodec_find_decoder(AV_CODEC_ID_AAC);
  if (!codec) return internal_error("this libavcodec decodes no AAC");
  // Without one libavcodec would guess.
  if (setup.empty()) return bad_input("this is no setup of AAC: it is empty");
  CodecRef context(avcodec_alloc_context3(codec));
  PacketRef packet(av_packet_alloc());
  FrameRef frame(av_frame_alloc());
  auto *extra =
      static_cast<std::uint8_t *>(av_mallocz(setup.size() + AV_INPUT_BUFFER_PADDING_SIZE));
  if (!context || !packet || !frame || !extra) {
    av_free(extra);
    return internal_error("there is no memory for a decoder of AAC");
  }
  std::memcpy(extra, setup.data(), setup.size());
  context->extradata = extra;  // freed with it
  context->extradata_size = static_cast<int>(setup.size());
  context->thread_count = 1;
  context->log_level_offset = kUnsaid;
  if (const int opened = avcodec_open2(context.get(), codec, nullptr); opened < 0)
    return bad_input("this is no setup of AAC: " + failure(opened).detail);
  return std::unique_ptr<Decoder>(
      std::make_unique<AacDecoder>(std::move(context), std::move(packet), std::move(frame)));
}

}  // namespace junctor::sound
