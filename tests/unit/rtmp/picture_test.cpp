// SPDX-License-Identifier: LGPL-2.1-or-later
// The first bytes of pictures. They are what ffmpeg's and GStreamer's encoders write.
#include "rtmp/core/picture.h"

#include <gtest/gtest.h>

#include "rtmp/core/tag.h"
#include "wire.h"

using namespace junctor;
using namespace junctor::rtmp;
using namespace junctor::test;

namespace {

struct PictureRow {
  const char *name;
  Codec codec;
  const char *bytes;
  CodedPicture told;
};

constexpr CodedPicture key(int width, int height) { return {true, false, width, height}; }
constexpr CodedPicture inter(int width, int height) { return {false, false, width, height}; }

const PictureRow kPictures[] = {
    {"sub_qcif", Codec::H263, "0000800204031e72", key(128, 96)},
    {"qcif", Codec::H263, "0000800208041e73", key(176, 144)},
    {"cif", Codec::H263, "000080020c041e73", key(352, 288)},
    {"cif_inter", Codec::H263, "000080060e02029e", inter(352, 288)},
    {"four_cif", Codec::H263, "0000800210041e73", key(704, 576)},
    {"custom", Codec::H263, "000080021ce8210010a7e5a48022", key(640, 360)},
    {"sorenson_small", Codec::Sorenson, "000084003228119e", key(100, 80)},
    {"sorenson_wide", Codec::Sorenson, "00008400814000b4121e", key(640, 360)},
    {"sorenson_wide_inter", Codec::Sorenson, "00008404814000b4310b", inter(640, 360)},
    {"sorenson_cif", Codec::Sorenson, "00008401121e73e8", key(352, 288)},
    {"sorenson_320", Codec::Sorenson, "00008402921e73e8", key(320, 240)},
    {"sorenson_320_inter", Codec::Sorenson, "00008406b1029e25", inter(320, 240)},
    // The same with PictureType 2.
    {"sorenson_disposable", Codec::Sorenson, "00008406d1029e25", {false, true, 320, 240}},
    {"vp8_key", Codec::Vp8, "300200 9d012a 8002 e001", key(640, 480)},
    // The two highest bits of each are a scale for the display.
    {"vp8_scaled", Codec::Vp8, "300200 9d012a 8042 e081", key(640, 480)},
    {"vp8_inter", Codec::Vp8, "310000", inter(0, 0)},
};

class Pictures : public testing::TestWithParam<PictureRow> {};

TEST(H263Padding, IsWhatTheDepayloaderAdds) {
  for (const std::size_t own : {0, 1})  // zero bytes of the picture itself
    for (const std::size_t added : {0, 4, 6}) {
      Bytes picture(20, std::byte{0xff});
      picture.resize(20 + own + added);
      EXPECT_EQ(h263_padding(picture), added) << own;
    }
  EXPECT_EQ(h263_padding({}), 0U);
}

TEST_P(Pictures, TellWhatTheyAre) {
  const Bytes bytes = wire(GetParam().bytes);
  const auto told = parse_picture(GetParam().codec, bytes);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->key, GetParam().told.key);
  EXPECT_EQ(told->droppable, GetParam().told.droppable);
  EXPECT_EQ(told->width, GetParam().told.width);
  EXPECT_EQ(told->height, GetParam().told.height);
}

TEST_P(Pictures, SayNothingWhenCutWithinTheirHeaders) {
  const Bytes bytes = wire(GetParam().bytes);
  for (std::size_t size = 0; size < 3; ++size)
    EXPECT_FALSE(parse_picture(GetParam().codec, ByteSpan(bytes).first(size))) << size;
}

INSTANTIATE_TEST_SUITE_P(All, Pictures, testing::ValuesIn(kPictures),
                         [](const auto &info) { return std::string(info.param.name); });

}  // namespace

TEST(Picture, OfNonsenseIsNotKnown) {
  const struct {
    Codec codec;
    const char *bytes;
  } kRows[] = {
      {Codec::H263, "ffffffffffffffff"},       {Codec::H263, "0000840204031e72"},  // a GOB
      {Codec::H263, "0000800200041e73"},                                           // format 0
      {Codec::H263, "0000800218041e73"},                                           // format 6
      {Codec::H263, "0000800008041e73"},                                           // no marker bit
      {Codec::Sorenson, "00008c0112"},                                             // version 2
      {Codec::Sorenson, "00008403921e73e8"},                                       // size 7
      {Codec::Sorenson, "00008401721e73e8"},                                       // PictureType 3
      {Codec::Vp8, "300200 9d012b 8002 e001"}, {Codec::H264, "0000000265880000"},
  };
  for (const auto &row : kRows) {
    const Bytes bytes = wire(row.bytes);
    EXPECT_FALSE(parse_picture(row.codec, bytes)) << row.bytes;
  }
}

TEST(VideoTag, TheOlderCodecsTellTheirSizeAndKind) {
  const struct {
    const char *body;
    Codec codec;
    int width, height;
    bool key, droppable;
  } kRows[] = {
      {"12 00008400814000b4121e73", Codec::Sorenson, 640, 360, true, false},
      {"22 00008404814000b431029e", Codec::Sorenson, 640, 360, false, false},
      // The picture itself is right where the tag says otherwise.
      {"12 00008404814000b431029e", Codec::Sorenson, 640, 360, false, false},
      {"22 00008406d1029e25", Codec::Sorenson, 320, 240, false, true},
      {"18 000080020c041e73", Codec::H263, 352, 288, true, false},
      {"28 000080060e02029e", Codec::H263, 352, 288, false, false},
  };
  for (const auto &row : kRows) {
    TagReader reader(Medium::Video);
    const auto read = reader.read(shared(row.body), 5);
    ASSERT_TRUE(read) << row.body;
    ASSERT_TRUE(read->track && read->frame) << row.body;
    EXPECT_EQ(read->track->codec, row.codec);
    EXPECT_EQ(read->track->width, row.width) << row.body;
    EXPECT_EQ(read->track->height, row.height) << row.body;
    EXPECT_EQ(read->frame->key, row.key) << row.body;
    EXPECT_EQ(read->frame->droppable, row.droppable) << row.body;
  }
}

TEST(VideoTag, APictureThatDoesNotTellItsSizeKeepsTheOneBefore) {
  TagReader reader(Medium::Video);
  ASSERT_TRUE(reader.read(shared("18 000080020c041e73"), 0)->track);
  const auto broken = reader.read(shared("28 0000"), 40);
  ASSERT_TRUE(broken);
  EXPECT_FALSE(broken->track) << "no news";
  EXPECT_EQ(reader.track()->width, 352);
  // Another size is.
  EXPECT_TRUE(reader.read(shared("18 0000800208041e73"), 80)->track);
}
