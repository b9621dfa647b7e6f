// SPDX-License-Identifier: LGPL-2.1-or-later
#include "floor/rtp_output.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace junctor::bench {

namespace {
constexpr std::size_t kMtu = 1200;  // of an RTP payload
}

RtpOutput::RtpOutput(std::uint16_t port, std::uint8_t payload_type)
    : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
      payload_type_(payload_type),
      ssrc_(0x10000u + port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket_ < 0 || ::connect(socket_, reinterpret_cast<sockaddr *>(&to), sizeof to) < 0)
    throw std::system_error(errno, std::generic_category(), "socket of an RTP stream");
}

RtpOutput::~RtpOutput() { ::close(socket_); }

void RtpOutput::add(std::uint32_t timestamp, std::span<const std::uint8_t> head,
                    std::span<const std::uint8_t> payload) {
  if (count_ == kMost) flush(false);
  auto &bytes = heads_[count_];
  bytes[0] = 0x80;
  bytes[1] = payload_type_;
  bytes[2] = static_cast<std::uint8_t>(sequence_ >> 8);
  bytes[3] = static_cast<std::uint8_t>(sequence_);
  ++sequence_;
  const std::uint32_t stamp = htonl(timestamp), ssrc = htonl(ssrc_);
  std::memcpy(&bytes[4], &stamp, 4);
  std::memcpy(&bytes[8], &ssrc, 4);
  std::copy(head.begin(), head.end(), &bytes[12]);
  parts_[count_][0] = {bytes.data(), 12 + head.size()};
  parts_[count_][1] = {const_cast<std::uint8_t *>(payload.data()), payload.size()};
  messages_[count_] = {};
  messages_[count_].msg_hdr.msg_iov = parts_[count_].data();
  messages_[count_].msg_hdr.msg_iovlen = 2;
  ++count_;
}

void RtpOutput::flush(bool mark_last) {
  if (count_ == 0) return;
  if (mark_last) heads_[count_ - 1][1] |= 0x80;
  ::sendmmsg(socket_, messages_.data(), static_cast<unsigned>(count_), MSG_DONTWAIT);
  count_ = 0;
}

void RtpOutput::add_nal(std::uint32_t timestamp, std::span<const std::uint8_t> nal) {
  if (nal.size() <= kMtu) return add(timestamp, {}, nal);
  const std::uint8_t header = nal[0];
  auto body = nal.subspan(1);
  for (bool first = true; !body.empty(); first = false) {
    const auto part = body.first(std::min(kMtu - 2, body.size()));
    body = body.subspan(part.size());
    const std::uint8_t head[] = {
        static_cast<std::uint8_t>((header & 0xE0) | 28),
        static_cast<std::uint8_t>((first ? 0x80 : 0) | (body.empty() ? 0x40 : 0) | (header & 31))};
    add(timestamp, head, part);
  }
}

void RtpOutput::send_h264(std::uint32_t time, std::span<const std::uint8_t> body) {
  if (body.size() < 6) return;
  const bool key = body[0] >> 4 == 1;
  const std::uint8_t kind = body[1];
  body = body.subspan(5);
  if (kind == 0) {  // AVCDecoderConfigurationRecord: one SPS, one PPS
    parameter_sets_.clear();
    std::size_t at = 6;
    for (int set = 0; set < 2; ++set, ++at) {
      const std::size_t size = body[at] << 8 | body[at + 1];
      parameter_sets_.insert(parameter_sets_.end(), {0, 0});
      parameter_sets_.insert(parameter_sets_.end(), body.begin() + at,
                             body.begin() + at + 2 + size);
      at += 2 + size;
    }
    return;
  }
  const std::uint32_t timestamp = time * 90;
  const auto add_all = [&](std::span<const std::uint8_t> units) {
    while (units.size() > 4) {
      const std::size_t size = units[0] << 24 | units[1] << 16 | units[2] << 8 | units[3];
      if (size == 0 || size > units.size() - 4) return;
      add_nal(timestamp, units.subspan(4, size));
      units = units.subspan(4 + size);
    }
  };
  if (key) add_all(parameter_sets_);
  add_all(body);
  flush(true);
}

void RtpOutput::send_g711(std::uint32_t time, std::span<const std::uint8_t> body) {
  if (body.size() < 2) return;
  body = body.subspan(1);
  for (std::uint32_t timestamp = time * 8; !body.empty(); timestamp += 160) {
    const auto part = body.first(std::min<std::size_t>(160, body.size()));
    body = body.subspan(part.size());
    add(timestamp, {}, part);
  }
  flush(false);
}

}  // namespace junctor::bench
