// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading and writing SDP.
#include "sip/core/sdp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "descriptions.h"

namespace junctor::sip::sdp {
namespace {

using ::testing::HasSubstr;

Description parsed(std::string_view text) {
  auto description = parse(text);
  EXPECT_TRUE(description) << description.error().detail;
  return description ? *description : Description{};
}

TEST(Sdp, ReadsBaresip) {
  const Description d = parsed(test::kBaresip);
  EXPECT_EQ(d.address, "192.0.2.4");
  EXPECT_EQ(d.id, 3941672850u);
  ASSERT_EQ(d.media.size(), 2u);
  EXPECT_EQ(d.media[0].kind, "audio");
  EXPECT_EQ(d.media[0].port, 26748);
  ASSERT_EQ(d.media[0].formats.size(), 4u);
  EXPECT_EQ(d.media[0].formats[0].encoding, "opus");
  EXPECT_EQ(d.media[0].formats[0].channels, 2);
  EXPECT_EQ(d.media[0].formats[3].payload_type, 101);
  EXPECT_EQ(d.media[0].rtcp->port, 26749);
  EXPECT_EQ(d.media[1].bandwidth_kbps, 512u);
  EXPECT_EQ(d.media[1].formats[0].fmtp, "packetization-mode=0;profile-level-id=42801f");
  ASSERT_EQ(d.media[1].feedback.size(), 2u);
  EXPECT_EQ(d.media[1].feedback[1].value, "nack pli");
}

TEST(Sdp, ReadsLinphone) {
  const Description d = parsed(test::kLinphone);
  ASSERT_EQ(d.media.size(), 2u);
  EXPECT_EQ(d.media[0].formats[1].encoding, "speex");
  EXPECT_EQ(d.media[0].formats[1].fmtp, "vbr=on");
  EXPECT_EQ(d.media[1].formats[1].encoding, "H264");
  EXPECT_EQ(d.bandwidth_kbps, 380u);
}

TEST(Sdp, ReadsRfc4317Example) {
  // RFC 4317 section 2.1, the offer: static numbers with maps, several formats.
  const Description d = parsed(test::kRfc4317Offer);
  ASSERT_EQ(d.media.size(), 2u);
  EXPECT_EQ(d.user, "alice");
  EXPECT_EQ(d.origin_address, "host.atlanta.example.com");
  EXPECT_EQ(d.address, "host.atlanta.example.com");
  EXPECT_EQ(d.media[0].port, 49170);
  EXPECT_EQ(d.media[0].formats[2].encoding, "iLBC");
  EXPECT_EQ(d.media[1].formats[0].encoding, "H261");
}

TEST(Sdp, ReadsEitherBandwidth) {
  const auto bandwidth = [](const std::string &lines) {
    return parsed(
               "v=0\r\no=- 1 1 IN IP4 192.0.2.4\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n"
               "m=video 5006 RTP/AVP 96\r\n" +
               lines + "a=rtpmap:96 H264/90000\r\n")
        .media[0]
        .bandwidth_kbps;
  };
  EXPECT_EQ(bandwidth("b=AS:384\r\n"), 384U);
  EXPECT_EQ(bandwidth("b=TIAS:256500\r\n"), 257U);
  EXPECT_EQ(bandwidth("b=AS:384\r\nb=TIAS:360000\r\nb=RR:800\r\n"), 360U);
  EXPECT_EQ(bandwidth("b=CT:384\r\n"), 0U);
  EXPECT_EQ(bandwidth("b=AS:384\r\nb=TIAS:0\r\n"), 384U) << "says nothing";
  EXPECT_EQ(bandwidth("b=AS:384\r\nb=TIAS:4294967295\r\n"), 384U);
}

TEST(Sdp, MediaLevelOverrulesSessionLevel) {
  const Description d = parsed(
      "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\na=sendonly\n"
      "m=audio 1000 RTP/AVP 0\nm=video 1002 RTP/AVP 34\nc=IN IP6 2001:db8::1\na=inactive\n");
  EXPECT_EQ(d.address_of(d.media[0]), "192.0.2.1");
  EXPECT_EQ(d.direction_of(d.media[0]), Direction::SendOnly);
  EXPECT_EQ(d.address_of(d.media[1]), "2001:db8::1");
  EXPECT_EQ(d.direction_of(d.media[1]), Direction::Inactive);
}

TEST(Sdp, WritesWhatItReads) {
  for (const std::string_view text : {test::kBaresip, test::kLinphone, test::kRfc4317Offer}) {
    const std::string written = to_string(parsed(text));
    EXPECT_EQ(to_string(parsed(written)), written);
  }
}

TEST(Sdp, WritesRefusedMediaWithTheirFormats) {
  Description d = parsed("v=0\no=- 1 1 IN IP4 1.2.3.4\ns=-\nt=0 0\nm=image 7 udptl t38\n");
  d.media[0].port = 0;
  EXPECT_THAT(to_string(d), HasSubstr("m=image 0 udptl t38\r\n"));
}

struct Bad {
  const char *name;
  std::string text;
  const char *says;
};
class BadSdp : public ::testing::TestWithParam<Bad> {};

TEST_P(BadSdp, IsRefusedWithItsLine) {
  const auto description = parse(GetParam().text);
  ASSERT_FALSE(description);
  EXPECT_EQ(description.error().fault, Fault::BadInput);
  EXPECT_THAT(description.error().detail, HasSubstr(GetParam().says));
}

const std::string kHead = "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\n";

INSTANTIATE_TEST_SUITE_P(
    Rows, BadSdp,
    ::testing::Values(Bad{"empty", "", "without a v="},
                      Bad{"origin", "v=0\r\ns=-\r\n", "without an o="},
                      Bad{"version", "v=1\r\n", "line 1"},
                      Bad{"no_version", "m=audio 1 RTP/AVP 0\r\n", "line 1"},
                      Bad{"form", kHead + "hello\r\n", "line 5"},
                      Bad{"port", kHead + "m=audio 70000 RTP/AVP 0\r\n", "m= is not"},
                      Bad{"negative", kHead + "m=audio -1 RTP/AVP 0\r\n", "m= is not"},
                      Bad{"type", kHead + "m=audio 1 RTP/AVP 128\r\n", "payload type"},
                      Bad{"word", kHead + "m=audio 1 RTP/AVP opus\r\n", "payload type"},
                      Bad{"no_format", kHead + "m=audio 1 RTP/AVP\r\n", "no format"},
                      Bad{"address", kHead + "c=IN IP4 1.2.3\r\n", "c="},
                      Bad{"network", kHead + "c=ATM NSAP 47\r\n", "c="},
                      Bad{"rate", kHead + "m=audio 1 RTP/AVP 96\r\na=rtpmap:96 x/0\r\n", "line 6"},
                      Bad{"rtcp", kHead + "m=audio 1 RTP/AVP 0\r\na=rtcp:x\r\n", "rtcp"},
                      Bad{"control", kHead + "i=\x01\r\n", "control"},
                      Bad{"nul", kHead + std::string("i=a\0b\r\n", 7), "control"},
                      Bad{"line", kHead + "i=" + std::string(kMaxLine, 'x') + "\r\n", "too long"},
                      Bad{"size", kHead + std::string(kMaxSize, '\n'), "bytes"},
                      Bad{"origins", kHead + "o=- 1 1 IN IP4 1.2.3.4\r\n", "second"}),
    [](const auto &row) { return row.param.name; });

TEST(Sdp, BoundsMediaFormatsAndFeedback) {
  std::string many = kHead;
  for (std::size_t i = 0; i <= kMaxMedia; ++i) many += "m=audio 1 RTP/AVP 0\r\n";
  EXPECT_FALSE(parse(many));
  std::string formats = kHead + "m=audio 1 RTP/AVP";
  for (std::size_t i = 0; i <= kMaxFormats; ++i) formats += " 0";
  EXPECT_FALSE(parse(formats));
  std::string feedback = kHead + "m=video 1 RTP/AVP 96\r\n";
  for (std::size_t i = 0; i <= kMaxFeedback; ++i) feedback += "a=rtcp-fb:* nack\r\n";
  EXPECT_FALSE(parse(feedback));
}

TEST(Sdp, SkipsWhatItDoesNotKnow) {
  const Description d = parsed(kHead +
                               "x=who knows\r\na=strange:thing\r\nm=audio 5 RTP/AVP 0\r\n"
                               "a=rtpmap:99 left/8000\r\na=fmtp:99 over\r\na=ptime:20\r\n\r\n");
  EXPECT_EQ(d.media.size(), 1u);
}

TEST(Sdp, DirectionsMirror) {
  EXPECT_EQ(mirrored(Direction::SendOnly), Direction::RecvOnly);
  EXPECT_EQ(mirrored(Direction::RecvOnly), Direction::SendOnly);
  EXPECT_EQ(mirrored(Direction::SendRecv), Direction::SendRecv);
  EXPECT_EQ(mirrored(Direction::Inactive), Direction::Inactive);
}

}  // namespace
}  // namespace junctor::sip::sdp
