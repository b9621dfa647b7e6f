// SPDX-License-Identifier: LGPL-2.1-or-later
// The SIP agent an element calls with.
#pragma once

#include <glib.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "common/handle.h"
#include "common/result.h"
#include "sip/core/agent.h"

namespace junctor::sipcall {

/// An agent and the thread that it runs in: somebody else's, or one of our own.
class Line {
 public:
  /// Uses an agent whose context somebody else iterates.
  static std::shared_ptr<Line> shared(std::shared_ptr<sip::Agent> agent);
  /// Starts an agent in a thread of its own.
  static Result<std::shared_ptr<Line>> start(sip::AgentOptions options);
  ~Line() { stop(); }
  /// Our own: says BYE to what is still up, waits at most kPatience for the answers and
  /// Agent::kStackPatience for the stack, so 3 s at the worst, and ends the thread; at once where
  /// nothing is up. Not from that thread. Afterwards nothing runs any more.
  void stop();
  Line(const Line &) = delete;
  Line &operator=(const Line &) = delete;

  static constexpr Duration kPatience = std::chrono::seconds(2);

  /// Null after stop().
  GMainContext *context() const { return context_.get(); }
  /// Any thread: runs `function` on the agent's thread, in order, never inline.
  void run(std::function<void(sip::Agent &)> function);
  /// Any thread.
  std::shared_ptr<sip::Call> find_call(const std::string &id) const {
    return agent_->find_call(id);
  }

 private:
  using ContextRef = std::unique_ptr<GMainContext, Releaser<g_main_context_unref>>;
  using LoopRef = std::unique_ptr<GMainLoop, Releaser<g_main_loop_unref>>;
  Line() = default;

  std::mutex mutex_;  // guards context_ against run() and stop() at once
  ContextRef context_;
  std::shared_ptr<sip::Agent> agent_;
  bool own_ = false;
  LoopRef loop_;  // of our own thread only
  std::thread thread_;
};

}  // namespace junctor::sipcall
