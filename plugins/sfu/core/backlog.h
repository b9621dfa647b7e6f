// SPDX-License-Identifier: LGPL-2.1-or-later
// Packets that wait because the system takes no more, and which of them are given up.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/bytes.h"
#include "common/clock.h"

namespace junctor::sfu {

/// What a packet is worth when not all can be sent, best first.
enum class Class : std::uint8_t {
  Control,  ///< RTCP
  Sound,
  Picture,
  Again,  ///< a retransmission
};
inline constexpr std::size_t kClasses = 4;

/// What became of packets for one destination.
struct SendCounters {
  std::uint64_t packets = 0, bytes = 0;           ///< taken by the system
  std::array<std::uint64_t, kClasses> dropped{};  ///< by Class: no room, or waited too long
  std::uint64_t failed = 0;                       ///< refused by the system: no way, too large …
  std::uint64_t all_dropped() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t each : dropped) sum += each;
    return sum;
  }
};

/// The rule: at most kPackets wait, none of them longer than kAge, and at most a quarter of the
/// room belongs to one destination. Classes leave in their order, each first in, first out. Where
/// there is no room for a packet, the one that waits longest in the lowest class below its own
/// makes room; if there is none, the packet itself is given up. What is given up is counted for its
/// destination.
class Backlog {
 public:
  static constexpr std::size_t kPackets = 512;
  static constexpr std::size_t kShare = kPackets / 4;
  static constexpr Duration kAge = std::chrono::milliseconds(100);

  /// Whose a packet is. Must be forgotten before it goes.
  struct Owner {
    SendCounters counters;
    std::size_t waiting = 0;  ///< packets; the backlog's own figure
  };
  struct Packet {
    Owner *owner = nullptr;
    ByteSpan bytes;
  };

  /// Copies the bytes; longer ones than a slot are given up.
  void push(Owner &owner, ByteSpan bytes, Class kind, Time now);
  /// The next to send, after those too old are given up; it stays until pop().
  std::optional<Packet> front(Time now);
  void pop();
  /// Its packets are gone, uncounted.
  void forget(const Owner &owner);
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

 private:
  static constexpr std::uint16_t kNone = 0xffff;
  static constexpr std::size_t kSlot = 1600;
  struct Slot {
    Owner *owner = nullptr;
    std::uint16_t size = 0, next = kNone;
    Class kind = Class::Control;
    Time since{};
  };
  struct Queue {
    std::uint16_t first = kNone, last = kNone;
  };
  /// Takes the first of a class out.
  void remove(std::size_t kind);
  void give_up(std::size_t kind);
  bool make_room(Class kind);

  std::vector<Slot> slots_;  // made at the first use
  std::vector<std::byte> bytes_;
  std::array<Queue, kClasses> queues_;
  std::uint16_t free_ = kNone;
  std::size_t size_ = 0;
};

}  // namespace junctor::sfu
