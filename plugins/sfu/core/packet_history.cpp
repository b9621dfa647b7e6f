// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sfu/core/packet_history.h"

#include <algorithm>

namespace junctor::sfu {

void PacketHistory::remember(std::uint16_t sequence, ByteSpan packet, Time now) {
  if (packet.empty() || packet.size() > kLeastBytes) return;
  if (const Entry *there = held(sequence, now); there && there->contested) return;
  if (entries_.empty()) {
    entries_.resize(kLeastPackets);
    bytes_.resize(kLeastBytes);
    lap_began_ = now;
  }
  if (head_ % bytes_.size() + packet.size() > bytes_.size()) wrap(now);
  Entry *entry = &entries_[sequence % entries_.size()];
  if (holds(*entry) && now - entry->at < kAge && entry->sequence != sequence &&
      entries_.size() < kMostPackets) {
    // Each goes to where its sequence leads among twice as many.
    std::vector<Entry> more(entries_.size() * 2);
    for (const Entry &old : entries_)
      if (old.size > 0) more[old.sequence % more.size()] = old;
    entries_ = std::move(more);
    entry = &entries_[sequence % entries_.size()];
  }
  *entry = {head_, now, static_cast<std::uint16_t>(packet.size()), sequence};
  std::ranges::copy(packet, bytes_.begin() + static_cast<std::ptrdiff_t>(head_ % bytes_.size()));
  head_ += packet.size();
}

void PacketHistory::wrap(Time now) {
  // Packets lie in one piece: the rest of the lap stays empty.
  head_ += bytes_.size() - head_ % bytes_.size();
  if (now - lap_began_ < kAge && bytes_.size() < kMostBytes) {
    // Too few bytes for what is asked of it. What this lap wrote keeps its place, and the next
    // follows behind it.
    const std::uint64_t base = head_ - bytes_.size();
    for (Entry &entry : entries_) {
      if (entry.position < base) entry.size = 0;
      entry.position -= base;
    }
    head_ -= base;
    bytes_.resize(bytes_.size() * 2);
    return;  // the lap goes on
  }
  lap_began_ = now;
}

PacketHistory::Entry *PacketHistory::held(std::uint16_t sequence, Time now) {
  if (entries_.empty()) return nullptr;
  Entry &entry = entries_[sequence % entries_.size()];
  return entry.sequence == sequence && holds(entry) && now - entry.at <= kAge ? &entry : nullptr;
}

ByteSpan PacketHistory::find(std::uint16_t sequence, Time now) const {
  const Entry *entry = const_cast<PacketHistory *>(this)->held(sequence, now);
  if (!entry || entry->contested) return {};
  return {&bytes_[entry->position % bytes_.size()], entry->size};
}

bool PacketHistory::is_repeated(std::uint16_t sequence, ByteSpan packet, Time now) {
  Entry *entry = held(sequence, now);
  if (!entry || entry->contested) return false;
  const ByteSpan known{&bytes_[entry->position % bytes_.size()], entry->size};
  entry->contested = !std::ranges::equal(known, packet);
  return !entry->contested;
}

}  // namespace junctor::sfu
