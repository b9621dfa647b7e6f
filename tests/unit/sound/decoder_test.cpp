// SPDX-License-Identifier: LGPL-2.1-or-later
// AAC and Speex: what is decoded here libavcodec has encoded.
#include "sound/core/decoder.h"

#include <gmock/gmock.h>

#include <complex>
#include <memory>
#include <string>
#include <vector>

#include "common/libav.h"
#include "common/speex.h"
#include "tone.h"

extern "C" {
#include <libavutil/opt.h>
}

namespace junctor::sound {
namespace {

using libav::Free;
using test::tone_at;
using test::tone_in;
using testing::HasSubstr;

/// A tone of 1 kHz, coded.
struct Coded {
  Bytes setup;
  std::vector<Bytes> packets;
};

Coded tone(const char *encoder, AVSampleFormat format, int rate, int channels, int frames = 1) {
  Coded coded;
  const AVCodec *codec = avcodec_find_encoder_by_name(encoder);
  std::unique_ptr<AVCodecContext, Free> context(avcodec_alloc_context3(codec));
  context->sample_fmt = format;
  context->sample_rate = rate;
  context->bit_rate = 64000;
  context->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  av_channel_layout_default(&context->ch_layout, channels);
  if (frames > 1) av_opt_set_int(context->priv_data, "frames_per_packet", frames, 0);
  if (avcodec_open2(context.get(), codec, nullptr) < 0) return coded;
  const auto *extra = reinterpret_cast<const std::byte *>(context->extradata);
  coded.setup.assign(extra, extra + context->extradata_size);
  std::unique_ptr<AVPacket, Free> packet(av_packet_alloc());
  for (int at = 0; at < rate; at += context->frame_size) {
    std::unique_ptr<AVFrame, Free> frame(av_frame_alloc());
    frame->format = format;
    frame->sample_rate = rate;
    frame->nb_samples = context->frame_size;
    av_channel_layout_copy(&frame->ch_layout, &context->ch_layout);
    if (av_frame_get_buffer(frame.get(), 0) < 0) return coded;
    for (int n = 0; n < context->frame_size; ++n) {
      const double value = tone_at(1000, rate, static_cast<std::size_t>(at + n));
      if (format == AV_SAMPLE_FMT_S16)
        reinterpret_cast<std::int16_t *>(frame->data[0])[n] =
            static_cast<std::int16_t>(value * 32767);
      else
        for (int channel = 0; channel < channels; ++channel)
          reinterpret_cast<float *>(frame->data[channel])[n] = static_cast<float>(value);
    }
    avcodec_send_frame(context.get(), frame.get());
    while (avcodec_receive_packet(context.get(), packet.get()) == 0) {
      const auto *data = reinterpret_cast<const std::byte *>(packet->data);
      coded.packets.emplace_back(data, data + packet->size);
      av_packet_unref(packet.get());
    }
  }
  return coded;
}

Coded aac(int channels = 1) { return tone("aac", AV_SAMPLE_FMT_FLTP, 44100, channels); }
Coded speex(int frames = 1) { return tone("libspeex", AV_SAMPLE_FMT_S16, 16000, 1, frames); }

/// The first channel of what a packet has.
std::vector<double> decoded(Decoder &decoder, ByteSpan packet) {
  std::vector<double> samples;
  EXPECT_TRUE(decoder.take(packet));
  while (const auto sound = decoder.next())
    for (std::size_t n = 0; n < sound->samples; ++n)
      samples.push_back(sound->form.format == AV_SAMPLE_FMT_S16
                            ? reinterpret_cast<const std::int16_t *>(sound->planes[0])[n] / 32768.0
                            : reinterpret_cast<const float *>(sound->planes[0])[n]);
  return samples;
}

/// The amplitude of `hertz` in the second half, where coders have found their way.
double amplitude(const std::vector<double> &sound, double hertz, int rate) {
  return std::abs(tone_in(sound, hertz, rate, sound.size() / 2));
}

void expect_tone(Coding coding, const Coded &coded, int rate, std::size_t samples) {
  ASSERT_FALSE(coded.packets.empty());
  auto decoder = Decoder::create(coding, coded.setup);
  ASSERT_TRUE(decoder) << decoder.error().detail;
  std::vector<double> all;
  for (const Bytes &packet : coded.packets) {
    const auto piece = decoded(**decoder, packet);
    EXPECT_EQ(piece.size(), samples);
    all.insert(all.end(), piece.begin(), piece.end());
  }
  EXPECT_NEAR(amplitude(all, 1000, rate), 0.5, 0.1);
  EXPECT_LT(amplitude(all, 1700, rate), 0.02);
}

TEST(Decoder, GivesTheToneThatAacHas) { expect_tone(Coding::Aac, aac(), 44100, 1024); }
TEST(Decoder, GivesTheToneThatSpeexHas) { expect_tone(Coding::Speex, speex(), 16000, 320); }

TEST(Decoder, TakesTheSetupThatWeMakeForSpeex) {
  Coded coded = speex();
  coded.setup = speex_header(16000, 1);
  expect_tone(Coding::Speex, coded, 16000, 320);
}

TEST(Decoder, GivesEachFrameOfAPacketWithIt) {
  for (const int frames : {2, 3})
    expect_tone(Coding::Speex, speex(frames), 16000, static_cast<std::size_t>(frames) * 320);
}

/// Of the parts of a packet that were given: how many, all in all.
std::size_t frames_of(Decoder &decoder, ByteSpan packet) {
  std::size_t count = 0;
  if (!decoder.take(packet)) return 0;
  while (decoder.next()) ++count;
  return count;
}

TEST(Decoder, NoPacketHasEndlessSound) {
  auto decoder = Decoder::create(Coding::Speex, speex_header(16000, 1));
  ASSERT_TRUE(decoder);
  EXPECT_EQ(frames_of(**decoder, Bytes(1400)), Decoder::kMostFrames) << "five bits are a frame";
  EXPECT_EQ(frames_of(**decoder, speex().packets[3]), 1U) << "nothing of it is left";

  const Coded coded = aac();
  decoder = Decoder::create(Coding::Aac, coded.setup);
  ASSERT_TRUE(decoder);
  Bytes many;
  for (int i = 0; i < 30; ++i)
    many.insert(many.end(), coded.packets.back().begin(), coded.packets.back().end());
  EXPECT_EQ(frames_of(**decoder, many), Decoder::kMostFrames);
  EXPECT_EQ(frames_of(**decoder, coded.packets[3]), 1U);
}

TEST(Decoder, SpeexAfterAPacketThatIsNone) {
  const Coded coded = speex();
  auto decoder = Decoder::create(Coding::Speex, coded.setup);
  ASSERT_TRUE(decoder);
  EXPECT_EQ(frames_of(**decoder, Bytes{std::byte{0x78}}), 0U) << "a terminator is no frame";
  Bytes bad;
  for (int i = 0; i < 200; ++i) bad.push_back(std::byte{0x4a});
  EXPECT_LE(frames_of(**decoder, bad), Decoder::kMostFrames);
  for (std::size_t n = 0; n < 10; ++n)
    EXPECT_EQ(decoded(**decoder, coded.packets[n]).size(), 320u) << n;
}

TEST(Decoder, RefusesASpeexHeaderThatLies) {
  const std::pair<std::size_t, std::byte> lies[] = {
      {36 + 3, std::byte{0xff}},                      // the rate
      {36 + 1, std::byte{0}},    {40, std::byte{9}},  // the mode
      {48, std::byte{200}},                           // channels
      {48, std::byte{0}},        {0, std::byte{'s'}}};
  for (const auto &[at, value] : lies) {
    Bytes header = speex_header(16000, 1);
    header[at] = value;
    EXPECT_FALSE(Decoder::create(Coding::Speex, header)) << at;
  }
}

TEST(Decoder, SpeexOfTwoChannels) {
  auto decoder = Decoder::create(Coding::Speex, speex_header(16000, 2));
  ASSERT_TRUE(decoder);
  ASSERT_TRUE((*decoder)->take(speex().packets[3]));
  const auto sound = (*decoder)->next();
  ASSERT_TRUE(sound);
  EXPECT_EQ(sound->form, (Source{AV_SAMPLE_FMT_S16, 16000, 2, 0}));
  EXPECT_EQ(sound->samples, 320u);
}

TEST(Decoder, TellsWhatTheSoundIsLike) {
  const Coded coded = aac(2);
  auto decoder = Decoder::create(Coding::Aac, coded.setup);
  ASSERT_TRUE(decoder);
  ASSERT_TRUE((*decoder)->take(coded.packets.front()));
  const auto sound = (*decoder)->next();
  ASSERT_TRUE(sound);
  EXPECT_EQ(sound->form, (Source{AV_SAMPLE_FMT_FLTP, 44100, 2, AV_CH_LAYOUT_STEREO}));
  EXPECT_FALSE((*decoder)->next());
}

TEST(Decoder, GoesOnAfterAPacketThatIsNone) {
  const Coded coded = aac();
  auto decoder = Decoder::create(Coding::Aac, coded.setup);
  ASSERT_TRUE(decoder);
  decoded(**decoder, coded.packets[0]);
  const auto bad = (*decoder)->take(Bytes(40, std::byte{0xa5}));
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().fault, Fault::BadInput);
  EXPECT_THAT(bad.error().detail, HasSubstr("this is no packet of AAC: "));
  EXPECT_FALSE((*decoder)->next());
  const auto empty = (*decoder)->take({});
  ASSERT_FALSE(empty);
  EXPECT_THAT(empty.error().detail, HasSubstr("it is empty"));
  const auto huge = (*decoder)->take(Bytes(70000));
  ASSERT_FALSE(huge);
  EXPECT_THAT(huge.error().detail, HasSubstr("it is too long"));
  EXPECT_EQ(decoded(**decoder, coded.packets[1]).size(), 1024u);
}

TEST(Decoder, RemembersNothingOfWhatItIsToForget) {
  const Coded coded = aac();
  auto decoder = Decoder::create(Coding::Aac, coded.setup);
  ASSERT_TRUE(decoder);
  const auto begins_with = [&](const Bytes &packet) {
    const auto sound = decoded(**decoder, packet);
    double energy = 0;
    for (std::size_t n = 0; n < 100 && n < sound.size(); ++n) energy += sound[n] * sound[n];
    return energy;
  };
  for (const std::size_t at : {4u, 5u}) decoded(**decoder, coded.packets[at]);
  // What a packet begins with is of the one before.
  EXPECT_GT(begins_with(coded.packets[6]), 5);
  (*decoder)->forget();
  EXPECT_LT(begins_with(coded.packets[7]), 1);
}

TEST(Decoder, RefusesASetupThatIsNone) {
  for (const Coding coding : {Coding::Aac, Coding::Speex}) {
    const auto made = Decoder::create(coding, Bytes(100, std::byte{0xff}));
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().fault, Fault::BadInput);
    EXPECT_THAT(made.error().detail, HasSubstr("this is no setup of "));
    EXPECT_FALSE(Decoder::create(coding, {}));
  }
}

}  // namespace
}  // namespace junctor::sound
