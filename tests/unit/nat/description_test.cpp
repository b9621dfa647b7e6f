// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/description.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace junctor::nat {
namespace {

using testing::HasSubstr;

Description description() {
  Description made;
  for (std::size_t i = 0; i < made.key.size(); ++i)
    made.key[i] = static_cast<std::byte>(251 - i * 3);
  made.tag = "0123456789abcdef";
  made.generation = 3;
  made.candidates = {{CandidateKind::Host, {"192.0.2.7", 4000}},
                     {CandidateKind::External, {"2001:db8::7", 4001}}};
  return made;
}

std::string why_not(std::string_view text) {
  const auto parsed = parse_signal(text);
  return parsed ? "taken" : parsed.error().detail;
}

TEST(Signals, ComeBackAsTheyWere) {
  IceSignal ice{
      "ab12", "a password of twenty two", {"candidate:1 1 UDP 1 192.0.2.1 9 typ host"}, true};
  for (const Signal &each :
       {Signal(description()), Signal(MoreCandidates{7, {}}),
        Signal(MoreCandidates{1, {{CandidateKind::Predicted, {"192.0.2.1", 5}}}}), Signal(Up{2}),
        Signal(ice), Signal(IceSignal{})}) {
    const std::string text = to_string(each);
    const auto parsed = parse_signal(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error().detail;
    EXPECT_EQ(*parsed, each) << text;
  }
}

TEST(Signals, ReadAsTheContractWritesThem) {
  const auto parsed = parse_signal(
      R"({"type":"description","version":1,"key":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",)"
      R"("tag":"00000000000000ff","generation":1,"later":"unknown","candidates":[)"
      R"({"kind":"host","address":"[2001:DB8::0007]:80"},{"kind":"external","address":"203.0.113.9:9"}]})");
  ASSERT_TRUE(parsed) << parsed.error().detail;
  const auto &read = std::get<Description>(*parsed);
  EXPECT_EQ(read.key[31], std::byte{31});
  EXPECT_EQ(read.candidates[0].endpoint, (Endpoint{"2001:db8::7", 80}))
      << "as the system writes it";
}

TEST(Signals, WhatNobodyCanSendToIsLeftOut) {
  const auto parsed = parse_signal(R"({"type":"candidates","generation":1,"candidates":[
    {"kind":"host","address":"224.0.0.1:9"},{"kind":"host","address":"255.255.255.255:9"},
    {"kind":"host","address":"0.0.0.0:9"},{"kind":"host","address":"192.0.2.1:0"},
    {"kind":"host","address":"[fe80::1]:9"},{"kind":"host","address":"[ff02::1]:9"},
    {"kind":"host","address":"[::ffff:192.0.2.1]:9"},{"kind":"host","address":"[::]:9"},
    {"kind":"of tomorrow","address":"192.0.2.1:9"},{"kind":"host","address":"192.0.2.1:9"}]})");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(std::get<MoreCandidates>(*parsed).candidates.size(), 1U);
}

TEST(Signals, SayWhatIsWrong) {
  EXPECT_THAT(why_not(""), HasSubstr("JSON object"));
  EXPECT_THAT(why_not("[]"), HasSubstr("JSON object"));
  EXPECT_THAT(why_not(R"({"type":"offer"})"), HasSubstr("none of"));
  EXPECT_THAT(why_not(R"({"type":"description"})"), HasSubstr("version"));
  EXPECT_THAT(why_not(R"({"type":"description","version":2})"), HasSubstr("update"));
  EXPECT_THAT(why_not(R"({"type":"description","version":1,"key":"AAAA"})"), HasSubstr("'key'"));
  EXPECT_THAT(why_not(R"({"type":"up"})"), HasSubstr("generation"));
  EXPECT_THAT(why_not(R"({"type":"up","generation":0})"), HasSubstr("generation"));
  EXPECT_THAT(why_not(R"({"type":"up","generation":-1})"), HasSubstr("generation"));
  EXPECT_THAT(why_not(R"({"type":"up","generation":99999999999})"), HasSubstr("generation"));
  EXPECT_THAT(why_not(R"({"type":"candidates","generation":1})"), HasSubstr("array"));
  EXPECT_THAT(
      why_not(
          R"({"type":"candidates","generation":1,"candidates":[{"kind":"host","address":"example.org:1"}]})"),
      HasSubstr("IP:PORT"));
  EXPECT_THAT(why_not(R"({"type":"ice","candidates":["a\nb"]})"), HasSubstr("line of SDP"));
  EXPECT_THAT(why_not(R"({"type":"ice","ufrag":5})"), HasSubstr("ufrag"));
  const std::string text = to_string(description());
  std::string tag = text;
  tag.replace(tag.find("0123456789abcdef"), 16, "0123456789ABCDEF");
  EXPECT_THAT(why_not(tag), HasSubstr("'tag'"));
}

TEST(Signals, HaveBounds) {
  MoreCandidates many{1, {}};
  for (std::size_t i = 0; i <= kMostCandidates; ++i)
    many.candidates.push_back(
        {CandidateKind::Host, {"192.0.2.1", static_cast<std::uint16_t>(i + 1)}});
  EXPECT_THAT(why_not(to_string(Signal(many))), HasSubstr("more than 32"));
  many.candidates.pop_back();
  EXPECT_EQ(why_not(to_string(Signal(many))), "taken");
  EXPECT_THAT(why_not(std::string(kMostSignalSize + 1, ' ')), HasSubstr("longer"));
  EXPECT_THAT(why_not(std::string(4000, '[') + std::string(4000, ']')), HasSubstr("JSON object"));
}

TEST(Signals, OneKeyHasOneText) {
  // The last of the 43 digits has two bits that say nothing.
  std::string text = to_string(Signal(description()));
  const auto at = text.find("\"key\":\"") + 7 + 42;
  text[at] = static_cast<char>(text[at] + 1);
  EXPECT_THAT(why_not(text), HasSubstr("'key'"));
}

TEST(Candidates, KnowWhatIsNotTheInternet) {
  for (const char *inside :
       {"10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.0.1",
        "169.254.1.1", "127.0.0.1", "fe80::1", "fd00::1", "::1"})
    EXPECT_TRUE(is_private({inside, 1})) << inside;
  for (const char *outside : {"9.1.2.3", "11.0.0.1", "172.15.0.1", "172.32.0.1", "192.167.1.1",
                              "100.63.0.1", "100.128.0.1", "203.0.113.1", "2001:db8::1"})
    EXPECT_FALSE(is_private({outside, 1})) << outside;
}

TEST(Tags, AreRandom) {
  EXPECT_EQ(random_tag().size(), kTagSize);
  EXPECT_NE(random_tag(), random_tag());
}

}  // namespace
}  // namespace junctor::nat
