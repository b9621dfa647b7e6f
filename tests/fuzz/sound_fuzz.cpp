// SPDX-License-Identifier: LGPL-2.1-or-later
// Coded sound: whatever a stream begins with and whatever its packets are, no packet has more than
// so many frames, and what they have can be read.
// Layout: the coding, the size of the setup, the setup; then packets, each behind its size in two
// bytes.
#include "common/bytes.h"
#include "input.h"
#include "sound/core/decoder.h"

extern "C" {
#include <libavutil/samplefmt.h>
}

using namespace junctor;
using namespace junctor::sound;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  ByteReader reader(fuzz::input(data, size));
  const Coding coding = reader.u8() % 2 == 0 ? Coding::Aac : Coding::Speex;
  const auto setup = reader.take(reader.u8());
  if (reader.failed()) return 0;
  auto decoder = Decoder::create(coding, setup);
  if (!decoder) return 0;
  volatile std::uint8_t sum = 0;
  while (reader.left() > 0) {
    const auto packet = reader.take(reader.u16());
    if (reader.failed()) break;
    if (packet.empty()) (*decoder)->forget();
    if (!(*decoder)->take(packet)) continue;
    unsigned frames = 0;
    while (const auto sound = (*decoder)->next()) {
      fuzz::require(++frames <= Decoder::kMostFrames);
      const auto format = static_cast<AVSampleFormat>(sound->form.format);
      const bool planar = av_sample_fmt_is_planar(format) != 0;
      const auto channels = static_cast<std::size_t>(sound->form.channels);
      const std::size_t bytes = sound->samples * (planar ? 1 : channels) *
                                static_cast<std::size_t>(av_get_bytes_per_sample(format));
      for (std::size_t plane = 0; plane < (planar ? channels : 1); ++plane)
        for (std::size_t at = 0; at < bytes; ++at) sum = sum + sound->planes[plane][at];
    }
  }
  return 0;
}
