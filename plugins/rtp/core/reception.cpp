// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/reception.h"

#include <algorithm>
#include <cmath>

namespace junctor::rtp {

using std::chrono::nanoseconds;

void Reception::on_packet(std::uint64_t extended_sequence, std::optional<std::uint32_t> timestamp,
                          Time arrival) {
  if (!base_) {
    base_ = extended_sequence;
    highest_ = extended_sequence;
  }
  // One that overtook the very first moves the base, so that it is expected as well.
  base_ = std::min(*base_, extended_sequence);
  highest_ = std::max(highest_, extended_sequence);
  ++received_;
  if (!timestamp) return;

  const double seconds = std::chrono::duration<double>(arrival.time_since_epoch()).count();
  const auto arrival_units =
      static_cast<std::uint32_t>(static_cast<std::uint64_t>(seconds * clock_rate_));
  const std::uint32_t transit = arrival_units - *timestamp;
  if (transit_) {
    const double step =
        std::abs(static_cast<double>(static_cast<std::int32_t>(transit - *transit_)));
    jitter_ += (step - jitter_) / 16.0;
  }
  transit_ = transit;
}

void Reception::restart() {
  base_.reset();
  highest_ = received_ = expected_before_ = received_before_ = 0;
  transit_.reset();
}

void Reception::on_sender_report(std::uint64_t ntp, Time arrival) {
  last_sr_ = static_cast<std::uint32_t>(ntp >> 16);
  last_sr_arrival_ = arrival;
}

rtcp::ReportBlock Reception::report(Time now) {
  rtcp::ReportBlock block;
  block.ssrc = ssrc_;
  if (base_) {
    const std::uint64_t expected = highest_ - *base_ + 1;
    const std::uint64_t expected_now = expected - expected_before_;
    const std::uint64_t received_now = received_ - received_before_;
    expected_before_ = expected;
    received_before_ = received_;
    if (expected_now > received_now)
      block.fraction_lost = static_cast<std::uint8_t>(
          std::min<std::uint64_t>(255, ((expected_now - received_now) << 8) / expected_now));
    block.cumulative_lost = static_cast<std::int32_t>(std::clamp<std::int64_t>(
        static_cast<std::int64_t>(expected) - static_cast<std::int64_t>(received_), -0x800000,
        0x7fffff));
    // Our numbering starts in cycle 1, the wire's in cycle 0.
    block.highest_sequence = static_cast<std::uint32_t>(highest_ - 65536);
  }
  block.jitter = static_cast<std::uint32_t>(jitter_);
  if (last_sr_ != 0) {
    block.last_sr = last_sr_;
    const double waited = std::chrono::duration<double>(now - last_sr_arrival_).count();
    block.delay_since_last_sr =
        static_cast<std::uint32_t>(std::clamp(waited, 0.0, 65535.0) * 65536.0);
  }
  return block;
}

std::optional<Duration> round_trip(const rtcp::ReportBlock &block, std::uint64_t now_ntp) {
  if (block.last_sr == 0) return std::nullopt;
  const auto now = static_cast<std::uint32_t>(now_ntp >> 16);
  const auto units = static_cast<std::int32_t>(now - block.last_sr - block.delay_since_last_sr);
  // A rounding below zero is nothing; more than a minute is a peer that counts otherwise.
  if (units < -655 || units > 60 * 65536) return std::nullopt;
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(std::max(units, 0) / 65536.0));
}

Duration report_delay(Duration mean, double random) {
  constexpr double kCompensation = 1.21828;  // e − 3/2
  return std::chrono::duration_cast<Duration>(mean * ((0.5 + random) / kCompensation));
}

nanoseconds ntp_to_nanoseconds(std::uint64_t ntp) {
  const std::uint64_t seconds = ntp >> 32, fraction = ntp & 0xffffffffU;
  return nanoseconds(
      static_cast<std::int64_t>(seconds * 1'000'000'000U + (fraction * 1'000'000'000U >> 32)));
}

std::uint64_t nanoseconds_to_ntp(nanoseconds since_1900) {
  const auto count = static_cast<std::uint64_t>(since_1900.count());
  const std::uint64_t seconds = count / 1'000'000'000U, rest = count % 1'000'000'000U;
  return seconds << 32 | (rest << 32) / 1'000'000'000U;
}

}  // namespace junctor::rtp
