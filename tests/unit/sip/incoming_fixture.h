// SPDX-License-Identifier: LGPL-2.1-or-later
// A phone that calls us, message by message.
#pragma once

#include <string>
#include <vector>

#include "agent_fixture.h"
#include "sip/core/digest.h"

namespace junctor::sip::test {

/// Sound and picture of a phone that encrypts both.
inline std::string encrypted_sdp() {
  std::string sdp = phone_sdp();
  for (auto at = sdp.find("RTP/AVP"); at != sdp.npos; at = sdp.find("RTP/AVP", at + 1)) {
    sdp.replace(at, 7, "RTP/SAVP");
    sdp.insert(sdp.find("\r\n", at) + 2,
               "a=crypto:4 AES_CM_128_HMAC_SHA1_32 "
               "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n");
  }
  return sdp;
}

/// Its calls go to bob, who is whatever the test makes of him.
class Incoming : public AgentTest {
 protected:
  AgentOptions options() override {
    AgentOptions options = AgentTest::options();
    options.callers = callers_;
    options.ha1 = [](const std::string &user) -> std::optional<std::string> {
      if (user != "carol") return std::nullopt;
      return digest_ha1("carol", "junctor", "secret");
    };
    return options;
  }
  void SetUp() override {
    AgentTest::SetUp();
    agent_->set_incoming([this](const IncomingCall &incoming) {
      came_.push_back(incoming);
      call_ = incoming.call;
      call_->set_listener(recorder_);
      if (alerts_) call_->alert();
    });
  }

  std::string request(const std::string &method, int cseq, const std::string &extra = "",
                      const std::string &sdp = "", const std::string &to_tag = "",
                      const std::string &branch = "") {
    const std::string target = "sip:bob@" + agent_->local().to_string();
    std::string text = method + ' ' + target + " SIP/2.0\r\nVia: SIP/2.0/UDP " +
                       peer_.local().to_string() + ";rport;branch=z9hG4bK-" +
                       (branch.empty() ? method + std::to_string(cseq) : branch) +
                       "\r\nMax-Forwards: 70\r\nFrom: \"Carol \\\"C\\\"\" <sip:carol@example.org>"
                       ";tag=carols\r\nTo: <" +
                       target + ">" + (to_tag.empty() ? "" : ";tag=" + to_tag) +
                       "\r\nCall-ID: from-carol\r\nCSeq: " + std::to_string(cseq) + ' ' + method +
                       "\r\nContact: " + peer_.contact() + "\r\n" + extra;
    if (!sdp.empty()) text += "Content-Type: application/sdp\r\n";
    return text + "Content-Length: " + std::to_string(sdp.size()) + "\r\n\r\n" + sdp;
  }
  void send(const std::string &text) { peer_.send(text, agent_->local()); }
  Message final_of(int cseq) {
    return peer_.receive([&](const Message &m) { return m.status() >= 200 && m.cseq() == cseq; })
        .value_or(Message{"SIP/2.0 000 Nothing\r\n\r\n"});
  }
  std::string credentials(const Message &challenged, const std::string &password,
                          const std::string &header = "Authorization",
                          const std::string &uri = "sip:bob@junctor") {
    const std::string value = challenged.header("WWW-Authenticate");
    const auto start = value.find("nonce=\"") + 7;
    const std::string nonce = value.substr(start, value.find('"', start) - start);
    return header + ": Digest username=\"carol\", realm=\"junctor\", nonce=\"" + nonce +
           "\", uri=\"" + uri + "\", response=\"" +
           digest_response(digest_ha1("carol", "junctor", password), nonce, "00000001", "c", "auth",
                           "INVITE", uri) +
           "\", algorithm=MD5, cnonce=\"c\", qop=auth, nc=00000001\r\n";
  }
  /// Calls with the right password, until it rings.
  void ring(const std::string &sdp = phone_sdp()) {
    send(request("INVITE", 1, "", sdp));
    const Message challenged = final_of(1);
    ASSERT_EQ(challenged.status(), 401);
    send(request("ACK", 1, "", "", tag_of(challenged), "INVITE1"));
    send(request("INVITE", 2, credentials(challenged, "secret"), sdp));
    ringing_ = peer_.response(180);
    ASSERT_TRUE(call_);
  }
  static std::string tag_of(const Message &response) {
    const std::string to = response.header("To");
    return to.substr(to.find(";tag=") + 5);
  }
  AnswerOptions answering(std::vector<Offered> offer = {}) {
    AnswerOptions options;
    options.offer = std::move(offer);
    if (options.offer.empty())
      for (const rtp::Format &format : rtp::formats())
        options.offer.push_back({.format = &format, .rank = format.by_default ? 0 : 1});
    options.reactor = reactor_->reactor();
    return options;
  }
  /// Up to the ACK.
  Message answered(const std::string &sdp = phone_sdp(), const std::string &in_ack = "") {
    ring(sdp);
    const auto done = call_->answer(answering());
    EXPECT_TRUE(done) << done.error().detail;
    const Message ok = peer_.response(200);
    send(request("ACK", 2, "", in_ack, tag_of(ok), "ack"));
    return ok;
  }
  /// The same of a caller who encrypts, where we do so if we can; with the ACK.
  Message answered_encrypted() {
    ring(encrypted_sdp());
    AnswerOptions options = answering();
    options.srtp = rtp::SrtpPolicy::Prefer;
    const auto done = call_->answer(options);
    EXPECT_TRUE(done) << done.error().detail;
    const Message ok = peer_.response(200);
    send(request("ACK", 2, "", "", tag_of(ok), "ack"));
    return ok;
  }

  Callers callers_ = Callers::Accounts;
  bool alerts_ = true;
  std::vector<IncomingCall> came_;
  Message ringing_;
};

}  // namespace junctor::sip::test
