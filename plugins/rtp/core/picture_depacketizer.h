// SPDX-License-Identifier: LGPL-2.1-or-later
// From RTP packets of VP8 and H.263 to their pictures.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/bytes.h"
#include "common/result.h"
#include "rtp/core/depacketizer.h"

namespace junctor::rtp {

/// Pictures that are cut into packets, the marker on the last. Of one that lacks a part nothing
/// comes.
class PictureDepacketizer : public Depacketizer {
 public:
  /// Of a picture: what no encoder of a call comes near to.
  static constexpr std::size_t kMostBytes = 4 << 20;

  Result<void> add(const IncomingPacket &packet, std::vector<UnpackedFrame> &frames) override;
  bool wants_keyframe() const override { return dropped_; }

 protected:
  /// `needs_key`: no decoder makes anything of what comes before the first keyframe; it is left
  /// out.
  explicit PictureDepacketizer(bool needs_key) : needs_key_(needs_key), keyed_(!needs_key) {}

  /// What a payload has of a picture.
  struct Part {
    ByteSpan bytes;
    bool begins = false;         ///< a picture
    std::size_t zeros_left = 0;  ///< bytes of 0 that its packetizer has left out in front
  };

 private:
  /// `payload` has a byte at least. BadInput for one that cannot be read.
  virtual Result<Part> read(ByteSpan payload) const = 0;
  /// Whether the picture leans on none before it.
  virtual bool is_key(ByteSpan picture) const = 0;
  Result<void> take(ByteSpan payload);
  void finish(std::int64_t offset, std::vector<UnpackedFrame> &frames);

  const bool needs_key_;
  bool keyed_;            // a keyframe has come, if it is needed
  bool dropped_ = false;  // the last picture was left out for want of one
  Bytes picture_;         // at hand, in part
  bool open_ = false;
  bool broken_ = false;  // something is missing before what comes next
  std::optional<std::uint64_t> timestamp_;
};

/// RFC 7741.
class Vp8Depacketizer final : public PictureDepacketizer {
 public:
  Vp8Depacketizer() : PictureDepacketizer(true) {}

 private:
  Result<Part> read(ByteSpan payload) const override;
  bool is_key(ByteSpan picture) const override;
};

/// RFC 4629, for H263-1998 and H263-2000. What a packet repeats of the picture's header is left
/// out.
class H263PlusDepacketizer final : public PictureDepacketizer {
 public:
  H263PlusDepacketizer() : PictureDepacketizer(false) {}

 private:
  Result<Part> read(ByteSpan payload) const override;
  bool is_key(ByteSpan picture) const override;
};

}  // namespace junctor::rtp
