// SPDX-License-Identifier: LGPL-2.1-or-later
#include <utility>

#include "common/libav.h"
#include "sound/core/decoder.h"

namespace junctor::sound {

namespace {

using libav::CodecRef;
using libav::FrameRef;
using libav::PacketRef;

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
    if (auto filled = libav::fill(*packet_, packet); !filled) return filled;
    return libav::send(*codec_, *packet_);
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
  CodecRef context = libav::make_decoder(codec, setup);
  PacketRef packet(av_packet_alloc());
  FrameRef frame(av_frame_alloc());
  if (!context || !packet || !frame)
    return internal_error("there is no memory for a decoder of AAC");
  if (const int opened = avcodec_open2(context.get(), codec, nullptr); opened < 0)
    return bad_input("this is no setup of AAC: " + libav::failure(opened).detail);
  return std::unique_ptr<Decoder>(
      std::make_unique<AacDecoder>(std::move(context), std::move(packet), std::move(frame)));
}

}  // namespace junctor::sound
