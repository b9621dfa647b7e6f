// SPDX-License-Identifier: LGPL-2.1-or-later
// Coded pictures to raw ones, by libavcodec.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "common/bytes.h"
#include "common/codec.h"
#include "common/picture_size.h"
#include "common/result.h"

struct AVCodecContext;
struct AVFrame;
struct AVPacket;

namespace junctor::picture {

struct FreeFrame {
  void operator()(AVFrame *frame) const;
};
/// Its planes are shared with the decoder, which may still look at them: nobody may write.
using FrameRef = std::unique_ptr<AVFrame, FreeFrame>;

/// When a picture is to be shown, and for how long.
struct Showing {
  std::optional<std::chrono::nanoseconds> at, duration;
};

/// Takes coded pictures in the order in which they are decoded and gives raw ones in that in which
/// they are shown. One thread at a time.
class Decoder {
 public:
  /// Of a picture: 4096x2304. A hostile stream could ask for gigabytes with a hundred bytes.
  static constexpr std::int64_t kMostPixels = kMostMacroblocks * 256LL;

  static constexpr std::size_t kMostBytes = 64 << 20;  ///< of a coded one

  /// `setup` is H.264's configuration record (ISO/IEC 14496-15, 5.3.3.1), whose length fields
  /// pictures then have; empty for a byte stream (H.264, Annex B) and for all others. BadInput if
  /// it is none, or for a codec that has no pictures.
  static Result<Decoder> create(Codec codec, ByteSpan setup);

  Decoder(Decoder &&) noexcept;
  Decoder &operator=(Decoder &&) noexcept;
  ~Decoder();

  /// One picture, after which next() gives what can be shown. BadInput where it cannot be decoded:
  /// what follows can be all the same.
  Result<void> take(ByteSpan picture, const Showing &showing);
  /// None follows: next() gives what is still held back.
  void end();
  /// Null where there is no more. Its `pts` and `pkt_duration` are ns, AV_NOPTS_VALUE and 0 where
  /// they are not known.
  FrameRef next();
  /// Nothing of what was taken comes out; what comes then does not follow it.
  void forget();
  /// How many pictures are held back to put them in order.
  int held_back() const;

 private:
  struct Free {
    void operator()(AVCodecContext *codec) const;
    void operator()(AVPacket *packet) const;
  };
  using CodecRef = std::unique_ptr<AVCodecContext, Free>;
  using PacketRef = std::unique_ptr<AVPacket, Free>;
  Decoder(CodecRef codec, PacketRef packet);

  CodecRef codec_;
  PacketRef packet_;
};

}  // namespace junctor::picture
