// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sound/core/sample_clock.h"

namespace junctor::sound {

namespace {

/// Exact to the nanosecond for centuries of samples: whole seconds are taken out first.
Moment length_of(std::int64_t samples, int rate) {
  const std::int64_t rest = samples % rate;
  return std::chrono::seconds(samples / rate) +
         Moment((rest * std::int64_t{1'000'000'000} + rate / 2) / rate);
}

}  // namespace

bool SampleClock::follows(Moment at) const {
  if (!start_) return true;
  const Moment off = at - (*start_ + length_of(in_, rate_in_));
  return off <= kTolerance && off >= -kTolerance;
}

void SampleClock::begin(std::optional<Moment> at) {
  start_ = at;
  in_ = out_ = 0;
}

SampleClock::Span SampleClock::give(std::int64_t samples) {
  const Moment from = length_of(out_, rate_out_);
  out_ += samples;
  Span span;
  span.length = length_of(out_, rate_out_) - from;
  if (start_) span.at = *start_ + from;
  return span;
}

}  // namespace junctor::sound
