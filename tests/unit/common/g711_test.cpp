// SPDX-License-Identifier: LGPL-2.1-or-later
// Both laws of G.711 against linear samples.
#include "common/g711.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

namespace junctor::g711 {
namespace {

TEST(G711, KnownSamples) {
  // Silence, and the ends of the tables of the recommendation.
  EXPECT_EQ(to_alaw(0), 0xd5);
  EXPECT_EQ(to_ulaw(0), 0xff);
  EXPECT_EQ(to_alaw(32767), 0xaa);
  EXPECT_EQ(to_alaw(-32768), 0x2a);
  EXPECT_EQ(to_ulaw(32767), 0x80);
  EXPECT_EQ(to_ulaw(-32768), 0x00);
  EXPECT_EQ(from_alaw(0xaa), 32256);
  EXPECT_EQ(from_ulaw(0x80), 32124);
  EXPECT_EQ(from_ulaw(0xff), 0);
}

TEST(G711, EverySampleIsItsOwn) {
  for (int code = 0; code < 256; ++code) {
    EXPECT_EQ(to_alaw(from_alaw(code)), code);
    // µ-law has a zero of each sign.
    EXPECT_EQ(to_ulaw(from_ulaw(code)), code == 0x7f ? 0xff : code);
  }
}

// The decision values of the recommendation: what lies in a step becomes its middle. 16 bits are
// cut to 13 and 14, so that negative samples on a decision value may fall to its other side.
TEST(G711, AStepBecomesItsMiddle) {
  for (int linear = -32768; linear <= 32767; ++linear) {
    const int alaw = to_alaw(linear), alaw_segment = (alaw ^ 0x55) >> 4 & 7;
    const int alaw_half = 8 << std::max(0, alaw_segment - 1);
    ASSERT_LE(std::abs(from_alaw(alaw) - linear), alaw_half) << linear;
    ASSERT_EQ((alaw & 0x80) != 0, linear >= 0) << linear;
    const int ulaw = to_ulaw(linear), ulaw_segment = ~ulaw >> 4 & 7;
    const int ulaw_half = 4 << ulaw_segment, clipped = std::clamp(linear, -32635, 32635);
    ASSERT_LE(std::abs(from_ulaw(ulaw) - clipped), ulaw_half) << linear;
    ASSERT_EQ((ulaw & 0x80) != 0, linear >= 0) << linear;
  }
}

}  // namespace
}  // namespace junctor::g711
