// SPDX-License-Identifier: LGPL-2.1-or-later
// Phones that register with an agent.
#include <gmock/gmock.h>

#include "agent_fixture.h"
#include "sip/core/digest.h"

namespace junctor::sip::test {
namespace {

using ::testing::HasSubstr;

class Registering : public AgentTest {
 protected:
  AgentOptions options() override {
    AgentOptions options = AgentTest::options();
    options.ha1 = [](const std::string &user) -> std::optional<std::string> {
      if (user != "carol") return std::nullopt;
      return digest_ha1("carol", "junctor", "secret");
    };
    return options;
  }

  std::string text(int cseq, const std::string &extra) {
    const std::string target = "sip:" + agent_->local().to_string();
    return "REGISTER " + target +
           " SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.9.9:5060;rport;branch=z9hG4bK" +
           std::to_string(cseq) + "\r\nMax-Forwards: 70\r\nFrom: <sip:carol@junctor>;tag=x\r\n" +
           "To: <sip:carol@junctor>\r\nCall-ID: reg-1\r\nCSeq: " + std::to_string(cseq) +
           " REGISTER\r\n" + extra + "Content-Length: 0\r\n\r\n";
  }
  std::string credentials(const Message &challenged, const std::string &password) {
    const std::string header = challenged.header("WWW-Authenticate");
    const auto start = header.find("nonce=\"") + 7;
    const std::string nonce = header.substr(start, header.find('"', start) - start);
    return "Authorization: Digest username=\"carol\", realm=\"junctor\", nonce=\"" + nonce +
           "\", uri=\"sip:junctor\", response=\"" +
           digest_response(digest_ha1("carol", "junctor", password), nonce, "00000001", "c", "auth",
                           "REGISTER", "sip:junctor") +
           "\", algorithm=MD5, cnonce=\"c\", qop=auth, nc=00000001\r\n";
  }
  Message exchange(int cseq, const std::string &extra) {
    peer_.send(text(cseq, extra), agent_->local());
    return peer_.receive([&](const Message &m) { return m.status() >= 200 && m.cseq() == cseq; })
        .value_or(Message{"SIP/2.0 000 Nothing\r\n\r\n"});
  }
};

TEST_F(Registering, IsForgottenWithItsAccount) {
  const std::string contact = "Contact: <sip:carol@10.9.9.9:5060>;expires=120\r\n";
  ASSERT_EQ(exchange(2, contact + credentials(exchange(1, contact), "secret")).status(), 200);
  agent_->forget_registrations("bob");
  EXPECT_EQ(agent_->registrations("carol").size(), 1u);
  agent_->forget_registrations("carol");
  EXPECT_TRUE(agent_->registrations("carol").empty());
}

TEST_F(Registering, PhoneBehindANatIsCalledOnItsFlow) {
  const std::string contact = "Contact: <sip:carol@10.9.9.9:5060>;expires=120\r\n";
  const Message challenged = exchange(1, contact);
  ASSERT_EQ(challenged.start_line(), "SIP/2.0 401 Unauthorized");
  EXPECT_THAT(challenged.header("WWW-Authenticate"), HasSubstr("realm=\"junctor\""));
  const Message accepted = exchange(2, contact + credentials(challenged, "secret"));
  ASSERT_EQ(accepted.status(), 200);
  EXPECT_THAT(accepted.header("Contact"), HasSubstr("<sip:carol@10.9.9.9:5060>;expires=120"));

  const auto found = agent_->registrations("carol");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].source, peer_.local());
  EXPECT_EQ(found[0].contact, "sip:carol@10.9.9.9:5060");

  InviteOptions options = invite_options();
  options.uri = found[0].contact;
  options.proxy = found[0].route;
  call(options);
  const Message invite = peer_.request("INVITE");
  EXPECT_EQ(invite.start_line(), "INVITE sip:carol@10.9.9.9:5060 SIP/2.0");
  EXPECT_EQ(invite.header("Route"), "");
  peer_.reply(invite, "200 OK", "Contact: <sip:carol@10.9.9.9:5060>\r\n", phone_sdp());
  peer_.request("ACK");
  ASSERT_TRUE(run_until([&] { return recorder_->count("answered") == 1; }));
  call_->hangup(EndReason::CallerHangup);
  peer_.reply(peer_.request("BYE"), "200 OK");
}

TEST_F(Registering, WrongPasswordIsToldAfterAWhileAndBlocksNobody) {
  const std::string contact = "Contact: <sip:carol@10.9.9.9:5060>\r\n";
  const Message challenged = exchange(1, contact);
  peer_.send(text(2, contact + credentials(challenged, "guess")), agent_->local());
  peer_.send(peer_.request_text("OPTIONS", "sip:x@" + agent_->local().to_string()),
             agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 200);  // though it was asked later
  EXPECT_EQ(peer_.final_response().status(), 403);
  EXPECT_TRUE(agent_->registrations("carol").empty());
  const std::lock_guard lock(mutex_);
  EXPECT_THAT(log_, HasSubstr(peer_.local().to_string()));
}

TEST_F(Registering, UnregistersByStar) {
  const std::string contact = "Contact: <sip:carol@10.9.9.9:5060>\r\n";
  exchange(2, contact + credentials(exchange(1, contact), "secret"));
  ASSERT_EQ(agent_->registrations("carol").size(), 1u);
  const std::string star = "Contact: *\r\nExpires: 0\r\n";
  EXPECT_EQ(exchange(4, star + credentials(exchange(3, star), "secret")).status(), 200);
  EXPECT_TRUE(agent_->registrations("carol").empty());
}

TEST_F(Registering, HostileContactsAreRefused) {
  for (const char *contact : {"<tel:+1>", "<http://x/>", "<sip:a@..>", "<sip:a@1.2.3>"}) {
    static int cseq = 10;
    const Message reply = exchange(++cseq, "Contact: " + std::string(contact) + "\r\n");
    EXPECT_EQ(reply.status(), 400) << contact;
  }
}

TEST_F(Registering, PhoneOnTcpIsCalledOverItsConnection) {
  const auto address = agent_->local().to_sockaddr();
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Wake wake(fd.get());
  ASSERT_EQ(
      ::connect(fd.get(), reinterpret_cast<const sockaddr *>(&*address), sockaddr_length(*address)),
      0);
  std::string inbox;
  const auto wait_for = [&](const std::string &wanted) {
    return run_until([&] {
      char buffer[4000];
      const auto size = ::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (size > 0) inbox.append(buffer, static_cast<std::size_t>(size));
      return inbox.find(wanted) != std::string::npos;
    });
  };
  const auto say = [&](std::string what) {
    what.replace(what.find("SIP/2.0/UDP"), 11, "SIP/2.0/TCP");
    ASSERT_EQ(::send(fd.get(), what.data(), what.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(what.size()));
  };
  const std::string contact = "Contact: <sip:carol@10.9.9.9:5060;transport=tcp>\r\n";
  say(text(1, contact));
  ASSERT_TRUE(wait_for("401 Unauthorized"));
  ASSERT_TRUE(wait_for("\r\n\r\n"));
  say(text(2, contact + credentials(Message{inbox}, "secret")));
  ASSERT_TRUE(wait_for("200 OK"));
  const auto found = agent_->registrations("carol");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].source, local_endpoint(fd.get()));

  InviteOptions options = invite_options();
  options.uri = found[0].contact;
  options.proxy = found[0].route;
  call(options);
  ASSERT_TRUE(wait_for("INVITE sip:carol@10.9.9.9:5060;transport=tcp SIP/2.0"));
  EXPECT_THAT(inbox, HasSubstr("transport=tcp>"));
}

}  // namespace
}  // namespace junctor::sip::test
