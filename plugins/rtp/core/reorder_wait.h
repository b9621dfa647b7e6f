// SPDX-License-Identifier: LGPL-2.1-or-later
// How long a gap in a stream of packets is worth waiting for.
#pragma once

#include <optional>

#include "common/clock.h"

namespace junctor::rtp {

/// Follows how late packets out of order really were. It begins at `start`, grows at once when a
/// packet came later than gaps would have waited, and shrinks slowly, down to nothing where nothing
/// is out of order: then a gap is a loss, and waiting for it only delays what follows. A packet
/// that comes later than `most` is as good as lost and changes nothing.
class ReorderWait {
 public:
  /// What is waited beyond the latest packet seen: a quarter, and this.
  static constexpr Duration kMargin = std::chrono::milliseconds(2);
  /// So long a maximum holds, then it halves in each such time.
  static constexpr Duration kHold = std::chrono::seconds(5), kHalving = std::chrono::seconds(5);
  /// Less is nothing.
  static constexpr Duration kLeast = std::chrono::milliseconds(1);
  /// What a repair may take while no round trip is known.
  static constexpr Duration kUnknownRepair = std::chrono::milliseconds(40);
  /// So many gaps in a row, asked for in vain, show that the peer repairs nothing; it is given
  /// half as many tries again after kRepairPause.
  static constexpr unsigned kVainRepairs = 8;
  static constexpr Duration kRepairPause = std::chrono::seconds(10);

  ReorderWait(Duration start, Duration most) : most_(most), peak_(start) {}

  /// How long a gap that opened at `opened` waits.
  Duration at(Time opened) const;

  /// The first packet of all.
  void begin(Time now);
  /// A missing packet came at `now`, `lateness` after its gap had opened.
  void on_filled(Duration lateness, Time now);
  /// A gap that opened at `opened` has waited in vain until `now`.
  void on_given_up(Time opened, Time now);
  /// Whether what is missing is asked for again (RFC 4585), and how long an answer takes; zero
  /// while that is not known. Where it would come too late no gap waits for it.
  void set_repair(bool asked, Duration round_trip);
  /// Whether an answer can come while a gap waits at all.
  bool may_repair() const { return asked_ && round_trip_ < most_; }

 private:
  Duration order(Time opened) const;   // for packets out of order
  Duration repair(Time opened) const;  // for those that were asked for again

  Duration most_;
  Duration peak_;
  std::optional<Time> peak_at_;
  bool asked_ = false;
  Duration round_trip_{};
  unsigned vain_ = 0;
  Time no_repair_until_{};
};

}  // namespace junctor::rtp
