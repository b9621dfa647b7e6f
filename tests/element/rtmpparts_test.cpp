// SPDX-License-Identifier: LGPL-2.1-or-later
// The parts of the RTMP elements that need no pipeline.
#include <gtest/gtest.h>

#include <string_view>

#include "common/picture_size.h"
#include "rtmp/timeline.h"

namespace junctor::rtmp {
namespace {

Bytes from_hex(std::string_view hex) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

struct Sps {
  const char *name, *hex;
  int width, height;
};

/// As x264 wrote them for pictures of these sizes.
constexpr Sps kParameterSets[] = {
    {"baseline", "6742c01eda0280bfe5c05a8303035280000003000008000001e478b175", 640, 360},
    {"cropped", "67640028acb403c0113f2e02d40404050000030001000003003c8f1832a0", 1920, 1080},
    {"uncropped", "6742c01fda014016ec05a808080a000003000200000300791e306540", 1280, 720},
    {"cropped_both_ways", "6764001facb406c1ef3780b5060606a50000030001000003003c8f1832a0", 854, 480},
    {"chroma_444", "67f4000d91968150878f8fc05a83030320000003002000000791e28554", 322, 242},
    {"interlaced", "6764001eacd940b424d80a5060606a5000000300100000030329f14299", 720, 576},
};

class PictureSizeTest : public testing::TestWithParam<Sps> {};

TEST_P(PictureSizeTest, IsThatOfTheEncoder) {
  const auto size = picture_size(from_hex(GetParam().hex));
  ASSERT_TRUE(size);
  EXPECT_EQ(size->width, GetParam().width);
  EXPECT_EQ(size->height, GetParam().height);
  EXPECT_EQ(size->coded_width, (GetParam().width + 15) / 16 * 16);
  // Of interlaced ones, whole macroblocks of each field.
  EXPECT_GE(size->coded_height, GetParam().height);
  EXPECT_EQ(size->coded_height % 16, 0);
}

INSTANTIATE_TEST_SUITE_P(Encoded, PictureSizeTest, testing::ValuesIn(kParameterSets),
                         [](const auto &info) { return std::string(info.param.name); });

TEST(PictureSize, OfATruncatedSetIsNotKnown) {
  const Bytes whole = from_hex(kParameterSets[1].hex);
  EXPECT_FALSE(picture_size({}));
  // The size and its cropping end within the first 12 bytes.
  for (std::size_t length = 0; length < 11; ++length)
    EXPECT_FALSE(picture_size(ByteSpan(whole).first(length))) << length;
}

TEST(PictureSize, OfNonsenseIsNotKnownAndEnds) {
  EXPECT_FALSE(picture_size(Bytes(200, std::byte{0})));
  // Order counts without end: type 1 and a cycle of 2^32 - 2 frames, then nothing.
  EXPECT_FALSE(picture_size(from_hex("6742c01fd4000000010000000200")));
}

constexpr std::int64_t kMs = 1'000'000;

TEST(Timeline, TiesTheFirstToThePresent) {
  Timeline line;
  line.tie(5000, 7 * kMs);
  EXPECT_EQ(line.place(5000), 7 * kMs);
  EXPECT_EQ(line.place(5020), 27 * kMs);
  EXPECT_EQ(line.place(4998), 5 * kMs);  // sound that is a little older than the picture
  EXPECT_EQ(line.place(4900), 0);        // but never before the beginning
}

TEST(Timeline, TheNextPublisherComesAfterAllThatWas) {
  Timeline line;
  line.tie(0, 0);
  EXPECT_EQ(line.place(400), 400 * kMs);
  line.tie(90000, 100 * kMs);
  EXPECT_EQ(line.place(90000), 401 * kMs);
  EXPECT_EQ(line.place(89990), 401 * kMs);
  line.tie(0, 1000 * kMs);
  EXPECT_EQ(line.place(0), 1000 * kMs);
  EXPECT_EQ(line.place(-10), 990 * kMs);
}

TEST(Timeline, ThePastIsSqueezedAndKeepsItsOrder) {
  Timeline line;
  line.tie_past(1000, 5000, 0);
  std::int64_t before = -1;
  for (std::int64_t ms = 1000; ms <= 6000; ++ms) {
    const std::int64_t placed = line.place(ms);
    EXPECT_GT(placed, before);
    before = placed;
  }
  EXPECT_EQ(line.place(5000), 40 * kMs);
  EXPECT_EQ(line.place(6000), 1040 * kMs);
}

}  // namespace
}  // namespace junctor::rtmp
