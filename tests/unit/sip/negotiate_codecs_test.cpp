// SPDX-License-Identifier: LGPL-2.1-or-later
// Offer and answer, format by format: names, clock rates and parameters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sip/core/negotiate.h"

namespace junctor::sip {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const Identity kUs{"192.0.2.1", 77, 5};

Offered of(const char *name) {
  const auto found = rtp::find_formats(name);
  EXPECT_EQ(found.size(), 1u) << name;
  return {found.empty() ? nullptr : found[0]};
}

std::vector<OwnMedium> one(Medium medium, const std::vector<Offered> &offer) {
  return {{medium, 20000, offered_formats(medium, offer, {})}};
}

std::string offer_text(const std::vector<OwnMedium> &media) {
  return sdp::to_string(make_offer(kUs, media));
}

sdp::Description described(const std::string &media) {
  auto read = sdp::parse(
      "v=0\r\no=- 1 1 IN IP4 192.0.2.4\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n" + media);
  EXPECT_TRUE(read) << read.error().detail;
  return read ? *read : sdp::Description{};
}

Agreed answered(const std::vector<OwnMedium> &media, const std::string &answer) {
  const auto agreed = read_answer(media, described(answer));
  EXPECT_EQ(agreed.size(), 1u);
  return agreed.empty() ? Agreed{} : agreed[0];
}

TEST(CodecOffer, NobodyAskedForMoreThanTheDefaults) {
  const std::vector<OwnMedium> media{{Medium::Audio, 20000, own_formats(Medium::Audio, {}, {})},
                                     {Medium::Video, 20002, own_formats(Medium::Video, {}, {})}};
  const std::string text = offer_text(media);
  EXPECT_THAT(text, HasSubstr("m=audio 20000 RTP/AVP 8 0\r\n"));
  EXPECT_THAT(text, HasSubstr("m=video 20002 RTP/AVP 96 97\r\n"));
}

TEST(CodecOffer, EveryFormatOfAnOfferHasANumberOfItsOwnAndItsMap) {
  std::vector<Offered> all;
  for (const rtp::Format &format : rtp::formats()) all.push_back({&format});
  const std::string audio = offer_text(one(Medium::Audio, all));
  EXPECT_THAT(audio, HasSubstr("m=audio 20000 RTP/AVP 8 0 98 99 100 102\r\n"));
  EXPECT_THAT(audio, HasSubstr("a=rtpmap:98 SPEEX/16000\r\n"));
  EXPECT_THAT(audio, HasSubstr("a=rtpmap:99 SPEEX/8000\r\n"));
  EXPECT_THAT(audio, HasSubstr("a=rtpmap:100 MPEG4-GENERIC/44100\r\n"));
  EXPECT_THAT(audio, HasSubstr("a=rtpmap:102 MP4A-LATM/44100\r\n"));
  const std::string video = offer_text(one(Medium::Video, all));
  EXPECT_THAT(video, HasSubstr("m=video 20000 RTP/AVP 96 97 103 104 105 34\r\n"));
  EXPECT_THAT(video, HasSubstr("a=rtpmap:103 VP8/90000\r\na=fmtp:103 max-fr=30;max-fs=3600\r\n"));
  EXPECT_THAT(video, HasSubstr("a=rtpmap:104 H263-2000/90000\r\na=fmtp:104 CIF=1;QCIF=1\r\n"));
  EXPECT_THAT(video, HasSubstr("a=rtpmap:105 H263-1998/90000\r\n"));
  EXPECT_THAT(video, HasSubstr("a=rtpmap:34 H263/90000\r\na=fmtp:34 CIF=1;QCIF=1\r\n"));
}

TEST(CodecOffer, AacHasTheClockRateChannelsAndConfigurationOfItsStream) {
  Offered generic = of("mpeg4-generic"), latm = of("mp4a-latm");
  generic.aac = latm.aac = rtp::AacConfig{48000, 2};
  const std::string text = offer_text(one(Medium::Audio, {generic, latm}));
  EXPECT_THAT(text, HasSubstr("a=rtpmap:100 MPEG4-GENERIC/48000/2\r\n"));
  EXPECT_THAT(text, HasSubstr("a=fmtp:100 streamtype=5;profile-level-id=41;mode=AAC-hbr;"
                              "sizelength=13;indexlength=3;indexdeltalength=3;config=1190\r\n"));
  EXPECT_THAT(text, HasSubstr("a=rtpmap:102 MP4A-LATM/48000/2\r\n"));
  EXPECT_THAT(text, HasSubstr("a=fmtp:102 profile-level-id=41;object=2;cpresent=0;"
                              "config=400023203fc0\r\n"));
}

TEST(AacAnswer, ThatCannotBeEncodedGivesWayToTheNextFormat) {
  const std::string surround =
      "m=audio 9 RTP/AVP 100 8\r\na=rtpmap:100 MPEG4-GENERIC/44100/6\r\n"
      "a=fmtp:100 streamtype=5;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;"
      "config=1230\r\n";
  Offered mono = of("mpeg4-generic");
  mono.aac = rtp::AacConfig{44100, 1};
  const Agreed other = answered(one(Medium::Audio, {mono, of("pcma")}), surround);
  ASSERT_TRUE(other.accepted) << other.problem;
  EXPECT_EQ(other.format->codec, Codec::Pcma);
  Offered same = mono;
  same.aac = rtp::AacConfig{44100, 6};
  const Agreed passed = answered(one(Medium::Audio, {same, of("pcma")}), surround);
  ASSERT_TRUE(passed.accepted) << passed.problem;
  EXPECT_EQ(passed.format->codec, Codec::Aac);
  EXPECT_EQ(passed.channels, 6);
}

TEST(CodecOffer, OneFormatTwiceTakesOtherParameters) {
  Offered high = of("mpeg4-generic"), low = high;
  low.aac = rtp::AacConfig{16000, 1};
  const auto own = offered_formats(Medium::Audio, {high, low, high}, {});
  ASSERT_EQ(own.size(), 2u);
  EXPECT_NE(own[0].payload_type, own[1].payload_type);
  EXPECT_EQ(own[1].clock_rate, 16000u);
}

TEST(CodecOffer, ParametersOfTheCallersOwnReplaceTheTables) {
  Offered h263 = of("h263-1998");
  h263.fmtp = "QCIF=2";
  EXPECT_THAT(offer_text(one(Medium::Video, {h263})), HasSubstr("a=fmtp:105 QCIF=2\r\n"));
  Offered h264 = of("h264");
  h264.fmtp = "profile-level-id=42e01f;packetization-mode=0";
  EXPECT_EQ(offered_formats(Medium::Video, {h264}, {}).size(), 1u);
}

TEST(CodecOffer, AWholeCodecMeansAllItsFormats) {
  EXPECT_EQ(own_formats(Medium::Audio, {Codec::Speex}, {}).size(), 2u);
  EXPECT_EQ(own_formats(Medium::Audio, {Codec::Aac}, {}).size(), 2u);
  EXPECT_EQ(own_formats(Medium::Video, {Codec::H263}, {}).size(), 3u);
  EXPECT_TRUE(own_formats(Medium::Video, {Codec::Sorenson}, {}).empty());
}

struct Answered {
  const char *format;  // offered
  const char *medium, *answer;
  std::uint32_t clock_rate;
  int number;
};
class CodecAnswer : public testing::TestWithParam<Answered> {};

TEST_P(CodecAnswer, IsUnderstood) {
  const Answered &row = GetParam();
  const Medium medium = std::string(row.medium) == "audio" ? Medium::Audio : Medium::Video;
  const auto media = one(medium, {of(row.format)});
  const Agreed agreed = answered(media, row.answer);
  ASSERT_TRUE(agreed.accepted) << row.format << ": " << agreed.problem;
  EXPECT_EQ(agreed.format, of(row.format).format);
  EXPECT_EQ(agreed.stream.clock_rate, row.clock_rate);
  EXPECT_EQ(agreed.stream.payload_type, row.number);
  EXPECT_EQ(agreed.stream.receive_payload_type, media[0].formats[0].payload_type);
  EXPECT_TRUE(agreed.problem.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Peers, CodecAnswer,
    testing::Values(
        Answered{"speex/16000", "audio", "m=audio 9 RTP/AVP 98\r\na=rtpmap:98 speex/16000\r\n",
                 16000, 98},
        // RFC 5574 section 5.
        Answered{"speex/8000", "audio",
                 "m=audio 8088 RTP/AVP 97\r\na=rtpmap:97 speex/8000\r\n"
                 "a=fmtp:97 mode=\"1,any\";vbr=on\r\n",
                 8000, 97},
        Answered{"mpeg4-generic", "audio",
                 "m=audio 9 RTP/AVP 100\r\na=rtpmap:100 mpeg4-generic/44100\r\n"
                 "a=fmtp:100 streamtype=5; mode=AAC-hbr; config=1208; sizeLength=13; "
                 "indexLength=3; indexDeltaLength=3\r\n",
                 44100, 100},
        // Without parameters ours are meant; a channel count beside one channel says nothing new.
        Answered{"mpeg4-generic", "audio",
                 "m=audio 9 RTP/AVP 100\r\na=rtpmap:100 MPEG4-GENERIC/44100/1\r\n", 44100, 100},
        Answered{"mp4a-latm", "audio",
                 "m=audio 9 RTP/AVP 102\r\na=rtpmap:102 MP4A-LATM/44100\r\n"
                 "a=fmtp:102 cpresent=0;config=40002410\r\n",
                 44100, 102},
        // RFC 7741 section 6.2.
        Answered{"vp8", "video",
                 "m=video 9 RTP/AVPF 98\r\na=rtpmap:98 VP8/90000\r\n"
                 "a=fmtp:98 max-fr=30; max-fs=3600;\r\n",
                 90000, 98},
        Answered{"h263-1998", "video",
                 "m=video 9 RTP/AVP 105\r\na=rtpmap:105 h263-1998/90000\r\n"
                 "a=fmtp:105 CIF=4;QCIF=2;F=1;K=1\r\n",
                 90000, 105},
        Answered{"h263-2000", "video",
                 "m=video 9 RTP/AVP 104\r\na=rtpmap:104 H263-2000/90000\r\n"
                 "a=fmtp:104 profile=0;level=10\r\n",
                 90000, 104},
        Answered{"h263/90000", "video", "m=video 9 RTP/AVP 34\r\n", 90000, 34},
        Answered{"h263/90000", "video",
                 "m=video 9 RTP/AVP 34\r\na=rtpmap:34 H263/90000\r\na=fmtp:34 QCIF=1\r\n", 90000,
                 34}));

TEST(CodecAnswers, TheFirstOfTwoRatesOfOneCodecCounts) {
  const auto media = one(Medium::Audio, {of("speex/16000"), of("speex/8000")});
  const Agreed agreed = answered(media,
                                 "m=audio 9 RTP/AVP 99 98\r\na=rtpmap:99 speex/8000\r\n"
                                 "a=rtpmap:98 speex/16000\r\n");
  ASSERT_TRUE(agreed.accepted);
  EXPECT_EQ(agreed.stream.clock_rate, 8000u);
  EXPECT_TRUE(agreed.stream.alternates.empty()) << "another clock rate takes another decoder";
}

TEST(CodecAnswers, AnotherPackingOfTheSameCodecIsNoAlternate) {
  const auto aac = one(Medium::Audio, {of("mpeg4-generic"), of("mp4a-latm")});
  EXPECT_TRUE(answered(aac,
                       "m=audio 9 RTP/AVP 100 102\r\na=rtpmap:100 MPEG4-GENERIC/44100\r\n"
                       "a=rtpmap:102 MP4A-LATM/44100\r\n")
                  .stream.alternates.empty());
  const auto h263 = one(Medium::Video, {of("h263-1998"), of("h263/90000")});
  const Agreed agreed =
      answered(h263, "m=video 9 RTP/AVP 105 34\r\na=rtpmap:105 H263-1998/90000\r\n");
  EXPECT_EQ(agreed.format->encoding_name, "H263-1998");
  EXPECT_TRUE(agreed.stream.alternates.empty());
}

TEST(CodecAnswers, ChannelsAreThoseOfTheConfiguration) {
  const Agreed agreed = answered(
      one(Medium::Audio, {of("mpeg4-generic")}),
      "m=audio 9 RTP/AVP 100\r\na=rtpmap:100 MPEG4-GENERIC/44100/2\r\na=fmtp:100 mode=AAC-hbr;"
      "sizelength=13;indexlength=3;indexdeltalength=3;config=1210\r\n");
  ASSERT_TRUE(agreed.accepted);
  EXPECT_EQ(agreed.channels, 2);
}

TEST(CodecAnswers, WhatCannotBeTakenIsRefusedWithTheReason) {
  const auto why = [](const char *format, const std::string &answer) {
    const Agreed agreed = answered(one(Medium::Audio, {of(format)}), answer);
    EXPECT_FALSE(agreed.accepted) << answer;
    EXPECT_EQ(agreed.format, nullptr);
    return agreed.problem;
  };
  const std::string generic = "m=audio 9 RTP/AVP 100\r\na=rtpmap:100 MPEG4-GENERIC/44100\r\n";
  EXPECT_EQ(why("mpeg4-generic", generic + "a=fmtp:100 mode=AAC-lbr;config=1388\r\n"),
            "MPEG4-GENERIC cannot be taken: its mode is not AAC-hbr");
  EXPECT_THAT(why("mpeg4-generic", generic + "a=fmtp:100 mode=AAC-hbr;sizelength=13;indexlength=3;"
                                             "indexdeltalength=3;config=F8EE2000\r\n"),
              HasSubstr("object type 31"));
  EXPECT_THAT(why("mpeg4-generic", generic + "a=fmtp:100 mode=AAC-hbr;sizelength=13;indexlength=3;"
                                             "indexdeltalength=3;config=1408\r\n"),
              HasSubstr("its config is of 16000 Hz, not 44100"));
  EXPECT_THAT(
      why("mpeg4-generic", "m=audio 9 RTP/AVP 100\r\na=rtpmap:100 MPEG4-GENERIC/48000/2\r\n"),
      HasSubstr("its clock rate is 48000 Hz, not 44100"));
  EXPECT_THAT(why("mp4a-latm",
                  "m=audio 9 RTP/AVP 102\r\na=rtpmap:102 MP4A-LATM/44100\r\n"
                  "a=fmtp:102 config=400024103fc0\r\n"),
              HasSubstr("in band"));
  // What was not offered is nothing of ours.
  EXPECT_EQ(why("speex/16000", "m=audio 9 RTP/AVP 98\r\na=rtpmap:98 speex/8000\r\n"), "");
  EXPECT_EQ(why("speex/16000", "m=audio 9 RTP/AVP 98\r\na=rtpmap:98 opus/48000/2\r\n"), "");
}

TEST(CodecReinvite, AacIsAnsweredInItsOwnWords) {
  Offered aac = of("mpeg4-generic");
  aac.aac = rtp::AacConfig{48000, 2};
  const auto media = one(Medium::Audio, {aac});
  const std::string line =
      "m=audio 9 RTP/AVP 100\r\na=rtpmap:100 MPEG4-GENERIC/48000/2\r\na=fmtp:100 mode=AAC-hbr;"
      "sizelength=13;indexlength=3;indexdeltalength=3;config=1190\r\n";
  const auto before = read_answer(media, described(line));
  ASSERT_TRUE(before[0].accepted);
  const Answer answer = make_answer(kUs, media, before, described(line + "a=sendonly\r\n"));
  ASSERT_TRUE(answer.acceptable);
  const std::string text = sdp::to_string(answer.description);
  EXPECT_THAT(text, HasSubstr("a=rtpmap:100 MPEG4-GENERIC/48000/2\r\n"));
  EXPECT_THAT(text, HasSubstr("config=1190\r\n"));
  EXPECT_THAT(text, HasSubstr("a=recvonly\r\n"));
  // Other parameters under the same number would leave the pipeline deaf.
  const Answer other = make_answer(
      kUs, media, before,
      described("m=audio 9 RTP/AVP 100\r\na=rtpmap:100 MPEG4-GENERIC/48000/2\r\na=fmtp:100 "
                "mode=AAC-lbr;config=1388\r\n"));
  EXPECT_FALSE(other.acceptable);
  EXPECT_THAT(sdp::to_string(other.description), HasSubstr("m=audio 0 "));
}

TEST(CodecReinvite, TheFormatInUseIsKept) {
  const auto media = one(Medium::Video, {of("vp8"), of("h263-2000"), of("h263/90000")});
  const std::string line =
      "m=video 9 RTP/AVP 103 120\r\na=rtpmap:103 VP8/90000\r\na=rtpmap:120 H263-2000/90000\r\n"
      "a=fmtp:120 profile=0;level=10\r\na=rtcp-fb:* ccm fir\r\n";
  const auto before =
      read_answer(media, described("m=video 9 RTP/AVP 120\r\na=rtpmap:120 H263-2000/90000\r\n"));
  ASSERT_TRUE(before[0].accepted);
  const Answer answer = make_answer(kUs, media, before, described(line));
  ASSERT_TRUE(answer.acceptable);
  EXPECT_EQ(answer.agreed[0].format->encoding_name, "H263-2000");
  EXPECT_TRUE(answer.agreed[0].stream.fir);
  const std::string text = sdp::to_string(answer.description);
  EXPECT_THAT(text, HasSubstr("a=fmtp:120 CIF=1;QCIF=1\r\n"));
  EXPECT_THAT(text, Not(HasSubstr("VP8")));

  const auto again = offered_again(media, before);
  EXPECT_EQ(again[0].formats[0].format->encoding_name, "H263-2000");
}

}  // namespace
}  // namespace junctor::sip
