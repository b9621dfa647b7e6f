// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/context_thread.h"

#include <pthread.h>

#include <future>
#include <thread>

#include "common/handle.h"
#include "common/main_context.h"

namespace junctor {

struct ContextThread::State {
  std::unique_ptr<GMainContext, Releaser<g_main_context_unref>> context{g_main_context_new()};
  std::unique_ptr<GMainLoop, Releaser<g_main_loop_unref>> loop{
      g_main_loop_new(context.get(), FALSE)};
  std::thread thread;
};

std::shared_ptr<ContextThread> ContextThread::start(std::string name) {
  auto state = std::make_shared<State>();
  state->thread =
      std::thread([state = state.get(), keep = state, name = std::move(name)]() mutable {
        ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
        g_main_context_push_thread_default(state->context.get());
        g_main_loop_run(state->loop.get());
        g_main_context_pop_thread_default(state->context.get());
      });
  return std::shared_ptr<ContextThread>(new ContextThread(std::move(state)));
}

ContextThread::~ContextThread() {
  // A loop that does not run yet would forget a plain quit.
  post_to(state_->context.get(), [loop = state_->loop.get()] { g_main_loop_quit(loop); });
  if (std::this_thread::get_id() == state_->thread.get_id())
    state_->thread.detach();  // it ends by itself and holds the state until then
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
