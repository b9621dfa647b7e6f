// SPDX-License-Identifier: LGPL-2.1-or-later
// Where a call goes, and with whose credentials: challenges, redirections, proxies.
#include <gmock/gmock.h>

#include "agent_fixture.h"
#include "sip/core/source_address.h"

namespace junctor::sip::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(AgentTest, AnswersDigestChallenge) {
  InviteOptions options = invite_options();
  options.user = "trunk";
  options.password = "zanzibar";
  call(options);
  const Message first = peer_.request("INVITE");
  peer_.reply(first, "407 Proxy Authentication Required",
              "Proxy-Authenticate: Digest realm=\"bi loxi\", nonce=\"dcd98b\", "
              "algorithm=MD5, qop=\"auth\"\r\n");
  peer_.request("ACK");
  const Message second = peer_.request("INVITE");
  const std::string credentials = second.header("Proxy-Authorization");
  EXPECT_THAT(credentials, HasSubstr("username=\"trunk\""));
  EXPECT_THAT(credentials, HasSubstr("nonce=\"dcd98b\""));
  EXPECT_EQ(second.header("Call-ID"), call_->id());
  EXPECT_GT(second.cseq(), first.cseq());
  EXPECT_FALSE(second.body().empty());
  peer_.reply(second, "200 OK", "", phone_sdp());
  ASSERT_TRUE(run_until([&] { return recorder_->count("answered") == 1; }));
  const std::lock_guard lock(mutex_);
  EXPECT_THAT(log_, ::testing::Not(HasSubstr("zanzibar")));
}

TEST_F(AgentTest, EachHopMayChallengeInARealmOfItsOwn) {
  InviteOptions options = invite_options();
  options.user = "trunk";
  options.password = "zanzibar";
  call(options);
  const std::string at_proxy =
      "Proxy-Authenticate: Digest realm=\"proxy\", nonce=\"1\", algorithm=MD5\r\n";
  const std::string at_pbx =
      "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"2\", algorithm=MD5\r\n";
  peer_.reply(peer_.request("INVITE"), "407 Proxy Authentication Required", at_proxy);
  peer_.reply(peer_.request("INVITE"), "401 Unauthorized", at_pbx);
  const Message third = peer_.request("INVITE");
  EXPECT_THAT(third.header("Proxy-Authorization"), HasSubstr("realm=\"proxy\""));
  EXPECT_THAT(third.header("Authorization"), HasSubstr("realm=\"pbx\""));
  // Either of them refuses by asking again.
  peer_.reply(third, "401 Unauthorized", at_pbx);
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->text, "401: it refused our user and password");
}

TEST_F(AgentTest, ChallengeThatCannotBeAnsweredIsUnauthorizedAtOnce) {
  for (const char *parameters : {"Digest realm=\"a\\\"b\", nonce=\"1\"", "Basic realm=\"x\"",
                                 "Digest realm=\"x\", nonce=\"1\", algorithm=SHA-256"}) {
    recorder_ = std::make_shared<Recorder>();
    InviteOptions options = invite_options();
    options.user = "trunk";
    options.password = "zanzibar";
    call(options);
    peer_.reply(peer_.request("INVITE"), "401 Unauthorized",
                std::string("WWW-Authenticate: ") + parameters + "\r\n");
    ASSERT_TRUE(ended()) << parameters;
    EXPECT_EQ(recorder_->reason, EndReason::Unauthorized) << parameters;
    EXPECT_EQ(recorder_->code, 401) << parameters;
  }
}

TEST_F(AgentTest, ChallengeWithoutCredentialsIsUnauthorized) {
  call();
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, "401 Unauthorized",
              "WWW-Authenticate: Digest realm=\"x\", nonce=\"1\", algorithm=MD5\r\n");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Unauthorized);
  EXPECT_EQ(recorder_->code, 401);
}

TEST_F(AgentTest, WrongPasswordIsUnauthorized) {
  InviteOptions options = invite_options();
  options.user = "trunk";
  options.password = "wrong";
  call(options);
  const char *challenge = "WWW-Authenticate: Digest realm=\"x\", nonce=\"1\", algorithm=MD5\r\n";
  peer_.reply(peer_.request("INVITE"), "401 Unauthorized", challenge);
  const auto again = peer_.receive([](const Message &m) {
    return m.method() == "INVITE" && !m.header("Authorization").empty();
  });
  ASSERT_TRUE(again);
  peer_.reply(*again, "401 Unauthorized", challenge);
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Unauthorized);
}

TEST_F(AgentTest, FollowsRedirectionThatIsAllowed) {
  ScriptedPeer elsewhere;
  elsewhere.set_agent(agent_->local());
  std::vector<std::string> asked;
  InviteOptions options = invite_options();
  options.redirect = [&](const std::string &uri) {
    asked.push_back(uri);
    return Redirection{};
  };
  call(options);
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, "302 Moved Temporarily",
              "Contact: <" + elsewhere.uri() + ";maddr=192.0.2.1;transport=UDP>\r\n");
  const Message second = elsewhere.request("INVITE");
  EXPECT_EQ(asked, std::vector<std::string>{elsewhere.uri() + ";transport=udp"});
  EXPECT_THAT(second.start_line(), HasSubstr(elsewhere.uri()));
  EXPECT_EQ(second.header("Call-ID"), invite.header("Call-ID"));
  EXPECT_EQ(second.header("To"), invite.header("To"));
  EXPECT_FALSE(second.body().empty());
  EXPECT_EQ(call_->redirected_to(), elsewhere.uri() + ";transport=udp");
  elsewhere.reply(second, "200 OK", "", phone_sdp());
  ASSERT_TRUE(run_until([&] { return recorder_->count("answered") == 1; }));
  elsewhere.request("ACK");
  call_->hangup(EndReason::CallerHangup);
  elsewhere.reply(elsewhere.request("BYE"), "200 OK");
}

TEST_F(AgentTest, RedirectionThatNobodyAllowedEndsTheCall) {
  for (const bool asked : {false, true})
    for (const char *status : {"301 Moved", "302 Moved", "305 Use Proxy"}) {
      ScriptedPeer elsewhere;
      recorder_ = std::make_shared<Recorder>();
      InviteOptions options = invite_options();
      if (asked) options.redirect = [](const std::string &) { return std::nullopt; };
      call(options);
      peer_.reply(peer_.request("INVITE"), status, "Contact: " + elsewhere.contact() + "\r\n");
      ASSERT_TRUE(ended());
      EXPECT_EQ(recorder_->reason, EndReason::Unreachable);
      EXPECT_EQ(recorder_->code, std::stoi(status));
      EXPECT_THAT(recorder_->text, HasSubstr(status));
      if (recorder_->code != 305) {
        EXPECT_THAT(recorder_->text, HasSubstr(elsewhere.uri()));
      }
      // What was sent on loopback before the agent answers again would be here by then.
      expect_alive();
      EXPECT_FALSE(elsewhere.has_request("INVITE"));
    }
}

TEST_F(AgentTest, CredentialsDoNotFollowToAnotherHost) {
  constexpr const char *kChallenge =
      "WWW-Authenticate: Digest realm=\"x\", nonce=\"n1\", algorithm=MD5\r\n";
  InviteOptions options = invite_options();
  options.user = "trunk";
  options.password = "secret";
  options.asserted = "sip:+4930@carrier.example";
  options.redirect = [](const std::string &) { return Redirection{}; };
  for (const bool same_host : {true, false}) {
    ScriptedPeer elsewhere(same_host ? "127.0.0.1" : "127.0.0.2");
    elsewhere.set_agent(agent_->local());
    recorder_ = std::make_shared<Recorder>();
    call(options);
    const Message first = peer_.request("INVITE");
    peer_.reply(first, "401 Unauthorized", kChallenge);
    const Message second =
        peer_
            .receive([](const Message &m) {
              return m.method() == "INVITE" && !m.header("Authorization").empty();
            })
            .value_or(Message{});
    ASSERT_FALSE(second.text.empty());
    peer_.reply(second, "302 Moved", "Contact: " + elsewhere.contact() + "\r\n");
    const Message third = elsewhere.request("INVITE");
    EXPECT_EQ(third.header("Authorization"), "");
    EXPECT_EQ(third.header("P-Asserted-Identity"), same_host ? "<sip:+4930@carrier.example>" : "");
    elsewhere.reply(third, "401 Unauthorized", kChallenge);
    if (same_host) {
      EXPECT_TRUE(elsewhere.receive([](const Message &m) {
        return m.method() == "INVITE" && !m.header("Authorization").empty();
      }));
      call_->hangup(EndReason::CallerHangup);
    }
    ASSERT_TRUE(ended());
    if (!same_host) {
      EXPECT_EQ(recorder_->reason, EndReason::Unauthorized);
      EXPECT_FALSE(elsewhere.has_request("INVITE"));
    }
  }
}

TEST_F(AgentTest, WhatARedirectionLeadsToSaysWhatGoesAlong) {
  ScriptedPeer elsewhere("127.0.0.2");
  elsewhere.set_agent(agent_->local());
  InviteOptions options = invite_options();
  options.user = "trunk";
  options.password = "secret";
  options.redirect = [&](const std::string &) {
    return Redirection{.uri = "sip:carol@example.org",
                       .proxy = "sip:" + elsewhere.local().to_string() + ";lr",
                       .user = "other",
                       .password = "word",
                       .asserted = "sip:+4940@example.org"};
  };
  call(options);
  peer_.reply(peer_.request("INVITE"), "302 Moved", "Contact: <sip:x@example.org>\r\n");
  const Message invite = elsewhere.request("INVITE");
  EXPECT_EQ(invite.start_line(), "INVITE sip:carol@example.org SIP/2.0");
  EXPECT_EQ(invite.header("P-Asserted-Identity"), "<sip:+4940@example.org>");
  elsewhere.reply(invite, "401 Unauthorized",
                  "WWW-Authenticate: Digest realm=\"x\", nonce=\"n1\", algorithm=MD5\r\n");
  const auto again = elsewhere.receive([](const Message &m) {
    return m.method() == "INVITE" && !m.header("Authorization").empty();
  });
  ASSERT_TRUE(again);
  EXPECT_THAT(again->header("Authorization"), HasSubstr("username=\"other\""));
  EXPECT_EQ(call_->redirected_to(), "sip:carol@example.org");
}

TEST_F(AgentTest, ARedirectionIsEncryptedAsTheStricterOneSays) {
  ScriptedPeer elsewhere;
  InviteOptions options = invite_options();
  options.redirect = [](const std::string &) {
    return Redirection{.srtp = rtp::SrtpPolicy::Require};
  };
  call(options);
  peer_.reply(peer_.request("INVITE"), "302 Moved", "Contact: " + elsewhere.contact() + "\r\n");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Unreachable);
  EXPECT_THAT(recorder_->text, HasSubstr("not over TLS, and SRTP is required"));
  expect_alive();
  EXPECT_FALSE(elsewhere.has_request("INVITE"));
}

TEST_F(AgentTest, MediaIsWantedWhereTheRedirectionLeads) {
  const std::string address = source_address_towards("192.0.2.1");
  if (address == "127.0.0.1") GTEST_SKIP() << "this machine has the loopback alone";
  ScriptedPeer elsewhere(address);
  elsewhere.set_agent(agent_->local());
  InviteOptions options = invite_options();
  options.redirect = [](const std::string &) { return Redirection{}; };
  call(options);
  const Message first = peer_.request("INVITE");
  EXPECT_THAT(first.body(), HasSubstr("c=IN IP4 127.0.0.1\r\n"));
  peer_.reply(first, "302 Moved", "Contact: " + elsewhere.contact() + "\r\n");
  const Message second = elsewhere.request("INVITE");
  EXPECT_THAT(second.body(), HasSubstr("c=IN IP4 " + address + "\r\n"));
  EXPECT_THAT(second.body(), ::testing::Not(HasSubstr("127.0.0.1")));
  elsewhere.reply(second, "200 OK", "", phone_sdp(40000, 40002, "", address));
  ASSERT_TRUE(run_until([&] { return recorder_->count("answered") == 1; }));
  ASSERT_EQ(call_->media().size(), 2u);
  for (const Media &media : call_->media()) {
    const std::string kind(to_string(media.medium));
    EXPECT_THAT(second.body(),
                HasSubstr("m=" + kind + " " + std::to_string(media.session->port()) + " "));
    // Bound there: nobody else can have it, and another address of this machine is free.
    EXPECT_FALSE(bind_udp({address, media.session->port()}));
    EXPECT_TRUE(bind_udp({"127.0.0.1", media.session->port()}));
  }
}

TEST_F(AgentTest, ByeIsNotRedirected) {
  ScriptedPeer elsewhere;
  answered_call();
  call_->hangup(EndReason::CallerHangup);
  peer_.reply(peer_.request("BYE"), "302 Moved", "Contact: " + elsewhere.contact() + "\r\n");
  expect_alive();
  EXPECT_FALSE(elsewhere.has_request("BYE"));
}

TEST_F(AgentTest, EndlessRedirectionEnds) {
  InviteOptions options = invite_options();
  options.redirect = [](const std::string &) { return Redirection{}; };
  call(options);
  int invites = 0;
  while (recorder_->count("ended") == 0 && invites < 20) {
    run_until([&] { return peer_.has_request("INVITE") || recorder_->count("ended") > 0; });
    if (!peer_.has_request("INVITE")) break;
    peer_.reply(peer_.request("INVITE"), "302 Moved", "Contact: " + peer_.contact() + "\r\n");
    ++invites;
  }
  EXPECT_EQ(invites, 5);
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Unreachable);
}

TEST_F(AgentTest, UsesTheOutboundProxy) {
  InviteOptions options = invite_options();
  options.uri = "sip:bob@192.0.2.77:5077";
  options.proxy = "sip:" + peer_.local().to_string() + ";lr";
  call(options);
  const Message invite = peer_.request("INVITE");
  EXPECT_EQ(invite.start_line(), "INVITE sip:bob@192.0.2.77:5077 SIP/2.0");
  peer_.reply(invite, "200 OK", "Contact: <sip:bob@192.0.2.77:5077>\r\n", phone_sdp());
  peer_.request("ACK");
  ASSERT_TRUE(run_until([&] { return recorder_->count("answered") == 1; }));
  call_->hangup(EndReason::CallerHangup);
  peer_.reply(peer_.request("BYE"), "200 OK");
}

}  // namespace
}  // namespace junctor::sip::test
