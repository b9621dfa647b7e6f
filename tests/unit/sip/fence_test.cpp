// SPDX-License-Identifier: LGPL-2.1-or-later
// What hostile messages must not be able to do.
#include <gmock/gmock.h>

#include "agent_fixture.h"

namespace junctor::sip::test {
namespace {

using ::testing::HasSubstr;

/// Contacts and routes that make the stack recurse if they ever become a dialog's target.
constexpr const char *kHostileUris[] = {
    "tel:+4930123",
    "http://example.com/",
    "mailto:bob@example.com",
    "urn:service:sos",
    "foo:bar",
    "sip:bob@",
    "sip:bob@1.2.3",
    "sip:bob@a..b.example",
    "sip:bob@-.test",
    "sip:bob@300.1.1.1",
    "<>",
};

std::vector<std::string> hostile_headers(const std::string &good_contact) {
  std::vector<std::string> out{
      "Contact: *\r\n",
      "m: *\r\n",
      "Contact: " + good_contact + ", <tel:+1>\r\n",
      "Contact: " + good_contact + "\r\nContact: <tel:+1>\r\n",
      "Record-Route: <tel:+1>\r\nContact: " + good_contact + "\r\n",
      "Record-Route: <sip:127.0.0.1;lr>, <http://x/>\r\nContact: " + good_contact + "\r\n"};
  for (const char *uri : kHostileUris) {
    out.push_back("Contact: <" + std::string(uri) + ">\r\n");
    out.push_back("m: <" + std::string(uri) + ">\r\n");
    out.push_back("CONTACT:\r\n <" + std::string(uri) + ">;q=1\r\n");
  }
  return out;
}

class Fence : public AgentTest {};

TEST_F(Fence, RefusesHostileInvites) {
  const std::string target = "sip:carol@" + agent_->local().to_string();
  for (const std::string &headers : hostile_headers(peer_.contact())) {
    peer_.send(peer_.request_text("INVITE", target, headers), agent_->local());
    EXPECT_EQ(peer_.final_response().status(), 400) << headers;
  }
  expect_alive();
}

TEST_F(Fence, NamesWhoSentThem) {
  const std::string target = "sip:carol@" + agent_->local().to_string();
  const std::string good = "Contact: " + peer_.contact() + "\r\n";
  for (const std::string &headers :
       {std::string("Contact: <tel:+1>\r\n"), "Record-Route: <tel:+1>\r\n" + good}) {
    peer_.send(peer_.request_text("INVITE", target, headers), agent_->local());
    EXPECT_EQ(peer_.final_response().status(), 400) << headers;
  }
  const std::string line = "sip " + peer_.local().to_string() + ": refused at parsing: its ";
  EXPECT_THAT(log_, HasSubstr(line + "Contact"));
  EXPECT_THAT(log_, HasSubstr(line + "Record-Route"));
}

TEST_F(Fence, RefusesHostileInvitesWithoutAnEnd) {
  const std::string target = "sip:carol@" + agent_->local().to_string();
  // A datagram may stop before the empty line; it is parsed all the same.
  std::string text = peer_.request_text("INVITE", target, "Contact: <tel:+1>\r\n");
  text.resize(text.size() - 2);
  peer_.send(text, agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 400);
  expect_alive();
}

TEST_F(Fence, HostileReinviteLeavesTheDialogAsItWas) {
  const Message invite = answered_call();
  int cseq = 0;
  for (const char *method : {"INVITE", "UPDATE"})
    for (const std::string &headers : hostile_headers(peer_.contact())) {
      peer_.send(peer_.in_dialog(invite, method, ++cseq, headers + "Contact: <tel:+2>\r\n",
                                 "application/sdp", phone_sdp()),
                 agent_->local());
      const auto refused =
          peer_.receive([&](const Message &m) { return m.status() >= 200 && m.cseq() == cseq; });
      ASSERT_TRUE(refused) << headers;
      EXPECT_EQ(refused->status(), 400) << headers;
    }
  call_->hangup(EndReason::CallerHangup);
  const Message bye = peer_.request("BYE");
  EXPECT_EQ(bye.start_line(), "BYE " + peer_.uri() + " SIP/2.0");
  peer_.reply(bye, "200 OK");
  expect_alive();
}

TEST_F(Fence, HostileAnswersAreTakenWithoutTheirHeaders) {
  for (const std::string &headers : hostile_headers(peer_.contact())) {
    recorder_ = std::make_shared<Recorder>();
    call();
    const Message invite = peer_.request("INVITE");
    peer_.reply(invite, "180 Ringing", headers + "Contact: <tel:+3>\r\n");
    peer_.reply(invite, "200 OK", headers + "Contact: <tel:+3>\r\n", phone_sdp());
    peer_.request("ACK");
    ASSERT_TRUE(run_until([&] { return recorder_->count("answered") == 1; })) << headers;
    call_->hangup(EndReason::CallerHangup);
    peer_.reply(peer_.request("BYE"), "200 OK");
    ASSERT_TRUE(ended());
  }
  expect_alive();
}

TEST_F(Fence, HostileReliableResponse) {
  call();
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, "183 Session Progress",
              "Require: 100rel\r\nRSeq: 1\r\nContact: <tel:+1>\r\nRecord-Route: <tel:+1>\r\n",
              phone_sdp());
  peer_.reply(peer_.request("PRACK"), "200 OK");
  call_->hangup(EndReason::CallerHangup);
  peer_.reply(peer_.request("CANCEL"), "200 OK");
  peer_.reply(invite, "487 Request Terminated");
  ASSERT_TRUE(ended());
  expect_alive();
}

class ImpatientFence : public AgentTest {
  AgentOptions options() override {
    AgentOptions options = AgentTest::options();
    options.transaction_timeout = std::chrono::milliseconds(300);
    return options;
  }
};

// Well-formed targets that can still not be reached, of dialogs whose 200 is never acknowledged:
// the stack then sends a BYE of its own.
TEST_F(ImpatientFence, UnreachableTargetsOfUnacknowledgedAnswers) {
  std::vector<std::shared_ptr<Recorder>> recorders;
  for (const char *uri :
       {"tel:+1", "sip:b@127.0.0.1:9", "sip:b@127.0.0.1;transport=sctp",
        "sip:b@127.0.0.1;transport=foo", "sip:b@127.0.0.1;transport=tls", "sips:b@127.0.0.1",
        "sip:b@127.0.0.1:9;transport=tcp", "sip:b@127.0.0.1:0", "sip:b@127.0.0.1:99999",
        "sip:b@127.0.0.1;maddr=x..y", "sip:b@[::1]", "sip:b@[fe80::1]", "sip:b@255.255.255.255",
        "sip:b@0.0.0.0", "sip:b@127.0.0.1;comp=sigcomp", "sip:b@127.0.0.1;method=FOO",
        "sip:b@127.0.0.1?Route=%3Ctel:1%3E", "sip:127.0.0.1;lr", "sip:%00@127.0.0.1"}) {
    for (const int variant : {0, 1, 2}) {
      const bool route = variant == 1, late = variant == 2;
      const std::string headers = (route ? "Record-Route: <" : "Contact: <") + std::string(uri) +
                                  ">\r\n" + (route ? "Contact: " + peer_.contact() + "\r\n" : "");
      recorder_ = std::make_shared<Recorder>();
      recorders.push_back(recorder_);
      call();
      const Message invite = peer_.request("INVITE");
      peer_.reply(invite, "200 OK", late ? "" : headers, phone_sdp());
      ASSERT_TRUE(run_until([&] { return !recorder_->events.empty(); })) << headers;
      peer_.send(peer_.in_dialog(invite, "INVITE", 1, headers, "application/sdp",
                                 phone_sdp(40000, 40002, "a=sendonly\r\n", "127.0.0.1", 2)),
                 agent_->local());
    }
  }
  // The refused ones end with the agent, the others by themselves.
  EXPECT_TRUE(run_until([&] {
    return std::ranges::count_if(recorders, [](const auto &recorder) {
             return recorder->count("ended") > 0;
           }) >= static_cast<long>(recorders.size()) - 3;
  }));
  expect_alive();
}

TEST_F(ImpatientFence, SilentPeerIsUnreachable) {
  call();
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Unreachable);
  EXPECT_EQ(recorder_->code, 0) << "nobody has sent a status";
}

TEST_F(Fence, RedirectionElsewhereThanSipEndsTheCall) {
  for (const char *uri : kHostileUris) {
    recorder_ = std::make_shared<Recorder>();
    call();
    peer_.reply(peer_.request("INVITE"), "302 Moved Temporarily",
                "Contact: <" + std::string(uri) + ">\r\n");
    ASSERT_TRUE(ended()) << uri;
    EXPECT_EQ(recorder_->reason, EndReason::Unreachable) << uri;
  }
}

TEST_F(Fence, GarbageIsSurvived) {
  const std::string good = peer_.request_text("OPTIONS", "sip:x@" + agent_->local().to_string());
  for (std::size_t cut = 1; cut < good.size(); cut += 7)
    peer_.send(good.substr(0, cut), agent_->local());
  for (const char *text : {"\r\n\r\n", "\0\0\0\0", "SIP/2.0 200 OK\r\n\r\n", "INVITE\r\n\r\n",
                           "INVITE sip:x SIP/2.0\r\nVia: \r\nContact: \r\n\r\n",
                           "SIP/2.0 99999999999 X\r\nVia: SIP/2.0/UDP x\r\n\r\n"})
    peer_.send(text, agent_->local());
  peer_.send(std::string(60000, 'A'), agent_->local());
  peer_.send(peer_.request_text("OPTIONS", "sip:x@" + agent_->local().to_string(),
                                "X-Long: " + std::string(50000, 'a') + "\r\n"),
             agent_->local());
  expect_alive();
}

TEST_F(Fence, OverTcpToo) {
  const auto address = agent_->local().to_sockaddr();
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Wake wake(fd.get());
  ASSERT_EQ(
      ::connect(fd.get(), reinterpret_cast<const sockaddr *>(&*address), sockaddr_length(*address)),
      0);
  std::string text = peer_.request_text("INVITE", "sip:carol@" + agent_->local().to_string(),
                                        "Contact: <tel:+1>\r\n");
  text.replace(text.find("SIP/2.0/UDP"), 11, "SIP/2.0/TCP");
  ASSERT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(text.size()));
  std::string answer;
  run_until([&] {
    char buffer[2000];
    const auto size = ::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (size > 0) answer.append(buffer, static_cast<std::size_t>(size));
    return !answer.empty();
  });
  EXPECT_THAT(answer, HasSubstr("SIP/2.0 400"));
  expect_alive();
}

}  // namespace
}  // namespace junctor::sip::test
