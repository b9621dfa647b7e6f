// SPDX-License-Identifier: LGPL-2.1-or-later
// Pictures of any usual format and size as I420, with libswscale.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/result.h"
#include "picture/core/fit.h"

namespace junctor::picture {

/// Where the planes of one picture lie; those that the format has not are null.
struct Planes {
  std::array<std::uint8_t *, 4> data{};
  std::array<int, 4> stride{};  ///< bytes from row to row
};
struct ConstPlanes {
  std::array<const std::uint8_t *, 4> data{};
  std::array<int, 4> stride{};
};

/// How the pictures that come are made.
struct Source {
  int format = -1;  ///< AVPixelFormat
  Size size;
  bool full_range = false;  ///< luma from 0 to 255, not from 16 to 235
};

/// Scales into a box of an I420 canvas of limited range and blackens what is around it. Filters
/// over all samples, for a smaller picture that leaves some out flickers and costs more bits. One
/// thread at a time.
class Scaler {
 public:
  /// `box` lies on `canvas`, as placed() gives it. Fails for a format or size that libswscale does
  /// not take.
  static Result<Scaler> create(const Source &source, Size canvas, Box box);

  Scaler(Scaler &&) noexcept;
  Scaler &operator=(Scaler &&) noexcept;
  ~Scaler();

  /// Writes all of the canvas, and nothing beside it.
  void scale(const ConstPlanes &from, const Planes &to);

 private:
  struct Context;
  explicit Scaler(std::unique_ptr<Context> context);
  std::unique_ptr<Context> context_;
};

}  // namespace junctor::picture
