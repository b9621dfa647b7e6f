// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/path_watch.h"

#include <algorithm>

namespace junctor::nat {

using std::chrono::milliseconds;

namespace {

/// So many packets of media, none of them so late behind the one before, and there is always some.
constexpr unsigned kSteadyMedia = 10;
constexpr Duration kMediaPause = milliseconds(150);
constexpr Duration kAskAgain = milliseconds(50);
constexpr Duration kLongPatience = milliseconds(600);

}  // namespace

void PathWatch::answered(Time now) {
  asking_since_.reset();
  doubted_ = false;
  heartbeat_at_ = now + options_.heartbeat;
}

void PathWatch::media(Time now) {
  media_run_ = now - last_media_ < kMediaPause ? media_run_ + 1 : 1;
  last_media_ = now;
  if (media_run_ >= kSteadyMedia) media_expected_ = true;
  // What comes at once may have been under way before.
  if (doubted_ && asking_since_ && now - *asking_since_ >= kAskAgain) answered(now);
}

void PathWatch::forget() {
  asking_since_.reset();
  doubted_ = false;
  media_expected_ = false;
  media_run_ = 0;
}

void PathWatch::doubt(Time now) {
  asking_since_ = ask_again_ = now;
  asked_for_media_ = doubted_ = true;
}

Duration PathWatch::patience(std::optional<Duration> round_trip) const {
  // One that is not known yet may be long.
  if (!round_trip) return kLongPatience;
  return asked_for_media_
             ? std::max<Duration>(milliseconds(200), 2 * *round_trip + milliseconds(50))
             : std::max<Duration>(kLongPatience, 4 * *round_trip);
}

PathWatch::Verdict PathWatch::poll(Time now, std::optional<Duration> round_trip) {
  if (!asking_since_) {
    const bool silent = media_expected_ && now - last_media_ >= options_.silence;
    if (!silent && now < heartbeat_at_) return Verdict::Wait;
    asking_since_ = ask_again_ = now;
    asked_for_media_ = silent;
    if (silent) {
      media_expected_ = false;
      media_run_ = 0;
    }
  }
  if (now - *asking_since_ >= patience(round_trip)) {
    answered(now);  // and not asked for a while, should nobody act on it
    return Verdict::Silent;
  }
  if (now < *ask_again_) return Verdict::Wait;
  const Duration time = round_trip.value_or(Duration::zero());
  ask_again_ = now + std::max<Duration>(kAskAgain, time + time / 2);
  return Verdict::Ask;
}

Time PathWatch::next(std::optional<Duration> round_trip) const {
  if (asking_since_) return std::min(*ask_again_, *asking_since_ + patience(round_trip));
  return media_expected_ ? std::min(heartbeat_at_, last_media_ + options_.silence) : heartbeat_at_;
}

std::uint32_t Questions::ask(Time now) {
  times_[++asked_ % kKept] = now;
  return asked_;
}

std::optional<Duration> Questions::answered(std::uint32_t number, Time now) {
  // Differences, for numbers begin again after the last.
  const std::uint32_t open = asked_ - answered_, before = asked_ - number;
  if (before >= open || before >= kKept) return std::nullopt;
  answered_ = number;
  return now - times_[number % kKept];
}

}  // namespace junctor::nat
