// SPDX-License-Identifier: LGPL-2.1-or-later
// When a STUN request over UDP is sent again (RFC 8489 section 6.2.1).
#pragma once

#include <optional>

#include "common/clock.h"

namespace junctor::rtp::stun {

/// The numbers of the section, its own by default.
struct RetransmissionTimes {
  Duration rto = std::chrono::milliseconds(500);  ///< between the first and the second; then twice
  unsigned requests = 7;                          ///< Rc, all that are sent, at least 1
  unsigned last_wait = 16;                        ///< Rm, times `rto`, behind the last one
  Duration longest = Duration::max();             ///< between two
};

/// One request's. It ends by an answer, whose owner then lets it go.
class Retransmission {
 public:
  /// The first request is due at `start`.
  explicit Retransmission(Time start, const RetransmissionTimes &times = {})
      : times_(times), next_(start), wait_(times.rto) {}

  enum class Step { Wait, Send, GiveUp };
  /// What to do at `now`; a Send counts as done.
  Step step(Time now) {
    if (now < next_) return Step::Wait;
    if (sent_ == times_.requests) return Step::GiveUp;
    ++sent_;
    // From now on, not from when it was due: a late one must not bring the next with it.
    next_ = now + (sent_ == times_.requests ? times_.rto * times_.last_wait : wait_);
    wait_ = wait_ > times_.longest / 2 ? times_.longest : wait_ * 2;
    return Step::Send;
  }
  /// When the next step is not Wait.
  Time next() const { return next_; }
  unsigned sent() const { return sent_; }

 private:
  RetransmissionTimes times_;
  Time next_;
  Duration wait_;
  unsigned sent_ = 0;
};

}  // namespace junctor::rtp::stun
