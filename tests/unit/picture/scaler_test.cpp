// SPDX-License-Identifier: LGPL-2.1-or-later
// Scaling into a box of a canvas.
#include "picture/core/scaler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

extern "C" {
#include <libavutil/pixfmt.h>
}

namespace junctor::picture {
namespace {

constexpr std::uint8_t kUntouched = 0xA5;
constexpr std::size_t kGuard = 64;

/// An I420 picture with rows of `extra` bytes more than it needs, and guards around its planes.
class Picture {
 public:
  Picture(Size size, int extra, std::uint8_t fill) : size_(size) {
    for (std::size_t plane = 0; plane < 3; ++plane) {
      stride_[plane] = width(plane) + extra;
      planes_[plane].assign(static_cast<std::size_t>(stride_[plane] * height(plane)) + 2 * kGuard,
                            fill);
    }
  }
  int width(std::size_t plane) const { return plane == 0 ? size_.width : (size_.width + 1) / 2; }
  int height(std::size_t plane) const { return plane == 0 ? size_.height : (size_.height + 1) / 2; }
  std::uint8_t &at(std::size_t plane, int x, int y) {
    return planes_[plane][kGuard + static_cast<std::size_t>(y * stride_[plane] + x)];
  }
  void fill(std::size_t plane, std::uint8_t value) {
    for (int y = 0; y < height(plane); ++y)
      for (int x = 0; x < width(plane); ++x) at(plane, x, y) = value;
  }
  Planes planes() {
    Planes planes;
    for (std::size_t plane = 0; plane < 3; ++plane) {
      planes.data[plane] = &at(plane, 0, 0);
      planes.stride[plane] = stride_[plane];
    }
    return planes;
  }
  ConstPlanes as_source() {
    const Planes own = planes();
    ConstPlanes planes;
    std::ranges::copy(own.data, planes.data.begin());
    planes.stride = own.stride;
    return planes;
  }
  bool guards_hold() const {
    return std::ranges::all_of(planes_, [](const auto &plane) {
      const auto untouched = [](std::uint8_t byte) { return byte == kUntouched; };
      return std::all_of(plane.begin(), plane.begin() + kGuard, untouched) &&
             std::all_of(plane.end() - kGuard, plane.end(), untouched);
    });
  }

 private:
  Size size_;
  std::array<std::vector<std::uint8_t>, 3> planes_;
  std::array<int, 3> stride_{};
};

TEST(Scaler, APictureStandsInItsBoxWithBlackAroundIt) {
  Picture from({640, 360}, 0, 0), to({352, 288}, 0, kUntouched);
  from.fill(0, 200);
  from.fill(1, 90);
  from.fill(2, 170);
  const Box box{0, 36, 352, 216};
  auto scaler = Scaler::create({AV_PIX_FMT_YUV420P, {640, 360}}, {352, 288}, box);
  ASSERT_TRUE(scaler) << scaler.error().detail;
  scaler->scale(from.as_source(), to.planes());
  for (std::size_t plane = 0; plane < 3; ++plane) {
    const int top = plane == 0 ? 36 : 18, bottom = plane == 0 ? 252 : 126;
    const int inside = plane == 0 ? 200 : plane == 1 ? 90 : 170, outside = plane == 0 ? 16 : 128;
    for (int y = 0; y < to.height(plane); ++y)
      for (int x = 0; x < to.width(plane); ++x)
        ASSERT_NEAR(to.at(plane, x, y), y >= top && y < bottom ? inside : outside, 1)
            << plane << ' ' << x << ' ' << y;
  }
}

// One that looks at two samples only makes black or white of this, as its phase falls.
TEST(Scaler, ASmallerPictureIsTheMeanOfAllSamples) {
  Picture from({640, 360}, 0, 0), to({160, 90}, 0, kUntouched);
  for (int y = 0; y < 360; ++y)
    for (int x = 0; x < 640; ++x) from.at(0, x, y) = x % 2 != 0 ? 235 : 16;
  from.fill(1, 128);
  from.fill(2, 128);
  auto scaler = Scaler::create({AV_PIX_FMT_YUV420P, {640, 360}}, {160, 90}, {0, 0, 160, 90});
  ASSERT_TRUE(scaler);
  scaler->scale(from.as_source(), to.planes());
  for (int y = 0; y < 90; ++y)
    for (int x = 1; x < 159; ++x) ASSERT_NEAR(to.at(0, x, y), 125, 4) << x << ' ' << y;
}

TEST(Scaler, FullRangeBecomesLimitedRange) {
  Picture from({64, 64}, 0, 0), to({64, 64}, 0, kUntouched);
  from.fill(0, 255);
  from.fill(1, 128);
  from.fill(2, 128);
  for (int x = 0; x < 32; ++x)
    for (int y = 0; y < 64; ++y) from.at(0, x, y) = 0;
  auto scaler = Scaler::create({AV_PIX_FMT_YUV420P, {64, 64}, true}, {64, 64}, {0, 0, 64, 64});
  ASSERT_TRUE(scaler);
  scaler->scale(from.as_source(), to.planes());
  EXPECT_NEAR(to.at(0, 8, 8), 16, 1);
  EXPECT_NEAR(to.at(0, 56, 8), 235, 1);
  EXPECT_NEAR(to.at(1, 8, 8), 128, 1);
}

TEST(Scaler, NothingBesideTheCanvasIsWritten) {
  Picture from({320, 180}, 0, 0x77);
  for (int width = 16; width <= 100; width += 2)
    for (const int extra : {0, 2, 12}) {
      const Size size{width, 90};
      Picture to(size, extra, kUntouched);
      const Box box = placed({320, 180}, {size.width, size.height});
      auto scaler = Scaler::create({AV_PIX_FMT_YUV420P, {320, 180}}, size, box);
      ASSERT_TRUE(scaler);
      scaler->scale(from.as_source(), to.planes());
      EXPECT_TRUE(to.guards_hold()) << width << " with " << extra;
      for (std::size_t plane = 0; plane < 3; ++plane) {
        const int by = plane == 0 ? 1 : 2;
        for (int y = 0; y < to.height(plane); ++y)
          for (int x = 0; x < to.width(plane); ++x) {
            const bool inside = x >= box.left / by && x < (box.left + box.width) / by &&
                                y >= box.top / by && y < (box.top + box.height) / by;
            ASSERT_NEAR(to.at(plane, x, y),
                        inside    ? 0x77
                        : by == 1 ? 16
                                  : 128,
                        2)
                << width << " with " << extra << ": " << plane << ' ' << x << ' ' << y;
          }
      }
    }
}

TEST(Scaler, WhatCannotBeIsRefused) {
  EXPECT_FALSE(Scaler::create({-1, {64, 64}}, {64, 64}, {0, 0, 64, 64}));
  EXPECT_FALSE(Scaler::create({AV_PIX_FMT_YUV420P, {64, 64}}, {64, 64}, {2, 0, 64, 64}));
  EXPECT_FALSE(Scaler::create({AV_PIX_FMT_YUV420P, {64, 64}}, {64, 64}, {0, 0, 0, 64}));
}

}  // namespace
}  // namespace junctor::picture
