// SPDX-License-Identifier: LGPL-2.1-or-later
// From RTP packets to the frames in them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/bytes.h"
#include "common/result.h"
#include "rtp/core/formats.h"
#include "rtp/core/session.h"

namespace junctor::rtp {

/// What a decoder takes at once.
struct UnpackedFrame {
  SharedBytes data;
  std::int64_t offset = 0;     ///< units of the RTP clock after the packet that completed it
  std::uint32_t length = 0;    ///< in the same units; 0 where only a decoder can tell
  bool discontinuity = false;  ///< what was before it is missing, or could not be read
  bool key = true;             ///< what follows leans on nothing before it
  /// Of H.264: the AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1) from this frame on;
  /// empty where it is as before.
  SharedBytes config{};
};

/// Takes the frames of one stream out of its packets, which come in order. A frame that a packet
/// holds whole points into it. One thread.
class Depacketizer {
 public:
  virtual ~Depacketizer() = default;
  /// Appends the frames that `packet` completes to `frames`. BadInput for one that cannot be read:
  /// it gives nothing, though a frame before it may be complete now, and the next is welcome.
  virtual Result<void> add(const IncomingPacket &packet, std::vector<UnpackedFrame> &frames) = 0;
  /// Whether frames were left out that need what only comes with a keyframe.
  virtual bool wants_keyframe() const { return false; }
};

/// `parameter_sets`: of H.264, what the peer's description has of them. Null where no depacketizer
/// is ours: H263 of RFC 2190, and MP4A-LATM.
std::unique_ptr<Depacketizer> make_depacketizer(const Format &format,
                                                std::span<const Bytes> parameter_sets = {});
bool has_depacketizer(const Format &format);

/// The payload is what decoders take: G.711 (RFC 3551 section 4.5.14), a sample a byte, and Speex
/// (RFC 5574 section 3.2).
class WholeDepacketizer final : public Depacketizer {
 public:
  explicit WholeDepacketizer(bool a_sample_a_byte) : a_sample_a_byte_(a_sample_a_byte) {}
  Result<void> add(const IncomingPacket &packet, std::vector<UnpackedFrame> &frames) override;

 private:
  const bool a_sample_a_byte_;
};

/// MPEG4-GENERIC in the mode AAC-hbr (RFC 3640 section 3.3.6): access units of 1024 samples,
/// several in a packet, or one in several. Not interleaved, and with nothing but size and index in
/// the AU headers: AacConfig::from_fmtp() agrees to no other. A unit of which a part was lost is
/// left out.
class AacDepacketizer final : public Depacketizer {
 public:
  Result<void> add(const IncomingPacket &packet, std::vector<UnpackedFrame> &frames) override;

 private:
  /// An access unit of which parts are there.
  struct Partial {
    std::uint64_t extended_timestamp;
    std::size_t size;  ///< of the whole
    bool torn;         ///< its beginning may have been lost
    Bytes bytes;
  };
  Result<void> read(const IncomingPacket &packet, std::vector<UnpackedFrame> &frames);
  Result<void> add_part(const IncomingPacket &packet, std::size_t size, ByteSpan part,
                        std::vector<UnpackedFrame> &frames);
  void put(SharedBytes data, std::uint32_t offset, std::vector<UnpackedFrame> &frames);

  std::optional<Partial> partial_;
  bool broken_ = false;             // before the next frame something is missing
  std::vector<std::size_t> sizes_;  // of the packet at hand; for what it has allocated
};

}  // namespace junctor::rtp
