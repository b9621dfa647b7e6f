// SPDX-License-Identifier: LGPL-2.1-or-later
// From queued packets to the socket.
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "rtp/core/session_core.h"

namespace junctor::rtp {

namespace {

constexpr std::size_t kBatch = 64;
constexpr std::size_t kMaxQueue = 2048;  // packets; some seconds of video
constexpr std::size_t kMaxSegments = 32;
constexpr std::size_t kMaxSegmented = 60000;  // bytes in one message

/// How many packets from the first on can leave as one message that the kernel cuts (UDP_SEGMENT):
/// all of one size, but the last may be shorter.
std::size_t equal_run(std::span<const WirePacket> packets) {
  const std::size_t size = packets[0].size();
  std::size_t run = 1;
  while (run < packets.size() && run < kMaxSegments && (run + 1) * size <= kMaxSegmented) {
    if (packets[run].size() > size) break;
    ++run;
    if (packets[run - 1].size() < size) break;
  }
  return run;
}

/// The control message that says where to cut.
struct SegmentControl {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(std::uint16_t))> bytes;
  void attach(msghdr &header, std::size_t size) {
    header.msg_control = bytes.data();
    header.msg_controllen = bytes.size();
    cmsghdr *control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = SOL_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto segment = static_cast<std::uint16_t>(size);
    std::memcpy(CMSG_DATA(control), &segment, sizeof segment);
  }
};

}  // namespace

void SessionCore::send(std::span<const OutgoingPacket> packets) {
  if (closed_) return;
  if (!configured_ || !remote_.send || latch_.destination() == nullptr) {
    counted_.dropped += packets.size();
    return;
  }
  const Time now = reactor_->now();
  if (resumed_ && !packets.empty()) {
    // The peer lacks what those pictures need.
    if (packets.front().needs_others && now - *resumed_ < options_.whole_patience) {
      counted_.dropped += packets.size();
      return;
    }
    resumed_.reset();
  }
  const Time queued = Clock::now();
  if (!packets.empty() && packets.front().entered != Time{})
    packetize_latency_.add(queued - packets.front().entered, queued);
  if (!queued_since_) queued_since_ = queued;
  for (const OutgoingPacket &packet : packets) {
    if (queue_.size() >= kMaxQueue) {
      ++counted_.dropped;
      continue;
    }
    WirePacket wire;
    Header header;
    header.payload_type = stream_.payload_type;
    header.timestamp = timeline_.stamp(
        packet.timestamp, packet.capture == Time{} ? now : packet.capture, stream_.clock_rate);
    if (digits_out_.covers(header.timestamp, now)) {
      after_digit_ = true;
      ++counted_.dropped;
      continue;
    }
    header.marker = std::exchange(after_digit_, false) || packet.marker;
    header.sequence = next_sequence_++;
    header.ssrc = ssrc_;
    const auto fixed = build_header(header);
    const std::size_t prefix = std::min<std::size_t>(packet.prefix_size, packet.prefix.size());
    std::ranges::copy(fixed, wire.head.begin());
    std::copy_n(packet.prefix.begin(), prefix, wire.head.begin() + kFixedHeaderSize);
    wire.head_size = static_cast<std::uint8_t>(kFixedHeaderSize + prefix);
    wire.payload = packet.payload;
    if (encrypted_ && !encrypt(wire)) {
      ++counted_.dropped;
      continue;
    }
    queue_.push_back(std::move(wire));
  }
  if (!send_blocked_ && !queue_.empty()) flush_at_end_.request(*reactor_);
}

std::size_t SessionCore::write_some(std::span<const WirePacket> packets,
                                    const sockaddr_storage &destination, bool &blocked) {
  // Not zeroed: most of it is not used.
  std::array<mmsghdr, kBatch> messages;
  std::array<iovec, 2 * kBatch> vectors;
  std::array<SegmentControl, kBatch> controls;
  std::array<std::size_t, kBatch> sizes;  // packets in each message
  const std::size_t count = std::min(packets.size(), kBatch);
  std::size_t used = 0;
  for (std::size_t i = 0; i < count; i += sizes[used++]) {
    sizes[used] = segmentation_ ? equal_run(packets.subspan(i, count - i)) : 1;
    for (std::size_t k = i; k < i + sizes[used]; ++k) {
      const WirePacket &packet = packets[k];
      vectors[2 * k] = {const_cast<std::byte *>(packet.head.data()), packet.head_size};
      vectors[2 * k + 1] = {const_cast<std::byte *>(packet.payload.view.data()),
                            packet.payload.view.size()};
    }
    messages[used] = {};
    msghdr &header = messages[used].msg_hdr;
    header.msg_name = const_cast<sockaddr_storage *>(&destination);
    header.msg_namelen = sockaddr_length(destination);
    header.msg_iov = &vectors[2 * i];
    header.msg_iovlen = 2 * sizes[used];
    if (sizes[used] > 1) controls[used].attach(header, packets[i].size());
  }
  const int sent = ::sendmmsg(rtp_.get(), messages.data(), static_cast<unsigned>(used),
                              MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent > 0) {
    std::size_t done = 0;
    for (int i = 0; i < sent; ++i) done += sizes[i];
    for (const WirePacket &packet : packets.first(done)) {
      counted_.sent_bytes += packet.size();
      sent_payload_octets_ +=
          static_cast<std::uint32_t>(packet.size() - kFixedHeaderSize - packet.trailer_size);
    }
    counted_.sent_packets += done;
    return done;
  }
  if (sizes[0] > 1 && (errno == EINVAL || errno == EIO || errno == EMSGSIZE ||
                       errno == EOPNOTSUPP || errno == ENOPROTOOPT)) {
    segmentation_ = false;  // this way out does not know it: one by one from now on
    return 0;
  }
  if (errno == EINTR) return 0;
  if (errno == EAGAIN || errno == EWOULDBLOCK) {
    blocked = true;
    return 0;
  }
  // A closed port, no route, a firewall: this packet is lost, the session goes on.
  if (last_send_error_ != errno) {
    last_send_error_ = errno;
    log(LogLevel::Warning,
        "RTP: cannot send to " +
            Endpoint::from_sockaddr(reinterpret_cast<const sockaddr *>(&destination)).to_string() +
            ": " + std::strerror(errno));
  }
  ++counted_.dropped;
  return 1;
}

void SessionCore::flush() {
  if (closed_ || send_blocked_ || queue_.empty()) return;
  const sockaddr_storage *destination = latch_.destination();
  if (destination == nullptr || !remote_.send) {
    counted_.dropped += queue_.size();
    queue_.clear();
    queued_since_.reset();
    return;
  }
  std::size_t done = 0;
  bool blocked = false;
  while (done < queue_.size() && !blocked)
    done += write_some(std::span(queue_).subspan(done), *destination, blocked);
  if (stream_.nack)
    for (std::size_t i = 0; i < done; ++i) history_.remember(queue_[i], reactor_->now());
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(done));
  if (queued_since_) {
    const Time sent = Clock::now();
    send_latency_.add(sent - *queued_since_, sent);
    if (queue_.empty()) queued_since_.reset();
  }
  if (blocked) {
    send_blocked_ = true;
    rtp_watch_.set_events(EPOLLIN | EPOLLOUT);
  }
  // The first report may go with the first packets (RFC 3550 section 6.2, unicast), so that the
  // peer can play sound and picture in sync from the start.
  if (!first_report_sent_ && counted_.sent_packets > 0) send_report();
  publish();
}

void SessionCore::resend(std::span<const std::uint16_t> sequences, Time now) {
  const sockaddr_storage *destination = latch_.destination();
  if (!stream_.nack || !remote_.send || destination == nullptr) return;
  constexpr Duration kLeastPause = std::chrono::milliseconds(10);
  for (const WirePacket *packet :
       history_.recall(sequences, now, std::max(round_trip_, kLeastPause))) {
    bool blocked = false;
    const std::uint64_t sent_before = counted_.sent_packets;
    write_some({packet, 1}, *destination, blocked);
    counted_.retransmitted += counted_.sent_packets - sent_before;
    if (blocked) return;
  }
}

}  // namespace junctor::rtp
