// SPDX-License-Identifier: LGPL-2.1-or-later
// From frames of an elementary stream to RTP packets.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/bytes.h"
#include "common/codec.h"
#include "common/result.h"
#include "rtp/core/session.h"

namespace junctor::rtp {

/// The longest payload that is made, in bytes; with headers it fits any path of 1,280 bytes.
inline constexpr std::size_t kMaxPayload = 1188;

/// One frame: an access unit of H264, some samples of G.711.
struct Frame {
  SharedBytes data;
  std::chrono::nanoseconds time{};  ///< when it is to be shown or heard, on the stream's own clock
  Time capture{};                   ///< what packets of it tell as OutgoingPacket::capture
  Time came{};                      ///< when it was there to be sent; unset: at once
  bool discontinuity = false;       ///< not the successor of the frame before
};

/// Cuts the frames of one stream into packets that point into them. One thread.
class Packetizer {
 public:
  virtual ~Packetizer() = default;
  /// Appends the packets of `frame` to `packets`. BadInput for a frame that does not fit its own
  /// lengths; nothing is appended then, and the next frame is welcome.
  virtual Result<void> add(const Frame &frame, std::vector<OutgoingPacket> &packets) = 0;
};

/// RFC 6184. Access units with a length before each NAL unit. Small NAL units that follow each
/// other share a packet (STAP-A), large ones are fragmented (FU-A), none is changed or left out but
/// those of the types that RTP uses itself. An IDR picture without parameter sets gets those of the
/// configuration.
class H264Packetizer final : public Packetizer {
 public:
  /// `config`: an AVCDecoderConfigurationRecord (ISO/IEC 14496-15). BadInput if it is none.
  static Result<std::unique_ptr<H264Packetizer>> make(ByteSpan config);

  /// Packetization mode 0 (section 6.2): each NAL unit in one packet, however long. Any time.
  void set_single_nal(bool single) { single_nal_ = single; }

  Result<void> add(const Frame &frame, std::vector<OutgoingPacket> &packets) override;

 private:
  H264Packetizer() = default;
  void add_units(std::vector<OutgoingPacket> &packets);
  std::size_t aggregate_from(std::size_t first) const;
  void put_fragments(const SharedBytes &unit, std::vector<OutgoingPacket> &packets);

  std::vector<SharedBytes> sets_;  // SPS and PPS of the configuration
  int nal_length_size_ = 4;
  bool single_nal_ = false;
  std::vector<SharedBytes> units_;  // of the frame at hand
};

/// RFC 3551 section 4.5.14: 8 kHz, one channel, 20 ms a packet however the samples come. Samples
/// that do not fill a packet wait for the next frame, but not for one that comes much later: then
/// they are of the past and are not sent.
class G711Packetizer final : public Packetizer {
 public:
  Result<void> add(const Frame &frame, std::vector<OutgoingPacket> &packets) override;

 private:
  void put(SharedBytes samples, std::vector<OutgoingPacket> &packets);

  bool started_ = false;
  bool begins_ = false;     // the next packet follows a gap, which its marker says
  std::uint32_t next_ = 0;  // timestamp of the first sample that was not sent
  Time capture_{};          // and when it was captured
  Time came_{};             // the frame before
  Bytes rest_;              // samples that wait, fewer than a packet has
};

/// Nanoseconds as units of an RTP clock, rounded to the nearest.
std::uint32_t rtp_units(std::chrono::nanoseconds time, std::uint32_t clock_rate);

}  // namespace junctor::rtp
