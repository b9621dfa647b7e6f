// SPDX-License-Identifier: LGPL-2.1-or-later
// From one law of G.711 to the other.
#include "rtp/core/g711.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <utility>

using namespace junctor;
using namespace junctor::rtp;

namespace {

std::uint8_t converted(Conversion how, std::uint8_t code) {
  std::byte sample{code};
  convert(how, {&sample, 1});
  return std::to_integer<std::uint8_t>(sample);
}

}  // namespace

TEST(Laws, BecomesTheNearestValueOfTheSameSign) {
  // Numbers as in ITU-T G.711 tables 1 and 2, from silence on. On the wire A-law has its even bits
  // inverted, and µ-law all of them; a set sign bit means plus.
  const auto ulaw = [](int sign, int number) {
    return static_cast<std::uint8_t>((sign | 0x7f) ^ number);
  };
  const auto alaw = [](int sign, int number) {
    return static_cast<std::uint8_t>((sign | 0x55) ^ (number - 1));
  };
  for (const int sign : {0x80, 0}) {
    for (const auto &[from, to] : {std::pair{0, 1},
                                   {1, 1},
                                   {2, 2},
                                   {3, 2},
                                   {16, 9},
                                   {32, 25},
                                   {33, 27},
                                   {126, 127},
                                   {127, 128}})
      EXPECT_EQ(converted(Conversion::UlawToAlaw, ulaw(sign, from)), alaw(sign, to)) << from;
    for (const auto &[from, to] :
         {std::pair{1, 1}, {2, 3}, {3, 5}, {8, 15}, {9, 16}, {127, 126}, {128, 127}})
      EXPECT_EQ(converted(Conversion::AlawToUlaw, alaw(sign, from)), ulaw(sign, to)) << from;
  }
}

TEST(Laws, ThereAndBackItIsNearlyTheSame) {
  int same = 0;
  for (int code = 0; code < 256; ++code) {
    const auto there = converted(Conversion::AlawToUlaw, static_cast<std::uint8_t>(code));
    const auto back = converted(Conversion::UlawToAlaw, there);
    same += back == code ? 1 : 0;
    EXPECT_EQ(back & 0x80, code & 0x80) << code;
    EXPECT_LE(std::abs(((back ^ 0x55) & 0x7f) - ((code ^ 0x55) & 0x7f)), 1) << code;
  }
  EXPECT_GT(same, 220);
}

TEST(Laws, OnlyWhatNeedsNoDecoderIsConverted) {
  EXPECT_EQ(conversion(Codec::Pcma, Codec::Pcma), Conversion::None);
  EXPECT_EQ(conversion(Codec::H264, Codec::H264), Conversion::None);
  EXPECT_EQ(conversion(Codec::Pcma, Codec::Pcmu), Conversion::AlawToUlaw);
  EXPECT_EQ(conversion(Codec::Pcmu, Codec::Pcma), Conversion::UlawToAlaw);
  EXPECT_FALSE(conversion(Codec::Speex, Codec::Pcma));
  EXPECT_FALSE(conversion(Codec::H264, Codec::H263));
}
