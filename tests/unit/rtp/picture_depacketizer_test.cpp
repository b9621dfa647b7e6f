// SPDX-License-Identifier: LGPL-2.1-or-later
// RFC 7741 and RFC 4629: packets to pictures.
#include "rtp/core/picture_depacketizer.h"

#include <gmock/gmock.h>

#include <string>

#include "packets.h"

namespace junctor::rtp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Vp8 : public testing::Test, protected Unpacking<Vp8Depacketizer> {};

// The first byte of a picture is odd where it leans on others.
const std::string kBegin("\x10", 1), kPart("\0", 1), kPartition("\x11", 1);

TEST_F(Vp8, APictureIsFromItsBeginningToTheMarker) {
  EXPECT_EQ(add(kBegin + "\x10key ", 0, false), "");
  EXPECT_EQ(add(kPart + "picture ", 0, false), "");
  EXPECT_EQ(add(kPartition + "partition", 0), "");
  ASSERT_THAT(texts(), ElementsAre("\x10key picture partition"));
  EXPECT_TRUE(frames_[0].key);
  EXPECT_FALSE(frames_[0].discontinuity);
  EXPECT_EQ(add(kBegin + "\x11next", 3000), "");
  ASSERT_THAT(texts(), ElementsAre("\x11next"));
  EXPECT_FALSE(frames_[0].key);
}

TEST_F(Vp8, EveryKindOfDescriptor) {
  const std::string descriptors[] = {
      std::string("\x90\0", 2),                    // X alone
      std::string("\x90\x80\x11", 3),              // PictureID of 7 bits
      std::string("\x90\x80\x91\x22", 4),          // of 15
      std::string("\x90\xc0\x11\x33", 4),          // and TL0PICIDX
      std::string("\x90\xe0\x91\x22\x33\x44", 6),  // and TID
      std::string("\x90\x10\x44", 3),              // KEYIDX alone
      std::string("\xb0\xf0\x91\x22\x33\x44", 6),  // all, and N
  };
  std::uint64_t timestamp = 0;
  for (const std::string &descriptor : descriptors) {
    EXPECT_EQ(add(descriptor + "\x10picture", timestamp += 3000), "");
    EXPECT_THAT(texts(), ElementsAre("\x10picture"));
    EXPECT_THAT(add(descriptor, timestamp += 3000), HasSubstr("longer than its packet"));
    EXPECT_THAT(frames_, IsEmpty());
  }
}

TEST_F(Vp8, OfAPictureThatLacksAPartNothingComes) {
  EXPECT_EQ(add(kBegin + "\x10whole", 0), "");
  EXPECT_EQ(add(kBegin + "\x10one", 0, false), "");
  EXPECT_EQ(add(kPart + "three", 0, true, true), "");
  EXPECT_THAT(frames_, IsEmpty());
  EXPECT_EQ(add(kPart + "without its beginning", 3000), "");
  EXPECT_THAT(frames_, IsEmpty());
  EXPECT_EQ(add(kBegin + "\x11whole", 6000), "");
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_TRUE(frames_[0].discontinuity);
  EXPECT_EQ(add(kBegin + "\x11whole", 9000), "");
  EXPECT_FALSE(frames_[0].discontinuity);
  // Two beginnings, without a gap in the numbers.
  EXPECT_EQ(add(kBegin + "\x11lost", 12000, false), "");
  EXPECT_EQ(add(kBegin + "\x11whole", 12000), "");
  ASSERT_THAT(texts(), ElementsAre("\x11whole"));
  EXPECT_TRUE(frames_[0].discontinuity);
}

TEST_F(Vp8, WithoutAMarkerTheNextTimestampEndsIt) {
  EXPECT_EQ(add(kBegin + "\x10one", 0, false), "");
  EXPECT_EQ(add(kBegin + "\x11two", 3000, false), "");
  ASSERT_THAT(texts(), ElementsAre("\x10one"));
  EXPECT_EQ(frames_[0].offset, -3000) << "its own time";
}

TEST_F(Vp8, BeforeAKeyframeItWantsOne) {
  EXPECT_FALSE(depacketizer_.wants_keyframe());
  EXPECT_EQ(add(kBegin + "\x11inter", 0), "");
  EXPECT_THAT(frames_, IsEmpty());
  EXPECT_TRUE(depacketizer_.wants_keyframe());
  EXPECT_EQ(add(kBegin + "\x10key", 3000), "");
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_FALSE(depacketizer_.wants_keyframe());
  EXPECT_TRUE(frames_[0].discontinuity);
  EXPECT_EQ(add(kBegin + "\x11inter", 0, true, false, true), "") << "of another source";
  EXPECT_THAT(frames_, IsEmpty());
  EXPECT_TRUE(depacketizer_.wants_keyframe());
}

TEST_F(Vp8, AnotherSourceBeginsAnew) {
  EXPECT_EQ(add(kBegin + "\x10one", 3000, false), "");
  EXPECT_EQ(add(kBegin + "\x10two", 0, true, false, true), "");
  EXPECT_THAT(texts(), ElementsAre("\x10two"));
  EXPECT_EQ(add("", 3000), "") << "what keeps a binding open";
  EXPECT_THAT(frames_, IsEmpty());
}

TEST_F(Vp8, APictureHasABound) {
  EXPECT_EQ(add(kBegin + "\x10", 0, false), "");
  std::string why;
  for (int n = 0; why.empty() && n < 1000; ++n)
    why = add(kPart + std::string(60000, 'x'), 0, false);
  EXPECT_THAT(why, HasSubstr("more than 4 MiB"));
  EXPECT_EQ(add(kPart + "the end", 0), "");
  EXPECT_THAT(frames_, IsEmpty());
  EXPECT_EQ(add(kBegin + "\x10small", 3000), "");
  EXPECT_EQ(frames_.size(), 1u);
}

class H263Plus : public testing::Test, protected Unpacking<H263PlusDepacketizer> {};

// Behind the two bytes of 0 of its start code: a picture of CIF, INTRA and INTER.
const std::string kIntra("\x80\x02\x0c\xaa", 4), kInter("\x80\x06\x0e\xaa", 4);
const std::string kZeros(2, '\0'), kStarts("\x04\0", 2), kGoesOn(2, '\0');

TEST_F(H263Plus, StartCodesGetTheirZerosBack) {
  EXPECT_EQ(add(kStarts + kIntra, 0, false), "");
  EXPECT_EQ(add(kGoesOn + "more", 0, false), "");
  EXPECT_EQ(add(kStarts + "\x84group", 0), "");
  ASSERT_THAT(texts(), ElementsAre(kZeros + kIntra + "more" + kZeros + "\x84group"));
  EXPECT_TRUE(frames_[0].key);
  EXPECT_EQ(add(kStarts + kInter, 3000), "");
  ASSERT_THAT(texts(), ElementsAre(kZeros + kInter));
  EXPECT_FALSE(frames_[0].key);
}

TEST_F(H263Plus, OfAnExtendedTypeToo) {
  // PLUSPTYPE with and without OPPTYPE: INTRA, INTER; INTRA.
  const std::pair<std::string, bool> pictures[] = {
      {std::string("\x80\x06\x1c\x80\x00\x00\x00", 7), true},
      {std::string("\x80\x06\x1c\x80\x00\x04\x00", 7), false},
      {std::string("\x80\x06\x1c\x00\x00", 5), true},
  };
  std::uint64_t timestamp = 0;
  for (const auto &[picture, key] : pictures) {
    EXPECT_EQ(add(kStarts + picture + "more", timestamp += 3000), "");
    ASSERT_EQ(frames_.size(), 1u);
    EXPECT_EQ(frames_[0].key, key) << timestamp;
  }
  EXPECT_EQ(add(kStarts + "\x80", timestamp += 3000), "");
  EXPECT_FALSE(frames_.at(0).key) << "cut off";
}

TEST_F(H263Plus, WhatAPacketHasInFrontIsSkipped) {
  EXPECT_EQ(add(std::string("\x06\0v", 3) + kIntra, 0, false), "") << "VRC";
  EXPECT_EQ(add(std::string("\0\x18rpt", 5) + "more", 0), "") << "a header of three bytes";
  EXPECT_THAT(texts(), ElementsAre(kZeros + kIntra + "more"));
  EXPECT_THAT(add(std::string("\x04\x50short", 7), 3000), HasSubstr("longer than its packet"));
  EXPECT_THAT(add(std::string("\x04", 1), 6000), HasSubstr("longer than its packet"));
}

TEST_F(H263Plus, AGroupIsNoPicture) {
  EXPECT_EQ(add(kStarts + "\x84group", 0), "");
  EXPECT_THAT(frames_, IsEmpty());
  EXPECT_EQ(add(kStarts + kIntra, 3000), "");
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_TRUE(frames_[0].discontinuity);
}

}  // namespace
}  // namespace junctor::rtp
