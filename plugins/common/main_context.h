// SPDX-License-Identifier: LGPL-2.1-or-later
// Functions and timers on a GMainContext.
#pragma once

#include <glib.h>

#include <functional>

#include "common/clock.h"

namespace junctor {

/// Any thread: runs `function` in the thread that iterates `context` (null: the default one), in
/// order of posting, never inline.
void post_to(GMainContext *context, std::function<void()> function);

/// Calls once on its context, unless destroyed first; it may be destroyed in its own call. Make and
/// destroy it in the thread that iterates the context.
class ContextTimer {
 public:
  ContextTimer() = default;
  ContextTimer(GMainContext *context, Duration delay, std::function<void()> function);
  ContextTimer(ContextTimer &&other) noexcept;
  ContextTimer &operator=(ContextTimer &&other) noexcept;
  ~ContextTimer() { reset(); }
  void reset();
  explicit operator bool() const { return source_ != nullptr; }

 private:
  GSource *source_ = nullptr;
};

}  // namespace junctor
