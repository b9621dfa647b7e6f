// SPDX-License-Identifier: LGPL-2.1-or-later
// What a receiver counts about one source, for its reports.
#pragma once

#include <cstdint>
#include <optional>

#include "common/clock.h"
#include "rtp/core/rtcp.h"

namespace junctor::rtp {

/// RFC 3550 appendices A.3 (loss) and A.8 (jitter) for one source.
class Reception {
 public:
  Reception(std::uint32_t ssrc, std::uint32_t clock_rate) : ssrc_(ssrc), clock_rate_(clock_rate) {}

  /// Each packet of the source that is believed, in order of arrival, duplicates and late ones too.
  /// Without a timestamp where that does not rise as the clock does: it counts, but not as jitter.
  void on_packet(std::uint64_t extended_sequence, std::optional<std::uint32_t> timestamp,
                 Time arrival);
  /// It was taken for something else: its jitter begins anew.
  void set_clock_rate(std::uint32_t clock_rate) {
    clock_rate_ = clock_rate;
    jitter_ = 0;
    transit_.reset();
  }
  /// The source went on with other numbers (RFC 3550 A.1): the next packet is the new beginning.
  void restart();
  void on_sender_report(std::uint64_t ntp, Time arrival);
  /// Begins the next interval.
  rtcp::ReportBlock report(Time now);

  std::uint32_t ssrc() const { return ssrc_; }
  double jitter_ms() const { return jitter_ * 1000.0 / clock_rate_; }

 private:
  std::uint32_t ssrc_, clock_rate_;
  std::optional<std::uint64_t> base_;
  std::uint64_t highest_ = 0, received_ = 0;
  std::uint64_t expected_before_ = 0, received_before_ = 0;
  double jitter_ = 0;  // in clock units
  std::optional<std::uint32_t> transit_;
  std::uint32_t last_sr_ = 0;
  Time last_sr_arrival_{};
};

/// Round trip from a report about us (RFC 3550 section 6.4.1); `now_ntp` is our clock at its
/// arrival. Nothing where the peer has had no sender report of ours, or the figure is absurd.
std::optional<Duration> round_trip(const rtcp::ReportBlock &block, std::uint64_t now_ntp);

/// The next report's delay: `mean` times 0.5 to 1.5, by `random` in [0, 1), over the compensation
/// for reconsideration (RFC 3550 section 6.3.1).
Duration report_delay(Duration mean, double random);

/// 32.32 fixed point to nanoseconds since 1900, and back.
std::chrono::nanoseconds ntp_to_nanoseconds(std::uint64_t ntp);
std::uint64_t nanoseconds_to_ntp(std::chrono::nanoseconds since_1900);

}  // namespace junctor::rtp
