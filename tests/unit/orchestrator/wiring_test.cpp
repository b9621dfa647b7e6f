// SPDX-License-Identifier: LGPL-2.1-or-later
// What joins the parts: the checks, the calls and the phones of one orchestrator.
#include "wiring.h"

#include "../temporary_directory.h"
#include "accounts/builtin_authenticator.h"
#include "book_fixture.h"
#include "calls/service_fixture.h"
#include "common/main_context.h"
#include "common/peer_log_budget.h"
#include "rendezvous/account_log.h"

namespace junctor {
namespace {

using accounts::kNow;

/// Real checks, real calls; the RTMP server and the SIP agent do what the test says.
class Wiring : public calls::ServiceTest {
 protected:
  void SetUp() override {
    ServiceTest::SetUp();
    accounts_ = accounts::open_book(dir_);
    ASSERT_TRUE(accounts_);
    for (const char *name : {"alice", "bob", "carol"})
      ASSERT_TRUE(accounts_->add(name, std::nullopt, kNow));
    auto rules = accounts::DialRules::compile(
        {{"sip:*@example.org", "user", "secret", "sip:proxy"},
         {"sip:*@strict.example", "", "", "", rtp::SrtpPolicy::Require}});
    ASSERT_TRUE(rules);
    rules_ = std::make_shared<accounts::DialRules>(*rules);
    accounts::BuiltinAuthenticator::Options options;
    options.busy = busy_;
    checks_ = std::make_shared<accounts::BuiltinAuthenticator>(
        accounts_, rules_, options,
        accounts::BuiltinAuthenticator::Seams{
            [] { return kNow + 1; }, [this] { return now_; },
            [](Duration, const std::function<void()> &function) { function(); }});
    events_ = terminal_events(checks_, busy_,
                              [this](std::function<void(calls::Service &)> function) {
                                post_to(context_, [this, function = std::move(function)] {
                                  if (service_) function(*service_);
                                });
                              },
                              {});
    on_change_ = [this](const calls::View &view) { note_call(*busy_, view); };
    dialler_ = {rules_, accounts_, agent_, reactor_, std::chrono::seconds(60)};
    around_->options.dial = [this](const std::string &from, const std::string &to) {
      return dialler_.contacts(from, to);
    };
    phone("bob", "sip:bob@192.0.2.1");
    phone("carol", "sip:carol@192.0.2.2");
  }

  void phone(const std::string &account, const std::string &contact, Time expires = {}) {
    sip::Registration registration;
    registration.account = account;
    registration.contact = contact;
    registration.route = "sip:192.0.2.99;lr";
    registration.expires = expires;
    agent_->registered[account].push_back(registration);
  }

  rtmp::Request push(std::uint64_t connection, const std::string &to) {
    auto asked = request(connection, rtmp::Role::Push, {{"to", to}});
    asked.app = "call";
    asked.address = {"192.0.2.7", 4711};
    asked.parameters["token"] = accounts::issue(*accounts_, "alice", {true, true}, 3600, kNow + 1);
    return asked;
  }

  /// Empty if the check accepts; else its reason.
  std::string check(const rtmp::Request &asked) {
    auto given = std::make_shared<std::optional<rtmp::Verdict>>();
    events_.authenticate(asked,
                         rtmp::Decision([given](rtmp::Verdict verdict) { *given = verdict; }));
    if (!*given) return "no verdict";
    return (*given)->accepted ? "" : (*given)->reason;
  }

  TemporaryDirectory dir_;
  std::shared_ptr<accounts::Book> accounts_;
  std::shared_ptr<const accounts::DialRules> rules_;
  std::shared_ptr<accounts::BusyTable> busy_ = std::make_shared<accounts::BusyTable>();
  std::shared_ptr<accounts::BuiltinAuthenticator> checks_;
  rtmp::ServerEvents events_;
  Dialler dialler_;
};

TEST_F(Wiring, ASecondPublishCannotComeBetweenTheFirstAndItsCall) {
  const auto first = push(1, "bob"), second = push(2, "carol");
  EXPECT_EQ(check(first), "");
  EXPECT_NE(check(second).find("alice is in a call with bob"), std::string::npos)
      << "accepted, before it has begun";
  events_.publish_started(first);
  EXPECT_NE(check(second).find("alice is in a call with bob"), std::string::npos)
      << "begun, before the calls know";
  pump();
  ASSERT_EQ(service_->list().size(), 1u);
  EXPECT_NE(check(second).find("alice is in a call with bob"), std::string::npos);
  EXPECT_EQ(check(push(3, "bob")), "") << "the terminal that comes back";

  pass(std::chrono::milliseconds(200));  // it waits for a picture's profile no longer
  ASSERT_EQ(agent_->invited.size(), 1u);
  sip(0).end(EndReason::Declined, 603, "Decline");
  pump();
  expect_ended(EndReason::Declined);
  EXPECT_FALSE(server_->ended.empty()) << "its publisher is told";
  events_.publish_ended(first, true);
  pump();
  now_ += accounts::BusyTable::kStartPatience + std::chrono::milliseconds(1);
  EXPECT_EQ(check(second), "");
}

TEST_F(Wiring, OneConnectionsNextPublishKeepsItsClaimThroughTheEndOfTheOneBefore) {
  const auto first = push(1, "bob"), other = push(2, "carol");
  ASSERT_EQ(check(first), "");
  events_.publish_started(first);
  pump();
  pass(std::chrono::milliseconds(200));
  sip(0).end(EndReason::Declined, 603, "Decline");
  pump();
  expect_ended(EndReason::Declined);

  // The end is on its way to the calls while the same connection publishes anew.
  events_.publish_ended(first, true);
  const auto next = push(1, "bob");
  ASSERT_EQ(check(next), "");
  pump();
  EXPECT_NE(check(other).find("alice is in a call with bob"), std::string::npos)
      << "accepted, not begun, and the end of the one before told";
  events_.publish_started(next);
  pump();
  ASSERT_EQ(service_->list().size(), 1u);
  EXPECT_NE(check(other).find("alice is in a call with bob"), std::string::npos);

  ASSERT_TRUE(service_->hangup(service_->list()[0].id, EndReason::Admin));
  EXPECT_NE(check(other).find("alice is in a call with bob"), std::string::npos)
      << "its publish has not ended";
  events_.publish_ended(next, true);
  pump();
  EXPECT_EQ(check(other), "") << "none is left over";
}

TEST_F(Wiring, APublishThatCallsNobodyTouchesNoClaimOfItsConnection) {
  const auto calls = push(1, "bob"), other = push(2, "carol");
  auto silent = calls;
  silent.parameters.erase("to");
  ASSERT_EQ(check(silent), "");
  ASSERT_EQ(check(calls), "");
  events_.publish_started(silent);
  events_.publish_ended(silent, false);  // the second takes its name over
  events_.publish_started(calls);
  pump();
  ASSERT_EQ(service_->list().size(), 1u);
  ASSERT_TRUE(service_->hangup(service_->list()[0].id, EndReason::Admin));
  now_ += accounts::BusyTable::kStartPatience + std::chrono::milliseconds(1);
  EXPECT_NE(check(other).find("alice is in a call with bob"), std::string::npos)
      << "the publish that calls bob runs on";
  events_.publish_ended(calls, true);
  pump();

  ASSERT_EQ(check(calls), "");
  events_.publish_started(silent);
  now_ += accounts::BusyTable::kStartPatience + std::chrono::milliseconds(1);
  EXPECT_EQ(check(other), "") << "the one that was to call bob has never begun";
}

TEST_F(Wiring, ACallThatIsNotTheTerminalsOwnMakesItBusyToo) {
  ASSERT_TRUE(service_->start("alice", "carol"));
  EXPECT_NE(check(push(1, "bob")).find("alice is in a call with carol"), std::string::npos);
  ASSERT_TRUE(service_->hangup(last().id, EndReason::Admin));
  EXPECT_EQ(check(push(1, "bob")), "");
}

TEST_F(Wiring, AnAccountIsCalledAtItsPhonesTheNewestFirst) {
  phone("bob", "sip:bob@192.0.2.3", Time(std::chrono::hours(1)));
  const auto contacts = dialler_.contacts("alice", "bob");
  ASSERT_TRUE(contacts);
  EXPECT_EQ(contacts->account, "bob");
  ASSERT_EQ(contacts->phones.size(), 2u);
  EXPECT_EQ(contacts->phones.at(0).uri, "sip:bob@192.0.2.3");
  EXPECT_EQ(contacts->phones.at(1).uri, "sip:bob@192.0.2.1");
  for (const auto &contact : contacts->phones) {
    EXPECT_EQ(contact.proxy, "sip:192.0.2.99;lr");
    EXPECT_EQ(contact.from_user, "alice");
    EXPECT_EQ(contact.user, "") << "no rule's secret goes to a phone";
    EXPECT_FALSE(contact.redirect) << "a phone cannot send the call elsewhere";
  }
  agent_->registered.clear();
  const auto gone = dialler_.contacts("alice", "bob");
  ASSERT_TRUE(gone) << "its terminal may be there";
  EXPECT_TRUE(gone->phones.empty());
}

TEST_F(Wiring, ACalleeMayRedirectOnlyToWhatTheRulesAllow) {
  const auto contacts = dialler_.contacts("alice", "sip:x@example.org");
  ASSERT_TRUE(contacts);
  EXPECT_EQ(contacts->account, "") << "nobody's terminal";
  ASSERT_EQ(contacts->phones.size(), 1u);
  const sip::InviteOptions &invite = contacts->phones.front();
  EXPECT_EQ(invite.uri, "sip:x@example.org");
  EXPECT_EQ(invite.user, "user");
  EXPECT_EQ(invite.password, "secret");
  EXPECT_EQ(invite.proxy, "sip:proxy");
  ASSERT_TRUE(invite.redirect);
  const auto moved = invite.redirect("sip:y@example.org;transport=tcp");
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->uri, "sip:y@example.org;transport=tcp");
  EXPECT_EQ(moved->user, "user");
  EXPECT_EQ(moved->password, "secret");
  EXPECT_EQ(moved->proxy, "sip:proxy");
  EXPECT_EQ(moved->srtp, rtp::SrtpPolicy::Off);
  const auto strict = invite.redirect("sip:y@strict.example");
  ASSERT_TRUE(strict);
  EXPECT_EQ(strict->srtp, rtp::SrtpPolicy::Require) << "as its own rule says";
  EXPECT_EQ(strict->user + strict->password + strict->proxy, "");
  EXPECT_FALSE(invite.redirect("sip:y@example.net"));
  EXPECT_FALSE(invite.redirect("sip:+49900@carrier.example"));
  EXPECT_FALSE(dialler_.contacts("alice", "sip:x@example.net"));
}

TEST_F(Wiring, WhoCallsIsEncryptedAsItsAccountOrItsTrunkSays) {
  config::Sip config;
  config.srtp = rtp::SrtpPolicy::Prefer;
  config.trunks.resize(2);
  config.trunks[0].name = "silent";
  config.trunks[1].name = "carrier";
  config.trunks[1].srtp = rtp::SrtpPolicy::Off;
  ASSERT_TRUE(accounts_->add("dave", std::nullopt, kNow, rtp::SrtpPolicy::Require));
  sip::IncomingCall caller;
  EXPECT_EQ(srtp_of(caller, config, *accounts_), rtp::SrtpPolicy::Prefer);
  caller.trunk = "silent";
  EXPECT_EQ(srtp_of(caller, config, *accounts_), rtp::SrtpPolicy::Prefer);
  caller.trunk = "carrier";
  EXPECT_EQ(srtp_of(caller, config, *accounts_), rtp::SrtpPolicy::Off);
  caller.trunk = "";
  caller.account = "dave";
  EXPECT_EQ(srtp_of(caller, config, *accounts_), rtp::SrtpPolicy::Require);
  caller.account = "alice";
  EXPECT_EQ(srtp_of(caller, config, *accounts_), rtp::SrtpPolicy::Prefer);
}

TEST_F(Wiring, WhatComesBeforePublishAndPlayDoesNotFillTheLog) {
  std::size_t told = 0;
  const auto events = terminal_events(checks_, busy_, {}, [&](LogLevel level, std::string_view) {
    told += level == LogLevel::Info;
  });
  rtmp::Verdict accepted;
  accepted.accepted = true;
  auto asked = push(1, "bob");
  constexpr std::size_t kMany = 1000;
  for (std::size_t i = 0; i < kMany; ++i) {
    asked.stage = i % 2 == 0 ? rtmp::Stage::Connect : rtmp::Stage::CreateStream;
    events.checked(asked, accepted);
  }
  EXPECT_GE(told, PeerLogBudget::kPeerBurst);
  EXPECT_LT(told, kMany);
  const std::size_t before = told;
  asked.stage = rtmp::Stage::Start;
  events.checked(asked, accepted);
  EXPECT_EQ(told, before + 1);
}

TEST_F(Wiring, NoAccountFillsTheLogOrHidesAnothersStreams) {
  std::vector<std::string> told;
  const auto events =
      terminal_events(checks_, busy_, {}, [&](LogLevel level, std::string_view text) {
        if (level == LogLevel::Info) told.emplace_back(text);
      });
  rtmp::Verdict accepted;
  accepted.accepted = true;
  auto asked = push(1, "bob");
  asked.stage = rtmp::Stage::Start;
  asked.identity = "alice";
  constexpr std::size_t kMany = 2000;
  for (std::size_t i = 0; i < kMany; ++i) events.checked(asked, accepted);
  EXPECT_GE(told.size(), rendezvous::AccountLog::kBurst);
  EXPECT_LT(told.size(), kMany);
  asked.identity = "carol";
  events.checked(asked, accepted);
  EXPECT_NE(told.back().find(" as carol: accepted"), std::string::npos) << told.back();
}

TEST_F(Wiring, ARevokedAccountsCallsAndStreamsEndButItCanBeCalled) {
  ASSERT_TRUE(service_->start("alice", "bob"));
  ASSERT_TRUE(service_->start("carol", "bob"));
  expel("alice", false, agent_.get(), service_.get(), server_);
  pump();
  EXPECT_EQ(last().from, "alice");
  EXPECT_EQ(last().reason, EndReason::Admin);
  ASSERT_EQ(service_->list().size(), 1u);
  EXPECT_EQ(service_->list()[0].from, "carol");
  EXPECT_EQ(server_->ended.back(),
            "alice NetStream.Publish.Denied The account was removed, or its token revoked.");
  EXPECT_EQ(server_->outlets["alice"]->ended.back(),
            "NetStream.Play.Failed The account was removed, or its token revoked.");
  EXPECT_FALSE(server_->outlets.contains("bob"));

  expel("bob", false, agent_.get(), service_.get(), server_);
  pump();
  EXPECT_EQ(service_->list().size(), 1u) << "calls to it go on";
  EXPECT_TRUE(agent_->registered.contains("bob"));
}

TEST_F(Wiring, ARemovedAccountCannotBeCalledEither) {
  ASSERT_TRUE(service_->start("alice", "bob"));
  expel("bob", true, agent_.get(), service_.get(), server_);
  pump();
  expect_ended(EndReason::Admin);
  EXPECT_FALSE(agent_->registered.contains("bob"));
  EXPECT_TRUE(agent_->registered.contains("carol"));
  expel("carol", true, nullptr, nullptr, nullptr);
}

TEST(SipLegs, AreNeverFewerThanWhatCallsMayRing) {
  EXPECT_EQ(sip_legs(1), sip::AgentOptions().max_calls);
  EXPECT_GE(sip_legs(20'000), 200'000U);
}

}  // namespace
}  // namespace junctor
