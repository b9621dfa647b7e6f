// SPDX-License-Identifier: LGPL-2.1-or-later
// How a picture gets into a size that was not made for it.
#pragma once

#include <cstdint>

namespace junctor::picture {

/// A picture's samples, and how much wider than high each of them is.
struct Shape {
  int width = 0, height = 0;
  int sample_width = 1, sample_height = 1;
};

/// What a side may measure: multiples of `step` from `low` to `high`.
struct Extent {
  int low = 1, high = 1, step = 1;
};

struct Size {
  int width = 0, height = 0;
  bool operator==(const Size &) const = default;
};

/// The size, within both extents, that shows all of `picture` undistorted with samples of the given
/// shape: as high as the picture if that fits, never higher than that unless the extents want it,
/// else as large as fits. Where the extents leave no such size the nearest: borders do the rest.
Size fitted(const Shape &picture, Extent width, Extent height, int sample_width, int sample_height);

/// Where a picture stands on a canvas; all even, so that chroma of half the size lies there too.
struct Box {
  int left = 0, top = 0, width = 0, height = 0;
  bool operator==(const Box &) const = default;
};

/// The largest undistorted place of `picture` in the middle of `canvas`; all of the canvas where
/// less than two samples would be left on each side.
Box placed(const Shape &picture, const Shape &canvas);

}  // namespace junctor::picture
