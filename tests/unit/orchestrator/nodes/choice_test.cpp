// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nodes/choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string_view>

#include "nat/core/reach.h"

namespace junctor::nodes {
namespace {

using nat::Behaviour;
using nat::PortPattern;
using testing::ElementsAre;
using testing::HasSubstr;
using enum nat::Dependence;

Behaviour behind(nat::Dependence mapping, nat::Dependence filtering) {
  Behaviour behaviour;
  behaviour.udp = nat::UdpAccess::Works;
  behaviour.translated = true;
  behaviour.mapping = mapping;
  behaviour.filtering = filtering;
  behaviour.ports = PortPattern::Random;
  return behaviour;
}

const Behaviour kOpen = behind(EndpointIndependent, EndpointIndependent);
const Behaviour kRestricted = behind(EndpointIndependent, AddressDependent);
const Behaviour kPortRestricted = behind(EndpointIndependent, AddressAndPortDependent);
const Behaviour kSymmetric = behind(AddressAndPortDependent, AddressAndPortDependent);

Node node(const std::string &name, const std::optional<Behaviour> &nat = kOpen) {
  Node made;
  made.name = name;
  made.nat = nat;
  made.legs = 10;
  return made;
}

std::vector<std::string> chosen(const std::vector<Node> &nodes, const Client &caller,
                                const Client &callee, Rule rule = Rule::Nearest) {
  std::vector<std::string> names;
  for (const Choice &each : choose(nodes, caller, callee, rule))
    names.push_back(nodes[each.index].name);
  return names;
}

TEST(Choice, TakesWhatBothClientsReachWithoutLuck) {
  const std::array<Behaviour, 4> all{kOpen, kRestricted, kPortRestricted, kSymmetric};
  // Row: the node's NAT; column: a client's.
  const std::array<std::string_view, 4> reached{"++++", "++++", "+++-", "++--"};
  for (std::size_t at = 0; at < all.size(); ++at)
    for (std::size_t caller = 0; caller < all.size(); ++caller)
      for (std::size_t callee = 0; callee < all.size(); ++callee) {
        const bool both = reached[at][caller] == '+' && reached[at][callee] == '+';
        EXPECT_EQ(chosen({node("n", all[at])}, {all[caller], {}}, {all[callee], {}}).size(), both)
            << at << " " << caller << " " << callee;
      }
}

TEST(Choice, LeavesOutPortsThatCanOnlyBeForetold) {
  Behaviour sequential = kSymmetric;
  sequential.ports = PortPattern::Sequential;
  ASSERT_TRUE(nat::reach(sequential, kPortRestricted).prediction);
  EXPECT_THAT(chosen({node("n", kPortRestricted)}, {kOpen, {}}, {sequential, {}}), ElementsAre());
}

TEST(Choice, TakesTheUnknownForWhatIsReached) {
  EXPECT_THAT(chosen({node("n", std::nullopt)}, {}, {kSymmetric, {}}), ElementsAre("n"));
  Behaviour blocked;
  blocked.udp = nat::UdpAccess::Blocked;
  EXPECT_THAT(chosen({node("n")}, {}, {blocked, {}}), ElementsAre());
}

TEST(Choice, LeavesOutWhoIsFullOrStops) {
  Node full = node("full"), nearly = node("nearly full"), room = node("room"),
       stops = node("stops");
  full.used = 10;
  nearly.used = 9;
  room.used = 8;
  stops.draining = true;
  EXPECT_THAT(chosen({full, nearly, room, stops}, {}, {}), ElementsAre("room"));
}

TEST(Choice, LeavesOutWhoSharesNoAddressFamilyWithAClient) {
  const nat::Families v4{true, false}, v6{false, true}, both{true, true}, unknown{};
  const std::array<nat::Families, 4> all{v4, v6, both, unknown};
  // Row: the node's; column: a client's.
  const std::array<std::string_view, 4> shared{"+-++", "-+++", "++++", "++++"};
  for (std::size_t at = 0; at < all.size(); ++at)
    for (std::size_t caller = 0; caller < all.size(); ++caller)
      for (std::size_t callee = 0; callee < all.size(); ++callee) {
        Node one = node("n");
        one.families = all[at];
        const bool reached = shared[at][caller] == '+' && shared[at][callee] == '+';
        EXPECT_EQ(chosen({one}, {kOpen, {}, all[caller]}, {kOpen, {}, all[callee]}).size(), reached)
            << to_string(all[at]) << ": " << to_string(all[caller]) << ", "
            << to_string(all[callee]);
      }
}

TEST(Choice, NearestIsTheSmallestSumOfBothWays) {
  Node middle = node("middle"), near_caller = node("near caller"), unknown = node("unknown");
  middle.regions = {{"eu", 30}, {"us", 30}};
  near_caller.regions = {{"eu", 5}, {"us", 90}};
  const Client caller{kOpen, {{"eu", 10}, {"us", 80}}}, callee{kOpen, {{"us", 10}}};
  EXPECT_THAT(chosen({unknown, near_caller, middle}, caller, callee),
              ElementsAre("middle", "near caller", "unknown"));
  const auto choices = choose({middle}, caller, callee, Rule::Nearest);
  EXPECT_EQ(choices[0].round_trip_ms, 80) << "10 + 30 to the caller, 30 + 10 to the callee";
  EXPECT_THAT(choices[0].why, HasSubstr("80 ms"));
  EXPECT_THAT(choose({unknown}, caller, callee, Rule::Nearest)[0].why,
              HasSubstr("nobody has measured"));
}

TEST(Choice, OfTwoWhereTheRuleFindsNoDifferenceTheScarcerComesFirst) {
  EXPECT_THAT(
      chosen({node("a", kOpen), node("b", kPortRestricted), node("c", kRestricted)}, {}, {}),
      ElementsAre("b", "c", "a"));
}

TEST(Choice, LeastLoadedIsByShareOfWhatANodeMayCarry) {
  Node big = node("big"), small = node("small");
  big.legs = 1000;
  big.used = 100;
  small.used = 2;
  big.regions = small.regions = {{"eu", 1}};
  EXPECT_THAT(chosen({small, big}, {}, {}, Rule::LeastLoaded), ElementsAre("big", "small"));
  EXPECT_THAT(choose({big}, {}, {}, Rule::LeastLoaded)[0].why,
              HasSubstr("100 of 1000 legs in use"));
}

TEST(Choice, CheapestThenNearest) {
  const Client client{kOpen, {{"eu", 10}}};
  Node dear = node("dear"), far = node("far"), close = node("close");
  dear.price = 2;
  far.price = close.price = 1;
  dear.regions = {{"eu", 1}};
  far.regions = {{"eu", 100}};
  close.regions = {{"eu", 20}};
  EXPECT_THAT(chosen({dear, far, close}, client, client, Rule::Cheapest),
              ElementsAre("close", "far", "dear"));
}

TEST(Choice, SaysWhyThereIsNone) {
  EXPECT_EQ(why_none({}, {}, {}), "no node is online");
  EXPECT_EQ(why_none({node("n", kSymmetric)}, {kSymmetric, {}}, {}),
            "of 1 node online both clients' NATs reach none");
  Node full = node("full");
  full.used = full.legs;
  EXPECT_EQ(why_none({full, node("n", kSymmetric)}, {kSymmetric, {}}, {}),
            "of 2 nodes online those that both clients reach are full or stopping");
  const Client v6{kSymmetric, {}, {false, true}}, dual{kOpen, {}, {true, true}};
  Node v4 = node("v4"), symmetric = node("symmetric", kSymmetric);
  v4.families = {true, false};
  EXPECT_EQ(why_none({v4}, v6, dual),
            "of 1 node online none shares an address family with each client (caller: IPv6, "
            "callee: IPv4 and IPv6)");
  EXPECT_EQ(why_none({v4, symmetric}, v6, dual),
            "of 2 nodes online both clients' NATs reach none of those that share an address family "
            "with each");
}

TEST(Choice, RulesHaveTheirNames) {
  for (const Rule rule : {Rule::Nearest, Rule::LeastLoaded, Rule::Cheapest})
    EXPECT_EQ(*rule_from_string(to_string(rule)), rule);
  EXPECT_THAT(rule_from_string("best").error().detail, HasSubstr("least-loaded"));
}

}  // namespace
}  // namespace junctor::nodes
