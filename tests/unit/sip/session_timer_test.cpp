// SPDX-License-Identifier: LGPL-2.1-or-later
// Session timers (RFC 4028): who refreshes, how, and what comes of it where nobody does.
#include <gmock/gmock.h>

#include "agent_fixture.h"

namespace junctor::sip::test {
namespace {

using ::testing::HasSubstr;

class SessionTimer : public AgentTest {
 protected:
  AgentOptions options() override {
    AgentOptions options = AgentTest::options();
    options.session_expires = std::chrono::seconds(2);
    options.min_session_expires = std::chrono::seconds(1);
    options.transaction_timeout = std::chrono::seconds(1);
    return options;
  }
  Message answered_with(const std::string &headers) {
    call();
    const Message invite = peer_.request("INVITE");
    peer_.reply(invite, "200 OK", headers, phone_sdp());
    EXPECT_TRUE(run_until([&] { return recorder_->count("answered") == 1; }));
    peer_.request("ACK");
    return invite;
  }
  static constexpr const char *kWeRefresh =
      "Supported: timer\r\nRequire: timer\r\nSession-Expires: 2;refresher=uac\r\n";
  static constexpr const char *kByUpdate =
      "Supported: timer\r\nRequire: timer\r\nSession-Expires: 2;refresher=uac\r\n"
      "Allow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n";
};

TEST_F(SessionTimer, IsAskedForAndRefreshedByUpdate) {
  const Message invite = answered_with(kByUpdate);
  EXPECT_EQ(invite.header("Session-Expires"), "2");
  EXPECT_THAT(invite.header("Supported"), HasSubstr("timer"));
  for (int times = 0; times < 2; ++times) {
    const Message update = peer_.request("UPDATE");
    EXPECT_THAT(update.header("Session-Expires"), HasSubstr("refresher=uac"));
    EXPECT_EQ(update.body(), "") << "a refresh changes no media";
    peer_.reply(update, "200 OK", kByUpdate);
  }
  expect_alive();
  EXPECT_EQ(call_->state(), CallState::Answered);
  EXPECT_EQ(recorder_->count("changed"), 0);
}

class LongerSessionTimer : public SessionTimer {
 protected:
  AgentOptions options() override {
    AgentOptions options = SessionTimer::options();
    options.session_expires = std::chrono::seconds(60);
    return options;
  }
};

TEST_F(LongerSessionTimer, IsRefreshedWithTheIntervalThatThePeerHasChosen) {
  const Message invite = answered_with(kByUpdate);
  EXPECT_EQ(invite.header("Session-Expires"), "60");
  const Message update = peer_.request("UPDATE");
  EXPECT_EQ(update.header("Session-Expires"), "2;refresher=uac");
  peer_.reply(update, "405 Method Not Allowed");
  const Message again = peer_.request("INVITE");
  EXPECT_EQ(again.header("Session-Expires"), "2;refresher=uac");
}

TEST_F(SessionTimer, OfYearsIsNotOneOfNothing) {
  // 400 ms of each second of it are a multiple of 2^32.
  answered_with(
      "Supported: timer\r\nRequire: timer\r\nSession-Expires: 268435456;refresher=uac\r\n");
  bool again = false;
  for (int i = 0; i < 5; ++i) {
    const Message options{peer_.request_text("OPTIONS", "sip:" + agent_->local().to_string())};
    peer_.send(options.text, agent_->local());
    peer_.receive([&](const Message &m) {
      again |= m.is_request() && m.method() == "INVITE";
      return m.header("Call-ID") == options.header("Call-ID");
    });
  }
  EXPECT_FALSE(again);
}

TEST_F(SessionTimer, IsRefreshedByInviteWhereThePeerHasNoUpdate) {
  const Message invite = answered_with(kWeRefresh);
  for (int times = 0; times < 2; ++times) {
    const Message again = peer_.request("INVITE");
    EXPECT_EQ(again.header("Call-ID"), invite.header("Call-ID"));
    EXPECT_EQ(again.body(), invite.body()) << "what is said again changes nothing";
    EXPECT_THAT(again.header("Session-Expires"), HasSubstr("2"));
    peer_.reply(again, "200 OK", kWeRefresh, phone_sdp());
    peer_.request("ACK");
  }
  EXPECT_EQ(call_->state(), CallState::Answered);
  EXPECT_FALSE(peer_.has_request("UPDATE"));
  EXPECT_EQ(recorder_->count("changed"), 0);
}

TEST_F(SessionTimer, IsRefreshedByInviteWhereUpdateIsRefusedAfterAll) {
  answered_with(kByUpdate);
  peer_.reply(peer_.request("UPDATE"), "405 Method Not Allowed");
  peer_.reply(peer_.request("INVITE"), "200 OK", kWeRefresh,
              phone_sdp(41000, 41002, "", "127.0.0.1", 2));
  // The answer to a refresh may move media.
  ASSERT_TRUE(run_until([&] { return recorder_->count("changed") == 1; }));
}

TEST_F(SessionTimer, WhatWasSaidLastIsRepeatedNotWhatWasOfferedFirst) {
  const Message invite = answered_with(kWeRefresh);
  peer_.send(peer_.in_dialog(invite, "INVITE", 1, "", "application/sdp",
                             phone_sdp(40000, 40002, "a=sendonly\r\n", "127.0.0.1", 2)),
             agent_->local());
  const Message held = peer_.final_response();
  peer_.send(peer_.in_dialog(invite, "ACK", 1), agent_->local());
  const Message again = peer_.request("INVITE");
  EXPECT_EQ(again.body(), held.body());
  EXPECT_THAT(again.body(), HasSubstr("a=recvonly"));
}

TEST_F(SessionTimer, AnOfferThatIsRefusedChangesNothingAboutThem) {
  const Message invite = answered_with(kWeRefresh);
  peer_.send(peer_.in_dialog(invite, "INVITE", 1, "", "application/sdp",
                             phone_sdp(40000, 40002, "a=sendonly\r\n", "127.0.0.1", 2)),
             agent_->local());
  const Message held = peer_.final_response();
  peer_.send(peer_.in_dialog(invite, "ACK", 1), agent_->local());
  // A gateway that hears a fax.
  peer_.send(peer_.in_dialog(invite, "INVITE", 2,
                             "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n",
                             "application/sdp",
                             "v=0\r\no=bob 1 3 IN IP4 127.0.0.1\r\ns=phone\r\n"
                             "c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=image 40000 udptl t38\r\n"),
             agent_->local());
  const auto refused =
      peer_.receive([](const Message &m) { return m.status() >= 200 && m.cseq() == 2; });
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status(), 488);
  peer_.send(peer_.in_dialog(invite, "ACK", 2), agent_->local());
  const Message again = peer_.request("INVITE");
  EXPECT_EQ(again.body(), held.body()) << "ours, not nua's";
}

TEST_F(SessionTimer, NoneOutlivesItsCall) {
  const Message invite =
      answered_with("Supported: timer\r\nRequire: timer\r\nSession-Expires: 600;refresher=uac\r\n");
  peer_.send(peer_.in_dialog(invite, "BYE", 1), agent_->local());
  ASSERT_TRUE(ended());
  agent_->shutdown(EndReason::Shutdown, std::chrono::milliseconds(50));
  agent_.reset();
  ASSERT_TRUE(call_) << "somebody keeps the call";
  while (g_main_context_iteration(nullptr, FALSE)) {
  }
  // What the context would wait for next.
  int priority = 0, timeout = 0;
  GMainContext *const context = g_main_context_default();
  ASSERT_TRUE(g_main_context_acquire(context));
  g_main_context_prepare(context, &priority);
  g_main_context_query(context, priority, &timeout, nullptr, 0);
  g_main_context_release(context);
  EXPECT_EQ(timeout, -1);
}

TEST_F(SessionTimer, TooShortOnesAreAskedForAgainLonger) {
  call();
  const Message first = peer_.request("INVITE");
  peer_.reply(first, "422 Session Interval Too Small", "Min-SE: 3\r\n");
  peer_.request("ACK");
  const Message second = peer_.request("INVITE");
  EXPECT_EQ(second.header("Session-Expires"), "3");
  EXPECT_EQ(second.header("Min-SE"), "3");
  EXPECT_EQ(second.header("Call-ID"), first.header("Call-ID"));
  EXPECT_EQ(second.body(), first.body());
  peer_.reply(second, "200 OK", "", phone_sdp());
  ASSERT_TRUE(run_until([&] { return recorder_->count("answered") == 1; }));
}

TEST_F(SessionTimer, WhoStopsRefreshingIsLost) {
  answered_with("Supported: timer\r\nSession-Expires: 2;refresher=uas\r\n");
  const Message bye = peer_.request("BYE");
  EXPECT_THAT(bye.header("Reason"), HasSubstr("Session timeout"));
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Unreachable);
  EXPECT_THAT(recorder_->text, HasSubstr("stopped refreshing"));
}

TEST_F(SessionTimer, WhoRefreshesStays) {
  const Message invite = answered_with("Supported: timer\r\nSession-Expires: 2;refresher=uas\r\n");
  for (int times = 1; times <= 4; ++times) {
    run_until([] { return false; }, std::chrono::milliseconds(1000));
    peer_.send(peer_.in_dialog(invite, times % 2 == 0 ? "UPDATE" : "INVITE", times,
                               "Supported: timer\r\nSession-Expires: 2;refresher=uac\r\n",
                               "application/sdp", times % 2 == 0 ? "" : phone_sdp()),
               agent_->local());
    const Message answer = peer_.final_response();
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(answer.header("Session-Expires"), "2;refresher=uac");
    if (times % 2 == 1) peer_.send(peer_.in_dialog(invite, "ACK", times), agent_->local());
  }
  EXPECT_EQ(call_->state(), CallState::Answered);
  EXPECT_EQ(recorder_->count("changed"), 0);
}

TEST_F(SessionTimer, APeerThatIsGoneIsFoundOut) {
  answered_with(kByUpdate);
  peer_.request("UPDATE");  // and nothing is said
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Unreachable);
}

}  // namespace
}  // namespace junctor::sip::test
