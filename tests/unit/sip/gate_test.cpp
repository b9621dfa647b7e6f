// SPDX-License-Identifier: LGPL-2.1-or-later
// Which requests of strangers are taken, and what is said of those that are not.
#include <gmock/gmock.h>

#include "agent_fixture.h"
#include "sip/core/admission.h"
#include "tcp_client.h"

namespace junctor::sip::test {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Admission, CountsForEachPeerAndInAll) {
  Admission admission({.per_peer = 2, .in_all = 3, .lifetime = seconds(32)});
  const Time start{};
  const auto take = [&](const char *peer, int at) {
    return admission.take(peer, "", start + seconds(at));
  };
  EXPECT_EQ(take("a", 0), Duration{});
  EXPECT_EQ(take("a", 10), Duration{});
  EXPECT_EQ(take("a", 12), seconds(20));
  for (const char *peer : {"b", "c", "d", "e"}) EXPECT_EQ(take(peer, 12), Duration{}) << peer;
  // Twice the limit, which nobody passes but who is vouched for.
  EXPECT_EQ(take("f", 12), seconds(20));
  EXPECT_EQ(admission.open(), 6u);
  // The first one has ended.
  EXPECT_EQ(take("a", 32), Duration{});
  EXPECT_EQ(take("b", 40), seconds(2));
  EXPECT_EQ(take("b", 42), Duration{});
  EXPECT_EQ(take("z", 1000), Duration{});
  EXPECT_EQ(admission.open(), 1u);
}

TEST(Admission, AFewThatFillItDoNotShutItForOthers) {
  Admission admission({.per_peer = 100, .in_all = 500, .lifetime = seconds(32)});
  const Time now{};
  for (int peer = 0; peer < 5; ++peer)
    for (int i = 0; i < 200; ++i)
      EXPECT_EQ(admission.take("flooder" + std::to_string(peer), "", now) == Duration{}, i < 100);
  ASSERT_EQ(admission.open(), 500u);
  // Theirs is more than their share: once some have ended, others come first.
  EXPECT_NE(admission.take("flooder0", "", now), Duration{});
  // Of an equal share of 500 / 6, then of the least one.
  int taken = 0;
  while (admission.take("phone", "", now) == Duration{}) ASSERT_LT(++taken, 100);
  EXPECT_EQ(taken, 500 / 6);
  for (int peer = 0; peer < 40; ++peer)
    for (std::size_t i = 0; i < Admission::kLeastShare; ++i)
      EXPECT_EQ(admission.take("phone" + std::to_string(peer), "", now), Duration{}) << peer;
}

TEST(Admission, WhoIsVouchedForPassesUpToABound) {
  Admission admission({.per_peer = 100, .in_all = 100, .lifetime = seconds(32)});
  const Time now{};
  int strangers = 0;
  while (admission.take(std::to_string(strangers), "", now) == Duration{})
    ASSERT_LT(++strangers, 1000);
  EXPECT_EQ(strangers, 200);
  int asked = 0, phones = 0;
  const auto vouched = [&] { return ++asked > 0; };
  while (admission.take("phone", "", now, vouched) == Duration{}) ASSERT_LT(++phones, 1000);
  EXPECT_EQ(phones, 100);
  // Nobody is looked up while there is room.
  Admission empty({});
  const int before = asked;
  EXPECT_EQ(empty.take("phone", "", now, vouched), Duration{});
  EXPECT_EQ(asked, before);
}

TEST(Admission, KnowsWhatItHasCountedWhileItIsOpen) {
  Admission admission({.per_peer = 1, .in_all = 10, .lifetime = seconds(32)});
  const Time start{};
  EXPECT_FALSE(admission.holds("one", start));
  EXPECT_EQ(admission.take("a", "one", start), Duration{});
  EXPECT_NE(admission.take("a", "two", start), Duration{});
  EXPECT_TRUE(admission.holds("one", start + seconds(31)));
  EXPECT_FALSE(admission.holds("two", start));
  EXPECT_FALSE(admission.holds("one", start + seconds(32)));
}

class Gate : public AgentTest {
 protected:
  std::string target() const { return "sip:carol@" + agent_->local().to_string(); }
  std::string line(const std::string &text) const {
    return "sip " + peer_.local().to_string() + ": " + text;
  }
};

TEST_F(Gate, MalformedRequestsAreLoggedWithTheirSender) {
  std::string no_from = peer_.request_text("OPTIONS", target());
  no_from.erase(no_from.find("From:"), no_from.find("To:") - no_from.find("From:"));
  std::string bad_cseq = peer_.request_text("MESSAGE", target());
  bad_cseq.replace(bad_cseq.find("CSeq: 1"), 7, "CSeq: x");
  std::string other_method = peer_.request_text("OPTIONS", target());
  other_method.replace(other_method.find("1 OPTIONS"), 9, "1 INVITE");
  for (const auto &[text, wanted] :
       {std::pair{no_from, "a header that it must have is missing"},
        {bad_cseq, "its CSeq is malformed or not allowed here (MESSAGE, 400)"},
        {other_method, "contradicts its first line (OPTIONS, 400)"}}) {
    log_.clear();
    peer_.send(text, agent_->local());
    EXPECT_EQ(peer_.final_response().status(), 400) << text;
    EXPECT_THAT(log_, HasSubstr(line("refused at parsing: "))) << text;
    EXPECT_THAT(log_, HasSubstr(wanted));
  }
}

TEST_F(Gate, RequestsOfNoCallAreLoggedWithTheirSender) {
  for (const char *method : {"BYE", "CANCEL", "PRACK", "INFO", "UPDATE"}) {
    log_.clear();
    std::string text = peer_.request_text(method, target());
    text.insert(text.find("\r\nCall-ID:"), ";tag=gone");
    peer_.send(text, agent_->local());
    EXPECT_EQ(peer_.final_response().status(), 481) << method;
    EXPECT_THAT(log_, HasSubstr(line("refused at " + std::string(method) + ": 481"))) << method;
  }
}

TEST_F(Gate, TheLogIsNoPartOfAFlood) {
  for (int i = 0; i < 300; ++i) {
    peer_.send(peer_.request_text("CANCEL", target()), agent_->local());
    if (i % 50 == 49) expect_alive();
  }
  std::size_t lines = 0;
  for (auto at = log_.find("refused at CANCEL"); at != std::string::npos;
       at = log_.find("refused at CANCEL", at + 1))
    ++lines;
  EXPECT_GT(lines, 0u);
  EXPECT_LT(lines, 150u);
}

TEST_F(Gate, ADatagramWithoutAnEndIsRefused) {
  std::string text = peer_.request_text("OPTIONS", target());
  text.resize(text.size() - 2);
  peer_.send(text, agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 400);
  expect_alive();
}

TEST_F(Gate, HeadsOfManyLinesAreDropped) {
  for (const char *start : {"OPTIONS sip:x SIP/2.0\r\n", "SIP/2.0 200 OK\r\n"}) {
    log_.clear();
    std::string text = peer_.request_text("OPTIONS", target());
    text.replace(0, text.find("\r\n") + 2, start);
    std::string lines;
    while (lines.size() < 12000) lines += "X:\n";
    text.insert(text.find("Via:"), lines);
    peer_.send(text, agent_->local());
    expect_alive();
    EXPECT_THAT(log_, HasSubstr(line("dropped at parsing: more than 256 header lines"))) << start;
  }
  // As many as are allowed, and many lines in the body.
  std::string text = peer_.request_text("OPTIONS", target(), "", std::string(2000, '\n'));
  std::string lines;
  for (int i = 0; i < 240; ++i) lines += "Y: y\r\n";
  text.insert(text.find("Via:"), lines);
  peer_.send(text, agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 200) << log_;
}

std::string candidates(std::size_t size) {
  std::string out;
  for (int i = 1; out.size() < size; ++i)
    out += "a=candidate:" + std::to_string(i) + " 1 UDP 2130706431 192.0.2." +
           std::to_string(i % 255) + " 50000 typ host\r\n";
  return out;
}

TEST_F(Gate, LargeDescriptionsPass) {
  const std::string sdp = phone_sdp() + candidates(8000);
  peer_.send(peer_.request_text(
                 "INVITE", target(),
                 "Contact: " + peer_.contact() + "\r\nContent-Type: application/sdp\r\n", sdp),
             agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 480);
  answered_call(sdp);
  EXPECT_EQ(call_->state(), CallState::Answered);
  EXPECT_TRUE(call_->media()[1].accepted);
}

TEST_F(Gate, MessagesInPiecesPass) {
  std::string text = over_tcp(peer_.request_text(
      "INVITE", target(), "Contact: " + peer_.contact() + "\r\nContent-Type: application/sdp\r\n",
      phone_sdp()));
  text.insert(text.find("Max-Forwards"), "Subject: folded,\r\n over\r\n\tthree lines\r\n");
  for (const std::size_t size : {1u, 2u, 3u, 7u, 100u}) {
    TcpClient client(agent_->local());
    std::string each = text;
    each.insert(each.find("branch=") + 14, std::to_string(size));
    each.insert(each.find("Call-ID: ") + 9, std::to_string(size));
    for (std::size_t at = 0; at < each.size(); at += size) {
      client.send(std::string_view(each).substr(at, size));
      // What was sent before is read by now.
      if (at % 10 == 0) expect_alive();
    }
    EXPECT_TRUE(client.answered(480)) << size << client.heard() << log_;
  }
}

TEST_F(Gate, LargerMessagesAreRefused) {
  const std::string sdp = phone_sdp() + candidates(20000);
  const std::string text = peer_.request_text(
      "INVITE", target(), "Contact: " + peer_.contact() + "\r\nContent-Type: application/sdp\r\n",
      sdp);
  peer_.send(text, agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 413);
  TcpClient client(agent_->local());
  client.send(over_tcp(text));
  EXPECT_TRUE(run_until([&] { return client.closed(); }));
  EXPECT_THAT(client.heard(), Not(HasSubstr("SIP/2.0 480")));
  expect_alive();
}

class NarrowGate : public Gate {
 protected:
  AgentOptions options() override {
    AgentOptions options = AgentTest::options();
    options.max_requests_per_peer = 5;
    options.transaction_timeout = std::chrono::milliseconds(500);
    return options;
  }
};

TEST_F(NarrowGate, TooManyAtOnceAreToldWhenToComeBack) {
  const Message invite = answered_call();
  const auto stray = [&] { peer_.send(peer_.request_text("INVITE", target()), agent_->local()); };
  for (int i = 0; i < 5; ++i) {
    stray();
    EXPECT_EQ(peer_.final_response().status(), 480);
  }
  std::string text = peer_.request_text("OPTIONS", target());
  text.insert(text.find("\r\nMax-Forwards"), ";keep=me\r\nVia: SIP/2.0/UDP second;branch=z9hG4bK2");
  peer_.send(text, agent_->local());
  const Message sent{text};
  const auto busy = peer_.receive(
      [&](const Message &m) { return m.header("Call-ID") == sent.header("Call-ID"); });
  ASSERT_TRUE(busy);
  EXPECT_EQ(busy->start_line(), "SIP/2.0 503 Service Unavailable");
  EXPECT_EQ(busy->header("Retry-After"), "1");
  ASSERT_EQ(busy->headers("Via").size(), 2u);
  EXPECT_THAT(busy->headers("Via")[0],
              HasSubstr(";keep=me;received=127.0.0.1;rport=" + std::to_string(peer_.local().port)));
  EXPECT_EQ(busy->headers("Via")[1], "SIP/2.0/UDP second;branch=z9hG4bK2");
  EXPECT_EQ(busy->header("From"), sent.header("From"));
  EXPECT_EQ(busy->header("To"), sent.header("To") + ";tag=busy");
  EXPECT_EQ(busy->header("CSeq"), sent.header("CSeq"));
  EXPECT_THAT(log_, HasSubstr(line("refused at OPTIONS: 503")));

  // Over TCP, where it is the same host and only an INVITE outlasts its answer.
  TcpClient client(agent_->local());
  client.send(over_tcp(peer_.request_text("OPTIONS", target())));
  EXPECT_TRUE(client.answered(200));
  client.send(over_tcp(peer_.request_text("INVITE", target())));
  EXPECT_TRUE(client.answered(503));
  // Others are not affected.
  ScriptedPeer other("127.0.0.2");
  other.send(other.request_text("OPTIONS", target()), agent_->local());
  EXPECT_EQ(other.final_response().status(), 200);
  // Nor is a call.
  peer_.send(peer_.in_dialog(invite, "BYE", 1), agent_->local());
  const auto bye = peer_.receive(
      [](const Message &m) { return m.status() >= 200 && m.header("CSeq") == "1 BYE"; });
  ASSERT_TRUE(bye);
  EXPECT_EQ(bye->status(), 200);
  ASSERT_TRUE(ended());
  // After their time it is as before.
  bool later = false;
  const ContextTimer timer(nullptr, std::chrono::milliseconds(600), [&later] { later = true; });
  ASSERT_TRUE(run_until([&] { return later; }));
  expect_alive();
}

TEST_F(NarrowGate, ACallIsKnownByItsTagsNotByItsCallIdAlone) {
  const Message invite = answered_call();
  for (int i = 0; i < 5; ++i) {
    peer_.send(peer_.request_text("OPTIONS", target()), agent_->local());
    EXPECT_EQ(peer_.final_response().status(), 200);
  }
  int cseq = 0;
  const auto asked = [&](const std::string &tag, const std::string &own) {
    std::string text = peer_.in_dialog(invite, "OPTIONS", ++cseq, "", "", "", tag);
    const std::string to = "To: " + invite.header("From");
    if (!own.empty())
      text.replace(text.find(to), to.size(), to.substr(0, to.find(";tag=")) + ";tag=" + own);
    peer_.send(text, agent_->local());
    return peer_.final_response().status();
  };
  EXPECT_EQ(asked("peer-tag", "guess"), 503);
  EXPECT_EQ(asked("peer-tag", "0"), 503);
  EXPECT_EQ(asked("guess", ""), 503);
  EXPECT_EQ(asked("0", ""), 503);
  EXPECT_EQ(asked("peer-tag", ""), 200);
}

TEST_F(Gate, OneCallHasItsShareOfRequests) {
  const Message invite = answered_call();
  constexpr int kAll = 120;  // fewer than are told of a refusal in a second, beside the share
  for (int i = 1; i <= kAll; ++i)
    peer_.send(peer_.in_dialog(invite, "INFO", i, "", "application/dtmf", "5"), agent_->local());
  int taken = 0, refused = 0;
  for (int i = 0; i < kAll; ++i) (peer_.final_response().status() == 200 ? taken : refused) += 1;
  EXPECT_GE(taken, 30);
  EXPECT_GT(refused, 0);
  EXPECT_EQ(taken, recorder_->count("dtmf 5"))
      << "what is not told of is not answered with success";
  EXPECT_THAT(log_, HasSubstr("too many requests of one call at once"));
  peer_.send(peer_.in_dialog(invite, "BYE", kAll + 1), agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 200) << "its end is never put off";
}

TEST_F(Gate, ByesThatEndNothingAreOfTheShareToo) {
  const Message invite = answered_call();
  constexpr int kAll = 120;
  peer_.send(peer_.in_dialog(invite, "INFO", kAll + 1, "", "application/dtmf", "5"),
             agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 200);
  // Out of order (RFC 3261 section 12.2.2): refused by a transaction each, and the call goes on.
  for (int i = 1; i <= kAll; ++i) peer_.send(peer_.in_dialog(invite, "BYE", i), agent_->local());
  int out_of_order = 0, refused = 0;
  for (int i = 0; i < kAll; ++i)
    (peer_.final_response().status() == 500 ? out_of_order : refused) += 1;
  EXPECT_GE(out_of_order, 30);
  EXPECT_GT(refused, 0);
  EXPECT_THAT(log_, HasSubstr("refused at BYE: 503, too many requests of one call at once"));
  EXPECT_EQ(call_->state(), CallState::Answered);
}

TEST_F(NarrowGate, RepetitionsAreAnsweredAsBefore) {
  const std::string text = peer_.request_text("OPTIONS", target());
  for (int i = 0; i < 20; ++i) {
    peer_.send(text, agent_->local());
    EXPECT_EQ(peer_.final_response().status(), 200) << i;
  }
  // They took one place of the five. What differs in anything is no repetition.
  for (int i = 0; i < 4; ++i) {
    std::string other = text;
    other.insert(other.find("\r\n", other.find("Call-ID:")), std::to_string(i));
    peer_.send(other, agent_->local());
    EXPECT_EQ(peer_.final_response().status(), 200) << i;
  }
  std::string other = text;
  other.insert(other.find("\r\n", other.find("Call-ID:")), "x");
  peer_.send(other, agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 503);
  // Nor does it do so by claiming to have come over a connection.
  other.insert(other.find("\r\n", other.find("Call-ID:")), "y");
  peer_.send(over_tcp(other), agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 503);
  peer_.send(text, agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 200);
}

}  // namespace
}  // namespace junctor::sip::test
