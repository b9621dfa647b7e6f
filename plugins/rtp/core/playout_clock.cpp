// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/playout_clock.h"

#include <algorithm>

namespace junctor::rtp {

Duration LipSync::delay_for(Medium medium, Duration offset) {
  const std::lock_guard lock(mutex_);
  offsets_[static_cast<std::size_t>(medium)] = offset;
  const auto &other = offsets_[medium == Medium::Audio ? 1 : 0];
  if (!other) return {};
  const Duration behind = *other - offset;
  return behind > Duration::zero() && behind <= kMaxSkew ? behind : Duration::zero();
}

Duration PlayoutClock::media_time(std::uint64_t extended_timestamp) const {
  const auto units = static_cast<std::int64_t>(extended_timestamp - origin_);
  const std::int64_t seconds = units / clock_rate_, rest = units % clock_rate_;
  return std::chrono::seconds(seconds) +
         std::chrono::nanoseconds(rest * 1'000'000'000 / clock_rate_);
}

void PlayoutClock::rebase(Duration transit) {
  offset_ = transit;
  target_ = transit;
}

void PlayoutClock::set_sender_clock(const SenderClock &clock) {
  sender_clock_ = clock;
  update_sync();
}

void PlayoutClock::update_sync() {
  if (!started_ || !sender_clock_) return;
  // ours = media + offset and ntp = media + d, so ours − ntp = offset − d.
  const Duration ntp_minus_media =
      sender_clock_->ntp - media_time(sender_clock_->extended_timestamp);
  ntp_minus_media_ = ntp_minus_media;
  sync_target_ = sync_->delay_for(medium_, offset_ - ntp_minus_media);
}

PlayoutClock::Mapped PlayoutClock::map(std::uint64_t extended_timestamp, Duration arrival,
                                       bool new_source) {
  Mapped mapped;
  bool anew = !started_ || new_source;
  if (!anew) {
    const Duration media = media_time(extended_timestamp);
    const Duration advance = media - last_media_;
    anew = advance > (arrival - last_arrival_) + kLeap || advance < -kLeap;
  }
  if (anew) {
    mapped.discontinuity = started_;
    started_ = true;
    origin_ = extended_timestamp;
    rebase(arrival);
    // What was added for the other medium's sake stays, and time never falls. A line of `arrival`
    // that itself fell far back is followed.
    if (const Duration least = last_time_ - sync_delay_;
        mapped.discontinuity && least > arrival && least - arrival <= kLeap)
      offset_ = least;
    // A report from before the change says nothing about the new time line.
    if (mapped.discontinuity) sender_clock_.reset();
    ntp_minus_media_.reset();
    last_media_ = {};
    last_arrival_ = window_start_ = arrival;
    window_minimum_ = arrival;
    update_sync();
    mapped.time = last_time_ = offset_ + sync_delay_;
    return mapped;
  }

  const Duration media = media_time(extended_timestamp);
  const Duration transit = arrival - media;
  window_minimum_ = std::min(window_minimum_, transit);
  if (transit < target_) target_ = transit;
  if (arrival - window_start_ >= kWindow) {
    target_ = window_minimum_;
    window_minimum_ = transit;
    window_start_ = arrival;
    if (target_ - offset_ > kStanding) {
      rebase(target_);
      mapped.discontinuity = true;
    }
    if (ntp_minus_media_) sync_target_ = sync_->delay_for(medium_, offset_ - *ntp_minus_media_);
  }
  // A frame's packets share a timestamp, and pictures may come out of order: only what media time
  // really moved on pays for a correction.
  const Duration step = std::max(media - last_media_, Duration::zero()) / kSlew;
  offset_ += std::clamp(target_ - offset_, -step, step);
  sync_delay_ += std::clamp(sync_target_ - sync_delay_, -step, step);
  last_media_ = std::max(last_media_, media);
  last_arrival_ = arrival;
  mapped.time = media + offset_ + sync_delay_;
  last_time_ = std::max(last_time_, mapped.time);
  return mapped;
}

}  // namespace junctor::rtp
