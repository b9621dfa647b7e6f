// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sfu/core/packet_history.h"

#include <algorithm>
#include <bit>
#include <cstring>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace junctor::sfu {

namespace {

/// To whole lines of the cache, which need not be read first then. What follows the packet in the
/// last one is left as it was.
void copy_past_cache(std::byte *to, ByteSpan from) {
  std::size_t done = 0;
#ifdef __SSE2__
  for (; done + sizeof(__m128i) <= from.size(); done += sizeof(__m128i))
    _mm_stream_si128(reinterpret_cast<__m128i *>(to + done),
                     _mm_loadu_si128(reinterpret_cast<const __m128i *>(&from[done])));
#endif
  std::memcpy(to + done, from.data() + done, from.size() - done);
}

}  // namespace

void PacketHistory::remember(std::uint16_t sequence, ByteSpan packet, Time now) {
  if (packet.empty() || packet.size() > kLeastBytes) return;
  if (const Entry *there = held(sequence, now); there && there->contested) return;
  if (entries_.empty()) {
    entries_.resize(kLeastPackets);
    lines_.resize(kLeastBytes / sizeof(Line));
    if (budget_) budget_->used += held_bytes();
    lap_end_ = capacity();
    lap_began_ = now;
  }
  if (head_ + packet.size() > lap_end_) wrap(now);
  Entry *entry = &entries_[sequence % entries_.size()];
  if (holds(*entry) && now - entry->at < kAge && entry->sequence != sequence &&
      entries_.size() < kMostPackets && take(entries_.size() * sizeof(Entry))) {
    // Each goes to where its sequence leads among twice as many.
    std::vector<Entry> more(entries_.size() * 2);
    for (const Entry &old : entries_)
      if (old.size > 0) more[old.sequence % more.size()] = old;
    entries_ = std::move(more);
    entry = &entries_[sequence % entries_.size()];
  }
  *entry = {head_, now, static_cast<std::uint16_t>(packet.size()), sequence};
  copy_past_cache(lines_[line_of(head_)].bytes, packet);
  head_ += (packet.size() + sizeof(Line) - 1) / sizeof(Line) * sizeof(Line);
}

void PacketHistory::wrap(Time now) {
  // Packets lie in one piece: the rest of the lap stays empty.
  head_ = lap_end_;
  if (now - lap_began_ < kAge && capacity() < kMostBytes && take(capacity())) {
    // Too few bytes for what is asked of it. What this lap wrote keeps its place, and the next
    // follows behind it.
    const std::uint64_t base = head_ - capacity();
    for (Entry &entry : entries_) {
      if (entry.position < base) entry.size = 0;
      entry.position -= base;
    }
    head_ -= base;
    lines_.resize(lines_.size() * 2);
    lap_end_ = capacity();  // it goes on
    return;
  }
  lap_end_ += capacity();
  lap_began_ = now;
}

bool PacketHistory::take(std::size_t bytes) {
  if (!budget_) return true;
  if (budget_->used + bytes > budget_->most) return false;
  budget_->used += bytes;
  return true;
}

void PacketHistory::trim(Time now) {
  if (now - lap_began_ <= kTrim || entries_.empty()) return;
  // All that is young enough was written in this lap, one behind the other.
  std::vector<const Entry *> kept;
  std::uint64_t first = head_;
  for (const Entry &entry : entries_)
    if (holds(entry) && now - entry.at <= kAge) {
      kept.push_back(&entry);
      first = std::min(first, entry.position);
    }
  const std::size_t needed = std::bit_ceil(std::max<std::size_t>(head_ - first, kLeastBytes));
  if (!kept.empty() && needed == capacity() &&
      (needed > kLeastBytes || entries_.size() == kLeastPackets))
    return;
  std::ranges::sort(kept, {}, &Entry::position);
  PacketHistory less;
  if (!kept.empty()) {
    less.entries_.resize(kLeastPackets);
    less.lines_.resize(needed / sizeof(Line));
    less.lap_end_ = needed;
    less.lap_began_ = kept.front()->at;
  }
  for (const Entry *each : kept) {
    less.remember(each->sequence, bytes_of(*each), each->at);
    less.entries_[each->sequence % less.entries_.size()].contested = each->contested;
  }
  if (budget_) budget_->used = budget_->used - held_bytes() + less.held_bytes();
  entries_ = std::move(less.entries_);
  lines_ = std::move(less.lines_);
  head_ = less.head_;
  lap_end_ = less.lap_end_;
  lap_began_ = less.lap_began_;
}

const PacketHistory::Entry *PacketHistory::held(std::uint16_t sequence, Time now) const {
  if (entries_.empty()) return nullptr;
  const Entry &entry = entries_[sequence % entries_.size()];
  return entry.sequence == sequence && holds(entry) && now - entry.at <= kAge ? &entry : nullptr;
}

ByteSpan PacketHistory::find(std::uint16_t sequence, Time now) const {
  const Entry *entry = held(sequence, now);
  return entry && !entry->contested ? bytes_of(*entry) : ByteSpan();
}

bool PacketHistory::is_repeated(std::uint16_t sequence, ByteSpan packet, Time now) {
  const Entry *entry = held(sequence, now);
  if (!entry || entry->contested) return false;
  if (std::ranges::equal(bytes_of(*entry), packet)) return true;
  entries_[sequence % entries_.size()].contested = true;
  return false;
}

}  // namespace junctor::sfu
