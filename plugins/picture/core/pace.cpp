// SPDX-License-Identifier: LGPL-2.1-or-later
#include "picture/core/pace.h"

#include <algorithm>

namespace junctor::picture {

bool Pace::takes(Moment when) {
  if (most_ <= 0) return true;
  const Moment period = Moment(std::chrono::seconds(1)) / most_;
  // Times are often whole milliseconds, and cameras are not exact: a picture may be so early.
  const Moment slack = period / 4;
  const bool anew = !earliest_ || when < *earliest_ - 2 * period;
  if (!anew && when < *earliest_) return false;
  const Moment soonest = when + period - slack;
  earliest_ = anew ? soonest : std::max(*earliest_ + period, soonest);
  return true;
}

}  // namespace junctor::picture
