// SPDX-License-Identifier: LGPL-2.1-or-later
// The REST API over fake calls.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../temporary_directory.h"
#include "api/api.h"
#include "api/server.h"

namespace junctor::api {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr std::int64_t kNow = 1700000000;

/// Calls without media: what the API sees of them.
class FakeService : public calls::Service {
 public:
  void on_publish_started(const rtmp::Request &) override {}
  void on_publish_ended(const rtmp::Request &, bool) override {}
  void on_play_started(const rtmp::Request &) override {}
  void on_play_ended(const rtmp::Request &) override {}
  Result<std::string> start(const std::string &from, const std::string &to) override {
    if (failure) return *failure;
    calls::View call;
    call.id = "call-" + std::to_string(views.size() + 1);
    call.from = from;
    call.to = to;
    call.state = calls::State::Trying;
    views[call.id] = call;
    return call.id;
  }
  bool hangup(const std::string &id, EndReason reason) override {
    const auto found = views.find(id);
    if (found == views.end()) return false;
    last_reason = reason;
    views.erase(found);
    return true;
  }
  Result<void> send_dtmf(const std::string &id, std::string_view keys, Duration length) override {
    if (!views.contains(id)) return Error{Fault::Unreachable, "There is no such running call."};
    if (auto valid = sip::check_dtmf(keys, length); !valid) return valid;
    if (failure) return *failure;
    digits += keys;
    last_length = length;
    return {};
  }
  std::vector<calls::View> list() const override {
    std::vector<calls::View> all;
    for (const auto &[id, call] : views) all.push_back(call);
    return all;
  }
  std::optional<calls::View> find(const std::string &id) const override {
    const auto found = views.find(id);
    return found == views.end() ? std::nullopt : std::optional(found->second);
  }
  void shutdown(std::function<void()> done) override { done(); }

  std::map<std::string, calls::View> views;
  std::optional<Error> failure;
  void fail_to_start(const std::string &, const std::string &, EndReason reason,
                     const std::string &) override {
    not_started.push_back(reason);
  }
  std::optional<EndReason> last_reason;
  std::string digits;  ///< pressed
  Duration last_length{};
  std::vector<EndReason> not_started;  ///< calls that the API itself refused
};

class ApiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    book_ = *accounts::Book::open(dir_.path(), "");
    ASSERT_TRUE(book_->add("alice", "correct horse", kNow));
    store_ = std::move(*store::CallStore::open({dir_.path() + "/calls.db", 30, {}},
                                               std::chrono::system_clock::now()));
    Backend backend;
    backend.admin_token = "admin-secret";
    backend.book = book_;
    backend.rules = std::make_shared<accounts::DialRules>(
        *accounts::DialRules::compile({{"sip:*@example.org", "", "", ""}}));
    backend.workers = &workers_;
    backend.store = store_.get();
    backend.service = [this] { return has_service_ ? &service_ : nullptr; };
    backend.max_calls = 3;
    backend.addresses = {"gw.example.org", "gw.example.org:5070", "call", "gw.example.org:4430"};
    backend.seconds = [] { return kNow + 5; };
    backend.registrations = [](const std::string &) {
      return std::vector<std::string>{"sip:alice@192.0.2.9"};
    };
    backend.expelled = [this](const std::string &name, bool removed) {
      expelled_.push_back(name + (removed ? " removed" : ""));
    };
    backend.token_revoked = [this](const std::string &name, const std::string &id) {
      expelled_.push_back(name + " token " + id);
    };
    backend.metrics = [] { return "measured 1\n"; };
    backend.answered = [this](int status) { answered_.push_back(status); };
    backend.longest_delay = 1ms;
    backend.regions = {{"eu-west", "stun.example.org:3478"}};
    backend.trunks = [this] { return trunks_; };
    backend.log = [this](LogLevel, std::string_view text) { logged_.emplace_back(text); };
    api_ = std::make_unique<Api>(std::move(backend));
  }

  void TearDown() override {
    server_.reset();
    workers_.drain();
    store_->flush();
    while (g_main_context_iteration(nullptr, FALSE)) {
    }
  }

  static Request make(const std::string &method, const std::string &path,
                      const std::string &body = "") {
    Request request;
    request.method = method;
    request.path = path;
    request.body = body;
    request.headers["authorization"] = "Bearer admin-secret";
    if (!body.empty()) request.headers["content-type"] = "application/json";
    request.peer = {"127.0.0.1", 4711};
    return request;
  }

  /// Waits for the answer, whichever thread makes it.
  Response ask(const Request &request) {
    std::optional<Response> answer;
    api_->handle(request, [&](Response response) { answer = std::move(response); });
    while (!answer) g_main_context_iteration(nullptr, TRUE);
    return *answer;
  }

  static void expect_problem(const Response &response, int status) {
    EXPECT_EQ(response.status, status) << response.body;
    EXPECT_EQ(response.content_type, "application/problem+json");
    const json body = json::parse(response.body, nullptr, false);
    ASSERT_TRUE(body.is_object());
    EXPECT_EQ(body["status"], status);
    EXPECT_EQ(body["type"], "about:blank");
    EXPECT_FALSE(body["title"].get<std::string>().empty());
    EXPECT_FALSE(body["detail"].get<std::string>().empty());
  }

  static std::string header(const Response &response, const std::string &name) {
    for (const auto &[key, value] : response.headers)
      if (key == name) return value;
    return "";
  }

  TemporaryDirectory dir_;
  std::shared_ptr<accounts::Book> book_;
  store::WorkerPool workers_{"test", 1, 100};
  std::unique_ptr<store::CallStore> store_;
  FakeService service_;
  bool has_service_ = true;
  std::vector<std::string> expelled_;
  std::vector<int> answered_;  ///< statuses
  std::vector<sip::TrunkStatus> trunks_;
  std::vector<std::string> logged_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<Server> server_;
};

}  // namespace junctor::api
