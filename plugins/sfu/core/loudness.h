// SPDX-License-Identifier: LGPL-2.1-or-later
// Who speaks: from the levels that senders write into their packets (RFC 6464).
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "common/clock.h"

namespace junctor::sfu {

/// One sender's, smoothed over some half a second: a cough is no speech. 0 silence to 127.
class Loudness {
 public:
  static constexpr Duration kForgotten = std::chrono::seconds(1);

  void add(std::uint8_t level, Time now) {
    const double loud = 127 - std::min<std::uint8_t>(level, 127);
    value_ += (loud - value_) * (loud > value_ ? 0.08 : 0.04);
    at_ = now;
  }
  double value(Time now) const { return now - at_ > kForgotten ? 0 : value_; }

 private:
  double value_ = 0;
  Time at_{};
};

struct Speaker {
  double loudness = 0;
  bool chosen = false;
};
/// Chooses the `count` loudest. Who is chosen stays until another one is louder by some margin.
inline void choose_loudest(std::vector<Speaker> &speakers, std::size_t count) {
  constexpr double kMargin = 6;
  std::vector<std::size_t> order(speakers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto worth = [&](std::size_t i) {
    return speakers[i].loudness + (speakers[i].chosen ? kMargin : 0);
  };
  std::ranges::stable_sort(order, [&](auto a, auto b) { return worth(a) > worth(b); });
  for (std::size_t place = 0; place < order.size(); ++place)
    speakers[order[place]].chosen = place < count;
}

}  // namespace junctor::sfu
