// SPDX-License-Identifier: LGPL-2.1-or-later
// What offers, answers and requests within a call do to its media.
#include <gmock/gmock.h>
#include <poll.h>

#include <atomic>
#include <thread>

#include "agent_fixture.h"

namespace junctor::sip::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CallMedia : public AgentTest {};

TEST_F(CallMedia, EarlyMediaComesBeforeTheAnswer) {
  call();
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, "183 Session Progress", "", phone_sdp());
  ASSERT_TRUE(run_until([&] { return recorder_->count("early") == 1; }));
  EXPECT_EQ(call_->state(), CallState::Trying);
  EXPECT_TRUE(call_->media()[0].accepted);
  peer_.reply(invite, "180 Ringing");
  ASSERT_TRUE(run_until([&] { return recorder_->count("ringing") == 1; }));
  // Answers without a description of their own mean the early one.
  peer_.reply(invite, "200 OK");
  ASSERT_TRUE(run_until([&] { return recorder_->count("answered") == 1; }));
  EXPECT_TRUE(call_->media()[1].accepted);
}

TEST_F(CallMedia, ReliableProvisionalResponseIsAcknowledged) {
  call();
  const Message invite = peer_.request("INVITE");
  EXPECT_THAT(invite.header("Supported"), HasSubstr("100rel"));
  peer_.reply(invite, "183 Session Progress", "Require: 100rel\r\nRSeq: 7\r\n", phone_sdp());
  const Message prack = peer_.request("PRACK");
  EXPECT_EQ(prack.header("RAck"), "7 " + invite.header("CSeq"));
  peer_.reply(prack, "200 OK");
  peer_.reply(invite, "200 OK", "", phone_sdp());
  ASSERT_TRUE(run_until([&] { return recorder_->count("answered") == 1; }));
}

TEST_F(CallMedia, RingingWithMediaIsBoth) {
  call();
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, "180 Ringing", "", phone_sdp());
  ASSERT_TRUE(run_until([&] { return recorder_->count("early") == 1; }));
  peer_.reply(invite, "180 Ringing", "", phone_sdp());
  ASSERT_TRUE(run_until([&] { return recorder_->count("ringing") == 2; }));
  EXPECT_THAT(recorder_->events, ElementsAre("ringing", "early", "ringing"));
}

TEST_F(CallMedia, UselessEarlyMediaIsIgnored) {
  call();
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, "183 Session Progress", "", "v=0\r\nrubbish\r\n");
  peer_.reply(invite, "183 Session Progress", "",
              "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nm=audio 0 RTP/AVP 8\r\n");
  peer_.reply(invite, "180 Ringing");
  ASSERT_TRUE(run_until([&] { return recorder_->count("ringing") == 1; }));
  EXPECT_EQ(recorder_->count("early"), 0);
}

TEST_F(CallMedia, PeerThatForgotTheCallIsLost) {
  answered_call();
  EXPECT_TRUE(call_->send_dtmf("1"));
  peer_.reply(peer_.request("INFO"), "481 Call/Transaction Does Not Exist");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Unreachable);
  EXPECT_EQ(agent_->calls(), 0u);
}

TEST_F(CallMedia, PeerThatKnowsNoInfoStays) {
  answered_call();
  call_->request_keyframe_by_info();
  peer_.reply(peer_.request("INFO"), "501 Not Implemented");
  expect_alive();
  EXPECT_EQ(call_->state(), CallState::Answered);
}

TEST_F(CallMedia, CallsAndTheirMediaAreSeenFromOtherThreads) {
  const Message invite = answered_call();
  std::atomic<bool> stop = false;
  std::thread reader([&] {
    while (!stop) {
      const auto call = agent_->find_call(call_->id());
      if (call && call->media_snapshot().size() != 2) ADD_FAILURE();
      agent_->calls();
    }
  });
  constexpr int kTimes = 30;
  for (int i = 1; i <= kTimes; ++i) {
    const char *direction = i % 2 == 0 ? "a=sendrecv\r\n" : "a=sendonly\r\n";
    peer_.send(peer_.in_dialog(invite, "UPDATE", i, "", "application/sdp",
                               phone_sdp(40000, 40002, direction, "127.0.0.1", i + 1)),
               agent_->local());
    EXPECT_EQ(peer_.final_response().status(), 200);
  }
  stop = true;
  reader.join();
  EXPECT_EQ(recorder_->count("changed"), kTimes);
}

TEST_F(CallMedia, AnswerWithoutMediaOfOursIsByed) {
  call();
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, "200 OK", "",
              "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
              "m=audio 4000 RTP/AVP 97\r\na=rtpmap:97 iLBC/8000\r\nm=video 0 RTP/AVP 96\r\n");
  peer_.request("ACK");
  peer_.reply(peer_.request("BYE"), "200 OK");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::NotAcceptable);
  EXPECT_EQ(recorder_->code, 200);
  EXPECT_EQ(recorder_->count("answered"), 0);
}

TEST_F(CallMedia, MalformedAnswerIsByed) {
  call();
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, "200 OK", "", "m=audio before anything else\r\n");
  peer_.reply(peer_.request("BYE"), "200 OK");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::NotAcceptable);
}

TEST_F(CallMedia, PhoneWithoutVideoGetsAudio) {
  const Message invite = answered_call(
      "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
      "m=audio 4000 RTP/AVP 0\r\nm=video 0 RTP/AVP 96\r\n");
  EXPECT_EQ(call_->media()[0].format->codec, Codec::Pcmu);
  EXPECT_FALSE(call_->media()[1].accepted);
  EXPECT_EQ(call_->media()[1].format, nullptr);
}

TEST_F(CallMedia, HoldAndResumeByThePeer) {
  const Message invite = answered_call();
  peer_.send(peer_.in_dialog(invite, "INVITE", 1, "", "application/sdp",
                             phone_sdp(40000, 40002, "a=sendonly\r\n", "127.0.0.1", 2)),
             agent_->local());
  const Message held = peer_.response(200);
  const auto answer = sdp::parse(held.body());
  ASSERT_TRUE(answer) << held.text;
  EXPECT_EQ(answer->direction_of(answer->media[0]), sdp::Direction::RecvOnly);
  EXPECT_EQ(call_->media()[0].direction, Direction::RecvOnly);
  EXPECT_EQ(recorder_->count("changed"), 1);
  peer_.send(peer_.in_dialog(invite, "ACK", 1), agent_->local());

  peer_.send(peer_.in_dialog(invite, "INVITE", 2, "", "application/sdp",
                             phone_sdp(40000, 40002, "", "127.0.0.1", 3)),
             agent_->local());
  const Message resumed =
      peer_.receive([](const Message &m) { return m.status() == 200 && m.cseq() == 2; }).value();
  EXPECT_EQ(call_->media()[0].direction, Direction::SendRecv);
  EXPECT_EQ(recorder_->count("changed"), 2);
  const auto again = sdp::parse(resumed.body());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->version, answer->version + 1);
  EXPECT_EQ(again->id, answer->id);
  peer_.send(peer_.in_dialog(invite, "ACK", 2), agent_->local());
  // The same once more changes nothing.
  peer_.send(peer_.in_dialog(invite, "INVITE", 3, "", "application/sdp",
                             phone_sdp(40000, 40002, "", "127.0.0.1", 3)),
             agent_->local());
  peer_.receive([](const Message &m) { return m.status() == 200 && m.cseq() == 3; });
  peer_.send(peer_.in_dialog(invite, "ACK", 3), agent_->local());
  EXPECT_EQ(recorder_->count("changed"), 2);
}

TEST_F(CallMedia, RtpFollowsAChangedAddressAtOnce) {
  auto first = bind_udp({"127.0.0.1", 0}), second = bind_udp({"127.0.0.1", 0});
  ASSERT_TRUE(first && second);
  const Message invite = answered_call(phone_sdp(local_endpoint(first->get()).port, 40002));
  const auto send_one = [&] {
    reactor_->reactor()->invoke([&] {
      rtp::OutgoingPacket packet;
      packet.timestamp = 160;
      packet.payload = SharedBytes::copy(as_bytes("0123456789"));
      call_->media()[0].session->send({&packet, 1});
    });
  };
  const auto arrives_at = [](int fd) {
    pollfd waiting{fd, POLLIN, 0};
    if (::poll(&waiting, 1, 10000) != 1) return false;
    char buffer[100];
    return ::recv(fd, buffer, sizeof buffer, 0) == 22;
  };
  send_one();
  EXPECT_TRUE(arrives_at(first->get()));

  const std::string moved =
      phone_sdp(local_endpoint(second->get()).port, 40002, "", "127.0.0.1", 2);
  peer_.send(peer_.in_dialog(invite, "INVITE", 1, "", "application/sdp", moved), agent_->local());
  peer_.response(200);
  send_one();
  EXPECT_TRUE(arrives_at(second->get()));
  peer_.send(peer_.in_dialog(invite, "ACK", 1), agent_->local());
}

TEST_F(CallMedia, UpdateChangesMedia) {
  const Message invite = answered_call();
  EXPECT_THAT(invite.header("Allow"), HasSubstr("UPDATE"));
  peer_.send(peer_.in_dialog(invite, "UPDATE", 1, "", "application/sdp",
                             phone_sdp(40000, 40002, "a=inactive\r\n", "127.0.0.1", 2)),
             agent_->local());
  const Message updated = peer_.final_response();
  EXPECT_EQ(updated.status(), 200);
  EXPECT_THAT(updated.body(), HasSubstr("a=inactive"));
  EXPECT_EQ(call_->media()[1].direction, Direction::Inactive);
}

TEST_F(CallMedia, UpdateThatOffersNothingIsFineWhileItRings) {
  call();
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, "180 Ringing");
  ASSERT_TRUE(run_until([&] { return recorder_->count("ringing") == 1; }));
  peer_.send(peer_.in_dialog(invite, "UPDATE", 1), agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 200);
  // An offer has to wait for the answer to ours.
  peer_.send(peer_.in_dialog(invite, "UPDATE", 2, "", "application/sdp", phone_sdp()),
             agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 491);
  peer_.reply(invite, "200 OK", "", phone_sdp());
  ASSERT_TRUE(run_until([&] { return recorder_->count("answered") == 1; }));
}

TEST_F(CallMedia, ABandwidthIsOfThePhoneThatNamedIt) {
  const Message invite = answered_call(phone_sdp(40000, 40002, "b=AS:380\r\n"));
  ASSERT_EQ(call_->media().at(1).kbit_per_second, 300);
  int number = 0;
  const auto offer = [&](std::uint16_t picture, const std::string &direction) {
    ++number;
    peer_.send(peer_.in_dialog(invite, "INVITE", number, "", "application/sdp",
                               phone_sdp(40000, picture, direction, "127.0.0.1", number + 1)),
               agent_->local());
    peer_.response(200);
    peer_.send(peer_.in_dialog(invite, "ACK", number), agent_->local());
    run_until([&] { return recorder_->count("changed") == number; });
    return call_->media().at(1).kbit_per_second;
  };
  EXPECT_EQ(offer(40002, "a=sendonly\r\n"), 300) << "a hold need not say it again";
  EXPECT_EQ(offer(40002, "a=sendrecv\r\n"), 300);
  EXPECT_EQ(offer(50002, "a=sendrecv\r\n"), 0);
}

TEST_F(CallMedia, AnOfferThatCrossesOursIsRefused) {
  const Message invite = answered_call();
  peer_.send(peer_.in_dialog(invite, "INVITE", 1), agent_->local());
  ASSERT_TRUE(sdp::parse(peer_.response(200).body())) << "our offer";
  peer_.send(peer_.in_dialog(invite, "UPDATE", 2, "", "application/sdp", phone_sdp()),
             agent_->local());
  EXPECT_EQ(peer_.response(491).status(), 491);
  peer_.send(peer_.in_dialog(invite, "ACK", 1, "", "application/sdp",
                             phone_sdp(40000, 40002, "a=sendonly\r\n", "127.0.0.1", 2)),
             agent_->local());
  ASSERT_TRUE(run_until([&] { return recorder_->count("changed") == 1; }));
  peer_.send(peer_.in_dialog(invite, "UPDATE", 3, "", "application/sdp",
                             phone_sdp(40000, 40002, "a=sendrecv\r\n", "127.0.0.1", 3)),
             agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 200);
}

TEST_F(CallMedia, ReinviteWithoutOfferIsOfferedAndAnsweredByTheAck) {
  const Message invite = answered_call();
  peer_.send(peer_.in_dialog(invite, "INVITE", 1), agent_->local());
  const Message offered = peer_.response(200);
  ASSERT_TRUE(sdp::parse(offered.body()));
  peer_.send(peer_.in_dialog(invite, "ACK", 1, "", "application/sdp",
                             phone_sdp(40000, 40002, "a=sendonly\r\n", "127.0.0.1", 2)),
             agent_->local());
  ASSERT_TRUE(run_until([&] { return recorder_->count("changed") == 1; }));
  EXPECT_EQ(call_->media()[0].direction, Direction::RecvOnly);
}

/// The o= line, and all that follows it.
std::pair<std::string, std::string> parts_of(const std::string &sdp) {
  const auto start = sdp.find("o="), end = sdp.find("\r\n", start);
  return {sdp.substr(start, end - start), sdp.substr(end)};
}
std::uint64_t version_of(const std::string &sdp) { return sdp::parse(sdp)->version; }

TEST_F(CallMedia, AnOfferOfOursInTheMiddleOfACallFollowsWhatWasAgreed) {
  const Message invite = answered_call();
  const auto first = version_of(invite.body());
  // Nothing but the order of the formats has to change, and here not even that.
  peer_.send(peer_.in_dialog(invite, "INVITE", 1), agent_->local());
  const Message same = peer_.response(200);
  EXPECT_EQ(parts_of(same.body()), parts_of(invite.body()));
  peer_.send(peer_.in_dialog(invite, "ACK", 1, "", "application/sdp", phone_sdp()),
             agent_->local());

  // The phone's own offer: PCMU, video in another number, and a third line.
  const auto offer = [](int version, const std::string &more) {
    return "v=0\r\no=bob 1 " + std::to_string(version) +
           " IN IP4 127.0.0.1\r\ns=phone\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" +
           "m=audio 40000 RTP/AVP 0\r\na=sendonly\r\nm=video 40002 RTP/AVP 109\r\n" +
           "a=rtpmap:109 H264/90000\r\na=fmtp:109 packetization-mode=1\r\n" + more;
  };
  peer_.send(peer_.in_dialog(invite, "INVITE", 2, "", "application/sdp",
                             offer(2, "m=application 5000 UDP/BFCP *\r\n")),
             agent_->local());
  const Message answered =
      peer_.receive([](const Message &m) { return m.status() == 200 && m.cseq() == 2; }).value();
  EXPECT_EQ(version_of(answered.body()), first + 1);
  EXPECT_THAT(answered.body(), HasSubstr("m=application 0 UDP/BFCP *\r\n"));
  peer_.send(peer_.in_dialog(invite, "ACK", 2), agent_->local());

  peer_.send(peer_.in_dialog(invite, "INVITE", 3), agent_->local());
  const Message again =
      peer_.receive([](const Message &m) { return m.status() == 200 && m.cseq() == 3; }).value();
  const auto ours = sdp::parse(again.body());
  ASSERT_TRUE(ours) << again.body();
  EXPECT_EQ(ours->id, sdp::parse(invite.body())->id);
  EXPECT_EQ(ours->version, first + 2);
  ASSERT_EQ(ours->media.size(), 3u) << again.body();
  EXPECT_EQ(ours->media[0].formats[0].payload_type, 0);  // in use
  EXPECT_EQ(ours->media[0].direction, Direction::SendRecv);
  EXPECT_EQ(ours->media[0].port, sdp::parse(invite.body())->media[0].port);
  EXPECT_EQ(ours->media[1].formats[0].payload_type, 109);
  EXPECT_THAT(again.body(), HasSubstr("m=application 0 UDP/BFCP *\r\n"));
  // The phone answers in the numbers of this offer.
  peer_.send(peer_.in_dialog(invite, "ACK", 3, "", "application/sdp",
                             offer(3, "m=application 0 UDP/BFCP *\r\n")),
             agent_->local());
  ASSERT_TRUE(run_until([&] { return call_->media()[0].direction == Direction::RecvOnly; }));
  EXPECT_EQ(call_->media()[0].format->codec, Codec::Pcmu);
  EXPECT_EQ(call_->media()[1].payload_type, 109);
  EXPECT_EQ(call_->media()[1].receive_payload_type, 109);
  // What repeats itself keeps its version.
  peer_.send(peer_.in_dialog(invite, "INVITE", 4), agent_->local());
  EXPECT_EQ(
      version_of(peer_.receive([](const Message &m) { return m.status() == 200 && m.cseq() == 4; })
                     .value()
                     .body()),
      first + 2);
}

TEST_F(CallMedia, InvitesWithoutAnOfferOutsideOfACallAreRefused) {
  peer_.send(peer_.request_text("INVITE", "sip:carol@" + agent_->local().to_string(),
                                "Contact: " + peer_.contact() + "\r\n"),
             agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 480);
  // Nor can one be made while our own offer is open.
  call();
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, "180 Ringing");
  ASSERT_TRUE(run_until([&] { return recorder_->count("ringing") == 1; }));
  peer_.send(peer_.in_dialog(invite, "INVITE", 1), agent_->local());
  const auto refused = peer_.receive(
      [](const Message &m) { return m.status() >= 200 && m.header("CSeq") == "1 INVITE"; });
  ASSERT_TRUE(refused);
  EXPECT_GE(refused->status(), 400);
  EXPECT_EQ(refused->body(), "");
}

TEST_F(CallMedia, ReinviteWithNothingOfOursIsRefusedAndTheCallGoesOn) {
  const Message invite = answered_call();
  peer_.send(peer_.in_dialog(invite, "INVITE", 1, "", "application/sdp",
                             "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\n"
                             "t=0 0\r\nm=audio 4000 RTP/AVP 97\r\na=rtpmap:97 iLBC/8000\r\n"),
             agent_->local());
  const Message refusal = peer_.final_response();
  EXPECT_EQ(refusal.status(), 488);
  EXPECT_EQ(refusal.header("Warning"), "399 127.0.0.1 \"audio is in iLBC only\"");
  peer_.send(peer_.in_dialog(invite, "ACK", 1), agent_->local());
  peer_.send(peer_.in_dialog(invite, "INVITE", 2, "", "application/sdp", "v=1\r\nrubbish"),
             agent_->local());
  EXPECT_EQ(peer_.receive([](const Message &m) { return m.status() >= 200 && m.cseq() == 2; })
                .value()
                .status(),
            400);
  EXPECT_EQ(call_->state(), CallState::Answered);
  EXPECT_TRUE(call_->media()[0].accepted);
}

TEST_F(CallMedia, InfoBothWays) {
  const Message invite = answered_call();
  peer_.send(peer_.in_dialog(invite, "INFO", 1, "", "application/media_control+xml",
                             "<media_control><vc_primitive><to_encoder><picture_fast_update/>"
                             "</to_encoder></vc_primitive></media_control>"),
             agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 200);
  peer_.send(peer_.in_dialog(invite, "INFO", 2, "", "application/dtmf-relay",
                             "Signal=5\r\nDuration=160\r\n"),
             agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 200);
  peer_.send(peer_.in_dialog(invite, "INFO", 3, "", "text/plain", "what"), agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 415);
  EXPECT_EQ(recorder_->count("keyframe"), 1);
  EXPECT_EQ(recorder_->count("dtmf 5"), 1);

  call_->request_keyframe_by_info();
  const Message wish = peer_.request("INFO");
  EXPECT_EQ(wish.header("Content-Type"), "application/media_control+xml");
  EXPECT_THAT(wish.body(), HasSubstr("<picture_fast_update/>"));
  peer_.reply(wish, "200 OK");
  EXPECT_TRUE(call_->send_dtmf("#"));
  const Message digit = peer_.request("INFO");
  EXPECT_THAT(digit.body(), HasSubstr("Signal=#"));
  peer_.reply(digit, "200 OK");
}

}  // namespace
}  // namespace junctor::sip::test
