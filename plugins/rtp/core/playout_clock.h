// SPDX-License-Identifier: LGPL-2.1-or-later
// From the peer's media clocks to one time line of ours.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "common/clock.h"
#include "common/codec.h"
#include "rtp/core/session.h"

namespace junctor::rtp {

/// Agrees between the media of one peer how far each is delayed, so that what the peer captured
/// at once has equal times here. Any thread.
class LipSync {
 public:
  /// Skews beyond this are taken for clocks that have nothing to do with each other.
  static constexpr Duration kMaxSkew = std::chrono::seconds(2);

  /// `offset` is our time minus the peer's NTP time for content of `medium`, as its packets arrive
  /// without any delay added. Returns what to add to it: zero for the slowest medium and until
  /// another is known.
  Duration delay_for(Medium medium, Duration offset);

 private:
  std::mutex mutex_;
  std::array<std::optional<Duration>, 2> offsets_;
};

/// Maps RTP timestamps of one medium onto our time line. The first packet lies at its arrival; from
/// then on timestamps rule, corrected slowly towards the packets that came quickest, so that
/// neither jitter nor the difference of two clocks adds up.
class PlayoutClock {
 public:
  /// The slowest and quickest a correction may let time go: 1 ± 1/kSlew.
  static constexpr int kSlew = 50;
  static constexpr Duration kWindow = std::chrono::seconds(2);
  /// A timestamp that leaps so far ahead of real time, or back, begins a new time line.
  static constexpr Duration kLeap = std::chrono::seconds(2);
  /// So much standing delay is not corrected slowly but at once.
  static constexpr Duration kStanding = std::chrono::milliseconds(500);

  PlayoutClock(Medium medium, std::uint32_t clock_rate, std::shared_ptr<LipSync> sync)
      : medium_(medium), clock_rate_(clock_rate), sync_(std::move(sync)) {}

  struct Mapped {
    Duration time{};             ///< on the line that `arrival` is on
    bool discontinuity = false;  ///< media time began anew; `time` goes on
  };
  /// `arrival` is that of the packet, on any steady line.
  Mapped map(std::uint64_t extended_timestamp, Duration arrival, bool new_source);
  /// What the peer's last sender report said; call it when there is a new one.
  void set_sender_clock(const SenderClock &clock);

 private:
  Duration media_time(std::uint64_t extended_timestamp) const;
  void rebase(Duration transit);
  void update_sync();

  Medium medium_;
  std::uint32_t clock_rate_;
  std::shared_ptr<LipSync> sync_;
  bool started_ = false;
  std::uint64_t origin_ = 0;  // extended timestamp of media time zero
  Duration offset_{};         // our time minus media time, for quick packets
  Duration sync_delay_{};     // added now
  Duration sync_target_{};    // wanted
  Duration last_media_{}, last_arrival_{};
  Duration last_time_{};  // the latest given out
  Duration window_start_{}, window_minimum_{}, target_{};
  std::optional<Duration> ntp_minus_media_;
  std::optional<SenderClock> sender_clock_;
};

}  // namespace junctor::rtp
