// SPDX-License-Identifier: LGPL-2.1-or-later
// Sizes and places of pictures.
#include "picture/core/fit.h"

#include <gtest/gtest.h>

#include <ostream>

namespace junctor::picture {
void PrintTo(const Size &size, std::ostream *out) { *out << size.width << 'x' << size.height; }
void PrintTo(const Box &box, std::ostream *out) {
  *out << box.width << 'x' << box.height << '+' << box.left << '+' << box.top;
}

namespace {

constexpr Extent kAny{1, 32767, 1};

TEST(Fitted, APictureThatFitsKeepsItsSize) {
  const Extent width{16, 1280, 2}, height{16, 720, 2};
  EXPECT_EQ(fitted({640, 360}, width, height, 1, 1), (Size{640, 360}));
  EXPECT_EQ(fitted({1280, 720}, width, height, 1, 1), (Size{1280, 720}));
  EXPECT_EQ(fitted({352, 288, 12, 11}, kAny, kAny, 12, 11), (Size{352, 288}));
}

TEST(Fitted, ALargerPictureShrinksAndKeepsItsAspect) {
  const Extent width{16, 1280, 2}, height{16, 720, 2};
  EXPECT_EQ(fitted({1920, 1080}, width, height, 1, 1), (Size{1280, 720}));
  EXPECT_EQ(fitted({1080, 1920}, width, height, 1, 1), (Size{406, 720}));
  EXPECT_EQ(fitted({3000, 500}, width, height, 1, 1), (Size{1280, 214}));
}

TEST(Fitted, SamplesOfAnotherShapeChangeTheWidth) {
  const Extent width{16, 1280, 2}, height{16, 720, 2};
  EXPECT_EQ(fitted({352, 288, 12, 11}, width, height, 1, 1), (Size{384, 288}));
  EXPECT_EQ(fitted({384, 288}, kAny, kAny, 12, 11), (Size{352, 288}));
}

TEST(Fitted, AGivenSizeIsTakenAndOddSidesAreRounded) {
  EXPECT_EQ(fitted({640, 360}, {352, 352, 1}, {288, 288, 1}, 12, 11), (Size{352, 288}));
  EXPECT_EQ(fitted({641, 361}, {16, 1280, 2}, {16, 720, 2}, 1, 1), (Size{642, 362}));
  EXPECT_EQ(fitted({640, 360}, {320, 320, 1}, kAny, 1, 1), (Size{320, 180}));
}

TEST(Fitted, ATinyPictureGrowsAsFarAsItMust) {
  EXPECT_EQ(fitted({8, 4}, {16, 1280, 2}, {16, 720, 2}, 1, 1), (Size{32, 16}));
}

TEST(Placed, OneShapeFillsTheCanvas) {
  EXPECT_EQ(placed({640, 360}, {1280, 720}), (Box{0, 0, 1280, 720}));
  EXPECT_EQ(placed({384, 288}, {352, 288, 12, 11}), (Box{0, 0, 352, 288}));
  EXPECT_EQ(placed({641, 361}, {642, 362}), (Box{0, 0, 642, 362}));
}

TEST(Placed, AnotherShapeStandsInTheMiddle) {
  EXPECT_EQ(placed({640, 360}, {352, 288, 12, 11}), (Box{0, 36, 352, 216}));
  EXPECT_EQ(placed({360, 640}, {352, 288, 12, 11}), (Box{102, 0, 148, 288}));
  EXPECT_EQ(placed({1, 30000}, {352, 288}), (Box{174, 0, 2, 288}));
}

// Chroma has a sample for each two by two of luma.
TEST(Placed, PlacesAreEvenAndOnTheCanvas) {
  for (int width = 16; width < 200; width += 6)
    for (int height = 16; height < 200; height += 10) {
      const Box box = placed({640, 360}, {width, height});
      EXPECT_EQ(box.left % 2 + box.top % 2, 0);
      EXPECT_LE(box.left + box.width, width);
      EXPECT_LE(box.top + box.height, height);
    }
}

}  // namespace
}  // namespace junctor::picture
