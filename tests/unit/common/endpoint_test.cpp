// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/endpoint.h"

#include <gtest/gtest.h>

#include "common/codec.h"
#include "common/end_reason.h"

using namespace junctor;

TEST(Endpoint, ReadsBothFamilies) {
  auto v4 = Endpoint::parse("127.0.0.1:1935");
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->address, "127.0.0.1");
  EXPECT_EQ(v4->port, 1935);
  EXPECT_EQ(v4->to_string(), "127.0.0.1:1935");
  auto v6 = Endpoint::parse("[::1]:5060");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->address, "::1");
  EXPECT_EQ(v6->to_string(), "[::1]:5060");
  auto any = Endpoint::parse(":8080");
  ASSERT_TRUE(any);
  EXPECT_EQ(any->address, "0.0.0.0");
}

TEST(Endpoint, RefusesWithTheReason) {
  for (const char *text : {"1935", "host:1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", ""}) {
    auto parsed = Endpoint::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().fault, Fault::BadInput);
    EXPECT_NE(parsed.error().detail.find("'"), std::string::npos) << parsed.error().detail;
  }
}

TEST(Endpoint, TakenPortSaysWhichAndWhatToDo) {
  auto first = listen_tcp({"127.0.0.1", 0});
  ASSERT_TRUE(first);
  const Endpoint taken = local_endpoint(first->get());
  EXPECT_NE(taken.port, 0);
  auto second = listen_tcp(taken);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().fault, Fault::Refused);
  EXPECT_NE(second.error().detail.find(taken.to_string()), std::string::npos);
}

TEST(Names, RoundTrip) {
  for (int i = 0; i <= static_cast<int>(EndReason::Internal); ++i) {
    const auto reason = static_cast<EndReason>(i);
    EXPECT_EQ(end_reason_from_string(to_string(reason)), reason);
    EXPECT_FALSE(describe(reason).empty());
  }
  for (int i = 0; i <= static_cast<int>(Codec::Vp8); ++i) {
    const auto codec = static_cast<Codec>(i);
    EXPECT_EQ(codec_from_string(to_string(codec)), codec);
  }
  EXPECT_FALSE(codec_from_string("opus"));
  EXPECT_FALSE(end_reason_from_string("bored"));
}

TEST(Endpoint, GroupsAddressesAsTheyAreGivenToSites) {
  EXPECT_EQ(address_group("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(address_group("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
  EXPECT_EQ(address_group("::ffff:192.0.2.7"), "::ffff:192.0.2.7");
}
