// SPDX-License-Identifier: LGPL-2.1-or-later
// Lines that peers may cause in the log, at most so many a second.
#pragma once

#include <optional>

#include "common/clock.h"

namespace junctor {

/// So that whoever is refused fast fills no disk. Not thread-safe.
class LogBudget {
 public:
  explicit LogBudget(unsigned per_second = 20) : per_second_(per_second) {}

  /// Nothing if a line is to be left out at `now`; else how many were left out since the one
  /// before.
  std::optional<unsigned> take(Time now) {
    if (now - since_ >= std::chrono::seconds(1)) {
      since_ = now;
      written_ = 0;
    }
    if (written_ >= per_second_) {
      ++left_out_;
      return std::nullopt;
    }
    ++written_;
    const unsigned left_out = left_out_;
    left_out_ = 0;
    return left_out;
  }

 private:
  unsigned per_second_, written_ = 0, left_out_ = 0;
  Time since_{};
};

}  // namespace junctor
