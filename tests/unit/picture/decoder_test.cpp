// SPDX-License-Identifier: LGPL-2.1-or-later
// Pictures: what is decoded here libavcodec has encoded.
#include "picture/core/decoder.h"

#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <vector>

#include "common/libav.h"

namespace junctor::picture {
namespace {

using libav::Free;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kWidth = 352, kHeight = 288;
constexpr int kGrey[] = {40, 80, 120, 160, 200};

/// A grey that gets lighter, picture by picture.
std::vector<Bytes> coded(AVCodecID id) {
  std::vector<Bytes> pictures;
  const AVCodec *codec = avcodec_find_encoder(id);
  const std::unique_ptr<AVCodecContext, Free> context(avcodec_alloc_context3(codec));
  context->width = kWidth;
  context->height = kHeight;
  context->pix_fmt = AV_PIX_FMT_YUV420P;
  context->time_base = {1, 25};
  context->bit_rate = 1000000;
  context->sample_aspect_ratio = {12, 11};
  if (avcodec_open2(context.get(), codec, nullptr) < 0) return pictures;
  const std::unique_ptr<AVPacket, Free> packet(av_packet_alloc());
  for (std::size_t n = 0; n < std::size(kGrey); ++n) {
    const FrameRef frame(av_frame_alloc());
    frame->format = context->pix_fmt;
    frame->width = kWidth;
    frame->height = kHeight;
    frame->pts = static_cast<std::int64_t>(n);
    if (av_frame_get_buffer(frame.get(), 0) < 0) return pictures;
    for (int plane = 0; plane < 3; ++plane)
      memset(frame->data[plane], plane == 0 ? kGrey[n] : 128,
             static_cast<std::size_t>(frame->linesize[plane] * (kHeight >> (plane != 0))));
    avcodec_send_frame(context.get(), frame.get());
    while (avcodec_receive_packet(context.get(), packet.get()) == 0) {
      const auto *data = reinterpret_cast<const std::byte *>(packet->data);
      pictures.emplace_back(data, data + packet->size);
      av_packet_unref(packet.get());
    }
  }
  return pictures;
}

int middle_of(const AVFrame &frame) {
  return frame.data[0][kHeight / 2 * frame.linesize[0] + kWidth / 2];
}

Decoder made(Codec codec) {
  auto decoder = Decoder::create(codec, {});
  EXPECT_TRUE(decoder) << decoder.error().detail;
  return *std::move(decoder);
}

TEST(Decoder, GivesThePicturesWithTheirTimes) {
  const std::pair<Codec, AVCodecID> codecs[] = {{Codec::H263, AV_CODEC_ID_H263},
                                                {Codec::Sorenson, AV_CODEC_ID_FLV1}};
  for (const auto &[codec, id] : codecs) {
    Decoder decoder = made(codec);
    const std::vector<Bytes> pictures = coded(id);
    ASSERT_EQ(pictures.size(), std::size(kGrey)) << to_string(codec);
    for (std::size_t n = 0; n < pictures.size(); ++n) {
      ASSERT_TRUE(decoder.take(pictures[n], {milliseconds(40 * n), milliseconds(40)}));
      const FrameRef frame = decoder.next();
      ASSERT_TRUE(frame) << to_string(codec);
      EXPECT_EQ(frame->width, kWidth);
      EXPECT_EQ(frame->height, kHeight);
      EXPECT_NEAR(middle_of(*frame), kGrey[n], 4) << to_string(codec);
      EXPECT_EQ(frame->pts, static_cast<std::int64_t>(n) * 40'000'000);
      EXPECT_EQ(frame->pkt_duration, 40'000'000);
      EXPECT_FALSE(decoder.next());
    }
    EXPECT_EQ(decoder.held_back(), 0);
  }
}

TEST(Decoder, ATimeThatIsNotKnownIsNotMadeUp) {
  Decoder decoder = made(Codec::Sorenson);
  ASSERT_TRUE(decoder.take(coded(AV_CODEC_ID_FLV1)[0], {}));
  const FrameRef frame = decoder.next();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->pts, AV_NOPTS_VALUE);
  EXPECT_EQ(frame->pkt_duration, 0);
}

TEST(Decoder, APictureThatCannotBeDecodedIsLeftOut) {
  Decoder decoder = made(Codec::Sorenson);
  const std::vector<Bytes> pictures = coded(AV_CODEC_ID_FLV1);
  EXPECT_FALSE(decoder.take(Bytes(40, std::byte{0xa5}), {}));
  EXPECT_FALSE(decoder.next());
  EXPECT_TRUE(decoder.take({}, {})) << "of nothing nothing comes, and it is not the end";
  EXPECT_FALSE(decoder.next());
  ASSERT_TRUE(decoder.take(pictures[0], {}));
  const FrameRef frame = decoder.next();
  ASSERT_TRUE(frame);
  EXPECT_NEAR(middle_of(*frame), kGrey[0], 4);
}

TEST(Decoder, GoesOnAfterItsEndAndAfterItForgot) {
  Decoder decoder = made(Codec::H263);
  const std::vector<Bytes> pictures = coded(AV_CODEC_ID_H263);
  ASSERT_TRUE(decoder.take(pictures[0], {}));
  decoder.forget();
  EXPECT_FALSE(decoder.next());
  decoder.end();
  EXPECT_FALSE(decoder.next());
  decoder.forget();
  ASSERT_TRUE(decoder.take(pictures[0], {}));
  EXPECT_TRUE(decoder.next());
}

/// The header of a picture of Sorenson's that tells its size in 16 bits each.
Bytes sized(unsigned width, unsigned height) {
  std::string bits =
      "00000000000000001"
      "00000"
      "00000000"
      "001";
  for (const unsigned value : {width, height})
    for (int bit = 15; bit >= 0; --bit) bits += (value >> bit & 1) != 0 ? '1' : '0';
  bits +=
      "00"
      "0"
      "00101"
      "0";  // a whole picture, without deblocking, its quantizer, no more
  Bytes bytes(4096);
  for (std::size_t n = 0; n < bits.size(); ++n)
    if (bits[n] == '1') bytes[n / 8] |= std::byte{0x80} >> n % 8;
  return bytes;
}

TEST(Decoder, WhatIsLargerThanAnyScreenIsNotDecoded) {
  Decoder decoder = made(Codec::Sorenson);
  ASSERT_TRUE(decoder.take(sized(640, 360), {}));
  FrameRef frame = decoder.next();
  ASSERT_TRUE(frame) << "the header is one";
  EXPECT_EQ(frame->width, 640);
  EXPECT_FALSE(decoder.take(sized(16000, 16000), {}));
  EXPECT_FALSE(decoder.next());
}

TEST(Decoder, IsMadeForPicturesAndTheirSetups) {
  const auto sound = Decoder::create(Codec::Aac, {});
  ASSERT_FALSE(sound);
  EXPECT_THAT(sound.error().detail, HasSubstr("no pictures of aac"));
  const auto garbage = Decoder::create(Codec::H264, Bytes(20, std::byte{0xff}));
  ASSERT_FALSE(garbage);
  EXPECT_THAT(garbage.error().detail, HasSubstr("no setup of h264"));
}

}  // namespace
}  // namespace junctor::picture
