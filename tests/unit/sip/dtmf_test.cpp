// SPDX-License-Identifier: LGPL-2.1-or-later
// Digits of a call: by RTP where the answer has telephone-event, else by INFO, one at a time.
#include <gmock/gmock.h>

#include "agent_fixture.h"

namespace junctor::sip::test {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

using Digits = AgentTest;

/// A phone's answer with events, whose audio goes to another agent's port.
std::string with_events(std::uint16_t port) {
  return "v=0\r\no=bob 1 1 IN IP4 127.0.0.1\r\ns=phone\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio " +
         std::to_string(port) +
         " RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-11\r\n"
         "m=video 0 RTP/AVP 96\r\n";
}

class Listening {
 public:
  Listening() : fd_(*bind_udp({"127.0.0.1", 0})) {}
  std::uint16_t port() const { return local_endpoint(fd_.get()).port; }
  /// Turns the main context until an event has ended; its number.
  int ended_event() {
    int found = -1;
    const Wake wake(fd_.get());
    run_until([&] {
      unsigned char bytes[2048];
      for (ssize_t size; (size = ::recv(fd_.get(), bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
        if (size == 16 && (bytes[1] & 0x7f) == 101 && (bytes[13] & 0x80) != 0 &&
            std::exchange(last_, bytes[7] | bytes[6] << 8) != (bytes[7] | bytes[6] << 8))
          found = bytes[12];
      return found >= 0;
    });
    return found;
  }

 private:
  UniqueFd fd_;
  int last_ = -1;
};

TEST_F(Digits, GoAsEventsToWhoKnowsThem) {
  Listening phone;
  answered_call(with_events(phone.port()));
  EXPECT_TRUE(call_->send_dtmf("5#", 40ms));
  EXPECT_EQ(phone.ended_event(), 5);
  EXPECT_EQ(phone.ended_event(), 11);
  EXPECT_FALSE(peer_.has_request("INFO"));
}

TEST_F(Digits, GoByInfoWhereThePhoneTakesNoSuchEvent) {
  Listening phone;
  answered_call(with_events(phone.port()));
  EXPECT_TRUE(call_->send_dtmf("A"));
  EXPECT_THAT(peer_.request("INFO").body(), HasSubstr("Signal=A"));
}

TEST_F(Digits, AreRefusedWhileThePhoneThatTakesEventsHolds) {
  const Message invite = answered_call(with_events(40000));
  std::string held = with_events(40000);
  held.insert(held.find("m=audio"), "a=sendonly\r\n");
  peer_.send(peer_.in_dialog(invite, "INVITE", 1, "", "application/sdp", held), agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 200);
  peer_.send(peer_.in_dialog(invite, "ACK", 1), agent_->local());
  const auto sent = call_->send_dtmf("1");
  EXPECT_EQ(sent.error().fault, Fault::Refused);
  EXPECT_THAT(sent.error().detail, HasSubstr("on hold"));
  expect_alive();
  EXPECT_FALSE(peer_.has_request("INFO")) << "which it never said it takes";
}

TEST_F(Digits, GoByInfoOneAfterTheOther) {
  answered_call();
  EXPECT_TRUE(call_->send_dtmf("12", 100ms));
  const Message first = peer_.request("INFO");
  EXPECT_EQ(first.header("Content-Type"), "application/dtmf-relay");
  EXPECT_EQ(first.body(), "Signal=1\r\nDuration=100\r\n");
  expect_alive();
  EXPECT_FALSE(peer_.has_request("INFO")) << "the second one overtakes";
  peer_.reply(first, "200 OK");
  EXPECT_EQ(peer_.request("INFO").body(), "Signal=2\r\nDuration=100\r\n");
}

TEST_F(Digits, AreGivenUpWhereNobodyTakesThem) {
  answered_call();
  EXPECT_TRUE(call_->send_dtmf("123"));
  call_->request_keyframe_by_info();
  peer_.reply(peer_.request("INFO"), "415 Unsupported Media Type");
  // The rest of them is not tried; other INFO is.
  const Message next = peer_.request("INFO");
  EXPECT_EQ(next.header("Content-Type"), "application/media_control+xml");
  EXPECT_EQ(call_->state(), CallState::Answered);
  const std::lock_guard lock(mutex_);
  EXPECT_THAT(log_, HasSubstr("takes no digits"));
}

TEST_F(Digits, ThatAreNoneAreRefused) {
  answered_call();
  for (const char *wrong : {"", "12x", "1 2", "+49", "é"})
    EXPECT_EQ(call_->send_dtmf(wrong).error().fault, Fault::BadInput) << wrong;
  EXPECT_FALSE(call_->send_dtmf(std::string(kMostDigits + 1, '1')));
  EXPECT_FALSE(call_->send_dtmf("1", 39ms));
  EXPECT_FALSE(call_->send_dtmf("1", 11s));
  expect_alive();
  EXPECT_FALSE(peer_.has_request("INFO"));
}

TEST_F(Digits, WaitForTheAnswer) {
  call();
  const Message invite = peer_.request("INVITE");
  EXPECT_EQ(call_->send_dtmf("1").error().fault, Fault::Refused);
  // Early media with events, as of a voice menu that answers later.
  Listening phone;
  peer_.reply(invite, "183 Session Progress", "", with_events(phone.port()));
  ASSERT_TRUE(run_until([&] { return recorder_->count("early") == 1; }));
  EXPECT_TRUE(call_->send_dtmf("7", 40ms));
  EXPECT_EQ(phone.ended_event(), 7);
}

TEST_F(Digits, AreNotWithoutBound) {
  answered_call();
  const std::string many(kMostDigits, '1');
  EXPECT_TRUE(call_->send_dtmf(many));
  EXPECT_TRUE(call_->send_dtmf(many));
  EXPECT_EQ(call_->send_dtmf("1").error().fault, Fault::Refused);
}

TEST_F(Digits, AreNotWithoutBoundInRtpEither) {
  answered_call(with_events(40000));
  const std::string many(kMostDigits, '1');
  EXPECT_TRUE(call_->send_dtmf(many));
  EXPECT_TRUE(call_->send_dtmf(many));
  EXPECT_EQ(call_->send_dtmf(many).error().fault, Fault::Refused) << "they would be lost";
}

TEST_F(Digits, OfThePeerAreToldWithHowTheyCame) {
  const Message invite = answered_call(with_events(40000));
  peer_.send(
      peer_.in_dialog(invite, "INFO", 1, "", "application/dtmf-relay", "Signal=5\r\nDuration=90"),
      agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 200);
  peer_.send(peer_.in_dialog(invite, "INFO", 2, "", "application/dtmf", "#"), agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 200);
  peer_.send(peer_.in_dialog(invite, "INFO", 3, "", "application/dtmf", "flash"), agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 400);
  ASSERT_EQ(recorder_->dtmfs.size(), 2U);
  EXPECT_EQ(recorder_->dtmfs[0].length, 90ms);
  EXPECT_EQ(recorder_->dtmfs[0].method, DtmfMethod::Info);

  const auto socket = *bind_udp({"127.0.0.1", 0});
  const unsigned char star[] = {0x80, 0x80 | 101, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 10, 0x8a, 3, 0x20};
  const auto to = *Endpoint{"127.0.0.1", call_->media()[0].session->port()}.to_sockaddr();
  ::sendto(socket.get(), star, sizeof star, 0, reinterpret_cast<const sockaddr *>(&to),
           sockaddr_length(to));
  ASSERT_TRUE(run_until([&] { return recorder_->dtmfs.size() == 3; }));
  EXPECT_EQ(recorder_->dtmfs[2].digit, '*');
  EXPECT_EQ(recorder_->dtmfs[2].length, 100ms);
  EXPECT_EQ(recorder_->dtmfs[2].method, DtmfMethod::RtpEvent);
}

}  // namespace
}  // namespace junctor::sip::test
