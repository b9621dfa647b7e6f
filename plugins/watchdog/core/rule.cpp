// SPDX-License-Identifier: LGPL-2.1-or-later
#include "watchdog/core/rule.h"

namespace junctor::watchdog {

std::string_view to_string(MediaState state) {
  switch (state) {
    case MediaState::Idle:
      return "idle";
    case MediaState::Waiting:
      return "waiting";
    case MediaState::Flowing:
      return "flowing";
    case MediaState::Lost:
      return "lost";
  }
  return "";
}

Report Rule::arm(Time now) {
  state_ = MediaState::Waiting;
  heard_ = false;
  tries_ = 0;
  silent_since_ = now;
  next_ = now + settings_.interval;
  return {state_, Duration::zero(), 0};
}

void Rule::disarm() { state_ = MediaState::Idle; }

std::optional<Report> Rule::media(Time now) {
  if (state_ == MediaState::Idle) return std::nullopt;
  heard_ = true;
  if (state_ == MediaState::Flowing) return std::nullopt;
  // After Lost nothing was due: checking begins again from here.
  if (state_ == MediaState::Lost) next_ = now + settings_.interval;
  const Report report{MediaState::Flowing, now - silent_since_, tries_};
  state_ = MediaState::Flowing;
  tries_ = 0;
  silent_since_ = now;
  return report;
}

std::optional<Report> Rule::check(Time now) {
  if (state_ == MediaState::Idle || state_ == MediaState::Lost) return std::nullopt;
  // From the due time, not from now, so that lateness does not add up; unless it is so late that
  // the next check would follow too closely to find what has been waiting meanwhile.
  const bool stalled = now - next_ > settings_.interval / 2;
  next_ = (stalled ? now : next_) + settings_.interval;
  if (heard_) {
    heard_ = false;
    silent_since_ = now;
    return std::nullopt;
  }
  ++tries_;
  const MediaState before = state_;
  state_ = tries_ >= settings_.tries ? MediaState::Lost : MediaState::Waiting;
  if (state_ == before) return std::nullopt;
  return Report{state_, now - silent_since_, tries_};
}

std::optional<Time> Rule::next_check() const {
  if (state_ == MediaState::Idle || state_ == MediaState::Lost) return std::nullopt;
  return next_;
}

}  // namespace junctor::watchdog
