// SPDX-License-Identifier: LGPL-2.1-or-later
// Keys in offers and answers.
#include "sip/core/sdes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "sip/core/negotiate.h"

namespace junctor::sip {
namespace {

using rtp::SrtpPolicy;
using rtp::SrtpSuite;
using ::testing::HasSubstr;
using ::testing::Not;

const Identity kUs{"192.0.2.1", 77, 5};
// Of the examples of RFC 4568 sections 4.1, 5.1.2 and 6.1, where they have MKIs too.
const std::string kKey = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const std::string kOther = "inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";
const std::string kSuite = "AES_CM_128_HMAC_SHA1_80 ";

sdp::MediaLine line(const std::string &crypto, const std::string &profile = "RTP/SAVP") {
  const auto description = sdp::parse(
      "v=0\r\no=- 1 1 IN IP4 192.0.2.4\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n"
      "m=audio 4000 " +
      profile + " 8\r\n" + crypto);
  EXPECT_TRUE(description) << description.error().detail;
  return description->media[0];
}

Result<rtp::SrtpKey> key_of(const std::string &value) {
  const auto medium = line("a=crypto:" + value + "\r\n");
  if (medium.crypto.empty()) return bad_input("not read");
  return read_crypto(medium.crypto[0]);
}

std::string why_not(const std::string &value) {
  const auto key = key_of(value);
  return key ? "it is" : key.error().detail;
}

std::string text_of(const rtp::SrtpKey &key) {
  return {reinterpret_cast<const char *>(key.master.data()), key.master.size()};
}

TEST(Crypto, IsReadAsTheStandardHasIt) {
  const auto key = key_of("1 " + kSuite + kKey + "|2^20");
  ASSERT_TRUE(key) << key.error().detail;
  EXPECT_EQ(key->suite, SrtpSuite::AesCm128HmacSha1_80);
  EXPECT_EQ(text_of(*key), "YS___semctl () {\t220;}\n}\nunles");
  EXPECT_TRUE(key_of("1 " + kSuite + kKey));
  EXPECT_TRUE(key_of("1 " + kSuite + kKey + "|1048576 WSH=64 -new=x"));
  EXPECT_EQ(key_of("999999999 AES_CM_128_HMAC_SHA1_32 " + kOther)->suite,
            SrtpSuite::AesCm128HmacSha1_32);
  const std::string long_key(64, 'A');
  EXPECT_TRUE(key_of("1 AES_256_CM_HMAC_SHA1_80 inline:" + long_key.substr(0, 62) + "=="));
  EXPECT_TRUE(key_of("1 AES_256_CM_HMAC_SHA1_80 inline:" + long_key.substr(0, 62)));
}

TEST(Crypto, WhatIsNotServedIsPassedOver) {
  EXPECT_THAT(why_not("1 " + kSuite + kKey + "|2^20|1:4"), HasSubstr("MKI"));
  EXPECT_THAT(why_not("1 " + kSuite + kKey + "|1:4"), HasSubstr("MKI"));
  EXPECT_THAT(why_not("1 " + kSuite + kKey + "|2^20|1:4;" + kOther), HasSubstr("several keys"));
  EXPECT_THAT(why_not("1 F8_128_HMAC_SHA1_80 " + kKey), HasSubstr("cipher suite"));
  for (const char *parameter : {"KDR=5", "UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP",
                                "UNAUTHENTICATED_SRTP", "FEC_ORDER=FEC_SRTP", "NEW"})
    EXPECT_THAT(why_not("1 " + kSuite + kKey + ' ' + parameter), HasSubstr("variant")) << parameter;
  EXPECT_THAT(why_not("1 " + kSuite + kKey.substr(7)), HasSubstr("inline"));
  for (const std::string &key : {kKey.substr(0, 40), kKey + "AAAA", kKey.substr(0, 46) + "*",
                                 std::string("inline:"), std::string("inline:====")})
    EXPECT_THAT(why_not("1 " + kSuite + key), HasSubstr("malformed")) << key;
  for (const char *value :
       {"", "1", "1 AES_CM_128_HMAC_SHA1_80", "x AES_CM_128_HMAC_SHA1_80 inline:x",
        "1234567890 AES_CM_128_HMAC_SHA1_80 inline:x"})
    EXPECT_EQ(why_not(value), "not read") << value;
  EXPECT_THAT(why_not("1 " + kSuite + kKey + "|x"), Not(HasSubstr("WVNf")));
  std::string many;
  for (std::size_t i = 0; i <= sdp::kMaxCrypto; ++i) many += "a=crypto:1 " + kSuite + kKey + "\r\n";
  EXPECT_FALSE(
      sdp::parse("v=0\r\no=- 1 1 IN IP4 192.0.2.4\r\ns=-\r\nm=audio 1 RTP/SAVP 8\r\n" + many));
}

std::vector<OwnMedium> audio(SrtpPolicy policy, bool secure = true) {
  OwnMedium medium{Medium::Audio, 20000, own_formats(Medium::Audio, {Codec::Pcma}, {})};
  medium.srtp = own_srtp(policy, secure);
  return {medium};
}

/// What the other side, which has that policy, answers to `offer`, and what we make of it.
struct Talk {
  Talk(SrtpPolicy ours, SrtpPolicy theirs, bool secure = true)
      : own(audio(ours, secure)),
        offer(*sdp::parse(sdp::to_string(make_offer(kUs, own)))),
        answer(make_answer(kUs, audio(theirs, secure), {}, offer)),
        agreed(read_answer(own, *sdp::parse(sdp::to_string(answer.description)))[0]) {}
  std::vector<OwnMedium> own;
  sdp::Description offer;
  Answer answer;
  Agreed agreed;
  bool encrypted() const { return agreed.accepted && agreed.stream.srtp.has_value(); }
  bool plain() const { return agreed.accepted && !agreed.stream.srtp; }
};

TEST(Policy, IsMetByBothSidesOrTheMediumIsRefused) {
  using enum SrtpPolicy;
  for (const auto &[ours, theirs] : {std::pair{Off, Off}, {Off, Prefer}, {Prefer, Off}})
    EXPECT_TRUE(Talk(ours, theirs).plain()) << to_string(ours) << ' ' << to_string(theirs);
  for (const auto &[ours, theirs] :
       {std::pair{Prefer, Prefer}, {Prefer, Require}, {Require, Prefer}, {Require, Require}}) {
    const Talk talk(ours, theirs);
    ASSERT_TRUE(talk.encrypted()) << to_string(ours) << ' ' << to_string(theirs);
    EXPECT_EQ(talk.agreed.stream.srtp->local, talk.answer.agreed[0].stream.srtp->remote);
    EXPECT_EQ(talk.agreed.stream.srtp->remote, talk.answer.agreed[0].stream.srtp->local);
    EXPECT_NE(talk.agreed.stream.srtp->remote, talk.agreed.stream.srtp->local);
    EXPECT_EQ(talk.answer.description.media[0].protocol, talk.offer.media[0].protocol);
    EXPECT_EQ(talk.answer.description.media[0].crypto.size(), 1u);
  }
  const Talk refused(Require, Off);
  EXPECT_FALSE(refused.answer.acceptable);
  EXPECT_THAT(refused.answer.agreed[0].problem,
              HasSubstr("offers SRTP only (RTP/SAVP), which is off"));
  const Talk other(Off, Require);
  EXPECT_FALSE(other.answer.acceptable);
  EXPECT_THAT(other.answer.agreed[0].problem,
              HasSubstr("offers plain RTP (RTP/AVP), and SRTP is required"));
}

TEST(Policy, OffersNameTheProfileAndAllSuites) {
  using enum SrtpPolicy;
  const auto medium = [](SrtpPolicy policy, bool secure) {
    return make_offer(kUs, audio(policy, secure)).media[0];
  };
  EXPECT_EQ(medium(Require, true).protocol, "RTP/SAVP");
  EXPECT_EQ(medium(Prefer, true).protocol, "RTP/AVP");
  EXPECT_EQ(medium(Prefer, true).crypto.size(), rtp::kSrtpSuites.size());
  EXPECT_TRUE(medium(Prefer, false).crypto.empty()) << "keys would travel in clear";
  EXPECT_TRUE(medium(Off, true).crypto.empty());
  const auto own = audio(Prefer);
  EXPECT_NE(own[0].srtp.keys[0].key, audio(Prefer)[0].srtp.keys[0].key);
  const sdp::Description offer = make_offer(kUs, own);
  for (const sdp::Crypto &crypto : offer.media[0].crypto)
    EXPECT_EQ(*read_crypto(crypto), own[0].srtp.keys[crypto.tag - 1].key);
}

TEST(Policy, AnAnswerMustFitTheOffer) {
  const auto own = own_srtp(SrtpPolicy::Prefer, true);
  const auto problem = [&](const std::string &crypto, const std::string &profile = "RTP/AVP",
                           const OwnSrtp *other = nullptr) {
    const auto keys = read_srtp_answer(other ? *other : own, line(crypto, profile));
    return keys ? *keys ? "encrypted" : "plain" : keys.error().detail;
  };
  EXPECT_EQ(problem(""), "plain");
  EXPECT_EQ(problem("a=crypto:1 " + kSuite + kKey + "\r\n"), "encrypted");
  EXPECT_EQ(problem("a=crypto:1 " + kSuite + kKey + "\r\n", "RTP/SAVPF"), "encrypted");
  EXPECT_THAT(problem("", "RTP/SAVP"), HasSubstr("names no key"));
  EXPECT_THAT(problem("a=crypto:7 " + kSuite + kKey + "\r\n"),
              HasSubstr("none of those that were offered"));
  EXPECT_THAT(problem("a=crypto:3 " + kSuite + kKey + "\r\n"), HasSubstr("none of those"));  // _32
  EXPECT_THAT(problem("a=crypto:1 " + kSuite + "inline:x\r\n"), HasSubstr("malformed"));
  const auto clear = own_srtp(SrtpPolicy::Prefer, false);
  EXPECT_THAT(problem("a=crypto:1 " + kSuite + kKey + "\r\n", "RTP/AVP", &clear),
              HasSubstr("not offered"));
}

TEST(Policy, AnswersTakeTheFirstKeyThatCanBeUsed) {
  const auto own = own_srtp(SrtpPolicy::Prefer, false);
  const auto answer =
      answer_srtp(own, line("a=crypto:4 F8_128_HMAC_SHA1_80 " + kKey + "\r\na=crypto:5 " + kSuite +
                            kKey + "|2^20|1:4\r\na=crypto:6 AES_CM_128_HMAC_SHA1_32 " + kOther +
                            "\r\na=crypto:7 " + kSuite + kKey + "\r\n"));
  ASSERT_TRUE(answer);
  ASSERT_TRUE(answer->keys);
  EXPECT_EQ(answer->keys->remote.suite, SrtpSuite::AesCm128HmacSha1_32);
  ASSERT_EQ(answer->lines.size(), 1u);
  EXPECT_EQ(answer->lines[0].tag, 6u);
  EXPECT_EQ(*read_crypto(answer->lines[0]), answer->keys->local);
  const auto nothing = answer_srtp(own, line("a=crypto:4 F8_128_HMAC_SHA1_80 " + kKey + "\r\n"));
  ASSERT_FALSE(nothing);
  EXPECT_THAT(nothing.error().detail, HasSubstr("cipher suite"));
}

sdp::Description two_lines(const std::string &first, const std::string &second) {
  const auto offer = sdp::parse(
      "v=0\r\no=- 1 1 IN IP4 192.0.2.4\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n"
      "m=audio 4000 " +
      first + "m=audio 4002 " + second);
  EXPECT_TRUE(offer);
  return *offer;
}

/// Which line of the offer is accepted; -1: none.
int taken(SrtpPolicy policy, const sdp::Description &offer) {
  const auto laid = laid_out(audio(policy), offer);
  const Answer answer = make_answer(kUs, laid, {}, offer);
  for (std::size_t i = 0; i < answer.agreed.size(); ++i)
    if (answer.agreed[i].accepted) return static_cast<int>(i);
  return -1;
}

TEST(Policy, OfAMediumThatIsOfferedTwiceTheLineThatFitsIsTaken) {
  const std::string plain = "RTP/AVP 8\r\n",
                    secure = "RTP/SAVP 8\r\na=crypto:1 " + kSuite + kKey + "\r\n",
                    unserved = "RTP/SAVP 8\r\na=crypto:1 F8_128_HMAC_SHA1_80 " + kKey + "\r\n";
  EXPECT_EQ(taken(SrtpPolicy::Off, two_lines(secure, plain)), 1);
  EXPECT_EQ(taken(SrtpPolicy::Prefer, two_lines(secure, plain)), 0);
  EXPECT_EQ(taken(SrtpPolicy::Prefer, two_lines(unserved, plain)), 1);
  EXPECT_EQ(taken(SrtpPolicy::Require, two_lines(plain, secure)), 1);
  EXPECT_EQ(taken(SrtpPolicy::Require, two_lines(plain, unserved)), -1);
  // Where none does, the reason is still told.
  const auto laid = laid_out(audio(SrtpPolicy::Off), two_lines(secure, unserved));
  const Answer answer = make_answer(kUs, laid, {}, two_lines(secure, unserved));
  ASSERT_EQ(answer.agreed.size(), 1u);
  EXPECT_THAT(answer.agreed[0].problem, HasSubstr("SRTP only"));
}

TEST(Policy, AKeyThatWasInUseIsNotToldAgain) {
  OwnSrtp own = own_srtp(SrtpPolicy::Prefer, true);
  const OwnSrtp before = own;
  own.keys[0].used = own.keys[1].used = true;
  renew_used_keys(own, &before.keys[0].key);
  EXPECT_EQ(own.keys[0].key, before.keys[0].key) << "in use still";
  EXPECT_NE(own.keys[1].key, before.keys[1].key);
  EXPECT_EQ(own.keys[1].key.suite, before.keys[1].key.suite);
  EXPECT_EQ(own.keys[1].tag, before.keys[1].tag);
  EXPECT_EQ(own.keys[2].key, before.keys[2].key);
  renew_used_keys(own, nullptr);
  EXPECT_NE(own.keys[0].key, before.keys[0].key);
}

TEST(Policy, AnotherOfferHasTheKeyInUseUnderItsTag) {
  const auto media = audio(SrtpPolicy::Prefer);
  sdp::Description offer = make_offer(kUs, audio(SrtpPolicy::Require));
  // The caller's tag, which is one of another key of ours.
  offer.media[0].crypto = {{2, "AES_CM_128_HMAC_SHA1_80", kKey, {}}};
  const Answer answer = make_answer(kUs, media, {}, offer);
  ASSERT_TRUE(answer.acceptable);
  const auto again = offered_again(media, answer.agreed);
  const sdp::MediaLine line = make_offer(kUs, again).media[0];
  EXPECT_EQ(line.protocol, "RTP/SAVP");
  ASSERT_EQ(line.crypto.size(), rtp::kSrtpSuites.size());
  EXPECT_EQ(line.crypto[0].tag, 2u);
  EXPECT_EQ(*read_crypto(line.crypto[0]), answer.agreed[0].stream.srtp->local);
  std::set<unsigned> tags;
  for (const sdp::Crypto &crypto : line.crypto) tags.insert(crypto.tag);
  EXPECT_EQ(tags.size(), line.crypto.size());
  // The peer says the same again: nothing has changed.
  const auto agreed = read_answer(again, offer);
  EXPECT_TRUE(agreed[0].accepted) << agreed[0].problem;
  EXPECT_EQ(agreed[0].stream.srtp, answer.agreed[0].stream.srtp);
  // Over UDP nothing but that is told.
  auto clear = media;
  clear[0].srtp.offered = false;
  EXPECT_EQ(make_offer(kUs, offered_again(clear, answer.agreed)).media[0].crypto.size(), 1u);
}

TEST(Policy, AnotherKeyInAReinviteIsAChange) {
  const auto own = audio(SrtpPolicy::Prefer);
  const auto offer = [&](const std::string &key) {
    sdp::Description offer = make_offer(kUs, audio(SrtpPolicy::Require));
    offer.media[0].crypto = {{1, "AES_CM_128_HMAC_SHA1_80", key, {}}};
    return offer;
  };
  const auto first = make_answer(kUs, own, {}, offer(kKey));
  const auto same = make_answer(kUs, own, first.agreed, offer(kKey));
  const auto other = make_answer(kUs, own, first.agreed, offer(kOther));
  EXPECT_TRUE(first.agreed[0].same_as(same.agreed[0]));
  EXPECT_FALSE(first.agreed[0].same_as(other.agreed[0]));
  EXPECT_EQ(first.agreed[0].stream.srtp->local, other.agreed[0].stream.srtp->local) << "ours stays";
}

}  // namespace
}  // namespace junctor::sip
