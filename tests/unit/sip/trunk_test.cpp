// SPDX-License-Identifier: LGPL-2.1-or-later
// Trunks: registered at another SIP server, calls over them both ways.
#include <gmock/gmock.h>

#include "agent_fixture.h"
#include "sip/core/digest.h"

namespace junctor::sip::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

class TrunkTest : public AgentTest {
 protected:
  void SetUp() override {
    AgentTest::SetUp();
    agent_->set_incoming([this](const IncomingCall &incoming) {
      came_.push_back(incoming);
      incoming.call->set_listener(recorder_);
      incoming.call->alert();
    });
  }
  TrunkOptions carrier() {
    TrunkOptions options;
    options.name = "carrier";
    options.uri = "sip:" + peer_.local().to_string();
    options.user = "trunk1";
    options.password = "s3cret";
    options.first_retry = 20ms;
    return options;
  }
  void add(const TrunkOptions &options) {
    const auto added = agent_->add_trunk(options, [this](const TrunkStatus &status) {
      states_.push_back(std::string(to_string(status.state)));
    });
    ASSERT_TRUE(added) << added.error().detail;
  }
  TrunkStatus status() { return agent_->trunks().at(0); }
  bool is(TrunkState state) {
    return run_until([&] { return status().state == state; });
  }
  static std::string asks(const std::string &realm, bool as_proxy = false) {
    return std::string(as_proxy ? "Proxy-Authenticate" : "WWW-Authenticate") + ": Digest realm=\"" +
           realm + "\", nonce=\"" + realm + "\", algorithm=MD5\r\n";
  }
  /// Registered at the test's own peer, which may ask for a password; the Contact that it was
  /// given.
  std::string registered(const TrunkOptions &options, const std::string &realm = "") {
    add(options);
    Message request = peer_.request("REGISTER");
    if (!realm.empty()) {
      peer_.reply(request, "401 Unauthorized", asks(realm));
      request = peer_.request("REGISTER");
    }
    const std::string contact = request.header("Contact");
    peer_.reply(request, "200 OK", "Contact: " + contact + ";expires=600\r\n");
    EXPECT_TRUE(is(TrunkState::Registered));
    return contact.substr(1, contact.find('>') - 1);
  }
  std::string invite(const std::string &target, const std::string &number) {
    std::string text = peer_.request_text(
        "INVITE", target, "Contact: " + peer_.contact() + "\r\nContent-Type: application/sdp\r\n",
        phone_sdp());
    const std::string to = "To: <" + target + ">";
    return text.replace(text.find(to), to.size(), "To: <sip:" + number + "@carrier.example>");
  }
  std::vector<std::string> states_;
  std::vector<IncomingCall> came_;
};

TEST_F(TrunkTest, RegistersByDigestAndTakesItBack) {
  AgentOptions registrar = AgentTest::options();
  registrar.realm = "there";
  registrar.ha1 = [](const std::string &user) -> std::optional<std::string> {
    if (user != "trunk1") return std::nullopt;
    return digest_ha1("trunk1", "there", "s3cret");
  };
  auto there = *Agent::create(nullptr, registrar);
  TrunkOptions options = carrier();
  options.uri = "sip:" + there->local().to_string();
  add(options);
  EXPECT_EQ(status().state, TrunkState::Trying);
  ASSERT_TRUE(is(TrunkState::Registered));
  EXPECT_EQ(status().code, 200);
  EXPECT_GT(status().expires, Clock::now() + 500s);
  ASSERT_EQ(there->registrations("trunk1").size(), 1U);
  EXPECT_THAT(there->registrations("trunk1")[0].contact,
              HasSubstr("@" + agent_->local().to_string()));
  agent_->shutdown(EndReason::Shutdown, 5s);
  EXPECT_TRUE(there->registrations("trunk1").empty()) << "taken back";
  there->shutdown(EndReason::Shutdown, 50ms);
  EXPECT_EQ(states_, std::vector<std::string>{"registered"});
  EXPECT_THAT(log_, Not(HasSubstr("s3cret")));
}

TEST_F(TrunkTest, AWrongPasswordIsToldAndNotTriedAgainSoon) {
  AgentOptions registrar = AgentTest::options();
  registrar.ha1 = [](const std::string &) { return digest_ha1("trunk1", "junctor", "other"); };
  auto there = *Agent::create(nullptr, registrar);
  TrunkOptions options = carrier();
  options.uri = "sip:" + there->local().to_string();
  add(options);
  ASSERT_TRUE(is(TrunkState::Failed));
  EXPECT_EQ(status().code, 403);
  EXPECT_EQ(status().detail, "403 Forbidden, which refuses our user and password");
  EXPECT_GT(status().retry, Clock::now() + 200s);
  EXPECT_THAT(log_, HasSubstr("trunk carrier: not registered: 403"));
  EXPECT_THAT(log_, Not(HasSubstr("s3cret")));
  there->shutdown(EndReason::Shutdown, 50ms);
}

TEST_F(TrunkTest, ASecondChallengeIsARefusal) {
  add(carrier());
  const std::string challenge =
      "WWW-Authenticate: Digest realm=\"there\", nonce=\"n\", algorithm=MD5\r\n";
  peer_.reply(peer_.request("REGISTER"), "401 Unauthorized", challenge);
  const Message shown = peer_.request("REGISTER");
  EXPECT_THAT(shown.header("Authorization"), HasSubstr("username=\"trunk1\""));
  peer_.reply(shown, "401 Unauthorized", challenge);
  ASSERT_TRUE(is(TrunkState::Failed));
  EXPECT_EQ(status().detail, "401: it refused our user and password");
  EXPECT_GT(status().retry, Clock::now() + 200s);
}

TEST_F(TrunkTest, TriesAgainLaterAndLater) {
  add(carrier());
  for (unsigned failures = 1; failures <= 3; ++failures) {
    peer_.reply(peer_.request("REGISTER"), "500 Broken");
    ASSERT_TRUE(run_until([&] { return status().failures == failures; }));
    EXPECT_EQ(status().detail, "500 Broken");
    EXPECT_LE(*status().retry - Clock::now(), 20ms * (1 << (failures - 1)));
  }
  const Message request = peer_.request("REGISTER");
  peer_.reply(request, "200 OK", "Contact: " + request.header("Contact") + "\r\nExpires: 100\r\n");
  ASSERT_TRUE(is(TrunkState::Registered));
  EXPECT_EQ(status().failures, 0U);
  EXPECT_LT(status().expires, Clock::now() + 101s);
  EXPECT_EQ(states_, (std::vector<std::string>{"failed", "registered"}));
}

TEST_F(TrunkTest, NobodyThereIsAFailureToo) {
  TrunkOptions options = carrier();
  options.uri = "sip:127.0.0.1:1";
  add(options);
  ASSERT_TRUE(is(TrunkState::Failed));
  EXPECT_EQ(status().failures, 1U);
  EXPECT_EQ(status().code, 0) << "nobody has said it";
  EXPECT_EQ(status().detail,
            "the trunk carrier does not answer: nothing listens there, or no way leads there");
  EXPECT_TRUE(status().retry);
}

TEST_F(TrunkTest, ATimeThatIsTooShortIsMadeLonger) {
  TrunkOptions options = carrier();
  options.expires = 60s;
  add(options);
  const Message first = peer_.request("REGISTER");
  EXPECT_EQ(first.header("Expires"), "60");
  peer_.reply(first, "423 Interval Too Brief", "Min-Expires: 1200\r\n");
  EXPECT_EQ(peer_.request("REGISTER").header("Expires"), "1200");
}

TEST_F(TrunkTest, IsRefreshedBeforeItExpires) {
  add(carrier());
  const Message first = peer_.request("REGISTER");
  const std::string contact = "Contact: " + first.header("Contact") + ";expires=3\r\n";
  peer_.reply(first, "200 OK", contact);
  const Message second = peer_.request("REGISTER");
  EXPECT_EQ(second.header("Call-ID"), first.header("Call-ID"));
  EXPECT_GT(second.cseq(), first.cseq());
  peer_.reply(second, "403 Forbidden");
  ASSERT_TRUE(is(TrunkState::Failed));
  EXPECT_FALSE(status().expires);
}

TEST_F(TrunkTest, CallsOverItGoToTheAccountOfTheirNumber) {
  TrunkOptions options = carrier();
  options.account = "alice";
  options.numbers = {{"+4930123", "bob"}};
  const std::string contact = registered(options);
  peer_.send(invite(contact, "+4930123"), agent_->local());
  peer_.response(180);
  peer_.send(invite(contact, "%2B4930124"), agent_->local());
  peer_.response(180);
  ASSERT_EQ(came_.size(), 2U);
  EXPECT_EQ(came_[0].to, "bob");
  EXPECT_EQ(came_[0].trunk, "carrier");
  EXPECT_EQ(came_[0].account, "") << "nobody of ours has proved a password";
  EXPECT_EQ(came_[1].to, "alice");
}

class TrunkCallTest : public TrunkTest {
 protected:
  /// A call that came over the trunk, whose registrar has asked for a password as "there". `extra`
  /// is of its INVITE.
  void answer_call(const std::string &extra = "") {
    TrunkOptions options = carrier();
    options.account = "anna";
    const std::string contact = registered(options, "there");
    std::string text = invite(contact, "+49301");
    const Message invited{text.insert(text.find("Contact: "), extra)};
    peer_.send(invited.text, agent_->local());
    ASSERT_TRUE(run_until([&] { return !came_.empty(); }));
    AnswerOptions answer;
    for (const rtp::Format &format : rtp::formats()) answer.offer.push_back({.format = &format});
    answer.reactor = reactor_->reactor();
    ASSERT_TRUE(came_[0].call->answer(answer));
    const Message ok = peer_.response(200);
    std::string ack = invited.text.substr(0, invited.text.find("Content-Type"));
    ack.replace(0, 6, "ACK").replace(ack.find("branch=") + 7, 7, "z9hG4bK-ack");
    ack.replace(ack.find("1 INVITE"), 8, "1 ACK");
    const auto to = ack.find("To: "), to_end = ack.find("\r\n", to);
    ack.replace(to, to_end - to, "To: " + ok.header("To"));
    peer_.send(ack + "Content-Length: 0\r\n\r\n", agent_->local());
    run_until([] { return false; }, 50ms);
  }
  void expect_no_other(const std::string &method) {
    run_until([] { return false; }, 300ms);
    EXPECT_FALSE(peer_.has_request(method));
  }
};

TEST_F(TrunkCallTest, RequestsWithinItAnswerTheTrunksChallenges) {
  answer_call();
  came_[0].call->request_keyframe_by_info();
  peer_.reply(peer_.request("INFO"), "401 Unauthorized", asks("there"));
  const Message info = peer_.request("INFO");
  EXPECT_THAT(info.header("Authorization"), HasSubstr("username=\"trunk1\""));
  peer_.reply(info, "200 OK");
  came_[0].call->hangup(EndReason::Shutdown);
  peer_.reply(peer_.request("BYE"), "407 Proxy Authentication Required", asks("there", true));
  const Message bye = peer_.request("BYE");
  EXPECT_THAT(bye.header("Proxy-Authorization"), HasSubstr("username=\"trunk1\""));
  peer_.reply(bye, "200 OK");
}

TEST_F(TrunkCallTest, APasswordIsForThoseAloneWhoAskedAtTheRegistration) {
  answer_call();
  came_[0].call->hangup(EndReason::Shutdown);
  peer_.reply(peer_.request("BYE"), "407 Proxy Authentication Required", asks("mine", true));
  expect_no_other("BYE");
}

TEST_F(TrunkCallTest, ARequestThatCannotAnswerItsChallengeHoldsUpNoOther) {
  answer_call();
  came_[0].call->request_keyframe_by_info();
  peer_.reply(peer_.request("INFO"), "401 Unauthorized", asks("mine"));
  came_[0].call->request_keyframe_by_info();
  peer_.reply(peer_.request("INFO"), "200 OK");
  came_[0].call->hangup(EndReason::Shutdown);
  peer_.reply(peer_.request("BYE"), "200 OK");
}

TEST_F(TrunkCallTest, ACallerOnTheWayIsToldNothing) {
  answer_call("Record-Route: <sip:" + peer_.local().to_string() + ";lr>, <sip:192.0.2.9;lr>\r\n");
  came_[0].call->hangup(EndReason::Shutdown);
  peer_.reply(peer_.request("BYE"), "407 Proxy Authentication Required", asks("there", true));
  expect_no_other("BYE");
}

TEST_F(TrunkTest, ProxyAndServerOfOneRealmAreBothAnswered) {
  add(carrier());
  peer_.reply(peer_.request("REGISTER"), "407 Proxy Authentication Required", asks("there", true));
  peer_.reply(peer_.request("REGISTER"), "401 Unauthorized", asks("there"));
  const Message third = peer_.request("REGISTER");
  EXPECT_THAT(third.header("Proxy-Authorization"), HasSubstr("realm=\"there\""));
  EXPECT_THAT(third.header("Authorization"), HasSubstr("realm=\"there\""));
  peer_.reply(third, "401 Unauthorized", asks("there"));
  ASSERT_TRUE(is(TrunkState::Failed));
  EXPECT_THAT(status().detail, HasSubstr("it refused our user and password"));
}

TEST_F(TrunkTest, ChallengesThatComeTogetherAreAnsweredTogether) {
  add(carrier());
  peer_.reply(peer_.request("REGISTER"), "407 Proxy Authentication Required",
              asks("one", true) + asks("other", true) + asks("there"));
  const Message again = peer_.request("REGISTER");
  EXPECT_THAT(again.text, HasSubstr("realm=\"one\""));
  EXPECT_THAT(again.text, HasSubstr("realm=\"other\""));
  EXPECT_THAT(again.header("Authorization"), HasSubstr("realm=\"there\""));
}

TEST_F(TrunkTest, ASecondRealmIsAnsweredToo) {
  add(carrier());
  peer_.reply(peer_.request("REGISTER"), "407 Proxy Authentication Required",
              "Proxy-Authenticate: Digest realm=\"proxy\", nonce=\"1\", algorithm=MD5\r\n");
  peer_.reply(peer_.request("REGISTER"), "401 Unauthorized",
              "WWW-Authenticate: Digest realm=\"there\", nonce=\"2\", algorithm=MD5\r\n");
  const Message third = peer_.request("REGISTER");
  EXPECT_THAT(third.header("Proxy-Authorization"), HasSubstr("realm=\"proxy\""));
  EXPECT_THAT(third.header("Authorization"), HasSubstr("realm=\"there\""));
  peer_.reply(third, "200 OK", "Contact: " + third.header("Contact") + ";expires=600\r\n");
  EXPECT_TRUE(is(TrunkState::Registered));
}

TEST_F(TrunkTest, ARedirectionIsToldAsItCame) {
  add(carrier());
  peer_.reply(peer_.request("REGISTER"), "302 Moved Temporarily", "Contact: <sip:192.0.2.9>\r\n");
  ASSERT_TRUE(is(TrunkState::Failed));
  EXPECT_EQ(status().code, 302);
  EXPECT_THAT(status().detail, HasSubstr("302 Moved Temporarily"));
}

TEST_F(TrunkTest, OfTheContactsThatAreGrantedOursCounts) {
  add(carrier());
  const Message request = peer_.request("REGISTER");
  peer_.reply(request, "200 OK",
              "Contact: <sip:another@192.0.2.7>;expires=3600, " + request.header("Contact") +
                  ";expires=90\r\n");
  ASSERT_TRUE(is(TrunkState::Registered));
  EXPECT_LT(status().expires, Clock::now() + 100s);
}

TEST_F(TrunkTest, CallsForNobodyAndCallsOfOthersAreRefused) {
  const std::string contact = registered(carrier());
  peer_.send(invite(contact, "+4930123"), agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 404);
  // Somebody else who has got hold of the Contact, and somebody who has not.
  ScriptedPeer stranger("127.0.0.2");
  stranger.set_agent(agent_->local());
  stranger.send(invite(contact, "+4930123"), agent_->local());
  EXPECT_GE(stranger.final_response().status(), 400);
  peer_.send(invite("sip:carrier-1@" + agent_->local().to_string(), "1"), agent_->local());
  EXPECT_GE(peer_.final_response().status(), 400);
  EXPECT_TRUE(came_.empty());
}

TEST_F(TrunkTest, OneThatDoesNotRegisterIsKnownByItsAddress) {
  TrunkOptions options = carrier();
  options.registers = false;
  options.numbers = {{"1000", "bob"}};
  options.may_call = [](const std::string &address) { return address == "127.0.0.1"; };
  add(options);
  EXPECT_EQ(status().state, TrunkState::Static);
  peer_.send(invite("sip:1000@" + agent_->local().to_string(), "x"), agent_->local());
  peer_.response(180);
  ASSERT_EQ(came_.size(), 1U);
  EXPECT_EQ(came_[0].to, "bob");
  expect_alive();
  EXPECT_FALSE(peer_.has_request("REGISTER"));
}

TEST_F(TrunkTest, ACallerSaysWhoItIsAsTheTrunkWants) {
  InviteOptions options = invite_options();
  options.from_user = "trunk1";
  options.from_host = "carrier.example";
  options.asserted = "sip:+4930123@carrier.example";
  call(options);
  const Message invite = peer_.request("INVITE");
  EXPECT_THAT(invite.header("From"), HasSubstr("<sip:trunk1@carrier.example>"));
  EXPECT_EQ(invite.header("P-Asserted-Identity"), "<sip:+4930123@carrier.example>");
  EXPECT_THAT(invite.header("Contact"), HasSubstr(agent_->local().to_string()));
}

TEST_F(TrunkTest, WhatCannotBeUsedIsRefusedAtOnce) {
  TrunkOptions options = carrier();
  options.uri = "http://carrier";
  EXPECT_FALSE(agent_->add_trunk(options, {}));
  options = carrier();
  options.password = "with:colon";
  EXPECT_FALSE(agent_->add_trunk(options, {}));
  options = carrier();
  options.user.clear();
  EXPECT_FALSE(agent_->add_trunk(options, {}));
  EXPECT_TRUE(agent_->trunks().empty());
}

}  // namespace
}  // namespace junctor::sip::test
