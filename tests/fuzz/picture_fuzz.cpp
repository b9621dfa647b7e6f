// SPDX-License-Identifier: LGPL-2.1-or-later
// Coded pictures: whatever a stream begins with and whatever its pictures are, what comes out is no
// larger than it may be, and can be read.
// Layout: the codec, the size of the setup, the setup; then pictures, each behind its size in two
// bytes.
#include <array>

#include "common/bytes.h"
#include "input.h"
#include "picture/core/decoder.h"

extern "C" {
#include <libavutil/frame.h>
}

using namespace junctor;
using namespace junctor::picture;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  ByteReader reader(fuzz::input(data, size));
  constexpr std::array kCodecs{Codec::H264, Codec::H263, Codec::Sorenson, Codec::Vp8};
  const Codec codec = kCodecs[reader.u8() % kCodecs.size()];
  const auto setup = reader.take(reader.u8());
  if (reader.failed()) return 0;
  auto decoder = Decoder::create(codec, setup);
  if (!decoder) return 0;
  volatile std::uint8_t sum = 0;
  const auto look = [&] {
    while (const FrameRef frame = decoder->next()) {
      fuzz::require(static_cast<std::int64_t>(frame->width) * frame->height <=
                    Decoder::kMostPixels);
      for (int plane = 0; plane < AV_NUM_DATA_POINTERS && frame->data[plane]; ++plane)
        sum = sum + frame->data[plane][0];
    }
  };
  while (reader.left() > 0) {
    const auto picture = reader.take(reader.u16());
    if (reader.failed()) break;
    if (picture.empty()) decoder->forget();
    [[maybe_unused]] const auto taken = decoder->take(picture, {});
    look();
  }
  decoder->end();
  look();
  return 0;
}
