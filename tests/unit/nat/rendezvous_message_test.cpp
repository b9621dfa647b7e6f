// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/rendezvous_message.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "nat/core/behaviour_json.h"

namespace junctor::nat::rendezvous {
namespace {

using nlohmann::json;

const Object kObject = R"({"key":"x","type":"description"})";

std::vector<Message> one_of_each() {
  return {Hello{1,
                Role::Node,
                "junctor 1",
                "secret",
                7,
                kObject,
                {{"eu", 12.5}},
                NodeOffer{"n1", "eu", 50, 0.5},
                {true, true}},
          Welcome{"alice", "c1", "again", true, 8, {"192.0.2.1:3478"}, {{"eu", "192.0.2.1:3478"}}},
          Moved{kObject, {{"us", 80}}, {false, true}},
          Wrong{"s1", "no"},
          Open{"1", "bob"},
          Session{"1", "s1"},
          Refused{"1", "unreachable", "bob is not there"},
          Invite{"s1", "alice", kObject, R"({"audio":["opus"]})"},
          Trying{"s1", 2},
          Accept{"s1", kObject, R"({"audio":["opus"]})"},
          Decline{"s1", "busy"},
          Signal{"s1", "n1", "caller", kObject},
          Rung{"s1", "sfu", "n1", "up", "both sides symmetric", 38},
          Bye{"s1", "caller-hangup", "bye"},
          Need{"s1", "relay"},
          Node{"s1", "n1", 1, kObject, 20, "nearest"},
          NodeUp{"s1", "n1"},
          NodeFailed{"s1", "n1", "gone"},
          NoNode{"s1", "none is left"},
          Turn{"s1", {"turn:192.0.2.1"}, "u", "c", 600},
          Serve{"s1", {{"caller", kObject, R"({"payloads":[]})"}, {"callee", kObject}}},
          Serving{"s1", {{"caller", kObject}}},
          Refuse{"s1", "full"},
          LegState{"s1", "caller", "up", 12},
          Load{3, 1e6},
          Drain{"battery"},
          Release{"s1"},
          Reach{"s1", "none", "both sides' NATs take another port for each peer"}};
}

TEST(RendezvousMessage, IsReadAsItWasWritten) {
  const auto all = one_of_each();
  ASSERT_EQ(all.size(), std::variant_size_v<Message>);
  for (const Message &each : all) {
    const auto again = read(write(each));
    ASSERT_TRUE(again) << write(each) << again.error().detail;
    EXPECT_EQ(*again, each) << write(each);
  }
  EXPECT_EQ(json::parse(write(all.front()))["type"], "hello");
}

TEST(RendezvousMessage, WhatIsEmptyNeedNotBeThere) {
  EXPECT_EQ(*read(R"({"type":"hello","version":1,"role":"client"})"), Message(Hello{}));
  EXPECT_EQ(*read(R"({"type":"bye","session":"s","new":[1,{"x":null}],"reason":null})"),
            Message(Bye{"s", "", ""}));
}

TEST(RendezvousMessage, SaysWhatIsWrong) {
  struct Row {
    std::string text, says;
  };
  const std::string long_name(kMostName + 1, 'x');
  for (const Row &row : {
           Row{"", "one JSON object"},
           Row{"[]", "one JSON object"},
           Row{"{", "one JSON object"},
           Row{"{}", "'type'"},
           Row{R"({"type":7})", "'type'"},
           Row{R"({"type":"hullo"})", "no message 'hullo'"},
           Row{R"({"type":"hello","role":"client"})", "hello: 'version' must be 1; update"},
           Row{R"({"type":"hello","version":2,"role":"client"})", "update the older"},
           Row{R"({"type":"hello","version":1,"role":"king"})", "\"client\" or \"node\""},
           Row{R"({"type":"open","ref":"1"})", "'to' must be a text"},
           Row{R"({"type":"open","ref":"1","to":""})", "'to' must be a text"},
           Row{R"({"type":"open","ref":"1","to":")" + long_name + "\"}", "at most 64 bytes"},
           Row{R"({"type":"open","ref":"1\n","to":"bob"})", "in one line"},
           Row{R"({"type":"invite","session":"s"})", "'offer' must be an object"},
           Row{R"({"type":"invite","session":"s","offer":"{}"})", "'offer' must be an object"},
           Row{R"({"type":"rung","session":"s","rung":"p2p","state":"up","ms":-1})", "'ms'"},
           Row{R"({"type":"load","legs":1.5})", "'legs' must be a whole number"},
           Row{R"({"type":"load","legs":4294967296})", "'legs'"},
           Row{R"({"type":"hello","version":1,"role":"client","regions":[{"name":1}]})",
               "'regions' is wrong: 'name'"},
           Row{R"({"type":"hello","version":1,"role":"client","regions":{}})", "must be a list"},
           Row{R"({"type":"open","ref":"1","to":")" + std::string("\xff") + "\"}", "JSON"},
       }) {
    const auto result = read(row.text);
    ASSERT_FALSE(result) << row.text;
    EXPECT_NE(result.error().detail.find(row.says), std::string::npos)
        << row.text << ": " << result.error().detail;
  }
}

TEST(RendezvousMessage, HasBounds) {
  const auto deep = [](std::size_t depth) {
    return R"({"type":"signal","session":"s","data":)" + std::string(depth, '{');
  };
  std::string nested = R"({"x":1})";
  for (std::size_t i = 0; i < kMostDepth - 2; ++i) nested = R"({"x":)" + nested + "}";
  EXPECT_TRUE(read(R"({"type":"signal","session":"s","data":)" + nested + "}"));
  nested = R"({"x":)" + nested + "}";
  EXPECT_FALSE(read(R"({"type":"signal","session":"s","data":)" + nested + "}"));
  EXPECT_FALSE(read(deep(kMostBytes - 50)));
  EXPECT_TRUE(read(R"({"type":"signal","session":"s","data":{"x":"[[[[[[[[[[[[[[[[[[[["}})"));

  const auto sized = [](std::size_t size) {
    return R"({"type":"signal","session":"s","data":{"x":")" + std::string(size, 'x') + "\"}}";
  };
  EXPECT_TRUE(read(sized(kMostObject - 8)));
  EXPECT_FALSE(read(sized(kMostObject - 7)));
  EXPECT_FALSE(read(sized(kMostBytes)));

  Welcome many{"alice", "c", "", false, 0, std::vector<std::string>(kMostListed, "x"), {}};
  EXPECT_TRUE(read(write(many)));
  many.stun.emplace_back("x");
  EXPECT_FALSE(read(write(many)));
}

TEST(BehaviourJson, KeepsWhatReachNeeds) {
  Behaviour found;
  found.udp = UdpAccess::Works;
  found.local = {"192.168.1.2", 5};
  found.external = Endpoint{"203.0.113.5", 6};
  found.addresses = {"203.0.113.5"};
  found.translated = true;
  found.mapping = Dependence::AddressAndPortDependent;
  found.filtering = Dependence::AddressDependent;
  found.ports = PortPattern::Sequential;
  const auto again = behaviour_from_json(to_json(found));
  ASSERT_TRUE(again);
  EXPECT_EQ(to_json(*again)["mapping"], to_json(found)["mapping"]);
  EXPECT_EQ(summary(*again), summary(found));
  EXPECT_EQ(again->external, found.external);
  EXPECT_EQ(again->local, found.local);
  EXPECT_EQ(again->ports, found.ports);
  EXPECT_EQ(again->addresses, found.addresses);
}

TEST(BehaviourJson, TakesWhateverThereIs) {
  EXPECT_FALSE(behaviour_from_json(json::array()));
  const auto strange = behaviour_from_json(json::parse(
      R"({"udp":7,"external":"nowhere","external_addresses":[1,{}],"mapping":"x","filtering":{"is":"new"},"translated":"yes"})"));
  ASSERT_TRUE(strange);
  EXPECT_EQ(strange->udp, UdpAccess::NoAnswer);
  EXPECT_EQ(strange->filtering, Dependence::Unknown);
  EXPECT_FALSE(strange->external);
  EXPECT_FALSE(strange->translated);
}

}  // namespace
}  // namespace junctor::nat::rendezvous
