// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/offer.h"

#include <gtest/gtest.h>

namespace junctor::nat {
namespace {

using namespace std::chrono_literals;

TEST(Offer, IsReadOrRefused) {
  const Description description{PublicKey{std::byte{1}}, std::string(16, 'a'), 1, {}};
  const std::string good = to_string(Signal(description));
  ASSERT_TRUE(parse_offer(R"({"type":"node","node":"n-1.eu","description":)" + good + "}"));
  const auto turn = parse_offer(
      R"({"type":"turn","urls":["turn:h:1?transport=tcp","turns:h"],"username":"1:a","credential":"p"})");
  ASSERT_TRUE(turn);
  EXPECT_EQ(std::get<TurnOffer>(*turn).servers,
            (std::vector<TurnServer>{{"h", 1, TurnTransport::Tcp, "1:a", "p"},
                                     {"h", 5349, TurnTransport::Tls, "1:a", "p"}}));
  EXPECT_FALSE(std::get<TurnOffer>(*turn).lifetime);
  const auto lasting = parse_offer(
      R"({"type":"turn","urls":["turn:h:1"],"username":"1:a","credential":"p","ttl":600})");
  ASSERT_TRUE(lasting);
  EXPECT_EQ(std::get<TurnOffer>(*lasting).lifetime, 600s);
  const auto direct = parse_offer(R"({"type":"direct","expected":false})");
  ASSERT_TRUE(direct);
  EXPECT_FALSE(std::get<DirectWay>(*direct).expected);
  const auto gone = parse_offer(R"({"type":"node-failed","node":"n1","why":"it is gone"})");
  ASSERT_TRUE(gone);
  EXPECT_FALSE(std::get<NodeFailed>(*gone).leaving);
  const auto goes = parse_offer(R"({"type":"node-failed","node":"n1","leaving":true})");
  ASSERT_TRUE(goes);
  EXPECT_TRUE(std::get<NodeFailed>(*goes).leaving);
  const auto none = parse_offer("{\"type\":\"no-node\",\"why\":\"all\\nbusy\\u007fnow\"}");
  ASSERT_TRUE(none);
  EXPECT_EQ(std::get<NoNode>(*none).why, "all busy now");
  const auto cut = parse_offer("{\"type\":\"no-node\",\"why\":\"" + std::string(499, 'x') + "é\"}");
  ASSERT_TRUE(cut);
  EXPECT_EQ(std::get<NoNode>(*cut).why, std::string(499, 'x'));
  for (const std::string &wrong :
       {std::string(), std::string("[]"), std::string("{}"), std::string(R"({"type":"nodes"})"),
        R"({"type":"node","node":"","description":)" + good + "}",
        R"({"type":"node","node":"a b","description":)" + good + "}",
        R"({"type":"node","node":")" + std::string(65, 'n') + R"(","description":)" + good + "}",
        std::string(R"({"type":"node","node":"n","description":{"type":"up","generation":1}})"),
        std::string(R"({"type":"node-signal","node":"n","data":{"type":"up","generation":1}})"),
        std::string(R"({"type":"turn","urls":[],"username":"u","credential":"p"})"),
        std::string(R"({"type":"turn","urls":["http://h"],"username":"u","credential":"p"})"),
        std::string(R"({"type":"turn","urls":["turn:h"]})"),
        std::string(R"({"type":"node-failed","node":"n1","leaving":"yes"})"),
        std::string(R"({"type":"direct","expected":"no"})"), std::string(R"({"type":"direct"})"),
        std::string(
            R"({"type":"turn","urls":["turn:h"],"username":"u","credential":"p","ttl":-1})"),
        std::string(20000, ' ')})
    EXPECT_FALSE(parse_offer(wrong)) << wrong.substr(0, 80);
}

TEST(Offer, ATagOfALegIsAnotherForEachNode) {
  const std::string tag(16, 'a');
  EXPECT_EQ(leg_tag(tag, "s/n1").size(), kTagSize);
  EXPECT_EQ(leg_tag(tag, "s/n1"), leg_tag(tag, "s/n1"));
  EXPECT_NE(leg_tag(tag, "s/n1"), leg_tag(tag, "s/n2"));
  EXPECT_NE(leg_tag(tag, "s/n1"), tag);
}

}  // namespace
}  // namespace junctor::nat
