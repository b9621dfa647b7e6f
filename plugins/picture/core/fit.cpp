// SPDX-License-Identifier: LGPL-2.1-or-later
#include "picture/core/fit.h"

#include <algorithm>
#include <cmath>

namespace junctor::picture {

namespace {

int within(double wanted, Extent extent) {
  const int step = std::max(extent.step, 1);
  const int nearest = static_cast<int>(std::lround(wanted / step)) * step;
  return std::clamp(nearest, extent.low, extent.high);
}

/// How many times wider than high the picture is, counted in samples of the given shape.
double proportion(const Shape &picture, int sample_width, int sample_height) {
  return static_cast<double>(picture.width) * picture.sample_width * sample_height /
         (static_cast<double>(picture.height) * picture.sample_height * sample_width);
}

}  // namespace

Size fitted(const Shape &picture, Extent width, Extent height, int sample_width,
            int sample_height) {
  const double wide = proportion(picture, sample_width, sample_height);
  double high = picture.height;
  high = std::min({high, static_cast<double>(height.high), width.high / wide});
  // Only where nothing smaller is allowed does it grow.
  high = std::max({high, static_cast<double>(height.low), width.low / wide});
  return {within(high * wide, width), within(high, height)};
}

Box placed(const Shape &picture, const Shape &canvas) {
  const double wide = proportion(picture, canvas.sample_width, canvas.sample_height);
  const auto even = [](double value, int most) {
    return std::clamp(static_cast<int>(std::lround(value / 2)) * 2, 2, most);
  };
  Box box{0, 0, canvas.width, canvas.height};
  const double width = canvas.height * wide, height = canvas.width / wide;
  if (canvas.width - width >= 4) {
    box.width = even(width, canvas.width);
    box.left = (canvas.width - box.width) / 4 * 2;
  } else if (canvas.height - height >= 4) {
    box.height = even(height, canvas.height);
    box.top = (canvas.height - box.height) / 4 * 2;
  }
  return box;
}

}  // namespace junctor::picture
