// SPDX-License-Identifier: LGPL-2.1-or-later
#include "picture/core/scaler.h"

#include <cstring>
#include <utility>

#include "common/handle.h"

extern "C" {
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
}

namespace junctor::picture {

namespace {

using SwsRef = std::unique_ptr<SwsContext, Releaser<sws_freeContext>>;

constexpr int kBlackLuma = 16, kBlackChroma = 128;

/// The box of one plane, whose sides are those of the canvas divided by `by`.
void blacken_around(std::uint8_t *data, int stride, Size canvas, const Box &box, int by,
                    int value) {
  const auto row = [&](int y) { return data + static_cast<std::ptrdiff_t>(y) * stride; };
  const auto fill = [&](int y, int from, int to) {
    if (to > from) std::memset(row(y) + from, value, static_cast<std::size_t>(to - from));
  };
  const int width = (canvas.width + by - 1) / by, height = (canvas.height + by - 1) / by;
  const int left = box.left / by, right = (box.left + box.width + by - 1) / by;
  const int top = box.top / by, bottom = (box.top + box.height + by - 1) / by;
  for (int y = 0; y < height; ++y) {
    if (y < top || y >= bottom) {
      fill(y, 0, width);
    } else {
      fill(y, 0, left);
      fill(y, right, width);
    }
  }
}

}  // namespace

struct Scaler::Context {
  SwsRef sws;
  int rows = 0;  ///< of the source
  Size canvas;
  Box box;
};

Scaler::Scaler(std::unique_ptr<Context> context) : context_(std::move(context)) {}
Scaler::Scaler(Scaler &&) noexcept = default;
Scaler &Scaler::operator=(Scaler &&) noexcept = default;
Scaler::~Scaler() = default;

Result<Scaler> Scaler::create(const Source &source, Size canvas, Box box) {
  const bool inside = box.left >= 0 && box.top >= 0 && box.width > 0 && box.height > 0 &&
                      box.left + box.width <= canvas.width && box.top + box.height <= canvas.height;
  if (!inside) return internal_error("a picture's place lies beside its canvas");
  auto context = std::make_unique<Context>();
  context->sws.reset(sws_alloc_context());
  // By options, for the range of the source must be known when the ways of scaling are chosen.
  const std::pair<const char *, std::int64_t> options[] = {{"srcw", source.size.width},
                                                           {"srch", source.size.height},
                                                           {"src_format", source.format},
                                                           {"dstw", box.width},
                                                           {"dsth", box.height},
                                                           {"dst_format", AV_PIX_FMT_YUV420P},
                                                           {"dst_range", 0},
                                                           {"sws_flags", SWS_BILINEAR},
                                                           {"src_range", source.full_range}};
  bool taken = context->sws != nullptr && source.format >= 0 &&
               sws_isSupportedInput(static_cast<AVPixelFormat>(source.format)) > 0;
  for (const auto &[name, value] : options)
    taken = taken && av_opt_set_int(context->sws.get(), name, value, 0) >= 0;
  if (!taken || sws_init_context(context->sws.get(), nullptr, nullptr) < 0)
    return bad_input("libswscale makes no picture of " + std::to_string(box.width) + "x" +
                     std::to_string(box.height) + " of one of " +
                     std::to_string(source.size.width) + "x" + std::to_string(source.size.height));
  context->rows = source.size.height;
  context->canvas = canvas;
  context->box = box;
  return Scaler(std::move(context));
}

void Scaler::scale(const ConstPlanes &from, const Planes &to) {
  Context &own = *context_;
  const Box &box = own.box;
  std::uint8_t *places[4] = {};
  for (int plane = 0; plane < 3; ++plane) {
    const int by = plane == 0 ? 1 : 2;
    const auto at = static_cast<std::size_t>(plane);
    places[plane] =
        to.data[at] + static_cast<std::ptrdiff_t>(box.top / by) * to.stride[at] + box.left / by;
  }
  sws_scale(own.sws.get(), from.data.data(), from.stride.data(), 0, own.rows, places,
            to.stride.data());
  // After it, for it may write some samples more than it should where rows end on odd addresses.
  for (int plane = 0; plane < 3; ++plane)
    blacken_around(to.data[static_cast<std::size_t>(plane)],
                   to.stride[static_cast<std::size_t>(plane)], own.canvas, box, plane == 0 ? 1 : 2,
                   plane == 0 ? kBlackLuma : kBlackChroma);
}

}  // namespace junctor::picture
