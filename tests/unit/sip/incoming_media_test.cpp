// SPDX-License-Identifier: LGPL-2.1-or-later
// The lines of what callers offer, at first and later.
#include <gmock/gmock.h>

#include "incoming_fixture.h"

namespace junctor::sip::test {
namespace {

using ::testing::HasSubstr;

/// Of a caller.
std::string sound_and(const std::string &more, int version) {
  return "v=0\r\no=carol 1 " + std::to_string(version) +
         " IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
         "m=audio 40000 RTP/AVP 8\r\n" +
         more;
}
constexpr const char *kPicture = "m=video 40002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";

TEST_F(Incoming, APictureMayBeAddedToSound) {
  const Message ok = answered(sound_and("", 1));
  ASSERT_EQ(call_->media().size(), 1u);
  // In vain first: in a format that we do not know.
  send(request("INVITE", 3, "",
               sound_and("m=video 40002 RTP/AVP 97\r\na=rtpmap:97 theora/90000\r\n", 2),
               tag_of(ok)));
  EXPECT_THAT(final_of(3).body(), HasSubstr("m=video 0"));
  send(request("ACK", 3, "", "", tag_of(ok), "ack3"));
  EXPECT_EQ(call_->media().size(), 1u);
  send(request("INVITE", 4, "", sound_and(kPicture, 3), tag_of(ok)));
  const auto answer = sdp::parse(final_of(4).body());
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->media.size(), 2u);
  EXPECT_NE(answer->media[1].port, 0);
  send(request("ACK", 4, "", "", tag_of(ok), "ack4"));
  EXPECT_EQ(recorder_->count("changed"), 1);
  ASSERT_EQ(call_->media().size(), 2u);
  EXPECT_TRUE(call_->media()[0].accepted);
  EXPECT_TRUE(call_->media()[1].accepted);
  EXPECT_EQ(call_->media()[1].session->port(), answer->media[1].port);
  // Taken away and added again it is the same one.
  send(request("INVITE", 5, "", sound_and("m=video 0 RTP/AVP 96\r\n", 4), tag_of(ok)));
  EXPECT_THAT(final_of(5).body(), HasSubstr("m=video 0"));
  send(request("ACK", 5, "", "", tag_of(ok), "ack5"));
  EXPECT_FALSE(call_->media()[1].accepted);
  send(request("INVITE", 6, "", sound_and(kPicture, 5), tag_of(ok)));
  EXPECT_EQ(sdp::parse(final_of(6).body())->media.at(1).port, answer->media[1].port);
  send(request("ACK", 6, "", "", tag_of(ok), "ack6"));
  EXPECT_EQ(recorder_->count("changed"), 3);
}

TEST_F(Incoming, APictureMayBeAddedBehindLinesThatAreNone) {
  const Message ok = answered(sound_and("m=application 5000 UDP/BFCP *\r\n", 1));
  send(request("INVITE", 3, "",
               sound_and(std::string("m=application 5000 UDP/BFCP *\r\n") + kPicture, 2),
               tag_of(ok)));
  const Message both = final_of(3);
  const auto answer = sdp::parse(both.body());
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->media.size(), 3u);
  EXPECT_EQ(answer->media[1].port, 0);
  EXPECT_NE(answer->media[2].port, 0);
  send(request("ACK", 3, "", "", tag_of(ok), "ack3"));
  ASSERT_EQ(call_->media().size(), 2u);
  // Our own offer keeps the order.
  send(request("INVITE", 4, "", "", tag_of(ok)));
  EXPECT_THAT(final_of(4).body(), HasSubstr("m=application 0 UDP/BFCP *\r\nm=video"));
}

TEST_F(Incoming, WhatIsNotToBeAgreedOnIsNotAddedEither) {
  ring(sound_and("", 1));
  std::vector<Offered> sound;
  for (const rtp::Format &format : rtp::formats())
    if (medium_of(format.codec) == Medium::Audio) sound.push_back({.format = &format});
  ASSERT_TRUE(call_->answer(answering(sound)));
  const Message ok = peer_.response(200);
  send(request("ACK", 2, "", "", tag_of(ok), "ack"));
  send(request("INVITE", 3, "", sound_and(kPicture, 2), tag_of(ok)));
  EXPECT_THAT(final_of(3).body(), HasSubstr("m=video 0"));
  send(request("ACK", 3, "", "", tag_of(ok), "ack3"));
  EXPECT_EQ(recorder_->count("changed"), 0);
}

TEST_F(Incoming, AnOfferIsAnsweredInTheOrderOfItsLines) {
  const Message ok = answered(
      "v=0\r\no=carol 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
      "m=application 5000 TCP/BFCP *\r\nm=video 40002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
      "m=audio 40000 RTP/AVP 0\r\nm=audio 40004 RTP/AVP 8\r\n");
  std::vector<std::string> lines;
  for (std::size_t at = 0; (at = ok.body().find("\r\nm=", at)) != std::string::npos; ++at)
    lines.push_back(ok.body().substr(at + 4, ok.body().find(' ', at + 4) - at - 4));
  EXPECT_THAT(lines, testing::ElementsAre("application", "video", "audio", "audio"));
  EXPECT_THAT(ok.body(), HasSubstr("m=application 0"));
  EXPECT_THAT(ok.body(), HasSubstr("m=audio 0 RTP/AVP 8"));
  // What only holds a place is no medium.
  ASSERT_EQ(call_->media().size(), 2u);
  EXPECT_EQ(call_->media()[0].format->codec, Codec::H264);
  EXPECT_EQ(call_->media()[1].format->codec, Codec::Pcmu);
  // The order holds for what comes later.
  send(request("INVITE", 3, "",
               "v=0\r\no=carol 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
               "m=application 5000 TCP/BFCP *\r\nm=video 0 RTP/AVP 96\r\nm=audio 40000 RTP/AVP 0"
               "\r\nm=audio 40004 RTP/AVP 8\r\n",
               tag_of(ok)));
  EXPECT_EQ(final_of(3).status(), 200);
  send(request("ACK", 3, "", "", tag_of(ok), "ack3"));
  EXPECT_FALSE(call_->media()[0].accepted);
  EXPECT_TRUE(call_->media()[1].accepted);
  // And for our own offer.
  send(request("INVITE", 4, "", "", tag_of(ok)));
  const Message again = final_of(4);
  EXPECT_THAT(again.body(), HasSubstr("m=application 0 TCP/BFCP *\r\nm=video"));
}

}  // namespace
}  // namespace junctor::sip::test
