// SPDX-License-Identifier: LGPL-2.1-or-later
// Packets of one source that receivers may ask for again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/bytes.h"
#include "common/clock.h"

namespace junctor::sfu {

/// What all histories of a relay hold on to, and where they grow no further. The least room each
/// one has anyway.
struct HistoryBudget {
  std::size_t used = 0, most = 0;  ///< bytes
};

/// A ring of bytes that grows to what the source sends in kAge, up to kMostBytes and kMostPackets.
/// One copy for a packet and no allocation once it has grown. The copy goes past the processor's
/// cache where it can: hardly any packet is asked for again.
class PacketHistory {
 public:
  static constexpr Duration kAge =
      std::chrono::milliseconds(500);  ///< later is too late to be played
  static constexpr std::size_t kLeastBytes = 8UL * 1024, kMostBytes = 512UL * 1024;
  static constexpr std::size_t kLeastPackets = 32, kMostPackets = 2048;

  /// With a budget, which must outlive it, it grows only where that has room.
  explicit PacketHistory(HistoryBudget *budget = nullptr) : budget_(budget) {}
  ~PacketHistory() {
    if (budget_) budget_->used -= held_bytes();
  }
  PacketHistory(const PacketHistory &) = delete;
  PacketHistory &operator=(const PacketHistory &) = delete;

  void remember(std::uint16_t sequence, ByteSpan packet, Time now);
  /// Has what remember() will write to brought into the processor's cache meanwhile.
  void expect(std::uint16_t sequence) const {
    if (!entries_.empty()) __builtin_prefetch(&entries_[sequence % entries_.size()], 1);
  }
  /// Valid until the next remember(); empty where it is not there, too old or contested.
  ByteSpan find(std::uint16_t sequence, Time now) const;
  /// Whether the same packet was remembered. Of two that differ and have one number, one is
  /// somebody else's, and nobody here can tell which: both are new, and neither is found from then
  /// on.
  bool is_repeated(std::uint16_t sequence, ByteSpan packet, Time now);
  /// Gives back the room that the last kTrim did not need, all of it where nothing younger than
  /// kAge is there. For each source about once a second: it may copy what is kept.
  void trim(Time now);
  static constexpr Duration kTrim = 4 * kAge;
  /// Of its ring.
  std::size_t capacity() const { return lines_.size() * sizeof(Line); }

 private:
  struct Entry {
    std::uint64_t position = 0;  // in all that was ever written
    Time at{};
    std::uint16_t size = 0, sequence = 0;  // size 0: none
    bool contested = false;                // another one came under this number
  };
  /// Of the processor's cache: each packet begins in one of its own.
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  void wrap(Time now);
  /// Whether so many bytes more are there for it; takes them.
  bool take(std::size_t bytes);
  std::size_t held_bytes() const { return capacity() + entries_.size() * sizeof(Entry); }
  /// The one of this number that may still be found.
  const Entry *held(std::uint16_t sequence, Time now) const;
  bool holds(const Entry &entry) const {
    return entry.size > 0 && entry.position + capacity() >= head_;
  }
  std::size_t line_of(std::uint64_t position) const { return position % capacity() / sizeof(Line); }
  ByteSpan bytes_of(const Entry &entry) const {
    return {lines_[line_of(entry.position)].bytes, entry.size};
  }

  std::vector<Entry> entries_;  // by sequence, a power of two
  std::vector<Line> lines_;
  std::uint64_t head_ = 0, lap_end_ = 0;
  Time lap_began_{};
  HistoryBudget *budget_;
};

}  // namespace junctor::sfu
