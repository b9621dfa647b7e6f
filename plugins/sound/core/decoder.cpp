// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sound/core/decoder.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "common/speex.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/error.h>
}

namespace junctor::sound {

namespace {

struct Releaser {
  void operator()(AVCodecContext *context) const { avcodec_free_context(&context); }
  void operator()(AVPacket *packet) const { av_packet_free(&packet); }
  void operator()(AVFrame *frame) const { av_frame_free(&frame); }
};
template <class T>
using Ref = std::unique_ptr<T, Releaser>;

/// What libavcodec says of bad data is said by its results.
constexpr int kUnsaid = AV_LOG_TRACE;
/// More is no packet of sound.
constexpr std::size_t kMostBytes = std::size_t{1} << 16;

const AVCodec *find(Coding coding) {
  if (coding == Coding::Aac) return avcodec_find_decoder(AV_CODEC_ID_AAC);
  // The library's own where it is there: it makes up for what is lost.
  const AVCodec *own = avcodec_find_decoder_by_name("libspeex");
  return own ? own : avcodec_find_decoder(AV_CODEC_ID_SPEEX);
}

const char *name(Coding coding) { return coding == Coding::Aac ? "AAC" : "Speex"; }

std::string what(int error) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(error, text, sizeof text);
  return text;
}

}  // namespace

struct Decoder::Context {
  Coding coding{};
  Ref<AVCodecContext> codec;
  Ref<AVPacket> packet;
  Ref<AVFrame> frame;
};

Decoder::Decoder(std::unique_ptr<Context> context) : context_(std::move(context)) {}
Decoder::Decoder(Decoder &&) noexcept = default;
Decoder &Decoder::operator=(Decoder &&) noexcept = default;
Decoder::~Decoder() = default;

Result<Decoder> Decoder::create(Coding coding, ByteSpan setup) {
  const std::string none = std::string("this is no setup of ") + name(coding);
  // libavcodec would take anything, and guess.
  if (coding == Coding::Speex ? !is_speex_header(setup) : setup.empty()) return bad_input(none);
  const AVCodec *codec = find(coding);
  if (!codec) return internal_error(std::string("libavcodec decodes no ") + name(coding));
  auto context = std::make_unique<Context>();
  context->coding = coding;
  context->codec.reset(avcodec_alloc_context3(codec));
  context->packet.reset(av_packet_alloc());
  context->frame.reset(av_frame_alloc());
  auto *extra =
      static_cast<std::uint8_t *>(av_mallocz(setup.size() + AV_INPUT_BUFFER_PADDING_SIZE));
  if (!context->codec || !context->packet || !context->frame || !extra) {
    av_free(extra);
    return internal_error("no memory for a decoder");
  }
  std::memcpy(extra, setup.data(), setup.size());
  context->codec->extradata = extra;  // freed with it
  context->codec->extradata_size = static_cast<int>(setup.size());
  context->codec->thread_count = 1;
  context->codec->log_level_offset = kUnsaid;
  if (const int opened = avcodec_open2(context->codec.get(), codec, nullptr); opened < 0)
    return bad_input(none + ": " + what(opened));
  return Decoder(std::move(context));
}

Result<void> Decoder::take(ByteSpan packet) {
  const std::string prefix = std::string("this is no packet of ") + name(context_->coding) + ": ";
  if (packet.size() > kMostBytes) return bad_input(prefix + "it is too long");
  // An empty one would be the end of the stream.
  if (packet.empty()) return bad_input(prefix + "it is empty");
  AVPacket *into = context_->packet.get();
  if (av_new_packet(into, static_cast<int>(packet.size())) < 0)
    return internal_error("no memory for a packet");
  std::memcpy(into->data, packet.data(), packet.size());
  const int taken = avcodec_send_packet(context_->codec.get(), into);
  av_packet_unref(into);
  if (taken < 0) return bad_input(prefix + what(taken));
  return {};
}

std::optional<Decoder::Sound> Decoder::next() {
  AVFrame *frame = context_->frame.get();
  if (avcodec_receive_frame(context_->codec.get(), frame) < 0) return std::nullopt;
  const Source form{
      frame->format, frame->sample_rate, frame->ch_layout.nb_channels,
      frame->ch_layout.order == AV_CHANNEL_ORDER_NATIVE ? frame->ch_layout.u.mask : 0};
  return Sound{form, frame->extended_data, static_cast<std::size_t>(frame->nb_samples)};
}

void Decoder::forget() { avcodec_flush_buffers(context_->codec.get()); }

}  // namespace junctor::sound
