// SPDX-License-Identifier: LGPL-2.1-or-later
// A program that runs as long as this one does.
#pragma once

#include <gio/gio.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/handle.h"
#include "common/main_context.h"
#include "common/result.h"

namespace junctor::turn {

/// Starts it again when it ends by itself, later each time; ends it with this process, however that
/// ends, or when destroyed. The files that it makes are its owner's alone. Signalling thread.
class Child {
 public:
  struct Options {
    std::vector<std::string> arguments;  ///< the program first, found by PATH
    GMainContext *context = nullptr;     ///< that iterates; null: the default one
    /// Calls are silent while it is gone.
    Duration first_wait = std::chrono::milliseconds(100);
    /// Each wait is twice the last.
    Duration longest_wait = std::chrono::minutes(1);
    /// What ran for so long starts again as quickly as at first.
    Duration proven = std::chrono::minutes(1);
  };
  struct Events {
    std::function<void(std::string)> line;  ///< what it writes, without the line break
    /// It has ended: a sentence. It starts again after `wait`. All that it wrote has come before.
    std::function<void(std::string why, Duration wait)> ended;
    std::function<void()> started;
  };
  static constexpr std::size_t kLongestLine = 1024;  ///< the rest of it is cut off
  /// So long the last lines are waited for: a child of its own may keep the pipe open.
  static constexpr Duration kLastLines = std::chrono::milliseconds(500);

  /// Unreachable if the program cannot be started at all.
  static Result<std::unique_ptr<Child>> start(Options options, Events events);
  ~Child();
  Child(const Child &) = delete;
  Child &operator=(const Child &) = delete;

  bool running() const { return process_ != nullptr; }
  unsigned restarts() const { return restarts_; }
  int pid() const;  ///< 0: it does not run
  /// Does nothing where it does not run.
  void signal(int number);

 private:
  template <class T>
  using Ref = std::unique_ptr<T, Releaser<g_object_unref>>;
  Child(Options options, Events events);
  Result<void> launch();
  void read_on();
  void on_end();
  void tell_end();
  void start_later(const std::string &why);

  const Options options_;
  const Events events_;
  Ref<GCancellable> cancellable_;  ///< what waits is told that this is gone
  Ref<GSubprocess> process_;
  Ref<GDataInputStream> output_;
  ContextTimer timer_;
  Duration wait_;
  Time launched_{};
  std::string end_;  ///< how it ended, while its last lines are waited for
  unsigned restarts_ = 0;
};

}  // namespace junctor::turn
