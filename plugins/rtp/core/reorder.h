// SPDX-License-Identifier: LGPL-2.1-or-later
// Puts packets back in order.
#pragma once

#include <bitset>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/clock.h"
#include "rtp/core/reorder_wait.h"
#include "rtp/core/session.h"

namespace junctor::rtp {

/// Passes packets of one source on in order of sequence. One in order leaves at once; one behind a
/// gap is held until the gap fills, has waited long enough, or grows beyond kWindow. A jump of
/// more than kMaxDropout onwards, or of more than kMaxMisorder back to where nothing was missing,
/// needs two packets in a row to be believed (RFC 3550 A.1).
class ReorderBuffer {
 public:
  static constexpr std::uint64_t kWindow = 512;       ///< packets
  static constexpr std::int64_t kMaxDropout = 3000;   ///< packets
  static constexpr std::uint64_t kMaxMisorder = 100;  ///< packets
  static constexpr std::size_t kMaxGaps = 64;         ///< of which is known when they opened

  struct Counters {
    std::uint64_t lost = 0, late = 0, reordered = 0, duplicates = 0;
  };

  enum class Arrival : std::uint8_t {
    Passed,     ///< into `out`, maybe with others that waited for it
    Held,       ///< behind a gap
    Duplicate,  ///< seen before
    Late,       ///< its gap was given up
    Probation,  ///< far away from the others; kept until its successor comes
  };

  explicit ReorderBuffer(ReorderWait wait) : wait_(wait) {}

  /// `packet.sequence` and `arrival` must be set. What may go on is appended to `out`.
  Arrival push(IncomingPacket packet, std::vector<IncomingPacket> &out);
  /// Gives up gaps that have waited long enough at `now`.
  void expire(Time now, std::vector<IncomingPacket> &out);
  /// When expire() next has something to do.
  std::optional<Time> deadline() const;
  /// Sequence numbers that gaps still wait for, in order, at most `limit`.
  std::vector<std::uint16_t> missing(std::size_t limit) const;

  /// A new source: passes on what is held and starts anew; counters go on.
  void restart(std::vector<IncomingPacket> &out);
  bool started() const { return started_; }
  /// The extended number of a sequence number (first cycle 1).
  std::uint64_t extend(std::uint16_t sequence) const;
  const Counters &counters() const { return counters_; }
  /// How long gaps wait.
  const ReorderWait &wait() const { return wait_; }
  ReorderWait &wait() { return wait_; }
  /// How often a jump was believed: numbers went on elsewhere, within one source.
  std::uint64_t restarts() const { return restarts_; }

 private:
  void pass(IncomingPacket &&packet, std::vector<IncomingPacket> &out);
  void drain(std::vector<IncomingPacket> &out);
  void give_up_first_gap(std::vector<IncomingPacket> &out);
  void flush(std::vector<IncomingPacket> &out);
  void start_at(std::uint64_t sequence);
  Arrival push_far(IncomingPacket &&packet, std::vector<IncomingPacket> &out);
  void open_gap(std::uint64_t first, std::uint64_t last, Time now);
  /// Whether it was missing, and it is known whether it has come since.
  bool is_of_gap(std::uint64_t sequence) const;
  void on_missing_came(std::uint64_t sequence, Time now);

  ReorderWait wait_;
  bool started_ = false;
  bool lost_before_next_ = false;
  std::uint64_t next_ = 0;     // extended number of what may go on
  std::uint64_t highest_ = 0;  // extended, of what has come
  std::map<std::uint64_t, IncomingPacket> held_;
  Time gap_since_{};
  struct Gap {
    std::uint64_t first, last;
    Time opened;
  };
  std::vector<Gap> gaps_;   // the latest, also those given up
  std::bitset<1024> seen_;  // of the numbers up to highest_
  std::optional<IncomingPacket> far_;
  std::uint64_t restarts_ = 0;
  Counters counters_;
};

}  // namespace junctor::rtp
