// SPDX-License-Identifier: LGPL-2.1-or-later
// From the sockets to packets in order.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cerrno>
#include <utility>

#include "common/kernel_time.h"
#include "rtp/core/session_core.h"

namespace junctor::rtp {

namespace {

constexpr std::size_t kBatch = 16;
constexpr std::size_t kMaxDatagram = 2048;  // larger ones are not ours: cut, counted, dropped
constexpr int kBatchesPerTurn = 8;          // then the other sockets of the reactor have their go
constexpr std::size_t kMaxEarly = 64;       // packets before the answer
constexpr std::size_t kMaxUndecided = 128;  // packets from who may turn out to be the peer
// Between an answer and the pipeline that it leads to, packets wait so long for their listener: the
// first keyframe is among them.
constexpr Duration kMaxWait = std::chrono::milliseconds(500);
constexpr std::size_t kMaxWaiting = 512;

}  // namespace

void SessionCore::on_socket(int fd, std::uint32_t events) {
  const auto self = shared_from_this();
  if (events & EPOLLOUT && fd == rtp_.get()) {
    send_blocked_ = false;
    rtp_watch_.set_events(EPOLLIN);
    flush();
  }
  const Time now = reactor_->now();
  bool any = false;
  for (int round = 0; round < kBatchesPerTurn && !closed_; ++round) {
    alignas(std::uint64_t) std::array<std::array<std::byte, kMaxDatagram>, kBatch> buffers;
    std::array<sockaddr_storage, kBatch> sources;
    std::array<iovec, kBatch> vectors;
    std::array<mmsghdr, kBatch> messages{};
    std::array<KernelTimeSpace, kBatch> asides;
    for (std::size_t i = 0; i < kBatch; ++i) {
      vectors[i] = {buffers[i].data(), kMaxDatagram};
      messages[i].msg_hdr.msg_name = &sources[i];
      messages[i].msg_hdr.msg_namelen = sizeof sources[i];
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      asides[i].attach(messages[i].msg_hdr);
    }
    const int count = ::recvmmsg(fd, messages.data(), kBatch, MSG_DONTWAIT, nullptr);
    // An ICMP error of what was sent may show here; it says nothing about what is to be read.
    if (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK) continue;
    if (count <= 0) break;
    any = true;
    const auto wall = std::chrono::system_clock::now().time_since_epoch();
    std::bitset<kBatch> refused;
    if (encrypted_)
      for (int i = 0; i < count; ++i)
        if (!(messages[i].msg_hdr.msg_flags & MSG_TRUNC))
          refused[i] = !decrypt(buffers[i], messages[i].msg_len, fd);
    // One block for the batch; each packet is a view into it.
    Bytes block;
    std::size_t total = 0;
    for (int i = 0; i < count; ++i) total += messages[i].msg_len;
    block.reserve(total);
    for (int i = 0; i < count; ++i)
      block.insert(block.end(), buffers[i].begin(), buffers[i].begin() + messages[i].msg_len);
    const SharedBytes shared = SharedBytes::own(std::move(block));
    std::size_t offset = 0;
    for (int i = 0; i < count && !closed_; ++i) {
      const SharedBytes datagram{shared.owner, shared.view.subspan(offset, messages[i].msg_len)};
      offset += messages[i].msg_len;
      if (const auto came = kernel_time(messages[i].msg_hdr))
        receive_latency_.add(wall - *came, now);
      if (messages[i].msg_hdr.msg_flags & MSG_TRUNC)
        ++counted_.malformed;
      else if (!refused[i])
        on_datagram(datagram, sources[i], fd, now);
    }
    deliver();
    if (count < static_cast<int>(kBatch)) break;
  }
  if (closed_ || !any) return;
  send_nack(now);
  arm_reorder_timer();
  publish();
}

void SessionCore::on_datagram(const SharedBytes &datagram, const sockaddr_storage &source, int fd,
                              Time now) {
  if (!configured_) {
    // Media may overtake the answer (RFC 3264 section 5.1).
    if (early_.size() < kMaxEarly) early_.push_back({datagram, source, fd, now});
    return;
  }
  if (fd == rtcp_.get() || looks_like_rtcp(datagram.view))
    on_rtcp(datagram.view, source, fd, now);
  else
    on_rtp(datagram, source, now);
}

bool SessionCore::make_agreed(SharedBytes &datagram, PacketView &view) const {
  const std::uint8_t type = view.header.payload_type;
  const auto alternate = std::ranges::find(stream_.alternates, type, &Alternate::payload_type);
  if (type == stream_.receive_payload_type || alternate == stream_.alternates.end())
    return type == stream_.receive_payload_type || type == stream_.payload_type ||
           type == stream_.events.receive_payload_type;
  Bytes bytes(datagram.view.begin(), datagram.view.end());
  constexpr std::byte kMarker{0x80};
  bytes[1] = (bytes[1] & kMarker) | std::byte{stream_.receive_payload_type};
  convert(alternate->conversion, std::span(bytes).subspan(view.header_size, view.payload.size()));
  datagram = SharedBytes::own(std::move(bytes));
  view = *parse_packet(datagram.view);
  return true;
}

void SessionCore::on_rtp(SharedBytes datagram, const sockaddr_storage &source, Time now) {
  auto view = parse_packet(datagram.view);
  if (!view) {
    ++counted_.malformed;
    return;
  }
  if (!make_agreed(datagram, *view)) {
    ++counted_.wrong_payload;
    return;
  }
  if (admit(datagram, source, view->header.ssrc, now)) accept(datagram, *view, now);
}

bool SessionCore::admit(const SharedBytes &datagram, const sockaddr_storage &source,
                        std::uint32_t ssrc, Time now) {
  switch (latch_.judge(source, ssrc, now)) {
    case Latch::Verdict::Stranger:
      ++counted_.strangers;
      return false;
    case Latch::Verdict::Undecided:
      // Kept for a moment: the first keyframe may be in it.
      std::erase_if(undecided_, [&](const Early &each) {
        const bool old = now - each.arrival > Latch::kForget;
        counted_.strangers += old ? 1 : 0;
        return old;
      });
      if (undecided_.size() < kMaxUndecided)
        undecided_.push_back({SharedBytes::copy(datagram.view), source, -1, now});
      else
        ++counted_.strangers;
      return false;
    case Latch::Verdict::Accepted:
      break;
  }
  if (undecided_.empty() || latch_.latched() == nullptr) return true;
  const std::vector<Early> waiting = std::exchange(undecided_, {});
  for (const Early &each : waiting) {
    const auto view = parse_packet(each.datagram.view);
    if (same_address(each.source, *latch_.latched()) && view && view->header.ssrc == ssrc &&
        now - each.arrival <= Latch::kForget)
      accept(each.datagram, *view, each.arrival);
    else
      ++counted_.strangers;
  }
  return true;
}

void SessionCore::accept(const SharedBytes &datagram, const PacketView &view, Time now) {
  if (!remote_.receive) return;
  const Header &header = view.header;
  IncomingPacket packet;
  packet.sequence = header.sequence;
  packet.ssrc = header.ssrc;
  packet.payload_type = static_cast<std::uint8_t>(header.payload_type == stream_.payload_type
                                                      ? stream_.receive_payload_type
                                                      : header.payload_type);
  packet.marker = header.marker;
  packet.arrival = now;
  packet.packet = datagram;
  packet.header_size = view.header_size;
  packet.payload_size = view.payload.size();
  if (!source_) {
    adopt_source(header.ssrc);
  } else if (*source_ != header.ssrc) {
    // Another SSRC must show two packets in a row to be more than a stray.
    if (candidate_ && candidate_->ssrc == header.ssrc &&
        static_cast<std::uint16_t>(candidate_->packet.sequence + 1) == header.sequence) {
      Candidate first = *std::move(candidate_);
      adopt_source(header.ssrc);
      take(std::move(first.packet), first.timestamp);
    } else {
      candidate_ = Candidate{header.ssrc, header.timestamp, std::move(packet)};
      return;
    }
  }
  candidate_.reset();
  take(std::move(packet), header.timestamp);
}

void SessionCore::adopt_source(std::uint32_t ssrc) {
  reorder_.restart(ready_);
  source_changed_ = counted_.received_packets > 0;
  first_of_source_ = true;
  source_ = ssrc;
  candidate_.reset();
  timestamps_.reset();
  asked_.clear();
  peer_fir_.reset();
  reception_.emplace(ssrc, stream_.clock_rate);
  if (peer_report_ && peer_report_->ssrc != ssrc) peer_report_.reset();
  if (keyframe_wanted_) send_keyframe_request();
}

void SessionCore::take(IncomingPacket packet, std::uint32_t timestamp) {
  ++counted_.received_packets;
  counted_.received_bytes += packet.packet.view.size();
  if (!counted_.first_packet) counted_.first_packet = packet.arrival;
  counted_.last_packet = packet.arrival;
  packet.extended_timestamp = timestamps_.push(timestamp);
  if (first_of_source_) {
    packet.new_source = true;
    packet.discontinuity = source_changed_;
    first_of_source_ = false;
  }
  const std::uint16_t sequence = packet.sequence;
  const Time arrival = packet.arrival;
  const bool event = is_event(packet);
  const std::uint64_t restarts = reorder_.restarts();
  if (reorder_.push(std::move(packet), ready_) == ReorderBuffer::Arrival::Probation) return;
  // What the buffer does not believe must not look like a loss of all that lies between.
  if (reorder_.restarts() != restarts) reception_->restart();
  // An event's timestamp is that of its begin, all along: nothing about jitter.
  reception_->on_packet(reorder_.extend(sequence), event ? std::nullopt : std::optional(timestamp),
                        arrival);
}

void SessionCore::replay_early() {
  std::vector<Early> early = std::exchange(early_, {});
  for (Early &each : early) {
    if (encrypted_ && !decrypt(each.datagram, each.fd)) continue;
    on_datagram(each.datagram, each.source, each.fd, each.arrival);
    if (closed_) return;
  }
  deliver();
}

void SessionCore::set_listener(std::weak_ptr<SessionListener> listener) {
  listener_ = std::move(listener);
  if (!ready_.empty()) reactor_->post([self = shared_from_this()] { self->deliver(); });
}

void SessionCore::deliver() {
  take_events();
  if (ready_.empty() || closed_) return;
  const auto listener = listener_.lock();
  if (!listener) {
    waited_for_listener_ = true;
    const Time oldest = reactor_->now() - kMaxWait;
    std::size_t gone = ready_.size() > kMaxWaiting ? ready_.size() - kMaxWaiting : 0;
    while (gone < ready_.size() && ready_[gone].arrival < oldest) ++gone;
    if (gone == 0) return;
    // What follows a hole, or a source that was never seen to begin, says so.
    const bool began =
        std::any_of(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(gone),
                    [](const IncomingPacket &packet) { return packet.new_source; });
    ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(gone));
    if (ready_.empty()) {
      unseen_ = true;
      unseen_source_ |= began;
      return;
    }
    ready_.front().discontinuity = true;
    ready_.front().new_source |= began;
    return;
  }
  std::vector<IncomingPacket> batch;
  batch.swap(ready_);
  const Time begun = Clock::now();
  if (!std::exchange(waited_for_listener_, false))
    for (const IncomingPacket &packet : batch)
      reorder_latency_.add(reactor_->now() - packet.arrival, begun);
  if (std::exchange(unseen_, false)) {
    batch.front().discontinuity = true;
    batch.front().new_source |= std::exchange(unseen_source_, false);
  }
  for (const IncomingPacket &packet : batch) {
    listener->on_packet(packet);
    if (closed_) return;
  }
  const Time ended = Clock::now();
  pass_on_latency_.add(ended - begun, ended);
  batch.clear();
  if (ready_.empty()) ready_.swap(batch);  // keeps the memory for the next batch
}

void SessionCore::arm_reorder_timer() {
  const auto deadline = reorder_.deadline();
  if (!deadline) {
    reorder_timer_.reset();
    asked_.clear();
    return;
  }
  reorder_timer_ = reactor_->at(*deadline, [this] {
    const auto self = shared_from_this();
    reorder_.expire(reactor_->now(), ready_);
    deliver();
    if (closed_) return;
    arm_reorder_timer();
    publish();
  });
}

}  // namespace junctor::rtp
