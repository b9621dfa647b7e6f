// SPDX-License-Identifier: LGPL-2.1-or-later
// What the API does with calls.
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "api/api.h"
#include "store/call_json.h"

namespace junctor::api {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxWaiters = 1000;
constexpr std::int64_t kMaxWait = 120;

Response call_response(int status, const calls::View &call) {
  return json_response(status, store::to_json(call, true));
}

Response no_such_call(const std::string &id) {
  constexpr std::size_t kLongest = 64;
  return problem(404, "There is no call '" + id.substr(0, kLongest) +
                          (id.size() > kLongest ? "…" : "") + "'.");
}

Response no_calls_here() {
  return problem(503, "This orchestrator makes no calls: its RTMP or its SIP side is off.");
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::chrono::seconds> preferred_wait(std::string_view prefer) {
  while (!prefer.empty()) {
    const auto end = std::min(prefer.find(','), prefer.size());
    std::string_view part = prefer.substr(0, end);
    prefer.remove_prefix(std::min(end + 1, prefer.size()));
    part = part.substr(0, part.find(';'));
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    if (!part.starts_with("wait=")) continue;
    const auto seconds = number(part.substr(5));
    if (seconds && *seconds >= 0) return std::chrono::seconds(std::min(*seconds, kMaxWait));
  }
  return std::nullopt;
}

void Api::list_calls(const Request &request, const Parameters &, const Reply &reply) {
  std::int64_t limit = 50;
  std::string after, state;
  for (const auto &[name, value] : request.query) {
    if (name == "limit")
      limit = number(value).value_or(0);
    else if (name == "after")
      after = value;
    else if (name == "state")
      state = value;
    else
      return reply(problem(400, "Known parameters are limit, after and state."));
  }
  if (limit < 1 || limit > 500) return reply(problem(400, "'limit' is a number from 1 to 500."));
  if (!state.empty() && state != "running")
    return reply(problem(400, "'state' can be `running`, or is left out for all calls."));

  calls::Service *service = backend_.service ? backend_.service() : nullptr;
  std::vector<calls::View> running;
  if (service) running = service->list();
  if (state == "running") {
    json list = json::array();
    for (const auto &call : running) list.push_back(store::to_json(call, false));
    return reply(json_response(200, {{"calls", list}, {"next", nullptr}}));
  }
  // Records of running calls are as old as their last change; the service knows better.
  std::map<std::string, calls::View> live;
  for (auto &call : running) live.emplace(call.id, std::move(call));
  backend_.store->list(
      static_cast<std::size_t>(limit), after,
      [context = backend_.context, reply, live = std::move(live)](Result<store::Page> page) {
        Response response;
        if (!page) {
          response =
              problem(page.error().fault == Fault::BadInput ? 400 : 503, page.error().detail);
        } else {
          json list = json::array();
          for (const auto &record : page->calls) {
            const auto fresh = live.find(record.id);
            const bool newer = fresh != live.end() && record.state != calls::State::Ended;
            list.push_back(store::to_json(newer ? fresh->second : record, false));
          }
          response = json_response(
              200,
              {{"calls", list}, {"next", page->next.empty() ? json(nullptr) : json(page->next)}});
        }
        post_to(context, [reply, response] { reply(response); });
      });
}

void Api::start_call(const Request &request, const Parameters &, const Reply &reply) {
  calls::Service *service = backend_.service ? backend_.service() : nullptr;
  if (!service) return reply(no_calls_here());
  const json body = json::parse(request.body, nullptr, false);
  if (!body.is_object())
    return reply(
        problem(400, R"(The body must be a JSON object like {"from": "alice", "to": "bob"}.)"));
  for (const auto &[name, member] : body.items())
    if ((name != "from" && name != "to") || !member.is_string())
      return reply(problem(422, "The body has the members 'from' and 'to', both texts."));
  const std::string from = body.value("from", ""), to = body.value("to", "");
  const auto snapshot = backend_.book->snapshot();
  if (!snapshot->find(from))
    return reply(problem(422, "'from' must be an account; there is none of this name."));
  if (const auto target = backend_.rules->resolve(to, *snapshot, from); !target) {
    const Error &error = target.error();
    if (error.fault != Fault::Refused) return reply(problem(422, error.detail));
    service->fail_to_start(from, to, EndReason::Unreachable, error.detail);
    return reply(problem(403, error.detail));
  }
  if (service->running() >= backend_.max_calls) {
    const std::string full = "As many calls run as the operator allows (calls.max).";
    service->fail_to_start(from, to, EndReason::Overloaded, full);
    return reply(problem(503, full));
  }
  const auto id = service->start(from, to);
  if (!id) {
    const Fault fault = id.error().fault;
    return reply(problem(fault == Fault::BadInput   ? 422
                         : fault == Fault::Internal ? 500
                                                    : 409,
                         id.error().detail));
  }
  const Reply located = [reply, location = "/api/v1/calls/" + *id](Response response) {
    response.headers.emplace_back("Location", location);
    reply(std::move(response));
  };
  const auto wait = preferred_wait(request.header("prefer"));
  if (wait && wait->count() > 0 && waiters_.size() < kMaxWaiters) {
    const auto call = service->find(*id);
    const bool open =
        call && (call->state == calls::State::Idle || call->state == calls::State::Trying ||
                 call->state == calls::State::Ringing);
    if (open) return wait_for(*id, *wait, located);
    return answer_call(200, *id, located);
  }
  answer_call(202, *id, located);
}

void Api::show_call(const Request &, const Parameters &parameters, const Reply &reply) {
  answer_call(200, parameters[0], reply);
}

void Api::hang_up(const Request &, const Parameters &parameters, const Reply &reply) {
  calls::Service *service = backend_.service ? backend_.service() : nullptr;
  if (service && service->hangup(parameters[0], EndReason::Admin)) return reply({204, {}, "", ""});
  refuse_call(parameters[0], "The call has ended already.", reply);
}

void Api::answer_ringing(const Request &, const Parameters &parameters, const Reply &reply) {
  calls::Service *service = backend_.service ? backend_.service() : nullptr;
  if (!service) return reply(no_calls_here());
  const auto done = service->answer(parameters[0]);
  if (done) return answer_call(200, parameters[0], reply);
  refuse_call(parameters[0], done.error().detail, reply);
}

void Api::decline_ringing(const Request &, const Parameters &parameters, const Reply &reply) {
  calls::Service *service = backend_.service ? backend_.service() : nullptr;
  if (!service) return reply(no_calls_here());
  const auto done = service->decline(parameters[0]);
  if (done) return reply({204, {}, "", ""});
  refuse_call(parameters[0], done.error().detail, reply);
}

void Api::refuse_call(const std::string &id, const std::string &why, const Reply &reply) {
  calls::Service *service = backend_.service ? backend_.service() : nullptr;
  if (service && service->find(id)) return reply(problem(409, why));
  backend_.store->find(
      id, [context = backend_.context, reply, id](const store::CallStore::Found &call) {
        const Response response = !call   ? problem(503, call.error().detail)
                                  : *call ? problem(409, "The call has ended already.")
                                          : no_such_call(id);
        post_to(context, [reply, response] { reply(response); });
      });
}

void Api::send_dtmf(const Request &request, const Parameters &parameters, const Reply &reply) {
  calls::Service *service = backend_.service ? backend_.service() : nullptr;
  if (!service) return reply(no_calls_here());
  const json body = json::parse(request.body, nullptr, false);
  if (!body.is_object())
    return reply(problem(400, R"(The body must be a JSON object like {"digits": "12#"}.)"));
  for (const auto &[name, member] : body.items())
    if (!(name == "digits" && member.is_string()) &&
        !(name == "duration_ms" && member.is_number_unsigned()))
      return reply(
          problem(422,
                  "The body has the member 'digits', a text, and may have 'duration_ms', a "
                  "whole number."));
  Duration length = sip::kDtmfLength;
  if (const auto ms = body.find("duration_ms"); ms != body.end())
    length =
        std::chrono::milliseconds(std::min<std::uint64_t>(ms->get<std::uint64_t>(), 1'000'000));
  const auto sent = service->send_dtmf(parameters[0], body.value("digits", ""), length);
  if (sent) return reply({204, {}, "", ""});
  const Error &error = sent.error();
  if (error.fault == Fault::BadInput) return reply(problem(422, error.detail));
  refuse_call(parameters[0], error.detail, reply);
}

void Api::answer_call(int status, const std::string &id, const Reply &reply) {
  calls::Service *service = backend_.service ? backend_.service() : nullptr;
  if (service)
    if (const auto call = service->find(id)) return reply(call_response(status, *call));
  backend_.store->find(
      id, [context = backend_.context, reply, status, id](const store::CallStore::Found &call) {
        const Response response = !call   ? problem(503, call.error().detail)
                                  : *call ? call_response(status, **call)
                                          : no_such_call(id);
        post_to(context, [reply, response] { reply(response); });
      });
}

void Api::wait_for(const std::string &id, std::chrono::seconds patience, const Reply &reply) {
  const Reply applied = [reply, patience](Response response) {
    response.headers.emplace_back("Preference-Applied", "wait=" + std::to_string(patience.count()));
    reply(std::move(response));
  };
  const auto waiter = waiters_.emplace(id, Waiter{applied, {}});
  waiter->second.timer =
      ContextTimer(backend_.context, patience, [this, waiter] { answer_waiter(waiter, 202); });
}

void Api::answer_waiter(std::multimap<std::string, Waiter>::iterator waiter, int status) {
  const std::string id = waiter->first;
  const Waiter own = std::move(waiter->second);  // keeps alive the timer that may be calling
  waiters_.erase(waiter);
  answer_call(status, id, own.reply);
}

void Api::events(const Request &request, const Parameters &, const Reply &reply) {
  if (feeds_.full())
    return reply(problem(503, "As many watch as may (" + std::to_string(EventFeeds::kMost) +
                                  "); one of them has to end first."));
  Response response{200, {{"Cache-Control", "no-store"}}, "text/event-stream", "", {}};
  // Where no calls are made there are channels to watch.
  const calls::Service *service = backend_.service ? backend_.service() : nullptr;
  auto runs = service ? service->list() : std::vector<calls::View>();
  if (request.method != "HEAD")
    response.stream = [this, running = std::move(runs)](std::shared_ptr<Feed> feed) {
      feeds_.add(std::move(feed), running);
    };
  reply(std::move(response));
}

void Api::call_changed(const calls::View &call) {
  feeds_.tell(call);
  if (call.state != calls::State::Answered && call.state != calls::State::Ended) return;
  auto [first, last] = waiters_.equal_range(call.id);
  while (first != last) {
    const Waiter own = std::move(first->second);
    first = waiters_.erase(first);
    own.reply(call_response(200, call));
  }
}

void Api::close() {
  auto waiters = std::move(waiters_);
  waiters_.clear();
  for (const auto &[id, waiter] : waiters)
    waiter.reply(problem(503, "The orchestrator is shutting down."));
  held_.clear();
  feeds_.close();
}

}  // namespace junctor::api
