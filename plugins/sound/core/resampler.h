// SPDX-License-Identifier: LGPL-2.1-or-later
// Sound of any usual sample format, rate and channels as samples of 16 bits, with libswresample.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "common/result.h"
#include "sound/core/sample_clock.h"

namespace junctor::sound {

/// How the sound that comes is made.
struct Source {
  int format = -1;  ///< AVSampleFormat; planar ones have a plane for each channel
  int rate = 0;     ///< samples a second
  int channels = 0;
  std::uint64_t places = 0;  ///< of the channels: bits of AV_CH_*; 0 for the usual ones of so many

  bool operator==(const Source &) const = default;
};

/// What comes out: interleaved samples of 16 bits.
struct Target {
  int rate = 0;
  int channels = 0;
};

/// Mixes channels, then filters and resamples. Without dither: what is encoded has noise enough of
/// its own. One thread at a time.
class Resampler {
 public:
  /// Fails for what libswresample does not take.
  static Result<Resampler> create(const Source &source, Target target);

  Resampler(Resampler &&) noexcept;
  Resampler &operator=(Resampler &&) noexcept;
  ~Resampler();

  /// How many samples of each channel come out at most when so many go in, or when flush() is next.
  std::size_t most_of(std::size_t samples) const;
  /// Takes `samples` of each channel from `planes`, and writes those that are ready to `out`, which
  /// has room for most_of(samples). How many of each channel.
  Result<std::size_t> convert(const std::uint8_t *const *planes, std::size_t samples,
                              std::span<std::int16_t> out);
  /// Writes what is in the filter; what comes then begins anew. Needs room for most_of(0).
  Result<std::size_t> flush(std::span<std::int16_t> out);
  /// How long the filter keeps what it takes.
  Moment delay() const;

 private:
  struct Context;
  explicit Resampler(std::unique_ptr<Context> context);
  std::unique_ptr<Context> context_;
};

}  // namespace junctor::sound
