// SPDX-License-Identifier: LGPL-2.1-or-later
// How much a path to one receiver carries, from what it says of packets' arrivals and losses.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>

#include "common/clock.h"
#include "sfu/core/congestion_feedback.h"

namespace junctor::sfu {

/// One packet that a feedback tells of.
struct PacketResult {
  Time sent{};
  std::uint32_t size = 0;           ///< bytes
  std::optional<Quarters> arrival;  ///< by the receiver's clock; nothing: lost
};

/// In the spirit of Google's congestion control (draft-ietf-rmcat-gcc-02), smaller: packets sent
/// within 5 ms are one group; how the delay between groups drifts over the last 20 of them tells
/// whether a queue grows, and losses above 10 % say so as well. The estimate falls to 85 % of what
/// arrives, not below, and rises by 8 % a second, never beyond one and a half of what was seen to
/// arrive: what nobody has tried is not known. The receiver's REMB caps it.
class BandwidthEstimator {
 public:
  static constexpr double kStart = 1e6, kLeast = 30e3, kMost = 1e9;  ///< bits per second

  /// Results in the order of sending.
  void on_feedback(std::span<const PacketResult> results, Time now);
  /// Of a receiver report: `fraction` of 0 to 1; used where there is no feedback.
  void on_loss(double fraction, Time now);
  void on_remb(double bits_per_second, Time now);

  /// Bits per second; nothing before anything was said.
  std::optional<double> estimate(Time now) const;
  bool overused() const { return state_ == State::Over; }

 private:
  enum class State : std::uint8_t { Normal, Over, Under };
  struct Group {
    Time first_sent{}, last_sent{};
    Quarters arrival = 0;
    bool any = false;
  };
  struct Point {
    double at, delay;  // ms
  };
  struct Arrived {
    Quarters at;
    std::uint32_t size;
  };
  void on_arrival(const PacketResult &result);
  void close_group();
  double trend() const;
  void judge(Time now);
  void adjust(Time now);
  std::optional<double> arriving() const;

  bool known_ = false, with_feedback_ = false;
  double rate_ = kStart;
  State state_ = State::Normal;
  Group group_, before_;
  std::deque<Point> points_;
  double delay_ = 0, smoothed_ = 0;
  unsigned rising_ = 0;  // judgements in a row
  std::deque<Arrived> arrived_;
  std::optional<Time> adjusted_, told_;
  double loss_ = 0;
  std::optional<Time> reduced_for_loss_;
  struct Cap {
    double rate;
    Time at;
  };
  std::optional<Cap> remb_;
};

}  // namespace junctor::sfu
