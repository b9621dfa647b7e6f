// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sip/sipcall_line.h"

#include <pthread.h>

#include <future>

#include "common/main_context.h"

namespace junctor::sipcall {

std::shared_ptr<Line> Line::shared(std::shared_ptr<sip::Agent> agent) {
  std::shared_ptr<Line> line(new Line);
  GMainContext *context = agent->context();
  line->context_.reset(g_main_context_ref(context ? context : g_main_context_default()));
  line->agent_ = std::move(agent);
  return line;
}

Result<std::shared_ptr<Line>> Line::start(sip::AgentOptions options) {
  const std::shared_ptr<Line> line(new Line);
  line->own_ = true;
  line->context_.reset(g_main_context_new());
  line->loop_.reset(g_main_loop_new(line->context_.get(), FALSE));
  std::promise<Result<void>> started;
  line->thread_ =
      std::thread([self = line.get(), &started, options = std::move(options)]() mutable {
        pthread_setname_np(pthread_self(), "sipcallsink-sip");
        GMainContext *context = self->context_.get();
        g_main_context_push_thread_default(context);
        auto agent = sip::Agent::create(context, std::move(options));
        if (agent) {
          self->agent_ = *std::move(agent);
          started.set_value({});
          g_main_loop_run(self->loop_.get());
          // Sofia's objects belong to this thread to the end.
          self->agent_->shutdown(EndReason::CallerHangup, kPatience);
          self->agent_.reset();
        } else {
          started.set_value(agent.error());
        }
        g_main_context_pop_thread_default(context);
      });
  if (auto result = started.get_future().get(); !result) return result.error();
  return line;
}

void Line::stop() {
  if (thread_.joinable()) {
    // Posted, not called: the loop may not have begun to run yet.
    post_to(context_.get(), [loop = loop_.get()] { g_main_loop_quit(loop); });
    thread_.join();
  }
  ContextRef context;
  {
    const std::lock_guard lock(mutex_);
    context = std::move(context_);
  }
  // What was never run goes with the context, here and not under the lock.
  loop_.reset();
}

void Line::run(std::function<void(sip::Agent &)> function) {
  // Our own agent is only ever let go of by its thread, after which nothing posted here runs.
  auto kept = own_ ? nullptr : agent_;
  const std::lock_guard lock(mutex_);
  if (!context_) return;
  post_to(context_.get(), [agent = agent_.get(), kept = std::move(kept),
                           function = std::move(function)] { function(*agent); });
}

}  // namespace junctor::sipcall
