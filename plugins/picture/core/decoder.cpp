// SPDX-License-Identifier: LGPL-2.1-or-later
#include "picture/core/decoder.h"

#include <string>
#include <utility>

#include "common/avc.h"
#include "common/libav.h"

namespace junctor::picture {

namespace {

AVCodecID id_of(Codec codec) {
  switch (codec) {
    case Codec::H264:
      return AV_CODEC_ID_H264;
    case Codec::H263:
      return AV_CODEC_ID_H263;
    case Codec::Sorenson:
      return AV_CODEC_ID_FLV1;
    case Codec::Vp8:
      return AV_CODEC_ID_VP8;
    default:
      return AV_CODEC_ID_NONE;
  }
}

}  // namespace

void FreeFrame::operator()(AVFrame *frame) const { libav::Free()(frame); }
void Decoder::Free::operator()(AVCodecContext *codec) const { libav::Free()(codec); }
void Decoder::Free::operator()(AVPacket *packet) const { libav::Free()(packet); }

Decoder::Decoder(CodecRef codec, PacketRef packet)
    : codec_(std::move(codec)), packet_(std::move(packet)) {}
Decoder::Decoder(Decoder &&) noexcept = default;
Decoder &Decoder::operator=(Decoder &&) noexcept = default;
Decoder::~Decoder() = default;

Result<Decoder> Decoder::create(Codec codec, ByteSpan setup) {
  const std::string name(to_string(codec));
  const AVCodec *found = avcodec_find_decoder(id_of(codec));
  if (!found) return bad_input("no pictures of " + name + " are decoded here");
  // libavcodec would begin without it, and find no picture.
  if (codec == Codec::H264 && !setup.empty())
    if (const auto config = parse_avc_config(setup); !config)
      return bad_input("this is no setup of " + name + ": " + config.error().detail);
  CodecRef context(libav::make_decoder(found, setup).release());
  PacketRef packet(av_packet_alloc());
  if (!context || !packet) return internal_error("there is no memory for a decoder of " + name);
  context->max_pixels = kMostPixels;
  context->pkt_timebase = {1, 1'000'000'000};
  // Half a picture is better than none until the next whole one.
  context->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
  if (const int opened = avcodec_open2(context.get(), found, nullptr); opened < 0)
    return bad_input("this is no setup of " + name + ": " + libav::failure(opened).detail);
  return Decoder(std::move(context), std::move(packet));
}

Result<void> Decoder::take(ByteSpan picture, const Showing &showing) {
  if (picture.empty()) return {};  // to libavcodec it would be the end
  if (picture.size() > kMostBytes) return bad_input("a picture of more than 64 MiB");
  if (auto filled = libav::fill(*packet_, picture); !filled) return filled;
  packet_->pts = showing.at ? showing.at->count() : AV_NOPTS_VALUE;
  packet_->duration = showing.duration ? showing.duration->count() : 0;
  return libav::send(*codec_, *packet_);
}

void Decoder::end() { avcodec_send_packet(codec_.get(), nullptr); }

FrameRef Decoder::next() {
  FrameRef frame(av_frame_alloc());
  if (!frame || avcodec_receive_frame(codec_.get(), frame.get()) < 0) return nullptr;
  return frame;
}

void Decoder::forget() { avcodec_flush_buffers(codec_.get()); }

int Decoder::held_back() const { return codec_->has_b_frames; }

}  // namespace junctor::picture
