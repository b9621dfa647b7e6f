// SPDX-License-Identifier: LGPL-2.1-or-later
// Functions that a reactor calls later.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "common/reactor.h"

namespace junctor {

/// Timers for who has no place to keep them. What is not yet called when this is destroyed never
/// is. Reactor thread only.
class Delays {
 public:
  explicit Delays(std::shared_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}

  /// The function may call this again, and clear().
  void after(Duration delay, std::function<void()> function) {
    const std::uint64_t key = next_++;
    timers_[key] = reactor_->after(delay, [this, key, function = std::move(function)] {
      const auto own = std::move(timers_[key]);
      timers_.erase(key);
      function();
    });
  }
  void clear() { timers_.clear(); }

 private:
  const std::shared_ptr<Reactor> reactor_;
  std::uint64_t next_ = 0;
  std::map<std::uint64_t, Reactor::Timer> timers_;
};

}  // namespace junctor
