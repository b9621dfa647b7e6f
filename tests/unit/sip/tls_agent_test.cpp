// SPDX-License-Identifier: LGPL-2.1-or-later
// SIP over TLS.
#include <gmock/gmock.h>

#include <filesystem>

#include "../temporary_directory.h"
#include "agent_fixture.h"
#include "tcp_client.h"
#include "tls_end.h"

namespace junctor::sip::test {
namespace {

using junctor::test::fresh_certificate;
using ::testing::HasSubstr;
using ::testing::Not;

int living = 0;  // SSL objects of this process

void count_ssl_objects() {
  static const int index = SSL_get_ex_new_index(
      0, nullptr, [](void *, void *, CRYPTO_EX_DATA *, int, long, void *) { ++living; }, nullptr,
      [](void *, void *, CRYPTO_EX_DATA *, int, long, void *) { --living; });
  static_cast<void>(index);
}

class TlsAgent : public AgentTest {
 protected:
  void SetUp() override {
    count_ssl_objects();
    AgentTest::SetUp();
  }
  AgentOptions options() override {
    AgentOptions options = AgentTest::options();
    AgentTls tls;
    tls.listen = {"127.0.0.1", 0};
    auto identity = TlsIdentity::load(fresh_certificate(directory_), options.log);
    EXPECT_TRUE(identity);
    tls.identity = *identity;
    if (believed_) {
      std::filesystem::create_directories(directory_ + "/server");
      server_ = fresh_certificate(directory_ + "/server");
      tls.ca_file = server_.certificate;
    }
    tls.verify = verify_;
    options.tls = tls;
    return options;
  }
  void restart() {
    agent_->shutdown(EndReason::Shutdown, std::chrono::milliseconds(50));
    agent_.reset();
    start_agent();
  }
  std::string ask() {
    return over_tls(peer_.request_text("OPTIONS", "sip:" + agent_->local_tls().to_string()));
  }
  std::string log() {
    const std::lock_guard lock(mutex_);
    return log_;
  }
  /// Connects `phone`, and makes options of a call to it over its connection, as one behind a NAT
  /// is reached.
  InviteOptions over_flow_of(TlsEnd &phone) {
    phone.send(ask());
    phone.message("SIP/2.0 200");
    InviteOptions options = invite_options();
    options.uri = "sip:bob@192.0.2.9:5061;transport=tls";
    options.proxy = "sip:" + phone.local().to_string() + ";transport=tls;lr";
    return options;
  }

  TemporaryDirectory made_;
  const std::string &directory_ = made_.path();
  bool believed_ = false, verify_ = true;
  TlsFiles server_;
};

TEST_F(TlsAgent, AnswersOverTls12And13AndNothingOlder) {
  for (const auto &[version, name] :
       {std::pair{TLS1_3_VERSION, "TLSv1.3"}, std::pair{TLS1_2_VERSION, "TLSv1.2"}}) {
    TlsEnd client(agent_->local_tls(), version);
    client.send(ask());
    EXPECT_EQ(client.message("SIP/2.0 ").status(), 200);
    EXPECT_EQ(client.version(), name);
  }
  TlsEnd old(agent_->local_tls(), TLS1_1_VERSION);
  EXPECT_TRUE(run_until([&] { return old.closed(); }));
  expect_alive();
}

TEST_F(TlsAgent, ShowsARenewedCertificateToWhoComesAnew) {
  TlsEnd before(agent_->local_tls());
  before.send(ask());
  before.message("SIP/2.0 200");
  const std::string first = before.serial();
  fresh_certificate(directory_);
  std::string second = first;
  EXPECT_TRUE(run_until([&] {
    TlsEnd after(agent_->local_tls());
    run_until([&] { return after.ready() || after.closed(); });
    second = after.serial();
    return second != first;
  }));
  EXPECT_THAT(log(), HasSubstr("is in use"));
  before.send(ask());
  before.message("SIP/2.0 200");
  EXPECT_EQ(before.serial(), first);
}

TEST_F(TlsAgent, CallsOverTheConnectionThatAPhoneHolds) {
  TlsEnd phone(agent_->local_tls());
  call(over_flow_of(phone));
  const Message invite = phone.message("INVITE ");
  EXPECT_EQ(invite.start_line(), "INVITE sip:bob@192.0.2.9:5061;transport=tls SIP/2.0");
  EXPECT_THAT(invite.header("Via"),
              HasSubstr("SIP/2.0/TLS 127.0.0.1:" + std::to_string(agent_->local_tls().port)));
  EXPECT_THAT(invite.header("Contact"),
              HasSubstr(std::to_string(agent_->local_tls().port) + ";transport=tls>"));
  EXPECT_THAT(invite.body(), Not(HasSubstr("crypto")));
  EXPECT_EQ(call_->transport(), "tls");
  phone.send(peer_.reply_text(invite, "486 Busy Here"));
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Busy);
}

TEST_F(TlsAgent, AgreesOnKeysOverTls) {
  TlsEnd phone(agent_->local_tls());
  InviteOptions options = over_flow_of(phone);
  options.srtp = rtp::SrtpPolicy::Require;
  call(options);
  const Message invite = phone.message("INVITE ");
  EXPECT_THAT(invite.body(), HasSubstr(" RTP/SAVP "));
  EXPECT_THAT(invite.body(), HasSubstr("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"));
  std::string sdp = phone_sdp();
  sdp.replace(sdp.find("RTP/AVP"), 7, "RTP/SAVP");
  sdp.insert(sdp.find("m=video"),
             "a=crypto:1 AES_CM_128_HMAC_SHA1_80 "
             "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n");
  phone.send(peer_.reply_text(invite, "200 OK", "", sdp));
  ASSERT_TRUE(run_until([&] {
    phone.step();
    return recorder_->count("answered") == 1;
  }));
  EXPECT_EQ(call_->media()[0].srtp, rtp::SrtpSuite::AesCm128HmacSha1_80);
  EXPECT_FALSE(call_->media()[1].accepted) << "its video is plain";
  EXPECT_THAT(log(), HasSubstr("no video: its answer is plain RTP"));
  EXPECT_THAT(log(), Not(HasSubstr("WVNfX19zZW1jdGwg"))) << "keys are no matter for logs";
}

TEST_F(TlsAgent, RequiredEncryptionRefusesAPlainAnswer) {
  TlsEnd phone(agent_->local_tls());
  InviteOptions options = over_flow_of(phone);
  options.srtp = rtp::SrtpPolicy::Require;
  call(options);
  phone.send(peer_.reply_text(phone.message("INVITE "), "200 OK", "", phone_sdp()));
  phone.message("ACK ");
  phone.message("BYE ");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::NotAcceptable);
  EXPECT_THAT(recorder_->text, HasSubstr("plain RTP (RTP/AVP), and SRTP is required"));
}

TEST_F(TlsAgent, APhoneThatTakesNothingButSrtpIsAskedAgain) {
  TlsEnd phone(agent_->local_tls());
  InviteOptions options = over_flow_of(phone);
  options.srtp = rtp::SrtpPolicy::Prefer;
  call(options);
  const Message first = phone.message("INVITE ");
  EXPECT_THAT(first.body(), HasSubstr(" RTP/AVP "));
  EXPECT_THAT(first.body(), HasSubstr("a=crypto:1 "));
  phone.send(peer_.reply_text(first, "488 Not Acceptable Here"));
  const Message second = phone.message("INVITE ");
  EXPECT_THAT(second.body(), HasSubstr(" RTP/SAVP "));
  phone.send(peer_.reply_text(second, "488 Not Acceptable Here"));
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::NotAcceptable);
  EXPECT_EQ(recorder_->count("ended"), 1);
}

TEST_F(TlsAgent, KeysDoNotTravelInClear) {
  InviteOptions options = invite_options();
  options.srtp = rtp::SrtpPolicy::Prefer;
  call(options);
  EXPECT_THAT(peer_.request("INVITE").body(), Not(HasSubstr("crypto")));
  options.srtp = rtp::SrtpPolicy::Require;
  const auto refused = agent_->invite(options, recorder_);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr("not reached over TLS"));
}

TEST_F(TlsAgent, NoConnectionIsLeftInMemory) {
  const int before = living;
  for (int i = 0; i < 60; ++i) {
    TlsEnd client(agent_->local_tls());
    if (i % 3 != 0) {
      client.send(ask());
      client.message("SIP/2.0 200");
    } else if (i % 2 == 0) {
      run_until([&] { return client.ready(); });
    }
  }
  EXPECT_LE(living - before, 40) << "of 60";
  agent_->shutdown(EndReason::Shutdown, std::chrono::milliseconds(50));
  agent_.reset();
  EXPECT_LE(living, before);
}

TEST_F(TlsAgent, WhatOneConnectionDoesWrongEndsNoOther) {
  TlsEnd good(agent_->local_tls());
  for (int i = 0; i < 20; ++i) {
    TcpClient bad(agent_->local_tls());
    if (i % 2 == 0) bad.send("OPTIONS sip:x SIP/2.0\r\n\r\n");
    TlsEnd gone(agent_->local_tls());
    gone.step();
    good.send(ask());
    good.message("SIP/2.0 200");
  }
  expect_alive();
}

TEST_F(TlsAgent, HeadsOfManyLinesAreCutOff) {
  TlsEnd good(agent_->local_tls());
  TlsEnd flooder(agent_->local_tls());
  // The first line alone, then the lines, of each kind that the parser keeps in a list.
  flooder.send("OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TLS x;branch=z9hG4bKx\r\n");
  good.send(ask());
  good.message("SIP/2.0 200");
  std::string piece;
  while (piece.size() < 12000) piece += "X:\n:\nl:1\nv: a\n";
  flooder.send(piece);
  EXPECT_TRUE(run_until([&] { return flooder.closed(); }));
  EXPECT_THAT(log(), HasSubstr("dropped at parsing: more than 256 header lines"));
  good.send(ask());
  good.message("SIP/2.0 200");
}

class NarrowTlsAgent : public TlsAgent {
 protected:
  AgentOptions options() override {
    AgentOptions options = TlsAgent::options();
    options.max_requests_per_peer = 2;
    return options;
  }
};

TEST_F(NarrowTlsAgent, TooManyAtOnceAreToldWhenToComeBack) {
  TlsEnd phone(agent_->local_tls());
  const auto invite = [&] {
    return over_tls(peer_.request_text("INVITE", "sip:x@" + agent_->local_tls().to_string()));
  };
  for (int i = 0; i < 2; ++i) {
    phone.send(invite());
    phone.message("SIP/2.0 480");
  }
  const std::string text = invite();
  phone.send(text);
  const Message busy = phone.message("SIP/2.0 503");
  EXPECT_EQ(busy.header("Call-ID"), Message{text}.header("Call-ID"));
  EXPECT_EQ(busy.header("Retry-After"), "32");
  // The connection is Sofia's as before.
  phone.send(ask());
  phone.message("SIP/2.0 200");
}

/// Calls a server of the test's own.
class TlsServer : public TlsAgent {
 protected:
  /// The connection that the agent makes for a call, if it makes one.
  std::unique_ptr<TlsEnd> called(const std::string &host, const std::string &name = "") {
    auto listener = listen_tcp({host, 0});
    EXPECT_TRUE(listener);
    InviteOptions options = invite_options();
    options.uri = name.empty()
                      ? uri_of(*listener, "sip:bob@")
                      : "sip:bob@" + name + ':' +
                            std::to_string(local_endpoint(listener->get()).port) + ";transport=tls";
    call(options);
    return std::make_unique<TlsEnd>(accepted(*listener), server_);
  }
  static std::string uri_of(const UniqueFd &listener, const std::string &scheme) {
    return scheme + local_endpoint(listener.get()).to_string() + ";transport=tls";
  }
  static UniqueFd accepted(const UniqueFd &listener) {
    const Wake wake(listener.get());
    UniqueFd accepted;
    run_until([&] {
      if (accepted) return true;
      accepted =
          UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      return static_cast<bool>(accepted);
    });
    return accepted;
  }
};

TEST_F(TlsServer, WithABelievedCertificateIsCalled) {
  believed_ = true;
  restart();
  const auto server = called("127.0.0.1");
  server->send(peer_.reply_text(server->message("INVITE "), "486 Busy Here"));
  ASSERT_TRUE(run_until([&] {
    server->step();
    return recorder_->count("ended") > 0;
  })) << log();
  EXPECT_EQ(recorder_->reason, EndReason::Busy) << log();
}

TEST_F(TlsServer, IsToldWhichNameItIsCalledBy) {
  believed_ = true;
  restart();
  // None for an address (RFC 6066 section 3).
  const auto unnamed = called("127.0.0.1");
  unnamed->message("INVITE ");
  EXPECT_EQ(unnamed->server_name(), "");
  // Though the first is still waited for: it has its connection, and is another's.
  const auto named = called("127.0.0.1", "localhost");
  named->message("INVITE ");
  EXPECT_EQ(named->server_name(), "localhost");
}

TEST_F(TlsServer, ThatIsARegistrarIsToldItsName) {
  believed_ = true;
  restart();
  auto listener = listen_tcp({"127.0.0.1", 0});
  ASSERT_TRUE(listener);
  TrunkOptions trunk;
  trunk.name = "carrier";
  trunk.uri =
      "sip:localhost:" + std::to_string(local_endpoint(listener->get()).port) + ";transport=tls";
  trunk.user = "house";
  ASSERT_TRUE(agent_->add_trunk(trunk, {}));
  const auto server = std::make_unique<TlsEnd>(accepted(*listener), server_);
  server->message("REGISTER ");
  EXPECT_EQ(server->server_name(), "localhost");
}

TEST_F(TlsServer, WithAnotherNameIsNotCalled) {
  believed_ = true;
  restart();
  const auto server = called("127.0.0.2");
  ASSERT_TRUE(run_until([&] {
    server->step();
    return recorder_->count("ended") > 0;
  }));
  EXPECT_EQ(recorder_->reason, EndReason::Unreachable);
  EXPECT_THAT(recorder_->text,
              HasSubstr("it is not for 127.0.0.2 but for localhost, gw.example.org"));
}

TEST_F(TlsServer, WithAStrangersCertificateIsNotCalled) {
  server_ = fresh_certificate(directory_);
  const auto server = called("127.0.0.1");
  ASSERT_TRUE(run_until([&] {
    server->step();
    return recorder_->count("ended") > 0;
  }));
  EXPECT_EQ(recorder_->reason, EndReason::Unreachable);
  EXPECT_THAT(recorder_->text, HasSubstr("not believed"));
  EXPECT_THAT(log(),
              HasSubstr("its certificate is not believed: self-signed certificate (the system's"));
}

TEST_F(TlsServer, OfATrunkWithABadCertificateEndsNoCallToAnother) {
  auto slow = listen_tcp({"127.0.0.1", 0}), bad = listen_tcp({"127.0.0.1", 0});
  ASSERT_TRUE(slow && bad);
  InviteOptions options = invite_options();
  options.uri = uri_of(*slow, "sip:bob@");
  call(options);
  TrunkOptions trunk;
  trunk.name = "carrier";
  trunk.uri = uri_of(*bad, "sip:");
  trunk.user = "trunk1";
  ASSERT_TRUE(agent_->add_trunk(trunk, nullptr));
  server_ = fresh_certificate(directory_);
  TlsEnd carrier(accepted(*bad), server_);
  ASSERT_TRUE(run_until([&] { return carrier.closed(); }));
  EXPECT_THAT(log(), HasSubstr(local_endpoint(bad->get()).to_string() +
                               ": its certificate is not believed"));
  EXPECT_EQ(call_->state(), CallState::Trying) << recorder_->text;
  // The same of its own server does end it.
  TlsEnd phone(accepted(*slow), server_);
  ASSERT_TRUE(run_until([&] {
    phone.step();
    return recorder_->count("ended") > 0;
  }));
  EXPECT_THAT(recorder_->text, HasSubstr("not believed"));
}

TEST_F(TlsServer, WithAStrangersCertificateIsCalledWhereNobodyLooks) {
  verify_ = false;
  restart();
  server_ = fresh_certificate(directory_);
  const auto server = called("127.0.0.2");
  server->message("INVITE ");
}

TEST(TlsAgentOptions, AFileOfAuthoritiesThatIsNoneStopsTheStart) {
  AgentOptions options;
  options.listen = {"127.0.0.1", 0};
  options.tls.emplace().listen = {"127.0.0.1", 0};
  options.tls->ca_file = "/dev/null";
  const auto agent = Agent::create(nullptr, options);
  ASSERT_FALSE(agent);
  EXPECT_THAT(agent.error().detail, HasSubstr("/dev/null cannot be used"));
}

}  // namespace
}  // namespace junctor::sip::test
