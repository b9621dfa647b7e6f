// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/passage.h"

#include <algorithm>

namespace junctor::calls {

namespace {

/// What rounding, to milliseconds or to samples, may move a time by.
constexpr std::int64_t kRounding = 1'000'000;

}  // namespace

void Passage::enter(std::int64_t pts, Time now) {
  const std::lock_guard lock(mutex_);
  Entry &last = entries_[(next_ + kBuffers - 1) % kBuffers];
  if (last.pts == pts) {
    last.when = now;
    return;
  }
  entries_[next_] = {pts, now};
  next_ = (next_ + 1) % kBuffers;
}

void Passage::leave(std::int64_t pts, Time now) {
  const Entry *found = nullptr;
  const std::lock_guard lock(mutex_);
  for (const Entry &entry : entries_) {
    if (entry.pts < 0 || entry.pts > pts + kRounding || entry.pts < pts - kFarApart) continue;
    if (!found || entry.pts > found->pts) found = &entry;
  }
  if (!found) return;
  const Duration later = std::chrono::nanoseconds(std::max<std::int64_t>(0, pts - found->pts));
  meter_.add(now - found->when - later, now);
}

}  // namespace junctor::calls
