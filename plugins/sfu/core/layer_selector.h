// SPDX-License-Identifier: LGPL-2.1-or-later
// Which of a picture's simulcast layers one receiver gets.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "common/clock.h"

namespace junctor::sfu {

/// What is known of a layer.
struct LayerRate {
  double bits_per_second = 0;
  bool live = false;  ///< packets of it came lately
};

/// One receiver's choice of one picture. Layers change on key frames only, those that can be seen.
class LayerSelector {
 public:
  /// A better layer is not tried again so soon after the last change.
  static constexpr Duration kPatience = std::chrono::seconds(2);
  /// What of the budget a layer may take, and what it may take to be changed to.
  static constexpr double kKeep = 1.0, kRise = 0.85;

  /// The best that fits into `budget`, bits per second; the least where none does. Without a budget
  /// the best. True: a key frame of wanted() is to be asked for.
  bool choose(std::span<const LayerRate> layers, std::optional<double> budget, Time now) {
    std::optional<std::size_t> best, least;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (!layers[i].live) continue;
      const double rate = layers[i].bits_per_second;
      if (!least || rate < layers[*least].bits_per_second) least = i;
      const bool above = wanted_ && *wanted_ < layers.size() && layers[*wanted_].live &&
                         rate > layers[*wanted_].bits_per_second;
      if (budget && rate > *budget * (above ? kRise : kKeep)) continue;
      if (above && changed_ && now - *changed_ < kPatience) continue;
      if (!best || rate > layers[*best].bits_per_second) best = i;
    }
    const auto chosen = best ? best : least;
    if (!chosen || chosen == wanted_) return wanted_ != current_ && wanted_.has_value();
    if (wanted_) changed_ = now;
    wanted_ = chosen;
    return wanted_ != current_;
  }
  /// Whether a packet of this layer passes; `key` for the first one of a key frame.
  bool pass(std::size_t layer, bool key) {
    if (key && layer == wanted_) current_ = wanted_;
    return layer == current_;
  }
  /// Another source is this layer from now on: it passes from its next key frame.
  void begin_again(std::size_t layer) {
    if (current_ == layer) current_.reset();
  }
  /// Where key frames cannot be seen: what was chosen first passes from now on, for good.
  void settle() {
    if (!current_) current_ = wanted_;
    wanted_ = current_;
  }
  std::optional<std::size_t> wanted() const { return wanted_; }
  std::optional<std::size_t> current() const { return current_; }

 private:
  std::optional<std::size_t> wanted_, current_;
  std::optional<Time> changed_;
};

}  // namespace junctor::sfu
