// SPDX-License-Identifier: LGPL-2.1-or-later
// What a sender keeps: one rising time line, and packets to send again.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/clock.h"
#include "rtp/core/packet.h"
#include "rtp/core/session.h"

namespace junctor::rtp {

/// Moves the timestamps of successive sources by an offset each, so that what leaves rises as the
/// clock does.
class OutgoingTimeline {
 public:
  /// `first` is what the first packet's timestamp becomes; RFC 3550 wants it random.
  explicit OutgoingTimeline(std::uint32_t first) : first_(first) {}

  void begin_source() { pending_ = true; }
  std::uint32_t stamp(std::uint32_t timestamp, Time capture, std::uint32_t clock_rate);
  /// The timestamp that content captured at `now` would have; nothing before the first packet.
  std::optional<std::uint32_t> at(Time now, std::uint32_t clock_rate) const;
  /// What was stamped last; nothing before the first packet.
  std::optional<std::uint32_t> last() const {
    return last_ ? std::optional(last_->timestamp) : std::nullopt;
  }

 private:
  std::uint32_t first_;
  std::uint32_t offset_ = 0;
  bool pending_ = true;
  struct Last {
    std::uint32_t timestamp;
    Time capture;
  };
  std::optional<Last> last_;
};

/// A packet ready for the socket: head (RTP header and prefix) and payload are sent as they are.
struct WirePacket {
  static constexpr std::size_t kMaxHead = kFixedHeaderSize + 4;
  std::array<std::byte, kMaxHead> head{};
  std::uint8_t head_size = 0;
  SharedBytes payload;
  std::uint8_t trailer_size = 0;  ///< of SRTP, at the end of `payload`

  std::size_t size() const { return head_size + payload.view.size(); }
  std::uint16_t sequence() const {
    return static_cast<std::uint16_t>(std::to_integer<unsigned>(head[2]) << 8 |
                                      std::to_integer<unsigned>(head[3]));
  }
};

/// Sent packets that a NACK may ask for, bounded in count, bytes and age; what is sent again is
/// bounded to half of what was sent (and a burst), so that a peer cannot multiply our traffic.
class SentHistory {
 public:
  static constexpr std::size_t kPackets = 512;
  static constexpr std::size_t kBytes = 512UL * 1024;
  static constexpr Duration kAge = std::chrono::seconds(1);
  static constexpr std::size_t kBurstBytes = 64UL * 1024;

  void remember(const WirePacket &packet, Time now);
  /// Those of `sequences` to send again at `now`: each at most once in `pause` (a round trip).
  /// Pointers last until the next remember().
  std::vector<const WirePacket *> recall(std::span<const std::uint16_t> sequences, Time now,
                                         Duration pause);
  void clear();
  std::size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    WirePacket packet;
    Time sent{};
    std::optional<Time> resent;
    bool used = false;
  };
  void drop(Entry &entry);

  std::vector<Entry> ring_;  // by sequence; made at the first use
  std::uint16_t oldest_ = 0, newest_ = 0;
  std::size_t bytes_ = 0;
  std::size_t credit_ = kBurstBytes;
};

}  // namespace junctor::rtp
