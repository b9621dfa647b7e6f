// SPDX-License-Identifier: LGPL-2.1-or-later
// A thread that iterates a GMainContext of its own, for libraries that want one.
#pragma once

#include <glib.h>

#include <functional>
#include <memory>
#include <string>

namespace junctor {

/// Runs until the last reference is gone; that may be dropped on the thread itself. What runs still
/// when the program exits is given half a second, and then ended wherever its loop is.
class ContextThread {
 public:
  /// `name` is what debuggers and top show; at most 15 characters.
  static std::shared_ptr<ContextThread> start(std::string name);
  ~ContextThread();
  ContextThread(const ContextThread &) = delete;
  ContextThread &operator=(const ContextThread &) = delete;

  /// It is the thread-default one of the thread. Valid as long as this is.
  GMainContext *context() const;
  /// Any thread: runs `function` on the thread and waits for it; inline there.
  void invoke(const std::function<void()> &function) const;
  /// Any thread: runs `function` on the thread later, in order of posting. The reference is handed
  /// over: it and `function` end on the thread, and so may the thread itself with nobody waiting.
  static void post(std::shared_ptr<ContextThread> thread, std::function<void()> function);

 private:
  struct State;
  class Roster;
  static void quit(const State &state);
  explicit ContextThread(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace junctor
