// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/context_thread.h"

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <future>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "common/handle.h"
#include "common/main_context.h"

namespace junctor {

struct ContextThread::State {
  std::unique_ptr<GMainContext, Releaser<g_main_context_unref>> context{g_main_context_new()};
  std::unique_ptr<GMainLoop, Releaser<g_main_loop_unref>> loop{
      g_main_loop_new(context.get(), FALSE)};
  std::thread thread;
};

/// All that run. At exit they end before the libraries do whose functions they call: those of
/// GnuTLS, for one, are not to be called any more when it has cleaned up. The only one lives for
/// ever, for there is no saying when the last thread lets go of it.
class ContextThread::Roster {
 public:
  static Roster &get() {
    static Roster *const roster = [] {
      auto *made = new Roster;
      std::atexit([] { get().finish(); });
      return made;
    }();
    return *roster;
  }

  void enter(State *state) {
    const std::lock_guard lock(mutex_);
    running_.push_back(state);
  }
  /// The last that a thread does.
  void leave(State *state) {
    const std::lock_guard lock(mutex_);
    std::erase(running_, state);
    left_.notify_all();
  }
  /// Takes one that nobody waits for, and is about to leave.
  void keep(std::thread thread) {
    std::vector<std::thread> before;
    {
      const std::lock_guard lock(mutex_);
      before = std::exchange(kept_, {});
      kept_.push_back(std::move(thread));
    }
    for (std::thread &each : before) each.join();
  }

 private:
  /// What they have to tell servers may take a round trip, what they wait for longer.
  static constexpr std::chrono::milliseconds kGrace{500}, kPatience{1000};

  void finish() {
    std::unique_lock lock(mutex_);
    const auto all_left = [this] { return running_.empty(); };
    if (!left_.wait_for(lock, kGrace, all_left)) {
      for (const State *state : running_) quit(*state);
      if (!left_.wait_for(lock, kPatience, all_left)) {
        for (std::thread &each : kept_) each.detach();
        kept_.clear();
      }
    }
    auto kept = std::exchange(kept_, {});
    lock.unlock();
    for (std::thread &each : kept) each.join();
  }

  std::mutex mutex_;
  std::condition_variable left_;
  std::vector<State *> running_;
  std::vector<std::thread> kept_;
};

void ContextThread::quit(const State &state) {
  // A loop that does not run yet would forget a plain quit.
  post_to(state.context.get(), [loop = state.loop.get()] { g_main_loop_quit(loop); });
}

std::shared_ptr<ContextThread> ContextThread::start(std::string name) {
  auto state = std::make_shared<State>();
  Roster::get().enter(state.get());
  state->thread = std::thread([state, name = std::move(name)] {
    ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
    g_main_context_push_thread_default(state->context.get());
    g_main_loop_run(state->loop.get());
    g_main_context_pop_thread_default(state->context.get());
    Roster::get().leave(state.get());
  });
  return std::shared_ptr<ContextThread>(new ContextThread(std::move(state)));
}

ContextThread::~ContextThread() {
  quit(*state_);
  if (std::this_thread::get_id() == state_->thread.get_id())
    Roster::get().keep(std::move(state_->thread));  // it holds the state until it ends
  else
    state_->thread.join();
}

GMainContext *ContextThread::context() const { return state_->context.get(); }

void ContextThread::invoke(const std::function<void()> &function) const {
  if (std::this_thread::get_id() == state_->thread.get_id()) return function();
  std::promise<void> done;
  post_to(context(), [&] {
    function();
    done.set_value();
  });
  done.get_future().wait();
}

void ContextThread::post(std::shared_ptr<ContextThread> thread, std::function<void()> function) {
  // The thread may be through with it, and with itself, before this is with its context.
  const std::shared_ptr<State> held = thread->state_;
  post_to(held->context.get(),
          [thread = std::move(thread), function = std::move(function)] { function(); });
}

}  // namespace junctor
