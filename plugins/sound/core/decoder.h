// SPDX-License-Identifier: LGPL-2.1-or-later
// Coded sound to samples, with libavcodec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "common/bytes.h"
#include "common/result.h"
#include "sound/core/resampler.h"

namespace junctor::sound {

enum class Coding : std::uint8_t {
  Aac,    ///< raw access units, without ADTS
  Speex,  ///< one or more frames a packet, of one rate
};

/// Gives the samples of one packet after the other. One thread at a time.
class Decoder {
 public:
  /// Samples of one stretch; what is pointed to lives until the decoder is used again.
  struct Sound {
    Source form;  ///< as the stream says it itself: it may change from packet to packet
    const std::uint8_t *const *planes;
    std::size_t samples;  ///< of each channel
  };

  /// `setup` is what the stream begins with: AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), or the
  /// header packet of Speex. BadInput if it is none.
  static Result<Decoder> create(Coding coding, ByteSpan setup);

  Decoder(Decoder &&) noexcept;
  Decoder &operator=(Decoder &&) noexcept;
  ~Decoder();

  /// Takes a packet, after which next() gives its sound. BadInput where it cannot be decoded: what
  /// follows may be.
  Result<void> take(ByteSpan packet);
  /// What has not been given yet; nothing where that is all.
  std::optional<Sound> next();
  /// What comes then does not follow what was taken.
  void forget();

 private:
  struct Context;
  explicit Decoder(std::unique_ptr<Context> context);
  std::unique_ptr<Context> context_;
};

}  // namespace junctor::sound
