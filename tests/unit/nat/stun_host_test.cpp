// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/stun_host.h"

#include <gtest/gtest.h>

namespace junctor::nat {
namespace {

TEST(StunHost, ReadsWhatPeopleWrite) {
  struct Row {
    const char *text, *host;
    std::uint16_t port;
  };
  for (const Row &row :
       {Row{"stun.example.org", "stun.example.org", 3478}, Row{"192.0.2.1:3479", "192.0.2.1", 3479},
        Row{"[2001:db8::1]:19302", "2001:db8::1", 19302}, Row{"[::1]", "::1", 3478}}) {
    const auto parsed = StunHost::parse(row.text);
    ASSERT_TRUE(parsed) << row.text;
    EXPECT_EQ(parsed->host, row.host);
    EXPECT_EQ(parsed->port, row.port);
    EXPECT_EQ(StunHost::parse(parsed->to_string())->host, row.host);
  }
  for (const char *wrong : {"", ":3478", "host:", "host:0", "host:70000", "host:1x", "a b", "-x",
                            "[::1", "[::1]3478", "[host]:1", "2001:db8::1", "stun:host", "h/x"})
    EXPECT_FALSE(StunHost::parse(wrong)) << wrong;
  EXPECT_EQ(StunHost::parse("::1").error().detail,
            "'::1' is an IPv6 address without brackets; write [::1], or with a port [::1]:3478");
}

TEST(StunHost, FindsAddresses) {
  const auto numeric = StunHost{"127.0.0.9", 5}.resolve();
  ASSERT_TRUE(numeric);
  EXPECT_EQ(*numeric, (Endpoint{"127.0.0.9", 5}));
  EXPECT_EQ(StunHost({"::1", 6}).resolve()->to_string(), "[::1]:6");
  EXPECT_EQ(*StunHost({"127.0.0.9", 5}).resolve_each(), std::vector{*numeric});
  const auto each = StunHost{"localhost", 7}.resolve_each();
  ASSERT_TRUE(each);
  EXPECT_LE(each->size(), 2U);
  if (each->size() == 2) {
    EXPECT_NE(each->front().address.find(':') == std::string::npos,
              each->back().address.find(':') == std::string::npos);
  }
}

}  // namespace
}  // namespace junctor::nat
