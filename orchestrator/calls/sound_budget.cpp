// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/sound_budget.h"

#include <algorithm>

namespace junctor::calls {

bool SoundBudget::admit(std::size_t bytes, Time now) {
  const std::lock_guard lock(mutex_);
  refill(now);
  const bool taken = bytes <= kMostBytes && left_ > kPerPacket;
  // What is left out costs next to nothing.
  if (taken)
    left_ -= kPerPacket;
  else
    ++left_out_;
  return taken;
}

bool SoundBudget::spend(Duration sound, Time now) {
  const std::lock_guard lock(mutex_);
  refill(now);
  const bool taken = left_ > Duration::zero();
  if (!taken) ++left_out_;
  left_ = std::max(-kMostOwed, left_ - std::max(sound, Duration::zero()));
  return taken;
}

std::uint64_t SoundBudget::left_out() const {
  const std::lock_guard lock(mutex_);
  return left_out_;
}

void SoundBudget::refill(Time now) {
  const Duration passed = std::clamp<Duration>(now - refilled_, Duration::zero(), kMostOwed);
  refilled_ = std::max(refilled_, now);
  left_ = std::min(kSaved, left_ + std::chrono::duration_cast<Duration>(kSpeed * passed));
}

}  // namespace junctor::calls
