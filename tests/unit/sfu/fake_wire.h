// SPDX-License-Identifier: LGPL-2.1-or-later
// The system's side of an outbox: takes what is sent, cut up as a kernel would do it.
#pragma once

#include <gtest/gtest.h>
#include <netinet/udp.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "rtp/core/packet.h"
#include "rtp/core/rtcp.h"
#include "sfu/core/address.h"
#include "sfu/core/outbox.h"

namespace junctor::sfu::test {

using namespace std::chrono_literals;

struct Sent {
  std::string to;
  Bytes bytes;
  bool operator==(const Sent &) const = default;
};

class FakeWire {
 public:
  /// How many messages are taken before EAGAIN; nothing: all.
  std::optional<unsigned> room;
  /// What a message that is to be cut up is refused with.
  int refuse_segments = 0;
  /// What anything to this address is refused with.
  std::string dead;

  std::vector<Sent> sent;
  std::size_t messages = 0, cut_up = 0;

  Outbox::Send sender() {
    return [this](mmsghdr *messages, unsigned count) { return take(messages, count); };
  }
  std::vector<Bytes> to(const std::string &address) const {
    std::vector<Bytes> found;
    for (const Sent &each : sent)
      if (each.to == address) found.push_back(each.bytes);
    return found;
  }

 private:
  int take(mmsghdr *each, unsigned count) {
    for (unsigned i = 0; i < count; ++i)
      if (const int error = take(each[i].msg_hdr)) {
        if (i > 0) return static_cast<int>(i);
        errno = error;
        return -1;
      }
    return static_cast<int>(count);
  }
  int take(msghdr &header) {
    sockaddr_in6 raw{};
    std::memcpy(&raw, header.msg_name, header.msg_namelen);
    const std::string address = to_endpoint(raw).to_string();
    const cmsghdr *control = CMSG_FIRSTHDR(&header);
    if (control && refuse_segments) return refuse_segments;
    if (address == dead) return ENETUNREACH;
    if (room && *room == 0) return EAGAIN;
    if (room) --*room;
    ++messages;
    Bytes all;
    for (std::size_t i = 0; i < header.msg_iovlen; ++i) {
      const auto *base = static_cast<const std::byte *>(header.msg_iov[i].iov_base);
      all.insert(all.end(), base, base + header.msg_iov[i].iov_len);
    }
    EXPECT_LE(all.size(), 65507U);
    std::uint16_t segment = 0;
    if (control) {
      EXPECT_EQ(control->cmsg_level, SOL_UDP);
      std::memcpy(&segment, CMSG_DATA(control), sizeof segment);
      ++cut_up;
    }
    const std::size_t step = segment ? segment : all.size();
    EXPECT_LE((all.size() + step - 1) / step, 64U);
    for (std::size_t at = 0; at < all.size(); at += step)
      sent.push_back({address, Bytes(all.begin() + static_cast<std::ptrdiff_t>(at),
                                     all.begin() + static_cast<std::ptrdiff_t>(
                                                       std::min(at + step, all.size())))});
    return 0;
  }
};

inline Destination destination(const std::string &address) {
  Destination made;
  made.address = *to_raw(*Endpoint::parse(address));
  return made;
}

inline Bytes filled(std::size_t size, int with) {
  return Bytes(size, static_cast<std::byte>(with));
}

inline Bytes rtp_packet(std::uint32_t ssrc, std::uint16_t sequence, std::size_t payload = 100,
                        std::uint8_t payload_type = 96) {
  return rtp::build_packet({payload_type, false, sequence, sequence * 3000U, ssrc},
                           filled(payload, sequence));
}

inline std::vector<Bytes> only(const Bytes &bytes) { return {bytes}; }

/// The items of one kind among datagrams.
template <class Item>
std::vector<Item> items_of(const std::vector<Bytes> &datagrams) {
  std::vector<Item> found;
  for (const Bytes &datagram : datagrams) {
    if (!rtp::looks_like_rtcp(datagram)) continue;
    const auto items = rtp::rtcp::parse(datagram);
    EXPECT_TRUE(items);
    if (!items) continue;
    for (const auto &each : *items)
      if (const auto *item = std::get_if<Item>(&each)) found.push_back(*item);
  }
  return found;
}

}  // namespace junctor::sfu::test
