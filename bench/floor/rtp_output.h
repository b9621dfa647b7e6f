// SPDX-License-Identifier: LGPL-2.1-or-later
// The least that sends a call's media as RTP.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace junctor::bench {

/// One medium of one call: a connected socket and the packets of one tag, which leave in one
/// sendmmsg. Headers live here, payloads stay where the tag is.
class RtpOutput {
 public:
  /// Sends to 127.0.0.1:`port`.
  RtpOutput(std::uint16_t port, std::uint8_t payload_type);
  ~RtpOutput();
  RtpOutput(const RtpOutput &) = delete;
  RtpOutput &operator=(const RtpOutput &) = delete;

  /// The body of a video tag (legacy AVC): RFC 6184, single NAL units and FU-A.
  void send_h264(std::uint32_t time, std::span<const std::uint8_t> body);
  /// The body of an audio tag with G.711: packets of 20 ms.
  void send_g711(std::uint32_t time, std::span<const std::uint8_t> body);

 private:
  void add(std::uint32_t timestamp, std::span<const std::uint8_t> head,
           std::span<const std::uint8_t> payload);
  void add_nal(std::uint32_t timestamp, std::span<const std::uint8_t> nal);
  void flush(bool mark_last);

  static constexpr std::size_t kMost = 64;
  int socket_;
  std::uint8_t payload_type_;
  std::uint16_t sequence_ = 1;
  std::uint32_t ssrc_;
  std::size_t count_ = 0;
  std::array<std::array<std::uint8_t, 14>, kMost> heads_;
  std::array<std::array<iovec, 2>, kMost> parts_;
  std::array<mmsghdr, kMost> messages_;
  std::vector<std::uint8_t> parameter_sets_;  // as length-prefixed NAL units
};

}  // namespace junctor::bench
