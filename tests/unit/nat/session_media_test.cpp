// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/session_media.h"

#include <gtest/gtest.h>

namespace junctor::nat {
namespace {

TEST(SessionMedia, IsReadAsItWasWritten) {
  const SessionMedia media{{{97, Medium::Audio, 48000, "OPUS"}, {96, Medium::Video, 90000, "H264"}},
                           {{"audio-level", 1}, {"transport-cc", 5}}};
  const auto again = parse_session_media(to_string(media));
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_EQ(*again, media);
}

TEST(SessionMedia, NeedNotSayAnything) {
  EXPECT_EQ(*parse_session_media("{}"), SessionMedia());
  EXPECT_EQ(*parse_session_media(R"({"audio":["opus"]})"), SessionMedia());
}

TEST(SessionMedia, HasBounds) {
  const std::string one = R"({"payload":96,"media":"video","clock_rate":90000})";
  std::string many = one;
  for (std::size_t i = 0; i < SessionMedia::kMostListed; ++i) many += "," + one;
  for (const std::string &text : {
           std::string(),
           std::string("[]"),
           std::string("{"),
           R"({"payloads":{}})" + std::string(),
           R"({"payloads":[)" + many + "]}",
           R"({"payloads":[1]})" + std::string(),
           R"({"payloads":[{"payload":128,"media":"video","clock_rate":90000}]})" + std::string(),
           R"({"payloads":[{"payload":-1,"media":"video","clock_rate":90000}]})" + std::string(),
           R"({"payloads":[{"payload":96,"media":"smell","clock_rate":90000}]})" + std::string(),
           R"({"payloads":[{"payload":96,"media":"video","clock_rate":0}]})" + std::string(),
           R"({"extensions":[{"name":"mid","number":0}]})" + std::string(),
           R"({"extensions":[{"name":"mid","number":256}]})" + std::string(),
           R"({"extensions":[{"number":1}]})" + std::string(),
           R"({"x":")" + std::string(SessionMedia::kMostBytes, 'x') + "\"}",
       })
    EXPECT_FALSE(parse_session_media(text)) << text;
}

}  // namespace
}  // namespace junctor::nat
