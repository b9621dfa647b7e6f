// SPDX-License-Identifier: LGPL-2.1-or-later
// telephone-event in offer and answer.
#include "sip/core/telephone_events.h"

#include <gmock/gmock.h>

#include <string>

#include "descriptions.h"
#include "sip/core/negotiate.h"

namespace junctor::sip::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

OwnMedium audio(const std::vector<Codec> &codecs) {
  OwnMedium medium{Medium::Audio, 40000, own_formats(Medium::Audio, codecs, std::nullopt)};
  medium.events = own_events(medium);
  return medium;
}

const Identity kIdentity{"192.0.2.1", 1, 1};

std::string audio_answer(const std::string &numbers, const std::string &maps) {
  return "v=0\r\no=b 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 "
         "RTP/AVP " +
         numbers + "\r\n" + maps;
}

rtp::EventStream events_of(const OwnMedium &medium, const std::string &answer) {
  const auto agreed = read_answer({medium}, *sdp::parse(answer));
  EXPECT_TRUE(agreed[0].accepted);
  return agreed[0].stream.events;
}

TEST(TelephoneEvents, AreOfferedOnceForEachClockRate) {
  const std::string offer = sdp::to_string(
      make_offer(kIdentity, {audio({Codec::Pcma, Codec::Pcmu, Codec::Speex, Codec::Aac})}));
  EXPECT_THAT(offer, HasSubstr("a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"));
  EXPECT_THAT(offer, HasSubstr(" telephone-event/16000\r\n"));
  EXPECT_THAT(offer, HasSubstr(" telephone-event/44100\r\n"));
  const auto first = offer.find("telephone-event/8000");
  EXPECT_EQ(offer.find("telephone-event/8000", first + 1), std::string::npos);
  OwnMedium video{Medium::Video, 40002, own_formats(Medium::Video, {}, std::nullopt)};
  EXPECT_TRUE(own_events(video).empty());
}

TEST(TelephoneEvents, NoNumberIsUsedTwice) {
  const OwnMedium medium = audio({Codec::Pcma, Codec::Pcmu, Codec::Speex, Codec::Aac});
  std::vector<int> numbers;
  for (const auto &format : medium.formats) numbers.push_back(format.payload_type);
  for (const auto &events : medium.events) numbers.push_back(events.payload_type);
  std::ranges::sort(numbers);
  EXPECT_EQ(std::ranges::adjacent_find(numbers), numbers.end());
}

TEST(TelephoneEvents, AnAnswerSaysHowTheyAreSent) {
  const auto events =
      events_of(audio({Codec::Pcma}), audio_answer("8 96",
                                                   "a=rtpmap:96 telephone-event/8000\r\n"
                                                   "a=fmtp:96 0-9\r\n"));
  EXPECT_EQ(events.payload_type, 96);
  EXPECT_EQ(events.receive_payload_type, 101);
  EXPECT_EQ(events.clock_rate, 8000U);
  EXPECT_EQ(events.taken, 0x03ff);
  EXPECT_EQ(events_of(audio({Codec::Pcma}), audio_answer("8", "")).payload_type, -1);
  // An old phone that names another event only.
  EXPECT_EQ(events_of(audio({Codec::Pcma}), audio_answer("8 97", "a=rtpmap:97 tone/8000\r\n"))
                .receive_payload_type,
            -1);
}

TEST(TelephoneEvents, OneRateForSoundAndEvents) {
  const OwnMedium medium = audio({Codec::Speex, Codec::Pcma});
  const auto fitting = events_of(medium, audio_answer("98 101 99",
                                                      "a=rtpmap:98 SPEEX/16000\r\n"
                                                      "a=rtpmap:99 telephone-event/8000\r\n"
                                                      "a=rtpmap:101 telephone-event/16000\r\n"));
  EXPECT_EQ(fitting.payload_type, 101);
  EXPECT_EQ(fitting.clock_rate, 16000U);
  // A phone that knows one rate only sends it all the same, but cannot be sent it.
  const auto other = events_of(medium, audio_answer("98 99",
                                                    "a=rtpmap:98 SPEEX/16000\r\n"
                                                    "a=rtpmap:99 telephone-event/8000\r\n"));
  EXPECT_EQ(other.payload_type, -1);
  EXPECT_EQ(other.clock_rate, 8000U);
  EXPECT_GE(other.receive_payload_type, 96);
}

TEST(TelephoneEvents, OffersOfPhonesAreAnswered) {
  const OwnMedium medium = audio({Codec::Pcma, Codec::Speex});
  const auto baresip = make_answer(kIdentity, {medium}, {}, *sdp::parse(kBaresip));
  EXPECT_THAT(sdp::to_string(baresip.description),
              HasSubstr("m=audio 40000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 "
                        "telephone-event/8000\r\na=fmtp:101 0-15\r\n"));
  EXPECT_EQ(baresip.agreed[0].stream.events.payload_type, 101);
  EXPECT_EQ(baresip.agreed[0].stream.events.receive_payload_type, 101);
  // The first that is ours is 16 kHz Speex.
  const auto linphone = make_answer(kIdentity, {medium}, {}, *sdp::parse(kLinphone));
  EXPECT_EQ(linphone.agreed[0].stream.events.payload_type, 99);
  EXPECT_EQ(linphone.agreed[0].stream.events.clock_rate, 16000U);
  const auto none = make_answer(kIdentity, {medium}, {}, *sdp::parse(audio_answer("8", "")));
  EXPECT_THAT(sdp::to_string(none.description), Not(HasSubstr("telephone-event")));
}

TEST(TelephoneEvents, NumbersInUseStay) {
  const OwnMedium medium = audio({Codec::Pcma, Codec::Speex});
  const auto phone = make_answer(kIdentity, {medium}, {},
                                 *sdp::parse(audio_answer("8 98",
                                                          "a=rtpmap:98 telephone-event/8000"
                                                          "\r\n")));
  const auto again = offered_again({medium}, phone.agreed);
  EXPECT_EQ(again[0].events.front().payload_type, 98);
  EXPECT_EQ(again[0].events.front().clock_rate, 8000U);
  // 98 was the number of 16 kHz Speex: it has another meaning now.
  for (const auto &format : again[0].formats) EXPECT_NE(format.payload_type, 98);
  EXPECT_EQ(again[0].formats.front().payload_type, 8);
}

TEST(TelephoneEvents, ADifferenceInThemIsAChange) {
  const OwnMedium medium = audio({Codec::Pcma});
  const auto with = read_answer(
      {medium}, *sdp::parse(audio_answer("8 101", "a=rtpmap:101 telephone-event/8000\r\n")));
  const auto without = read_answer({medium}, *sdp::parse(audio_answer("8", "")));
  EXPECT_FALSE(with[0].same_as(without[0]));
  EXPECT_TRUE(with[0].same_as(with[0]));
}

}  // namespace
}  // namespace junctor::sip::test
