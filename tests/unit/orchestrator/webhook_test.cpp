// SPDX-License-Identifier: LGPL-2.1-or-later
// The checks as a webhook decides them; the webhook is what the test says.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../temporary_directory.h"
#include "accounts/webhook_authenticator.h"
#include "book_fixture.h"

using namespace junctor;
using namespace junctor::accounts;
using namespace std::chrono_literals;
using nlohmann::json;

class Webhook : public ::testing::Test {
 protected:
  void SetUp() override {
    book_ = open_book(dir_);
    ASSERT_TRUE(book_->add("bob", std::nullopt, kNow));
    rules_ = std::make_shared<DialRules>(*DialRules::compile({}));
    rebuild();
  }

  void rebuild() {
    authenticator_ = std::make_shared<WebhookAuthenticator>(
        book_, rules_, options_,
        WebhookAuthenticator::Seams{
            [this] { return now_; },
            [this](Duration delay, std::function<void()> function) {
              delays_.push_back(delay);
              function();
            },
            [](const std::function<void()> &function) { function(); },
            [this](const std::string &question, const std::string &what, WebhookClient::Done done) {
              asked_.push_back(json::parse(question));
              whats_.push_back(what);
              now_ += takes_;
              if (done_later_)
                later_ = std::move(done);
              else
                done(answer_);
            }});
  }

  static rtmp::Request request(rtmp::Stage stage, rtmp::Role role = rtmp::Role::Unknown) {
    rtmp::Request request;
    request.connection = 9;
    request.stage = stage;
    request.role = role;
    request.app = "call";
    request.address = {"192.0.2.1", 4711};
    request.parameters["token"] = "something secret";
    if (stage == rtmp::Stage::Start) request.stream = "alice";
    return request;
  }

  std::optional<rtmp::Verdict> ask(const rtmp::Request &request) {
    const auto verdict = std::make_shared<std::optional<rtmp::Verdict>>();
    authenticator_->check(request,
                          rtmp::Decision([verdict](rtmp::Verdict given) { *verdict = given; }));
    return *verdict;
  }
  rtmp::Verdict decided(const rtmp::Request &request) {
    const auto verdict = ask(request);
    EXPECT_TRUE(verdict);
    return verdict.value_or(rtmp::Verdict());
  }
  void answers(unsigned status, const std::string &type = "", const std::string &body = "") {
    answer_ = WebhookAnswer{status, type, body, false};
  }

  TemporaryDirectory dir_;
  std::shared_ptr<Book> book_;
  std::shared_ptr<DialRules> rules_;
  WebhookAuthenticator::Options options_;
  std::shared_ptr<WebhookAuthenticator> authenticator_;
  Time now_{1000s};
  Duration takes_{};
  Result<WebhookAnswer> answer_ = WebhookAnswer{204, "", "", false};
  bool done_later_ = false;
  WebhookClient::Done later_;
  std::vector<json> asked_;
  std::vector<std::string> whats_;
  std::vector<Duration> delays_;
};

TEST_F(Webhook, EachCheckIsAskedWithAllThatIsKnown) {
  EXPECT_TRUE(decided(request(rtmp::Stage::Connect)).accepted);
  EXPECT_TRUE(decided(request(rtmp::Stage::CreateStream, rtmp::Role::Push)).accepted);
  auto publish = request(rtmp::Stage::Start, rtmp::Role::Push);
  publish.parameters["to"] = "bob";
  EXPECT_EQ(decided(publish).identity, "alice") << "the stream's name";
  auto play = request(rtmp::Stage::Start, rtmp::Role::Pull);
  play.identity = "alice";
  EXPECT_TRUE(decided(play).accepted);
  ASSERT_EQ(asked_.size(), 4U);
  EXPECT_EQ(asked_[0], json::parse(R"({"stage": "connect", "role": "unknown", "account": "",
      "stream": "", "address": "192.0.2.1", "port": 4711, "application": "call", "connection": 9,
      "parameters": {"token": "something secret"}})"));
  EXPECT_EQ(asked_[1]["stage"], "createStream");
  EXPECT_EQ(asked_[1]["role"], "push");
  EXPECT_EQ(asked_[2]["stage"], "publish");
  EXPECT_EQ(asked_[2]["stream"], "alice");
  EXPECT_EQ(asked_[2]["parameters"]["to"], "bob");
  EXPECT_EQ(asked_[3]["stage"], "play");
  EXPECT_EQ(asked_[3]["role"], "pull");
  EXPECT_EQ(asked_[3]["account"], "alice");
  EXPECT_EQ(whats_[0], "connect of 192.0.2.1:4711");
}

TEST_F(Webhook, WhatIsNotUtf8IsStillAsked) {
  auto asked = request(rtmp::Stage::Connect);
  asked.parameters["x"] = "\xff\xfe";
  EXPECT_TRUE(decided(asked).accepted);
  EXPECT_EQ(asked_[0]["parameters"]["x"], "\uFFFD\uFFFD");
}

TEST_F(Webhook, OnlyTwoHundredsAccept) {
  for (const unsigned status : {200U, 201U, 204U, 299U}) {
    answers(status);
    EXPECT_TRUE(decided(request(rtmp::Stage::Connect)).accepted) << status;
  }
  for (const unsigned status : {100U, 301U, 302U, 304U, 400U, 403U, 404U, 500U, 503U}) {
    answers(status);
    const auto verdict = decided(request(rtmp::Stage::Connect));
    EXPECT_FALSE(verdict.accepted) << status;
    EXPECT_NE(verdict.reason.find(std::to_string(status)), std::string::npos);
  }
}

TEST_F(Webhook, NoAnswerRefuses) {
  for (const auto stage : {rtmp::Stage::Connect, rtmp::Stage::CreateStream, rtmp::Stage::Start}) {
    answer_ = Error{Fault::Timeout, "It took too long."};
    const auto verdict = decided(request(stage, rtmp::Role::Push));
    EXPECT_FALSE(verdict.accepted);
    EXPECT_EQ(verdict.reason, "It took too long.");
  }
  // Nor one that comes when the server has gone.
  done_later_ = true;
  const auto open = std::make_shared<std::optional<rtmp::Verdict>>();
  authenticator_->check(request(rtmp::Stage::Connect),
                        rtmp::Decision([open](rtmp::Verdict given) { *open = given; }));
  EXPECT_FALSE(*open);
  authenticator_.reset();
  std::exchange(later_, nullptr)(WebhookAnswer{200, "", "", false});
  ASSERT_TRUE(*open);
  EXPECT_FALSE((*open)->accepted);
}

TEST_F(Webhook, TheReasonIsReadFromEachKindOfBody) {
  const auto reason = [&](const std::string &type, const std::string &body) {
    return webhook_reason({403, type, body, false}, request(rtmp::Stage::Connect));
  };
  EXPECT_EQ(reason("application/json", R"({"reason": "Pay first.", "detail": "x"})"), "Pay first.");
  EXPECT_EQ(reason("application/problem+json", R"({"title": "No", "detail": "Pay first."})"),
            "Pay first.");
  EXPECT_EQ(reason("application/problem+json", R"({"title": "No"})"), "No");
  EXPECT_EQ(reason("text/plain", "Pay first.\n"), "Pay first.");
  EXPECT_EQ(reason("", "Pay first."), "Pay first.");
  const std::string fallback = "Refused by this server's operator (status 403).";
  EXPECT_EQ(reason("text/html", "<html>"), fallback);
  EXPECT_EQ(reason("application/json", "{\"reason\": \"cut"), fallback);
  EXPECT_EQ(reason("application/json", "[\"x\"]"), fallback);
  EXPECT_EQ(reason("application/json", "{\"reason\": 5}"), fallback);
  EXPECT_EQ(reason("application/json", std::string(8000, '[')), fallback);
  EXPECT_EQ(reason("", ""), fallback);
}

TEST_F(Webhook, TheReasonIsOneShortCleanLine) {
  const auto reason = [&](const std::string &body) {
    return webhook_reason({403, "text/plain", body, false}, request(rtmp::Stage::Connect));
  };
  EXPECT_EQ(reason("  one\r\n\r\ntwo\tthree\x1b[31m \x7f"), "one two three [31m");
  EXPECT_EQ(reason(std::string("a\0b", 3)), "a\uFFFDb");
  EXPECT_EQ(reason("bad \xff byte"), "bad \uFFFD byte");
  EXPECT_EQ(reason(std::string(500, 'x')), std::string(200, 'x') + "...");
  EXPECT_EQ(reason("x" +
                   [] {
                     std::string many;
                     for (int i = 0; i < 200; ++i) many += "ä";
                     return many;
                   }())
                .size(),
            199U + 3);
  EXPECT_EQ(reason("the token something secret is void"), "the token *** is void");
}

TEST_F(Webhook, TheCalleeMayStandInAReason) {
  auto asked = request(rtmp::Stage::Start, rtmp::Role::Push);
  asked.parameters["to"] = "bob@example.org";
  EXPECT_EQ(webhook_reason({403, "text/plain", "bob@example.org is no friend", false}, asked),
            "bob@example.org is no friend");
}

TEST_F(Webhook, TheAnswerMayNameTheAccount) {
  answers(200, "application/json", R"({"account": "alice"})");
  EXPECT_EQ(decided(request(rtmp::Stage::Connect)).identity, "alice");
  answers(200, "application/json", R"({"account": null})");
  EXPECT_EQ(decided(request(rtmp::Stage::Connect)).identity, "");
  answers(200, "text/plain", "account: mallory");
  EXPECT_EQ(decided(request(rtmp::Stage::Connect)).identity, "");
  for (const char *body : {R"({"account": "Not A Name"})", R"({"account": 5})",
                           R"({"account": ""})", R"({"account": {}})"}) {
    answers(200, "application/json", body);
    EXPECT_FALSE(decided(request(rtmp::Stage::Connect)).accepted) << body;
  }
  answers(200, "application/json", R"({"account": "bob"})");
  auto bound = request(rtmp::Stage::CreateStream);
  bound.identity = "alice";
  EXPECT_NE(decided(bound).reason.find("another account"), std::string::npos);
  const auto publish = request(rtmp::Stage::Start, rtmp::Role::Push);
  EXPECT_NE(decided(publish).reason.find("'bob' only"), std::string::npos);
  answers(200, "application/json", R"({"account": "of-correct-horse"})");
  auto shown = request(rtmp::Stage::Start, rtmp::Role::Push);
  shown.parameters["key"] = "correct-horse";
  EXPECT_NE(decided(shown).reason.find("'of-***' only"), std::string::npos);
  answers(200, "application/json", R"({"account": "bob"})");
  answer_ = WebhookAnswer{200, "application/json", R"({"account": "alice")", true};
  EXPECT_FALSE(decided(request(rtmp::Stage::Connect)).accepted) << "too long to be read";
}

TEST_F(Webhook, HouseRulesHoldAndSpareTheWebhook) {
  options_.streams_per_account = 1;
  options_.networks = *Networks::parse({"10.0.0.0/8"});
  rebuild();
  EXPECT_NE(decided(request(rtmp::Stage::Connect)).reason.find("may not connect"),
            std::string::npos);
  options_.networks = {};
  rebuild();
  auto elsewhere = request(rtmp::Stage::Connect);
  elsewhere.app = "live";
  EXPECT_FALSE(decided(elsewhere).accepted);
  auto foreign = request(rtmp::Stage::Start, rtmp::Role::Push);
  foreign.identity = "carol";
  EXPECT_NE(decided(foreign).reason.find("'carol' only"), std::string::npos);
  auto unnamed = request(rtmp::Stage::Start, rtmp::Role::Push);
  unnamed.stream = "Not A Name";
  EXPECT_FALSE(decided(unnamed).accepted);
  authenticator_->stream_started("alice", rtmp::Role::Pull);
  auto second = request(rtmp::Stage::CreateStream, rtmp::Role::Push);
  second.identity = "alice";
  EXPECT_NE(decided(second).reason.find("1 streams"), std::string::npos);
  EXPECT_TRUE(asked_.empty()) << "none of them was asked";
  EXPECT_NE(decided(request(rtmp::Stage::Start, rtmp::Role::Push)).reason.find("1 streams"),
            std::string::npos);
  authenticator_->stream_ended("alice", rtmp::Role::Pull);
  auto publish = request(rtmp::Stage::Start, rtmp::Role::Push);
  publish.parameters["to"] = "sip:x@example.org";
  EXPECT_NE(decided(publish).reason.find("sip.allow"), std::string::npos)
      << "the webhook cannot make anybody callable";
}

TEST_F(Webhook, OneAddressWaitsForSoManyAnswersOnly) {
  options_.requests_per_address = 2;
  rebuild();
  done_later_ = true;
  std::vector<WebhookClient::Done> open;
  std::vector<std::shared_ptr<std::optional<rtmp::Verdict>>> verdicts;
  const auto from = [&](const char *address) {
    auto asked = request(rtmp::Stage::Connect);
    asked.address.address = address;
    verdicts.push_back(std::make_shared<std::optional<rtmp::Verdict>>());
    authenticator_->check(asked, rtmp::Decision([verdict = verdicts.back()](rtmp::Verdict given) {
                            *verdict = given;
                          }));
    if (later_) open.push_back(std::exchange(later_, nullptr));
    return *verdicts.back();
  };
  EXPECT_FALSE(from("192.0.2.1"));
  EXPECT_FALSE(from("192.0.2.1"));
  const auto third = from("192.0.2.1");
  ASSERT_TRUE(third);
  EXPECT_NE(third->reason.find("Too many of your address"), std::string::npos);
  EXPECT_FALSE(from("192.0.2.2")) << "others are asked all the same";
  ASSERT_EQ(open.size(), 3U);
  open[0](Error{Fault::Timeout, "It took too long."});
  EXPECT_FALSE(from("192.0.2.1")) << "there is room again";
  EXPECT_TRUE(from("192.0.2.1"));
}

TEST_F(Webhook, SomeStatusesHaveTheirOwnWord) {
  answers(404);
  EXPECT_EQ(decided(request(rtmp::Stage::Start, rtmp::Role::Pull)).refusal,
            rtmp::Refusal::UnknownStream);
  EXPECT_EQ(decided(request(rtmp::Stage::Connect)).refusal, rtmp::Refusal::Denied);
  answers(409);
  EXPECT_EQ(decided(request(rtmp::Stage::Start, rtmp::Role::Push)).refusal,
            rtmp::Refusal::NameTaken);
}

TEST_F(Webhook, WrongGuessesAreHeldBackWithinTheBudget) {
  answers(403);
  for (int i = 0; i < 5; ++i) decided(request(rtmp::Stage::Connect));
  EXPECT_TRUE(delays_.empty()) << "no guess";
  answers(401);
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(decided(request(rtmp::Stage::Connect)).accepted);
  EXPECT_EQ(delays_, (std::vector<Duration>{100ms, 200ms, 400ms, 800ms, 1600ms, 3000ms, 3000ms}));
  takes_ = options_.budget - 10ms;
  decided(request(rtmp::Stage::Connect));
  EXPECT_EQ(delays_.back(), 10ms) << "the server would refuse by itself";
}
