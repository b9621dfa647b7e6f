// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/outgoing.h"

#include <algorithm>

namespace junctor::rtp {

namespace {

// Signed, so that a capture time slightly before the last one works as well.
std::uint32_t in_units(Duration duration, std::uint32_t clock_rate) {
  const double units = std::chrono::duration<double>(duration).count() * clock_rate;
  return static_cast<std::uint32_t>(static_cast<std::int64_t>(units));
}

}  // namespace

std::uint32_t OutgoingTimeline::stamp(std::uint32_t timestamp, Time capture,
                                      std::uint32_t clock_rate) {
  if (pending_) {
    pending_ = false;
    std::uint32_t wanted = first_;
    if (last_) {
      const std::uint32_t passed =
          capture > last_->capture ? in_units(capture - last_->capture, clock_rate) : 0;
      wanted = last_->timestamp + std::max<std::uint32_t>(passed, 1);
    }
    offset_ = wanted - timestamp;
  }
  const std::uint32_t stamped = timestamp + offset_;
  last_ = Last{stamped, capture};
  return stamped;
}

std::optional<std::uint32_t> OutgoingTimeline::at(Time now, std::uint32_t clock_rate) const {
  if (!last_) return std::nullopt;
  return last_->timestamp + in_units(now - last_->capture, clock_rate);
}

void SentHistory::drop(Entry &entry) {
  if (!entry.used) return;
  bytes_ -= entry.packet.size();
  entry = Entry{};
}

void SentHistory::clear() {
  ring_.clear();
  bytes_ = 0;
}

void SentHistory::remember(const WirePacket &packet, Time now) {
  if (ring_.empty()) {
    ring_.resize(kPackets);
    oldest_ = packet.sequence();
  }
  newest_ = packet.sequence();
  Entry &entry = ring_[newest_ % kPackets];
  drop(entry);
  entry.packet = packet;
  entry.sent = now;
  entry.used = true;
  bytes_ += packet.size();
  credit_ = std::min(credit_ + packet.size() / 2, kBurstBytes);
  if (static_cast<std::uint16_t>(newest_ - oldest_) >= kPackets)
    oldest_ = static_cast<std::uint16_t>(newest_ - kPackets + 1);
  while (oldest_ != newest_) {
    Entry &old = ring_[oldest_ % kPackets];
    if (old.used && bytes_ <= kBytes && now - old.sent <= kAge) break;
    drop(old);
    ++oldest_;
  }
}

std::vector<const WirePacket *> SentHistory::recall(std::span<const std::uint16_t> sequences,
                                                    Time now, Duration pause) {
  std::vector<const WirePacket *> found;
  if (ring_.empty()) return found;
  for (const std::uint16_t sequence : sequences) {
    Entry &entry = ring_[sequence % kPackets];
    if (!entry.used || entry.packet.sequence() != sequence || now - entry.sent > kAge) continue;
    if (entry.resent && now - *entry.resent < pause) continue;
    if (credit_ < entry.packet.size()) break;
    credit_ -= entry.packet.size();
    entry.resent = now;
    found.push_back(&entry.packet);
  }
  return found;
}

}  // namespace junctor::rtp
