// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/reach.h"

#include <gtest/gtest.h>

#include <array>
#include <string_view>

namespace junctor::nat {
namespace {

using enum Dependence;

Behaviour behind(Dependence mapping, Dependence filtering,
                 PortPattern ports = PortPattern::Random) {
  Behaviour behaviour;
  behaviour.udp = UdpAccess::Works;
  behaviour.translated = true;
  behaviour.mapping = mapping;
  behaviour.filtering = filtering;
  behaviour.ports = ports;
  return behaviour;
}

Behaviour blocked() {
  Behaviour behaviour;
  behaviour.udp = UdpAccess::Blocked;
  return behaviour;
}

struct Row {
  std::string_view name;
  Behaviour behaviour;
  std::string_view reached;  ///< with each row: + plain, p predicted, m many sockets, - not at all
};

/// The table of tests/system/natlab/theory.py, whose cells real probes through the kernel's NATs
/// have confirmed. Types that behave alike for this are one row.
const std::array<Row, 9> kTable{{
    {"full cone, or nothing", behind(EndpointIndependent, EndpointIndependent), "++++++++-"},
    {"restricted", behind(EndpointIndependent, AddressDependent), "++++++++-"},
    {"port-restricted", behind(EndpointIndependent, AddressAndPortDependent), "+++mmmpm-"},
    {"address-mapped", behind(AddressDependent, AddressAndPortDependent), "++m-m----"},
    {"address-both", behind(AddressDependent, AddressDependent), "++mmmmmm-"},
    {"symmetric", behind(AddressAndPortDependent, AddressAndPortDependent), "++m-m----"},
    {"sequential",
     behind(AddressAndPortDependent, AddressAndPortDependent, PortPattern::Sequential),
     "++p-m-p--"},
    {"double-symmetric", behind(AddressAndPortDependent, AddressAndPortDependent), "++m-m----"},
    {"udp-blocked", blocked(), "---------"},
}};

TEST(Reach, IsTheTableOfTheory) {
  for (const Row &left : kTable)
    for (std::size_t column = 0; column < kTable.size(); ++column) {
      const Row &right = kTable[column];
      SCOPED_TRACE(std::string(left.name) + " and " + std::string(right.name));
      const Reach found = reach(left.behaviour, right.behaviour);
      const char best = found.plain ? '+' : found.prediction ? 'p' : found.many_sockets ? 'm' : '-';
      EXPECT_EQ(best, left.reached[column]);
      EXPECT_FALSE(found.guessed);
      EXPECT_FALSE(found.reason.empty());
    }
}

TEST(Reach, IncludesTheMilderWays) {
  const Reach found = reach(kTable[0].behaviour, kTable[5].behaviour);
  EXPECT_TRUE(found.plain && found.prediction && found.many_sockets);
}

TEST(Reach, SaysWhy) {
  const Behaviour &symmetric = kTable[5].behaviour;
  EXPECT_EQ(reach(symmetric, symmetric).reason,
            "both sides' NATs take another port for each peer, and admit only ports that were sent "
            "to");
  EXPECT_EQ(reach(kTable[2].behaviour, kTable[6].behaviour).reason,
            "one side's NAT takes another port for each peer, and the other side's admits only "
            "ports that it has sent to; the next port can be foretold");
  EXPECT_EQ(reach(kTable[0].behaviour, blocked()).reason, "no UDP passes on one side");
}

TEST(Reach, TakesTheUnknownForWhatLetsThrough) {
  const Reach found = reach(behind(Unknown, Unknown), kTable[5].behaviour);
  EXPECT_TRUE(found.plain);
  EXPECT_TRUE(found.guessed);
}

TEST(Reach, KnowsWhoIsBehindTheSameNat) {
  Behaviour left = kTable[5].behaviour, right = left;
  EXPECT_FALSE(same_site(left, right));
  left.external = Endpoint{"203.0.113.7", 4000};
  right.external = Endpoint{"203.0.113.7", 5000};
  EXPECT_TRUE(same_site(left, right));
  right.external = Endpoint{"203.0.113.8", 4000};
  EXPECT_FALSE(same_site(left, right));
  right.external = left.external;
  right.translated = false;
  EXPECT_FALSE(same_site(left, right));
}

}  // namespace
}  // namespace junctor::nat
