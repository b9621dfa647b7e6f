// SPDX-License-Identifier: LGPL-2.1-or-later
// Packets of a channel: sockets, SRTP, counting.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "nat/core/channel_queue.h"
#include "rtp/core/demux.h"

namespace junctor::nat {

namespace {

constexpr std::size_t kBatch = 16;
constexpr std::size_t kDatagram = 2048;  // larger ones are not ours
constexpr int kBatchesPerTurn = 8;       // then the other sockets of the reactor have their go
constexpr std::size_t kMostSources = 16;
constexpr int kLargestGap = 3000;  // of sequence numbers; beyond that the source began anew

bool same_address(const sockaddr_storage &one, const sockaddr_storage &other) {
  if (one.ss_family != other.ss_family) return false;
  if (one.ss_family == AF_INET) {
    const auto &a = reinterpret_cast<const sockaddr_in &>(one);
    const auto &b = reinterpret_cast<const sockaddr_in &>(other);
    return a.sin_port == b.sin_port && a.sin_addr.s_addr == b.sin_addr.s_addr;
  }
  const auto &a = reinterpret_cast<const sockaddr_in6 &>(one);
  const auto &b = reinterpret_cast<const sockaddr_in6 &>(other);
  return a.sin6_port == b.sin6_port && std::memcmp(&a.sin6_addr, &b.sin6_addr, 16) == 0;
}

void add(std::atomic<std::uint64_t> &count, std::uint64_t more) {
  count.store(count.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

}  // namespace

void Channel::send(ByteSpan packet, bool rtcp) {
  rtp::Srtp *const context = sending_context(rtcp);
  const bool ice = ice_ && ladder_ && ladder_->carrying() == ice_->attempt;
  if ((!path_ && !ice) || (context == nullptr && options_.encrypt) || packet.size() > kMostPacket ||
      closed_)
    return add(counted_.unsent, 1);
  Queued::Slot &slot = queued_->slots[queued_->used];
  std::ranges::copy(packet, slot.bytes.begin());
  slot.size = packet.size();
  if (options_.encrypt && !(rtcp ? context->protect_rtcp(slot.bytes, slot.size)
                                 : context->protect_rtp(slot.bytes, slot.size)))
    return add(counted_.unsent, 1);
  if (++queued_->used == Queued::kSlots) return flush();
  queued_->turn_end.request(*reactor_);
}

void Channel::flush() {
  const std::size_t count = std::exchange(queued_->used, 0);
  if (closed_) return;
  if (ice_ && ice_->agent && ladder_ && ladder_->carrying() == ice_->attempt) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto &slot = queued_->slots[i];
      const bool sent = ice_->agent->send(ByteSpan(slot.bytes).first(slot.size));
      add(sent ? counted_.packets_sent : counted_.unsent, 1);
      if (sent) add(counted_.bytes_sent, slot.size);
    }
    return;
  }
  if (!path_ || path_socket_ >= sockets_.size()) return add(counted_.unsent, count);
  std::array<iovec, Queued::kSlots> vectors;
  std::array<mmsghdr, Queued::kSlots> messages{};
  for (std::size_t i = 0; i < count; ++i) {
    vectors[i] = {queued_->slots[i].bytes.data(), queued_->slots[i].size};
    messages[i].msg_hdr.msg_name = &*path_;
    messages[i].msg_hdr.msg_namelen = sockaddr_length(*path_);
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  std::size_t done = 0, bytes = 0, packets = 0;
  while (done < count) {
    const int sent = ::sendmmsg(sockets_[path_socket_].fd.get(), &messages[done],
                                static_cast<unsigned>(count - done), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent <= 0) {
      if (errno == EINTR) continue;
      // A full buffer, a packet filter, no route: this one is lost. Live media does not wait.
      ++done;
      add(counted_.unsent, 1);
      continue;
    }
    for (int i = 0; i < sent; ++i) bytes += queued_->slots[done + static_cast<std::size_t>(i)].size;
    packets += static_cast<std::size_t>(sent);
    done += static_cast<std::size_t>(sent);
  }
  add(counted_.packets_sent, packets);
  add(counted_.bytes_sent, bytes);
}

void Channel::read(unsigned socket) {
  const auto self = shared_from_this();
  bool stepped = false, delivered = false;
  for (int round = 0; round < kBatchesPerTurn && !closed_; ++round) {
    alignas(std::uint64_t) std::array<std::array<std::byte, kDatagram>, kBatch> buffers;
    std::array<sockaddr_storage, kBatch> sources;
    std::array<iovec, kBatch> vectors;
    std::array<mmsghdr, kBatch> messages{};
    for (std::size_t i = 0; i < kBatch; ++i) {
      vectors[i] = {buffers[i].data(), kDatagram};
      messages[i].msg_hdr.msg_name = &sources[i];
      messages[i].msg_hdr.msg_namelen = sizeof sources[i];
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int count =
        ::recvmmsg(sockets_[socket].fd.get(), messages.data(), kBatch, MSG_DONTWAIT, nullptr);
    // An ICMP error of what was sent may show here; it says nothing about what is to be read.
    if (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK) continue;
    if (count <= 0) break;
    for (int i = 0; i < count && !closed_; ++i) {
      const std::size_t size = messages[i].msg_len;
      if (messages[i].msg_hdr.msg_flags & MSG_TRUNC) {
        add(counted_.refused, 1);
        continue;
      }
      const std::span datagram(buffers[i].data(), size);
      switch (rtp::packet_kind(datagram)) {
        case rtp::PacketKind::Stun: {
          const Endpoint from =
              Endpoint::from_sockaddr(reinterpret_cast<const sockaddr *>(&sources[i]));
          const Time now = Clock::now();
          // Without keys nobody can tell; a peer that was faster sends another one soon.
          const auto of_node = [&](const auto &node) {
            return node->puncher && node->puncher->received(socket, from, datagram, now);
          };
          if (!(puncher_ && puncher_->received(socket, from, datagram, now)) &&
              std::ranges::none_of(nodes_, of_node) &&
              !gathering_.received(socket, from, datagram, now) && puncher_)
            add(counted_.refused, 1);
          stepped = true;
          break;
        }
        case rtp::PacketKind::Rtp:
          delivered |= on_media(socket, sources[i], buffers[i], size, false);
          break;
        case rtp::PacketKind::Rtcp:
          delivered |= on_media(socket, sources[i], buffers[i], size, true);
          break;
        default:
          add(counted_.refused, 1);
      }
    }
    if (count < static_cast<int>(kBatch)) break;
  }
  if (closed_) return;
  if (delivered && events_->batch_end) events_->batch_end();
  // What media from another address led to is among it.
  if (stepped || (puncher_ && puncher_->next() && *puncher_->next() <= Clock::now())) step();
}

/// RTP is encrypted from end to end; RTCP over a node ends there.
rtp::Srtp *Channel::sending_context(bool rtcp) {
  if (!rtcp) return srtp_.get();
  const auto carrying = ladder_ ? ladder_->carrying() : std::nullopt;
  const NodeWay *node = carrying ? find_node(carrying->node) : nullptr;
  return node ? node->srtcp.get() : srtcp_.get();
}

/// Decrypts in place; the size of what is authentic.
std::optional<std::size_t> Channel::open(std::span<std::byte> datagram, bool rtcp) {
  using Verdict = rtp::Srtp::Verdict;
  std::size_t size = datagram.size();
  if (!options_.encrypt) return size;
  if (!rtcp) {
    if (srtp_ && srtp_->unprotect_rtp(datagram, size) == Verdict::Authentic) return size;
    return std::nullopt;
  }
  if (srtcp_ && srtcp_->unprotect_rtcp(datagram, size) == Verdict::Authentic) return size;
  for (const auto &node : nodes_) {
    size = datagram.size();
    if (node->srtcp->unprotect_rtcp(datagram, size) == Verdict::Authentic) return size;
  }
  return std::nullopt;
}

bool Channel::on_media(unsigned socket, const sockaddr_storage &from, std::span<std::byte> buffer,
                       std::size_t wire_size, bool rtcp) {
  const auto datagram = buffer.first(wire_size);
  const auto size = open(datagram, rtcp);
  if (!size) {
    add(counted_.refused, 1);
    return false;
  }
  const Time now = reactor_->now();
  const bool of_path = path_ && socket == path_socket_ && same_address(from, *path_);
  Puncher *const carrying = of_path ? puncher_of(path_of_) : nullptr;
  if (carrying && carrying->state() == Puncher::State::Up) {
    carrying->media(now);
  } else {
    const Endpoint where = Endpoint::from_sockaddr(reinterpret_cast<const sockaddr *>(&from));
    // What a node passes on is the peer's, but does not show where the peer is.
    const bool of_node = std::ranges::any_of(nodes_, [&](const auto &node) {
      return node->puncher && node->puncher->knows(socket, where);
    });
    if (Puncher *const one = carrying ? carrying : puncher_ && !of_node ? &*puncher_ : nullptr)
      one->media_from(socket, where, wire_size, now);
  }
  deliver(ByteSpan(datagram).first(*size), wire_size, rtcp);
  return true;
}

void Channel::count_received(std::size_t wire_size) {
  add(counted_.packets_received, 1);
  add(counted_.bytes_received, wire_size);
}

void Channel::deliver(ByteSpan packet, std::size_t wire_size, bool rtcp) {
  count_received(wire_size);
  if (!rtcp) count_rtp(packet);
  if (events_->received) events_->received(SharedBytes::copy(packet), rtcp);
}

void Channel::count_rtp(ByteSpan packet) {
  const auto view = rtp::parse_header(packet);
  if (!view) return;
  const std::uint16_t sequence = view->header.sequence;
  auto source = std::ranges::find(sources_, view->header.ssrc, &Source::ssrc);
  if (source == sources_.end()) {
    if (sources_.size() == kMostSources) sources_.erase(sources_.begin());
    sources_.push_back({view->header.ssrc, sequence, 1, 1});
    return;
  }
  const int ahead = static_cast<std::int16_t>(sequence - source->highest);
  if (ahead > 0) {
    source->highest = sequence;
    source->expected += ahead < kLargestGap ? static_cast<unsigned>(ahead) : 1;
  }
  ++source->received;
  std::uint64_t lost = 0;
  for (const Source &each : sources_)
    lost += each.expected > each.received ? each.expected - each.received : 0;
  counted_.lost.store(lost, std::memory_order_relaxed);
}

}  // namespace junctor::nat
