// SPDX-License-Identifier: LGPL-2.1-or-later
// How much transcoding of sound the reactor takes on beside its sockets.
#pragma once

#include <memory>

namespace junctor::calls {

/// Sound is transcoded fastest where it arrives: a thread of its own costs more in being woken for
/// each packet than most codecs of sound do. But the reactor serves all calls, so a part of it is
/// lent, by what is expected to be used, and no more. Signalling thread.
class Headroom {
  struct Lent {
    ~Lent() { *left += percent; }
    std::shared_ptr<double> left;
    double percent;
  };

 public:
  /// `percent` of one core that may be lent.
  explicit Headroom(double percent) : left_(std::make_shared<double>(percent)) {}

  /// Given back when it is destroyed, which may be after the Headroom.
  using Loan = std::unique_ptr<Lent>;
  /// Null if there is not so much left.
  Loan borrow(double percent) const {
    if (percent > *left_) return nullptr;
    *left_ -= percent;
    return Loan(new Lent{left_, percent});
  }
  double left() const { return *left_; }

 private:
  std::shared_ptr<double> left_;
};

}  // namespace junctor::calls
