// SPDX-License-Identifier: LGPL-2.1-or-later
// Verdicts on their way back, and names of roles and stages.
#include <atomic>

#include "rtmp/core/server.h"

namespace junctor::rtmp {

std::string_view to_string(Role role) {
  switch (role) {
    case Role::Push:
      return "push";
    case Role::Pull:
      return "pull";
    case Role::Unknown:
      break;
  }
  return "unknown";
}

std::string_view to_string(Stage stage) {
  switch (stage) {
    case Stage::Connect:
      return "connect";
    case Stage::CreateStream:
      return "createStream";
    case Stage::Start:
      break;
  }
  return "publish/play";
}

const char *stage_name(const Request &request) {
  if (request.stage == Stage::Start) return request.role == Role::Pull ? "play" : "publish";
  return to_string(request.stage).data();  // of a literal
}

struct Decision::State {
  explicit State(std::function<void(Verdict)> deliver) : deliver(std::move(deliver)) {}
  ~State() {
    Verdict verdict;
    verdict.reason = "nobody decided";
    give(std::move(verdict));
  }
  State(const State &) = delete;
  State &operator=(const State &) = delete;

  void give(Verdict verdict) {
    if (given.exchange(true)) return;
    const auto call = std::move(deliver);
    if (call) call(std::move(verdict));
  }

  std::function<void(Verdict)> deliver;
  std::atomic<bool> given = false;
};

Decision::Decision(std::function<void(Verdict)> deliver)
    : state_(std::make_shared<State>(std::move(deliver))) {}

void Decision::give(Verdict verdict) const {
  if (state_) state_->give(std::move(verdict));
}

void Decision::accept(std::string identity) const {
  Verdict verdict;
  verdict.accepted = true;
  verdict.identity = std::move(identity);
  give(std::move(verdict));
}

void Decision::refuse(std::string reason, Refusal refusal) const {
  Verdict verdict;
  verdict.refusal = refusal;
  verdict.reason = std::move(reason);
  give(std::move(verdict));
}

}  // namespace junctor::rtmp
