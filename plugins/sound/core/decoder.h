// SPDX-License-Identifier: LGPL-2.1-or-later
// Coded sound to samples: AAC with libavcodec, Speex with libspeex.
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
  Speex,  ///< one or more frames a packet
};

/// Gives the samples of one packet after the other. One thread at a time.
class Decoder {
 public:
  /// What the longest packets of usual streams have. A hostile one could ask for minutes of sound
  /// with a thousand bytes: what is beyond this is left out.
  static constexpr unsigned kMostFrames = 16;
  static constexpr std::size_t kMostBytes = 8192;  ///< of a packet

  /// Samples of one frame; what is pointed to lives until the decoder is used again.
  struct Sound {
    Source form;  ///< as the stream says it itself: that of AAC may change with each frame
    const std::uint8_t *const *planes;
    std::size_t samples;  ///< of each channel
  };

  /// `setup` is what the stream begins with: AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), or the
  /// header packet of Speex. BadInput if it is none.
  static Result<std::unique_ptr<Decoder>> create(Coding coding, ByteSpan setup);

  virtual ~Decoder() = default;
  Decoder(const Decoder &) = delete;
  Decoder &operator=(const Decoder &) = delete;

  /// Takes a packet, after which next() gives its sound. BadInput where it cannot be decoded: what
  /// follows can be all the same.
  Result<void> take(ByteSpan packet);
  /// What the packet has that has not been given yet; nothing where that is all.
  std::optional<Sound> next();
  /// What comes then does not follow what was taken.
  virtual void forget() = 0;

 protected:
  explicit Decoder(const char *name) : name_(name) {}

 private:
  virtual Result<void> take_packet(ByteSpan packet) = 0;
  virtual std::optional<Sound> next_frame() = 0;

  const char *name_;  ///< for people
  unsigned given_ = 0;
};

Result<std::unique_ptr<Decoder>> make_aac_decoder(ByteSpan setup);
Result<std::unique_ptr<Decoder>> make_speex_decoder(ByteSpan setup);

}  // namespace junctor::sound
