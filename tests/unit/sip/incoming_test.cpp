// SPDX-License-Identifier: LGPL-2.1-or-later
// Phones that call us.
#include <gmock/gmock.h>

#include "incoming_fixture.h"

namespace junctor::sip::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class IncomingFromAnyone : public Incoming {
 protected:
  IncomingFromAnyone() { callers_ = Callers::Anyone; }
};

class ImpatientIncoming : public IncomingFromAnyone {
 protected:
  AgentOptions options() override {
    AgentOptions options = IncomingFromAnyone::options();
    options.transaction_timeout = std::chrono::milliseconds(600);
    return options;
  }
};

TEST_F(ImpatientIncoming, EndsWhereTheAnswerIsNeverConfirmed) {
  send(request("INVITE", 1, "", phone_sdp()));
  peer_.response(180);
  ASSERT_TRUE(call_->answer(answering()));
  peer_.reply(peer_.request("BYE"), "200 OK");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Unreachable);
  EXPECT_THAT(recorder_->text, HasSubstr("it never confirmed our answer"));
}

TEST_F(Incoming, RingsOnceTheCallerHasProvedWhoItIs) {
  ring();
  ASSERT_EQ(came_.size(), 1u);
  EXPECT_EQ(came_[0].to, "bob");
  EXPECT_EQ(came_[0].account, "carol");
  EXPECT_EQ(came_[0].uri, "sip:carol@example.org");
  EXPECT_EQ(came_[0].display, "Carol \"C\"");
  EXPECT_EQ(call_->id(), "from-carol");
  EXPECT_EQ(call_->state(), CallState::Ringing);
  EXPECT_EQ(agent_->find_call("from-carol"), call_);
  EXPECT_THAT(ringing_.header("Contact"), HasSubstr("sip:bob@127.0.0.1:"));
}

TEST_F(IncomingFromAnyone, NamesAreOfAnyScriptButTurnNothingAround) {
  std::string text = request("INVITE", 1, "", phone_sdp());
  text.replace(text.find("\"Carol \\\"C\\\"\""), 13, "\"J\xc3\xbcrgen\xe2\x80\xae \xff!\"");
  send(text);
  peer_.response(180);
  ASSERT_EQ(came_.size(), 1u);
  EXPECT_EQ(came_[0].display, "J\xc3\xbcrgen \xef\xbf\xbd!");
}

TEST_F(Incoming, WhoNamesNoUserIsAskedForOne) {
  std::string nameless = request("INVITE", 1, "", phone_sdp());
  nameless.replace(nameless.find("sip:carol@"), 10, "sip:");
  send(nameless);
  const Message challenged = final_of(1);
  ASSERT_EQ(challenged.status(), 401);
  std::string known = request("INVITE", 2, credentials(challenged, "secret"), phone_sdp());
  known.replace(known.find("sip:carol@"), 10, "sip:");
  send(known);
  peer_.response(180);
  ASSERT_EQ(came_.size(), 1u);
  EXPECT_EQ(came_[0].account, "carol");
}

TEST_F(Incoming, CredentialsForAnotherCalleeAreNoneForThisOne) {
  int cseq = 0;
  const auto answer_to = [&](const std::string &uri) {
    send(request("INVITE", ++cseq, "", phone_sdp()));
    const Message challenged = final_of(cseq);
    send(request("INVITE", ++cseq, credentials(challenged, "secret", "Authorization", uri),
                 phone_sdp()));
    return peer_.receive([&](const Message &m) { return m.status() >= 180 && m.cseq() == cseq; })
        .value_or(Message{"SIP/2.0 000 Nothing\r\n\r\n"});
  };
  for (const char *other : {"sip:dave@junctor", "sip:Bob@junctor", "sip:bob%20@junctor"})
    EXPECT_EQ(answer_to(other).start_line(), "SIP/2.0 400 Credentials For Another Request")
        << other;
  EXPECT_TRUE(came_.empty());
  // Escaped otherwise, or of a server that goes by another name.
  EXPECT_EQ(answer_to("sips:%62ob@example.org:5061;transport=tcp").status(), 180);
  ASSERT_EQ(came_.size(), 1u);
  EXPECT_EQ(came_[0].account, "carol");
}

TEST_F(Incoming, MayBeTakenBackWhileTheAnswerToAGuessWaits) {
  send(request("INVITE", 1, "", phone_sdp()));
  const Message challenged = final_of(1);
  send(request("INVITE", 2, credentials(challenged, "guess"), phone_sdp(), "", "guess"));
  send(request("CANCEL", 2, "", "", "", "guess"));
  EXPECT_EQ(peer_.response(487).header("CSeq"), "2 INVITE") << "the answer waits";
  expect_alive();
}

TEST_F(Incoming, TakesProxyAuthorizationToo) {
  send(request("INVITE", 1, "", phone_sdp()));
  const Message challenged = final_of(1);
  send(request("INVITE", 2, credentials(challenged, "secret", "Proxy-Authorization"), phone_sdp()));
  EXPECT_EQ(peer_.response(180).cseq(), 2);
}

TEST_F(Incoming, AWrongPasswordIsRefusedAndTenOfThemBlock) {
  // As calls of their own: they wait for their answers side by side.
  const auto call = [&](int cseq, int number, const std::string &credentials) {
    std::string text = request("INVITE", cseq, credentials, phone_sdp());
    text.replace(text.find("from-carol"), 10, "guess-" + std::to_string(number));
    send(text);
  };
  for (int cseq = 1; cseq < 30; cseq += 2) {
    call(cseq, cseq, "");
    const Message challenged = final_of(cseq);
    ASSERT_EQ(challenged.status(), 401);
    call(cseq + 1, cseq, credentials(challenged, "guess"));
    // The block, of which guessing learns nothing, is told at once.
    if (cseq >= 20) {
      EXPECT_EQ(final_of(cseq + 1).status(), 503) << cseq;
    }
  }
  EXPECT_EQ(final_of(20).status(), 403) << "after a while, for guessing is to take time";
  EXPECT_TRUE(came_.empty());
  EXPECT_EQ(agent_->calls(), 0u);
}

TEST_F(IncomingFromAnyone, NeedsNoPasswordButAccountsAreOnlyThoseThatShowIt) {
  send(request("INVITE", 1, "", phone_sdp()));
  peer_.response(180);
  ASSERT_EQ(came_.size(), 1u);
  EXPECT_EQ(came_[0].account, "");
  EXPECT_EQ(came_[0].uri, "sip:carol@example.org");
}

TEST_F(Incoming, IsAnsweredAndHungUpByEitherSide) {
  const Message ok = answered();
  EXPECT_EQ(tag_of(ok), tag_of(ringing_));
  ASSERT_EQ(call_->media().size(), 2u);
  EXPECT_EQ(call_->media()[0].format->codec, Codec::Pcma);
  EXPECT_EQ(call_->media()[1].format->codec, Codec::H264);
  EXPECT_EQ(call_->media()[1].direction, Direction::SendRecv);
  EXPECT_THAT(ok.body(), HasSubstr("a=rtpmap:96 H264/90000")) << "in the caller's numbers";
  EXPECT_THAT(ok.body(), HasSubstr("profile-level-id=42e01f"));
  send(request("BYE", 3, "", "", tag_of(ok)));
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::CallerHangup);
  EXPECT_EQ(recorder_->text, "the caller hung up");
  EXPECT_EQ(final_of(3).status(), 200);
}

TEST_F(Incoming, IsHungUpByUs) {
  answered();
  call_->hangup(EndReason::CalleeHangup);
  const Message bye = peer_.request("BYE");
  EXPECT_THAT(bye.header("To"), HasSubstr("tag=carols"));
  peer_.reply(bye, "200 OK");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::CalleeHangup);
}

class RefreshedIncoming : public IncomingFromAnyone {
 protected:
  AgentOptions options() override {
    AgentOptions options = IncomingFromAnyone::options();
    options.session_expires = std::chrono::seconds(2);
    options.min_session_expires = std::chrono::seconds(1);
    return options;
  }
};

TEST_F(RefreshedIncoming, TheIntervalCountsFromTheAnswer) {
  send(request("INVITE", 1, "Supported: timer\r\nSession-Expires: 2;refresher=uas\r\n",
               phone_sdp()));
  peer_.response(180);
  // Longer than until it would be refreshed, had it been answered at once.
  run_until([] { return false; }, std::chrono::milliseconds(1000));
  ASSERT_TRUE(call_->answer(answering()));
  const Message ok = peer_.response(200);
  EXPECT_EQ(ok.header("Session-Expires"), "2;refresher=uas");
  send(request("ACK", 1, "", "", tag_of(ok), "ack"));
  const Message again = peer_.request("INVITE");
  EXPECT_EQ(again.body(), ok.body()) << "what is said again changes nothing";
}

TEST_F(Incoming, PutsOnHoldAndResumes) {
  const Message ok = answered();
  send(request("INVITE", 3, "", phone_sdp(40000, 40002, "a=sendonly\r\n", "127.0.0.1", 2),
               tag_of(ok)));
  EXPECT_THAT(final_of(3).body(), HasSubstr("a=recvonly"));
  send(request("ACK", 3, "", "", tag_of(ok), "ack3"));
  EXPECT_EQ(call_->media()[0].direction, Direction::RecvOnly);
  send(request("INVITE", 4, "", phone_sdp(40000, 40002, "", "127.0.0.1", 3), tag_of(ok)));
  EXPECT_EQ(final_of(4).status(), 200);
  send(request("ACK", 4, "", "", tag_of(ok), "ack4"));
  EXPECT_EQ(call_->media()[0].direction, Direction::SendRecv);
  EXPECT_EQ(recorder_->count("changed"), 2);
}

TEST_F(Incoming, TakesWhatHasTheLowestRankOfTheOffer) {
  ring(
      "v=0\r\no=carol 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
      "m=audio 40000 RTP/AVP 0 8 97\r\na=rtpmap:97 SPEEX/16000\r\n");
  std::vector<Offered> offer;
  for (const rtp::Format &format : rtp::formats())
    offer.push_back({.format = &format, .rank = format.codec == Codec::Speex ? 0 : 1});
  ASSERT_TRUE(call_->answer(answering(offer)));
  ASSERT_EQ(call_->media().size(), 1u);
  EXPECT_EQ(call_->media()[0].format->codec, Codec::Speex);
  EXPECT_EQ(call_->media()[0].payload_type, 97);
}

TEST_F(Incoming, IsEncryptedWhereTheCallerWantsItAndWePrefer) {
  ring(encrypted_sdp());
  AnswerOptions options = answering();
  options.srtp = rtp::SrtpPolicy::Prefer;
  ASSERT_TRUE(call_->answer(options));
  const std::string answer = peer_.response(200).body();
  EXPECT_THAT(answer, HasSubstr(" RTP/SAVP "));
  EXPECT_THAT(answer, HasSubstr("a=crypto:4 AES_CM_128_HMAC_SHA1_32 inline:"));
  EXPECT_THAT(answer, Not(HasSubstr("WVNfX19zZW1jdGwg"))) << "ours, not the caller's own";
  for (const Media &media : call_->media())
    EXPECT_EQ(media.srtp, rtp::SrtpSuite::AesCm128HmacSha1_32);
  EXPECT_EQ(call_->transport(), "udp");
}

/// What stands behind the `number`-th "inline:".
std::string key_in(const std::string &sdp, int number) {
  std::size_t at = 0;
  for (; number > 0 && at != sdp.npos; --number) at = sdp.find("inline:", at + 1);
  return at == sdp.npos ? "" : sdp.substr(at, sdp.find("\r\n", at) - at);
}

TEST_F(Incoming, OurOwnOfferKeepsTheEncryptionInUse) {
  const Message ok = answered_encrypted();
  send(request("INVITE", 3, "", "", tag_of(ok)));
  const Message offer = final_of(3);
  for (const int line : {1, 2}) EXPECT_EQ(key_in(offer.body(), line), key_in(ok.body(), line));
  EXPECT_THAT(offer.body(), HasSubstr("a=crypto:4 AES_CM_128_HMAC_SHA1_32 inline:"));
  EXPECT_THAT(offer.body(), Not(HasSubstr("RTP/AVP")));
  EXPECT_THAT(offer.body(), Not(HasSubstr("a=crypto:1 "))) << "more keys would travel in clear";
  send(request("ACK", 3, "", encrypted_sdp(), tag_of(ok), "ack3"));
  expect_alive();
  EXPECT_EQ(recorder_->count("changed"), 0);
  EXPECT_EQ(call_->media()[0].srtp, rtp::SrtpSuite::AesCm128HmacSha1_32);
}

TEST_F(Incoming, AMediumThatComesBackHasAKeyThatWasNeverUsed) {
  const Message ok = answered_encrypted();
  std::string off = encrypted_sdp();
  off.replace(off.find("40002"), 5, "0");
  send(request("INVITE", 3, "", off, tag_of(ok)));
  EXPECT_EQ(key_in(final_of(3).body(), 2), "");
  send(request("ACK", 3, "", "", tag_of(ok), "ack3"));
  EXPECT_FALSE(call_->media()[1].accepted);
  send(request("INVITE", 4, "", encrypted_sdp(), tag_of(ok)));
  const Message on = final_of(4);
  EXPECT_EQ(key_in(on.body(), 1), key_in(ok.body(), 1)) << "sound has gone on";
  EXPECT_NE(key_in(on.body(), 2), key_in(ok.body(), 2));
  EXPECT_NE(key_in(on.body(), 2), "");
}

class IncomingWithFewPorts : public IncomingFromAnyone {
 protected:
  AgentOptions options() override {
    AgentOptions options = IncomingFromAnyone::options();
    low_ = 41000;
    while (!take_ports() && low_ < 60000) low_ += 4;
    taken_.clear();
    options.rtp_low = low_;
    options.rtp_high = static_cast<std::uint16_t>(low_ + 3);
    return options;
  }
  bool take_ports() {
    taken_.clear();
    for (std::uint16_t i = 0; i < 4; ++i) {
      auto socket = bind_udp({"127.0.0.1", static_cast<std::uint16_t>(low_ + i)});
      if (!socket) return false;
      taken_.push_back(*std::move(socket));
    }
    return true;
  }
  std::string log() {
    const std::lock_guard lock(mutex_);
    return log_;
  }

  std::uint16_t low_ = 0;
  std::vector<UniqueFd> taken_;
};

constexpr const char *kNoRoom = "399 127.0.0.1 \"There is no room for one more call.\"";

TEST_F(IncomingWithFewPorts, DoNotRingWhereNoneIsFree) {
  ASSERT_TRUE(take_ports());
  send(request("INVITE", 1, "", phone_sdp()));
  const Message refusal = final_of(1);
  EXPECT_EQ(refusal.status(), 503);
  EXPECT_EQ(refusal.header("Warning"), kNoRoom);
  EXPECT_TRUE(came_.empty());
  EXPECT_THAT(log(),
              HasSubstr("503 Service Unavailable: no free port pair in " + std::to_string(low_)));
  EXPECT_EQ(agent_->calls(), 0u);
  // Nobody looks again for a moment, and then one is found.
  taken_.clear();
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  send(request("INVITE", 2, "", phone_sdp()));
  peer_.response(180);
  EXPECT_EQ(came_.size(), 1u);
}

TEST_F(IncomingWithFewPorts, AreOverloadedWhereTheLastIsTakenWhileTheyRing) {
  send(request("INVITE", 1, "", phone_sdp()));
  peer_.response(180);
  ASSERT_TRUE(take_ports());
  EXPECT_FALSE(call_->answer(answering()));
  const Message refusal = final_of(1);
  EXPECT_EQ(refusal.status(), 503);
  EXPECT_EQ(refusal.header("Warning"), kNoRoom);
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Overloaded);
  EXPECT_EQ(recorder_->text, "There is no room for one more call.");
  EXPECT_THAT(log(), HasSubstr("no free port pair in"));
}

TEST_F(IncomingWithFewPorts, NorDoesACallOfOursGoOut) {
  ASSERT_TRUE(take_ports());
  const auto call = agent_->invite(invite_options(), recorder_);
  ASSERT_FALSE(call);
  EXPECT_EQ(call.error().fault, Fault::Overloaded);
  EXPECT_EQ(call.error().detail, "There is no room for one more call.");
  EXPECT_THAT(log(), HasSubstr("no free port pair in"));
}

TEST_F(IncomingFromAnyone, IsToldWhyNothingOfItsOfferCanBeCarried) {
  struct Row {
    const char *line, *attributes, *why;
  };
  int cseq = 0;
  for (const Row &row :
       {Row{"RTP/AVP 96 101", "a=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n",
            "audio is in opus, telephone-event only"},
        Row{"RTP/AVP 101", "a=rtpmap:101 telephone-event/8000\r\n",
            "audio is in telephone-event only"},
        Row{"RTP/AVP 77", "", "audio is in payload type 77 only"},
        Row{"RTP/SAVP 8", "", "audio is refused: "},
        Row{"UDP/TLS/RTP/SAVPF 8", "a=fingerprint:sha-256 AB\r\n",
            "audio wants its keys by DTLS (UDP/TLS/RTP/SAVPF), which is not served"},
        Row{"TCP/RTP/AVP 8", "", "audio is over TCP/RTP/AVP, which is not served"},
        Row{"RTP/AVP 8", "c=IN IP4 phone.example\r\n",
            "audio is wanted at phone.example, which is no IP address of one host"},
        Row{"RTP/AVP 8", "c=IN IP4 239.1.1.1\r\n",
            "audio is wanted at 239.1.1.1, which is no IP address of one host"}}) {
    std::string invite =
        request("INVITE", ++cseq, "",
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                "m=audio 40000 " +
                    std::string(row.line) + "\r\n" + row.attributes);
    send(invite);
    const Message refusal = final_of(cseq);
    EXPECT_EQ(refusal.status(), 488) << row.line;
    EXPECT_THAT(
        refusal.header("Warning"),
        HasSubstr("399 127.0.0.1 \"none of the media that the caller offers can be carried: " +
                  std::string(row.why)))
        << row.line;
    const std::lock_guard lock(mutex_);
    EXPECT_THAT(log_, HasSubstr("refused at INVITE: 488 Not Acceptable Here: none of the media"));
    log_.clear();
  }
  EXPECT_TRUE(came_.empty());
}

TEST_F(Incoming, IsRefusedWhereTheCallerWantsEncryptionThatIsOff) {
  ring(encrypted_sdp());
  EXPECT_FALSE(call_->answer(answering()));
  const Message refusal = peer_.final_response();
  EXPECT_EQ(refusal.status(), 488);
  EXPECT_THAT(refusal.header("Warning"), HasSubstr("SRTP only (RTP/SAVP), which is off here"));
}

TEST_F(Incoming, IsRefusedWhereKeysWouldTravelInClear) {
  ring(encrypted_sdp());
  AnswerOptions options = answering();
  options.srtp = rtp::SrtpPolicy::Require;
  EXPECT_FALSE(call_->answer(options));
  const Message refusal = peer_.final_response();
  EXPECT_EQ(refusal.status(), 488);
  EXPECT_THAT(refusal.header("Warning"), HasSubstr("it has not come over TLS"));
}

TEST_F(Incoming, WithoutAnOfferGetsOursAndAnswersItInTheAck) {
  const Message ok = answered("", phone_sdp());
  EXPECT_THAT(ok.body(), HasSubstr("m=audio"));
  EXPECT_THAT(ok.body(), HasSubstr("m=video"));
  ASSERT_TRUE(run_until([&] { return recorder_->count("changed") == 1; }));
  ASSERT_EQ(call_->media().size(), 2u);
  EXPECT_TRUE(call_->media()[0].accepted && call_->media()[1].accepted);
}

TEST_F(Incoming, EndsWhereTheAckHasNoAnswer) {
  answered("", "");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::NotAcceptable);
  peer_.reply(peer_.request("BYE"), "200 OK");
}

TEST_F(Incoming, IsCancelled) {
  ring();
  send(request("CANCEL", 2, "", "", "", "INVITE2"));
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::CallerHangup);
  const auto invite = peer_.receive(
      [](const Message &m) { return m.status() >= 200 && m.header("CSeq") == "2 INVITE"; });
  ASSERT_TRUE(invite);
  EXPECT_EQ(invite->status(), 487);
  const auto late = call_->answer(answering());
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().fault, Fault::PeerClosed);
  EXPECT_THAT(log_, Not(HasSubstr("refused at CANCEL")));
  expect_alive();
}

TEST_F(Incoming, CancelsOfAnotherTransactionAreOfTheShareOfTheCall) {
  ring();
  constexpr int kAll = 120;  // fewer than are told of a refusal in a second, beside the share
  for (int i = 0; i < kAll; ++i)
    send(request("CANCEL", 2, "", "", "", "guess" + std::to_string(i)));
  int taken = 0, refused = 0;
  for (int i = 0; i < kAll; ++i) (peer_.final_response().status() == 503 ? refused : taken) += 1;
  EXPECT_GE(taken, 30);
  EXPECT_GT(refused, 0);
  EXPECT_THAT(log_, HasSubstr("refused at CANCEL: 503, too many requests of one call at once"));
  EXPECT_EQ(call_->state(), CallState::Ringing);
  send(request("CANCEL", 2, "", "", "", "INVITE2"));
  ASSERT_TRUE(ended()) << "its end is never put off";
  EXPECT_EQ(recorder_->reason, EndReason::CallerHangup);
}

struct Refused {
  EndReason reason;
  int status;
};
class IncomingRefusals : public Incoming, public testing::WithParamInterface<Refused> {};

TEST_P(IncomingRefusals, HaveTheirStatusAndWordsForPeople) {
  ring();
  call_->hangup(GetParam().reason, "Nobody \"here\" today.\r\nX: y");
  const Message refused = final_of(2);
  EXPECT_EQ(refused.status(), GetParam().status);
  EXPECT_THAT(refused.header("Warning"), HasSubstr("399 127.0.0.1 \"Nobody \\\"here\\\" today."));
  EXPECT_EQ(refused.header("X"), "");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, GetParam().reason);
  EXPECT_EQ(agent_->calls(), 0u);
  EXPECT_EQ(agent_->find_call("from-carol"), nullptr);
}

INSTANTIATE_TEST_SUITE_P(
    All, IncomingRefusals,
    testing::Values(Refused{EndReason::Busy, 486}, Refused{EndReason::Declined, 603},
                    Refused{EndReason::Unreachable, 480}, Refused{EndReason::NoAnswer, 480},
                    Refused{EndReason::Overloaded, 503}, Refused{EndReason::NotAcceptable, 488},
                    Refused{EndReason::Internal, 500}));

TEST_F(IncomingFromAnyone, NeedsMediaThatWeKnow) {
  const std::string head =
      "v=0\r\no=carol 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";
  send(request("INVITE", 1, "", head + "m=audio 4000 RTP/AVP 18\r\n"));
  EXPECT_EQ(final_of(1).status(), 488);
  send(request("INVITE", 2, "", "v=0\r\nthis is none\r\n"));
  EXPECT_EQ(final_of(2).status(), 400);
  std::string text = request("INVITE", 3, "", "hello");
  text.replace(text.find("application/sdp"), 15, "text/plain");
  send(text);
  EXPECT_EQ(final_of(3).status(), 415);
  EXPECT_TRUE(came_.empty());
  EXPECT_EQ(agent_->calls(), 0u);
  expect_alive();
}

TEST_F(IncomingFromAnyone, RingsOnceThoughItComesOnTwoWays) {
  send(request("INVITE", 1, "", phone_sdp(), "", "one-way"));
  peer_.response(180);
  send(request("INVITE", 1, "", phone_sdp(), "", "another-way"));
  EXPECT_EQ(final_of(1).status(), 482);
  EXPECT_EQ(came_.size(), 1u);
}

TEST_F(IncomingFromAnyone, TwoMayChooseTheSameCallId) {
  send(request("INVITE", 1, "", phone_sdp()));
  peer_.response(180);
  std::string other = request("INVITE", 1, "", phone_sdp(), "", "eves");
  other.replace(other.find("tag=carols"), 10, "tag=eves");
  send(other);
  peer_.response(180);
  ASSERT_EQ(came_.size(), 2u);
  EXPECT_NE(came_[0].call->id(), came_[1].call->id());
  EXPECT_EQ(agent_->calls(), 2u);
}

TEST_F(IncomingFromAnyone, IsRefusedByAServerThatEnds) {
  send(request("INVITE", 1, "", phone_sdp()));
  peer_.response(180);
  agent_->shutdown(EndReason::Shutdown, std::chrono::milliseconds(50));
  EXPECT_EQ(final_of(1).status(), 503);
  EXPECT_EQ(recorder_->reason, EndReason::Shutdown);
}

}  // namespace
}  // namespace junctor::sip::test
