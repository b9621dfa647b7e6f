// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/turn_server.h"

#include <gtest/gtest.h>

namespace junctor::nat {
namespace {

TurnServer parsed(const std::string &text) {
  const auto server = TurnServer::parse(text);
  EXPECT_TRUE(server) << server.error().detail;
  return server ? *server : TurnServer{};
}

TEST(TurnServer, IsReadWithAllItHas) {
  const TurnServer server = parsed("turn://al%3Aice:p%40ss@turn.example.org:4000?transport=tcp");
  EXPECT_EQ(server.host, "turn.example.org");
  EXPECT_EQ(server.port, 4000);
  EXPECT_EQ(server.transport, TurnTransport::Tcp);
  EXPECT_EQ(server.user, "al:ice");
  EXPECT_EQ(server.password, "p@ss");
  EXPECT_EQ(server.to_string(), "turn.example.org:4000 over tcp");
}

TEST(TurnServer, HasTheUsualPorts) {
  EXPECT_EQ(parsed("turn://u:p@192.0.2.1"),
            (TurnServer{"192.0.2.1", 3478, TurnTransport::Udp, "u", "p"}));
  EXPECT_EQ(parsed("turns://u:p@192.0.2.1"),
            (TurnServer{"192.0.2.1", 5349, TurnTransport::Tls, "u", "p"}));
  EXPECT_EQ(parsed("turn:u:p@[2001:db8::1]?transport=tls"),
            (TurnServer{"2001:db8::1", 5349, TurnTransport::Tls, "u", "p"}));
  EXPECT_EQ(parsed("turns://u:p@[2001:db8::1]:443?transport=tcp"),
            (TurnServer{"2001:db8::1", 443, TurnTransport::Tls, "u", "p"}))
      << "RFC 7065: turns over TCP is TLS";
  // The user of the REST scheme has a colon.
  EXPECT_EQ(parsed("turn://1700000000%3Aalice:c2VjcmV0+/=@h").user, "1700000000:alice");
}

TEST(TurnServer, PinsACertificate) {
  const std::string digest(64, 'a');
  EXPECT_EQ(parsed("turns://u:p@h?certificate-sha256=" + digest).certificate_sha256, digest);
  EXPECT_FALSE(TurnServer::parse("turns://u:p@h?certificate-sha256=abc"));
}

TEST(TurnServer, AnErrorSaysWhatAndShowsNoPassword) {
  for (const char *text :
       {"", "stun://u:secret@h", "turn://h", "turn://u@h", "turn://:secret@h", "turn://u:secret@",
        "turn://u:secret@h:0", "turn://u:secret@h:70000", "turn://u:secret@h?transport=sctp",
        "turn://u:secret@h?speed=9", "turn://u:secret@h h"}) {
    const auto server = TurnServer::parse(text);
    ASSERT_FALSE(server) << text;
    EXPECT_NE(server.error().detail.find("write turn://"), std::string::npos);
    EXPECT_EQ(server.error().detail.find("secret"), std::string::npos) << server.error().detail;
  }
  for (const char *text : {"turn://u:pa?ss@h", "turn://u:p?transport=ss@h"}) {
    const auto cut = TurnServer::parse(text);
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().detail.find("ss@"), std::string::npos) << "part of a password";
  }
  EXPECT_FALSE(TurnServer::parse("turn://u:" + std::string(600, 'p') + "@h"));
}

TEST(TurnServer, SeveralAreAList) {
  const auto list = TurnServer::parse_list("turn://u:p@a,turns://u:p@b");
  ASSERT_TRUE(list);
  ASSERT_EQ(list->size(), 2U);
  EXPECT_EQ((*list)[1].host, "b");
  EXPECT_EQ(TurnServer::parse_list("")->size(), 0U);
  std::string many = "turn://u:p@a";
  for (int i = 0; i < 8; ++i) many += ",turn://u:p@a";
  EXPECT_FALSE(TurnServer::parse_list(many));
}

}  // namespace
}  // namespace junctor::nat
