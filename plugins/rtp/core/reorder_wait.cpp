// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/reorder_wait.h"

#include <algorithm>
#include <cmath>

namespace junctor::rtp {

Duration ReorderWait::at(Time opened) const {
  return std::min(std::max(order(opened), repair(opened)), most_);
}

Duration ReorderWait::order(Time opened) const {
  if (!peak_at_ || opened - *peak_at_ <= kHold) return peak_;
  const double halvings = std::chrono::duration<double>(opened - *peak_at_ - kHold) / kHalving;
  const auto wait = std::chrono::duration_cast<Duration>(peak_ * std::exp2(-halvings));
  return wait >= kLeast ? wait : Duration::zero();
}

Duration ReorderWait::repair(Time opened) const {
  if (!asked_ || opened < no_repair_until_) return {};
  const Duration answer =
      round_trip_ == Duration::zero() ? kUnknownRepair : round_trip_ * 5 / 4 + 5 * kMargin;
  return answer <= most_ ? answer : Duration::zero();
}

void ReorderWait::begin(Time now) {
  if (!peak_at_) peak_at_ = now;
}

void ReorderWait::on_filled(Duration lateness, Time now) {
  // Quicker than any answer: it was only out of order.
  if (lateness >= round_trip_ * 3 / 4) vain_ = 0;
  if (lateness > most_) return;
  const Duration wanted = std::min(lateness * 5 / 4 + kMargin, most_);
  if (wanted < order(now)) return;
  peak_ = wanted;
  peak_at_ = now;
}

void ReorderWait::on_given_up(Time opened, Time now) {
  if (repair(opened) == Duration::zero() || ++vain_ < kVainRepairs) return;
  vain_ = kVainRepairs / 2;
  no_repair_until_ = now + kRepairPause;
}

void ReorderWait::set_repair(bool asked, Duration round_trip) {
  asked_ = asked;
  round_trip_ = round_trip;
}

}  // namespace junctor::rtp
