// SPDX-License-Identifier: LGPL-2.1-or-later
// Which pictures are left out where fewer a second are wanted.
#pragma once

#include <chrono>
#include <optional>

namespace junctor::picture {

/// Lets at most so many pictures a second pass, in the mean, and none sooner than three quarters of
/// a period after another. After a pause nothing is made up for.
class Pace {
 public:
  using Moment = std::chrono::nanoseconds;

  /// Pictures a second; 0 lets all pass.
  explicit Pace(int most = 0) : most_(most) {}
  /// Whether the picture of this presentation time passes. Times may go back: then it begins anew.
  bool takes(Moment when);
  /// Forgets what has passed.
  void restart() { earliest_.reset(); }

 private:
  int most_;
  std::optional<Moment> earliest_;  ///< that the next one may be
};

}  // namespace junctor::picture
