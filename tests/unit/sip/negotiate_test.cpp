// SPDX-License-Identifier: LGPL-2.1-or-later
// Offer and answer.
#include "sip/core/negotiate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "descriptions.h"

namespace junctor::sip {
namespace {

using sdp::Direction;
using ::testing::HasSubstr;
using ::testing::Not;

const Identity kUs{"192.0.2.1", 77, 5};

std::vector<OwnMedium> both() {
  return {{Medium::Audio, 20000, own_formats(Medium::Audio, {}, {})},
          {Medium::Video, 20002, own_formats(Medium::Video, {}, {})}};
}

sdp::Description parsed(const std::string &text) {
  auto description = sdp::parse(text);
  EXPECT_TRUE(description) << description.error().detail;
  return description ? *description : sdp::Description{};
}

std::string answer_text(const std::string &media, const std::string &session = "",
                        const std::string &address = "192.0.2.4") {
  return "v=0\r\no=- 1 1 IN IP4 " + address + "\r\ns=-\r\nc=IN IP4 " + address + "\r\nt=0 0\r\n" +
         session + media;
}

TEST(Offer, HasAudioThenVideoWithBothPacketizationModes) {
  rtp::H264Profile profile;
  profile.profile_idc = 0x64;
  profile.constraints = 0;
  profile.level_idc = 0x28;
  const std::vector<OwnMedium> media{
      {Medium::Audio, 20000, own_formats(Medium::Audio, {}, profile)},
      {Medium::Video, 20002, own_formats(Medium::Video, {}, profile)}};
  const std::string text = sdp::to_string(make_offer(kUs, media));
  EXPECT_THAT(text, HasSubstr("o=- 77 5 IN IP4 192.0.2.1\r\n"));
  EXPECT_THAT(text, HasSubstr("m=audio 20000 RTP/AVP 8 0\r\n"));
  EXPECT_THAT(text, HasSubstr("a=rtpmap:8 PCMA/8000\r\n"));
  EXPECT_LT(text.find("m=audio"), text.find("m=video 20002 RTP/AVP 96 97\r\n"));
  EXPECT_THAT(text, HasSubstr("a=fmtp:96 profile-level-id=640028;packetization-mode=1;"));
  EXPECT_THAT(text, HasSubstr("a=fmtp:97 profile-level-id=640028;packetization-mode=0;"));
  EXPECT_THAT(text, HasSubstr("a=rtcp-fb:* nack pli\r\n"));
}

TEST(Offer, ListsTheCodecsWantedInTheirOrder) {
  const auto audio = own_formats(Medium::Audio, {Codec::Pcmu, Codec::H264, Codec::Pcma}, {});
  ASSERT_EQ(audio.size(), 2u);
  EXPECT_EQ(audio[0].format->codec, Codec::Pcmu);
  EXPECT_EQ(audio[1].format->codec, Codec::Pcma);
  EXPECT_TRUE(own_formats(Medium::Video, {Codec::Pcmu}, {}).empty());
  // A codec named twice, or one that RTP does not carry here, adds nothing.
  EXPECT_EQ(own_formats(Medium::Audio, {Codec::Pcmu, Codec::Pcmu, Codec::Sorenson}, {}).size(), 1u);
}

TEST(Offer, WhatStandsAgainstItIsSaidOfTheMediumNotOfAPlaceholder) {
  OwnMedium none;  // holds the place of a line that was refused, and has no formats
  none.placeholder = sdp::MediaLine{};
  const std::vector<OwnMedium> media{none, both().front()};
  EXPECT_EQ(why_unacceptable(media, parsed(answer_text("m=video 4000 RTP/AVP 99\r\n"
                                                       "m=audio 4002 RTP/AVP 8\r\n",
                                                       "", "phone.example"))),
            "audio is wanted at phone.example, which is no IP address of one host");
}

TEST(Offer, EveryFormatOfTheTableHasANumberOfItsOwn) {
  for (const Medium medium : {Medium::Audio, Medium::Video}) {
    std::vector<int> numbers;
    for (const OwnFormat &own : own_formats(medium, {}, {})) numbers.push_back(own.payload_type);
    std::ranges::sort(numbers);
    EXPECT_EQ(std::ranges::adjacent_find(numbers), numbers.end());
  }
}

TEST(Answers, OfBaresip) {
  const auto agreed = read_answer(both(), parsed(std::string(test::kBaresip)));
  ASSERT_EQ(agreed.size(), 2u);
  EXPECT_TRUE(agreed[0].accepted);
  EXPECT_EQ(agreed[0].format->codec, Codec::Pcma);  // Opus comes first, but was not offered
  EXPECT_EQ(agreed[0].remote.rtp, (Endpoint{"192.0.2.4", 26748}));
  EXPECT_EQ(agreed[0].remote.rtcp, (Endpoint{"192.0.2.4", 26749}));
  EXPECT_TRUE(agreed[1].accepted);
  EXPECT_EQ(agreed[1].stream.payload_type, 97);
  EXPECT_EQ(agreed[1].stream.receive_payload_type, 97);  // ours for mode 0
  EXPECT_EQ(agreed[1].stream.clock_rate, 90000u);
  EXPECT_TRUE(agreed[1].stream.pli);
  EXPECT_TRUE(agreed[1].stream.nack);
  EXPECT_FALSE(agreed[1].stream.fir);
  EXPECT_EQ(agreed[1].direction, Direction::SendRecv);
  EXPECT_EQ(agreed[1].kbit_per_second, 512);
  EXPECT_EQ(agreed[0].kbit_per_second, 0);
}

TEST(Answers, ABandwidthOfTheWholeCallIsForThePictureButForWhatSoundTakes) {
  const auto agreed = read_answer(both(), parsed(std::string(test::kLinphone)));
  ASSERT_TRUE(agreed[1].accepted);
  EXPECT_EQ(agreed[1].kbit_per_second, 300);
  EXPECT_EQ(agreed[0].kbit_per_second, 0);
  // What leaves nothing for a picture is no reason for the largest one.
  for (const auto &[all, picture] : {std::pair("128", 48), std::pair("64", 1)}) {
    std::string thin(test::kLinphone);
    thin.replace(thin.find("b=AS:380") + 5, 3, all);
    EXPECT_EQ(read_answer(both(), parsed(thin))[1].kbit_per_second, picture) << all;
  }
}

TEST(Answers, OfSippHasAudioOnly) {
  const auto agreed = read_answer(both(), parsed(std::string(test::kSipp)));
  EXPECT_EQ(agreed[0].format->codec, Codec::Pcmu);
  EXPECT_FALSE(agreed[1].accepted);
  EXPECT_EQ(agreed[1].format, nullptr);
  EXPECT_EQ(agreed[1].medium, Medium::Video);
}

TEST(Answers, StaticNumbersNeedNoMap) {
  const auto agreed = read_answer(both(), parsed(answer_text("m=audio 9 RTP/AVP 8\r\n")));
  ASSERT_TRUE(agreed[0].accepted);
  EXPECT_EQ(agreed[0].format->codec, Codec::Pcma);
}

TEST(Answers, AMapOverrulesTheStaticNumber) {
  const auto agreed =
      read_answer(both(), parsed(answer_text("m=audio 9 RTP/AVP 8\r\na=rtpmap:8 iLBC/8000\r\n")));
  EXPECT_FALSE(agreed[0].accepted);
}

TEST(Answers, OwnNumbersOfThePeerAreSentTo) {
  const auto agreed = read_answer(
      both(), parsed(answer_text("m=audio 9 RTP/AVP 0\r\nm=video 11 RTP/AVP 120\r\n"
                                 "a=rtpmap:120 h264/90000\r\na=fmtp:120 packetization-mode=1\r\n"
                                 "a=rtcp-fb:120 ccm fir\r\na=rtcp-fb:99 nack pli\r\n")));
  ASSERT_TRUE(agreed[1].accepted);
  EXPECT_EQ(agreed[1].stream.payload_type, 120);
  EXPECT_EQ(agreed[1].stream.receive_payload_type, 96);
  EXPECT_TRUE(agreed[1].stream.fir);
  EXPECT_FALSE(agreed[1].stream.pli);
}

TEST(Answers, MissingPacketizationModeMeansTheOfferedNumber) {
  const auto agreed = read_answer(
      both(),
      parsed(answer_text("m=audio 9 RTP/AVP 0\r\nm=video 11 RTP/AVP 96\r\n"
                         "a=rtpmap:96 H264/90000\r\na=fmtp:96 profile-level-id=42e00d\r\n")));
  EXPECT_TRUE(agreed[1].accepted);
}

struct Held {
  const char *name, *session, *media, *address;
  Direction direction;
  bool send, receive;
};
class HeldBy : public ::testing::TestWithParam<Held> {};

TEST_P(HeldBy, DirectionAndAddress) {
  const Held &row = GetParam();
  const auto agreed =
      read_answer(both(), parsed(answer_text("m=audio 9 RTP/AVP 0\r\n" + std::string(row.media),
                                             row.session, row.address)));
  ASSERT_TRUE(agreed[0].accepted);
  EXPECT_EQ(agreed[0].direction, row.direction);
  EXPECT_EQ(agreed[0].remote.send, row.send);
  EXPECT_EQ(agreed[0].remote.receive, row.receive);
}

INSTANTIATE_TEST_SUITE_P(
    Ways, HeldBy,
    ::testing::Values(
        Held{"not", "", "", "192.0.2.4", Direction::SendRecv, true, true},
        Held{"sendonly", "", "a=sendonly\r\n", "192.0.2.4", Direction::RecvOnly, false, true},
        Held{"recvonly", "", "a=recvonly\r\n", "192.0.2.4", Direction::SendOnly, true, false},
        Held{"inactive", "", "a=inactive\r\n", "192.0.2.4", Direction::Inactive, false, false},
        Held{"session", "a=sendonly\r\n", "", "192.0.2.4", Direction::RecvOnly, false, true},
        Held{"overruled", "a=inactive\r\n", "a=sendrecv\r\n", "192.0.2.4", Direction::SendRecv,
             true, true},
        Held{"zeros", "", "", "0.0.0.0", Direction::RecvOnly, false, true},
        Held{"zeros_inactive", "", "a=inactive\r\n", "0.0.0.0", Direction::Inactive, false, false}),
    [](const auto &row) { return row.param.name; });

TEST(Answers, RefusedMedia) {
  struct Row {
    const char *why, *media;
  };
  for (const Row row :
       {Row{"port 0", "m=audio 0 RTP/AVP 0\r\n"}, Row{"other kind", "m=video 9 RTP/AVP 0\r\n"},
        Row{"encrypted", "m=audio 9 RTP/SAVP 0\r\n"}, Row{"no protocol", "m=audio 9 udp 0\r\n"},
        Row{"host name", "m=audio 9 RTP/AVP 0\r\nc=IN IP4 phone.example.com\r\n"},
        Row{"a group", "m=audio 9 RTP/AVP 0\r\nc=IN IP4 224.0.0.251/127\r\n"},
        Row{"a group in IPv6", "m=audio 9 RTP/AVP 0\r\nc=IN IP6 ff02::fb\r\n"},
        Row{"a group behind IPv6", "m=audio 9 RTP/AVP 0\r\nc=IN IP6 ::ffff:239.1.2.3\r\n"},
        Row{"everybody", "m=audio 9 RTP/AVP 0\r\nc=IN IP4 255.255.255.255\r\n"},
        Row{"no place for RTCP", "m=audio 65535 RTP/AVP 0\r\n"},
        Row{"wrong rate", "m=audio 9 RTP/AVP 97\r\na=rtpmap:97 PCMU/16000\r\n"}}) {
    const auto agreed = read_answer(both(), parsed(answer_text(row.media)));
    EXPECT_FALSE(agreed[0].accepted) << row.why;
  }
}

TEST(Answers, RtcpElsewhere) {
  const auto agreed =
      read_answer(both(), parsed(answer_text("m=audio 9000 RTP/AVP 0\r\na=rtcp:53020 IN IP4 "
                                             "126.16.64.4\r\n")));  // RFC 3605 section 2.1
  EXPECT_EQ(agreed[0].remote.rtcp, (Endpoint{"126.16.64.4", 53020}));
}

TEST(Answers, RtcpGoesToNoGroup) {
  const auto agreed = read_answer(
      both(), parsed(answer_text("m=audio 9000 RTP/AVP 0\r\na=rtcp:53020 IN IP4 224.2.17.12\r\n")));
  EXPECT_EQ(agreed[0].remote.rtcp.address, agreed[0].remote.rtp.address);
}

TEST(Offers, AreAnsweredInTheirOwnNumbers) {
  const auto media = both();
  const Answer answer = make_answer(kUs, media, {}, parsed(std::string(test::kLinphone)));
  ASSERT_TRUE(answer.acceptable);
  ASSERT_EQ(answer.description.media.size(), 2u);
  const auto &audio = answer.description.media[0], &video = answer.description.media[1];
  EXPECT_EQ(audio.port, 20000);
  ASSERT_EQ(audio.formats.size(), 1u);
  EXPECT_EQ(audio.formats[0].payload_type, 0);
  // Linphone leaves packetization-mode out: mode 0 in number 97, and so is our answer.
  EXPECT_EQ(video.formats[0].payload_type, 97);
  EXPECT_THAT(video.formats[0].fmtp, HasSubstr("packetization-mode=0"));
  EXPECT_EQ(answer.agreed[1].stream.payload_type, 97);
  EXPECT_EQ(answer.agreed[1].stream.receive_payload_type, 97);
  EXPECT_TRUE(answer.agreed[1].stream.fir);
  EXPECT_THAT(sdp::to_string(answer.description), Not(HasSubstr("telephone-event")));
}

struct SeveralH264 {
  const char *name;
  const char *first, *second;  ///< fmtp of 96 and 97
  int taken;
};
class OfSeveralH264 : public testing::TestWithParam<SeveralH264> {};

TEST_P(OfSeveralH264, TheOneThatTakesOursAsItIs) {
  const auto profile = rtp::H264Profile::from_profile_level_id("640028");
  const std::vector<OwnMedium> media{
      {Medium::Video, 20002, own_formats(Medium::Video, {}, profile)}};
  const auto offer = [](const SeveralH264 &tried) {
    return parsed(
        answer_text(std::string("m=video 40002 RTP/AVP 96 97\r\na=rtpmap:96 H264/90000\r\n"
                                "a=rtpmap:97 H264/90000\r\na=fmtp:96 ") +
                    tried.first + "\r\na=fmtp:97 " + tried.second + "\r\n"));
  };
  const Answer answer = make_answer(kUs, media, {}, offer(GetParam()));
  ASSERT_TRUE(answer.acceptable);
  EXPECT_EQ(answer.agreed[0].stream.payload_type, GetParam().taken);
  EXPECT_EQ(answer.agreed[0].fmtp, GetParam().taken == 96 ? GetParam().first : GetParam().second);
  // What is in use stays, be it not the best.
  auto current = answer.agreed;
  current[0].stream.payload_type = 96;
  const Answer again = make_answer(kUs, media, current, offer(GetParam()));
  EXPECT_EQ(again.agreed[0].stream.payload_type, 96);
}

INSTANTIATE_TEST_SUITE_P(
    All, OfSeveralH264,
    testing::Values(SeveralH264{"Baresip", "profile-level-id=42801f;packetization-mode=0",
                                "profile-level-id=42801f;packetization-mode=1", 97},
                    SeveralH264{"NoModeIsModeNought", "profile-level-id=640028",
                                "profile-level-id=42e01f;packetization-mode=1", 97},
                    SeveralH264{"Covering", "profile-level-id=42e01f;packetization-mode=1",
                                "profile-level-id=64002a;packetization-mode=1", 97},
                    SeveralH264{"LevelTooLow", "profile-level-id=64001f;packetization-mode=1",
                                "profile-level-id=640028;packetization-mode=1", 97},
                    SeveralH264{"BothCover", "profile-level-id=640032;packetization-mode=1",
                                "profile-level-id=640028;packetization-mode=1", 96},
                    SeveralH264{"NeitherCovers", "profile-level-id=42e01f;packetization-mode=1",
                                "profile-level-id=4d001f;packetization-mode=1", 96}),
    [](const auto &tried) { return std::string(tried.param.name); });

struct AnsweredTwice {
  const char *name, *offered, *again;
};
class ProfileOfAnAnswer : public testing::TestWithParam<AnsweredTwice> {};

TEST_P(ProfileOfAnAnswer, IsTheOneThatWasOffered) {
  const auto profile = rtp::H264Profile::from_profile_level_id("640028");
  const std::vector<OwnMedium> media{
      {Medium::Video, 20002, own_formats(Medium::Video, {}, profile)}};
  const std::string id = std::string("profile-level-id=") + GetParam().offered;
  const auto offer =
      parsed(answer_text("m=video 40002 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\na=fmtp:99 " + id +
                         ";packetization-mode=1\r\n"));
  const Answer first = make_answer(kUs, media, {}, offer);
  EXPECT_THAT(sdp::to_string(first.description), HasSubstr("a=fmtp:99 " + id + ";"));
  const Answer again = make_answer(kUs, media, first.agreed, offer);
  EXPECT_THAT(
      sdp::to_string(again.description),
      HasSubstr(std::string("a=fmtp:99 profile-level-id=") + GetParam().again + ";packetization"));
}

INSTANTIATE_TEST_SUITE_P(All, ProfileOfAnAnswer,
                         testing::Values(AnsweredTwice{"Another", "42e01f", "42e01f"},
                                         AnsweredTwice{"OneThatIsIncluded", "4d0028", "4d0028"},
                                         AnsweredTwice{"AnotherLevel", "640032", "640028"},
                                         AnsweredTwice{"Unknown", "ff0028", "ff0028"}),
                         [](const auto &tried) { return std::string(tried.param.name); });

TEST(Offers, OfOtherCodecsStayBeforeAFormatOfH264ThatFitsBetter) {
  std::vector<Offered> all;
  for (const rtp::Format &format : rtp::formats()) all.push_back({&format});
  const std::vector<OwnMedium> media{
      {Medium::Video, 20002, offered_formats(Medium::Video, all, {})}};
  const Answer answer = make_answer(
      kUs, media, {},
      parsed(answer_text("m=video 40002 RTP/AVP 98 97\r\na=rtpmap:98 VP8/90000\r\na=rtpmap:97 "
                         "H264/90000\r\na=fmtp:97 packetization-mode=1\r\n")));
  ASSERT_TRUE(answer.acceptable);
  EXPECT_EQ(answer.agreed[0].format->codec, Codec::Vp8);
}

TEST(Offers, KeepTheFormatInUse) {
  const auto media = both();
  const auto current = read_answer(media, parsed(answer_text("m=audio 9 RTP/AVP 8\r\n")));
  const Answer answer =
      make_answer(kUs, media, current, parsed(answer_text("m=audio 9 RTP/AVP 0 8\r\n")));
  EXPECT_EQ(answer.agreed[0].format->codec, Codec::Pcma);
  const Answer moved =
      make_answer(kUs, media, current, parsed(answer_text("m=audio 9 RTP/AVP 0\r\n")));
  EXPECT_EQ(moved.agreed[0].format->codec, Codec::Pcmu);
}

TEST(Offers, RefuseLinesThatAreNotOurs) {
  const Answer answer =
      make_answer(kUs, both(), {},
                  parsed(answer_text("m=audio 9 RTP/AVP 0\r\nm=video 0 RTP/AVP 96\r\n"
                                     "m=application 5000 UDP/BFCP *\r\nm=audio 11 RTP/AVP 0\r\n")));
  ASSERT_EQ(answer.description.media.size(), 4u);
  EXPECT_EQ(answer.description.media[0].port, 20000);
  EXPECT_EQ(answer.description.media[1].port, 0);
  EXPECT_EQ(answer.description.media[2].port, 0);
  EXPECT_EQ(answer.description.media[3].port, 0);
  EXPECT_THAT(sdp::to_string(answer.description), HasSubstr("m=application 0 UDP/BFCP *\r\n"));
  EXPECT_FALSE(answer.agreed[1].accepted);
}

TEST(Offers, HoldIsMirrored) {
  for (const auto &[theirs, ours] :
       {std::pair{"sendonly", Direction::RecvOnly}, std::pair{"recvonly", Direction::SendOnly},
        std::pair{"inactive", Direction::Inactive}, std::pair{"sendrecv", Direction::SendRecv}}) {
    const Answer answer = make_answer(
        kUs, both(), {},
        parsed(answer_text("m=audio 9 RTP/AVP 0\r\na=" + std::string(theirs) + "\r\n")));
    EXPECT_EQ(answer.description.media[0].direction, ours);
    EXPECT_EQ(answer.agreed[0].direction, ours);
  }
}

TEST(Offers, WithNothingOfOursAreNotAcceptable) {
  const Answer answer =
      make_answer(kUs, both(), {}, parsed(answer_text("m=audio 9 RTP/SAVP 0\r\n")));
  EXPECT_FALSE(answer.acceptable);
}

TEST(Answers, WithSeveralFormatsLetThePeerChangeAmongThem) {
  const auto media = both();
  const auto agreed = read_answer(
      media, parsed(answer_text("m=audio 9 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
                                "m=video 11 RTP/AVP 97 96\r\na=rtpmap:96 H264/90000\r\n"
                                "a=rtpmap:97 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n")));
  EXPECT_EQ(agreed[0].format->codec, Codec::Pcmu);
  EXPECT_EQ(agreed[0].stream.receive_payload_type, 0);
  EXPECT_EQ(agreed[0].stream.alternates,
            (std::vector<rtp::Alternate>{{8, rtp::Conversion::AlawToUlaw}}));
  EXPECT_EQ(agreed[1].stream.receive_payload_type, 97);
  EXPECT_EQ(agreed[1].stream.alternates,
            (std::vector<rtp::Alternate>{{96, rtp::Conversion::None}}));
  const auto narrow = read_answer(media, parsed(answer_text("m=audio 9 RTP/AVP 0\r\n")));
  EXPECT_TRUE(narrow[0].stream.alternates.empty());
  EXPECT_FALSE(narrow[0].same_as(agreed[0]));
}

TEST(Offers, GetOneFormatSoThatNoneCanCome) {
  const Answer answer =
      make_answer(kUs, both(), {}, parsed(answer_text("m=audio 9 RTP/AVP 0 8\r\n")));
  EXPECT_EQ(answer.description.media[0].formats.size(), 1u);
  EXPECT_TRUE(answer.agreed[0].stream.alternates.empty());
}

struct OfferedFeedback {
  const char *offered, *answered;
  bool pli, fir, nack;
};
class Feedback : public ::testing::TestWithParam<OfferedFeedback> {};

// RFC 4585 section 4.2: "the answerer ... MUST NOT add" what the offer has not.
TEST_P(Feedback, OfTheAnswerIsOfTheOfferToo) {
  const Answer answer = make_answer(
      kUs, both(), {},
      parsed(answer_text("m=audio 9 RTP/AVP 0\r\na=rtcp-fb:* nack\r\nm=video 11 RTP/AVP 96\r\n"
                         "a=rtpmap:96 H264/90000\r\n" +
                         std::string(GetParam().offered))));
  std::string answered;
  for (const sdp::Feedback &each : answer.description.media[1].feedback)
    answered += std::to_string(each.payload_type) + ' ' + each.value + '|';
  EXPECT_EQ(answered, GetParam().answered);
  const rtp::Stream &stream = answer.agreed[1].stream;
  EXPECT_EQ(stream.pli, GetParam().pli);
  EXPECT_EQ(stream.fir, GetParam().fir);
  EXPECT_EQ(stream.nack, GetParam().nack);
  // Sound has none of it here, whoever offers it.
  EXPECT_TRUE(answer.description.media[0].feedback.empty());
  EXPECT_FALSE(answer.agreed[0].stream.nack);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, Feedback,
    ::testing::Values(
        OfferedFeedback{"", "", false, false, false},
        OfferedFeedback{"a=rtcp-fb:* nack pli\r\n", "-1 nack pli|", true, false, false},
        OfferedFeedback{"a=rtcp-fb:96 nack\r\na=rtcp-fb:96 ccm fir\r\n", "96 nack|96 ccm fir|",
                        false, true, true},
        OfferedFeedback{"a=rtcp-fb:97 nack pli\r\na=rtcp-fb:* nack sli\r\n", "", false, false,
                        false},
        OfferedFeedback{"a=rtcp-fb:96 nack pli\r\na=rtcp-fb:* nack pli\r\n"
                        "a=rtcp-fb:* ccm tmmbr\r\na=rtcp-fb:* goog-remb\r\n",
                        "96 nack pli|", true, false, false},
        OfferedFeedback{"a=rtcp-fb:* ccm fir smaxpr=120\r\n", "-1 ccm fir|", false, true, false}));

TEST(OfferedAgain, FormatsInUseComeFirstInTheirNumbers) {
  const auto media = both();
  // The phone's own offer: H.264 in mode 0 as 96, which is our number for mode 1, and PCMU.
  const Answer answer =
      make_answer(kUs, media, {},
                  parsed(answer_text("m=audio 9 RTP/AVP 0 8\r\nm=video 11 RTP/AVP 96\r\n"
                                     "a=rtpmap:96 H264/90000\r\n")));
  const std::string text = sdp::to_string(make_offer(kUs, offered_again(media, answer.agreed)));
  EXPECT_THAT(text, HasSubstr("m=audio 20000 RTP/AVP 0 8\r\n"));
  EXPECT_THAT(text, HasSubstr("m=video 20002 RTP/AVP 96\r\n"));
  EXPECT_THAT(text, HasSubstr("a=fmtp:96 profile-level-id=42e01f;packetization-mode=0;"));
  // Our mode 1 was 96, and 97 was our mode 0: neither number may mean mode 1 now.
  EXPECT_THAT(text, Not(HasSubstr("packetization-mode=1")));
  EXPECT_THAT(text, HasSubstr("a=sendrecv\r\n"));
}

TEST(OfferedAgain, NothingAgreedIsTheFirstOfferAgain) {
  const auto media = both();
  EXPECT_EQ(sdp::to_string(make_offer(kUs, offered_again(media, {}))),
            sdp::to_string(make_offer(kUs, media)));
  const auto refused = read_answer(media, parsed(answer_text("m=audio 0 RTP/AVP 8\r\n")));
  EXPECT_EQ(sdp::to_string(make_offer(kUs, offered_again(media, refused))),
            sdp::to_string(make_offer(kUs, media)));
}

TEST(AgreedMedia, ComparesWhatMatters) {
  const auto media = both();
  const auto one = read_answer(media, parsed(std::string(test::kBaresip)));
  EXPECT_TRUE(one[1].same_as(one[1]));
  Agreed other = one[1];
  other.remote.rtp.port = 1;
  EXPECT_FALSE(one[1].same_as(other));
  other = one[1];
  other.direction = Direction::Inactive;
  EXPECT_FALSE(one[1].same_as(other));
}

}  // namespace
}  // namespace junctor::sip
