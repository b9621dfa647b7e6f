// SPDX-License-Identifier: LGPL-2.1-or-later
// Which addresses of a peer's are tried.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "../own_network.h"
#include "nat/core/channel.h"

namespace junctor::nat {
namespace {

using namespace std::chrono_literals;
using Addresses = std::vector<std::string>;

TEST(Scope, OfAnAddress) {
  for (const char *each : {"127.0.0.1", "127.255.0.9", "::1"})
    EXPECT_EQ(scope_of({each, 1}), Scope::Machine) << each;
  for (const char *each : {"169.254.0.1", "169.254.169.254", "fe80::1", "febf::1"})
    EXPECT_EQ(scope_of({each, 1}), Scope::Link) << each;
  for (const char *each : {"169.253.0.1", "169.255.0.1", "192.168.0.1", "10.0.0.1", "192.0.2.1",
                           "2001:db8::1", "fd00::1", "fec0::1", "0.0.0.0", "::"})
    EXPECT_EQ(scope_of({each, 1}), Scope::Wider) << each;
}

TEST(Scope, OfAMachine) {
  EXPECT_EQ(widest_scope({"127.0.0.1", "::1"}), Scope::Machine);
  EXPECT_EQ(widest_scope({"127.0.0.1", "169.254.0.1"}), Scope::Link);
  EXPECT_EQ(widest_scope({"169.254.0.1", "192.0.2.1"}), Scope::Wider);
  EXPECT_EQ(widest_scope({}), Scope::Wider);
}

TEST(Scope, OfAMachineSaysWhichAddressesItTells) {
  struct Row {
    Addresses has, tells;
  };
  for (const Row &row : std::array{Row{{}, {"127.0.0.1"}}, Row{{"169.254.7.1"}, {"169.254.7.1"}},
                                   Row{{"169.254.7.1", "10.7.0.1"}, {"10.7.0.1"}}})
    if (!in_own_network(row.has, [&] {
          Addresses told = host_addresses();
          std::erase(told, "::1");  // where there is IPv6
          EXPECT_EQ(told, row.tells);
        }))
      GTEST_SKIP() << "no network of one's own can be made here";
}

/// Which of these addresses of a peer's are knocked at.
Addresses knocked(const Addresses &named) {
  const auto reactor = *Reactor::create();
  Doors doors(named);
  std::vector<Candidate> candidates;
  for (const Endpoint &each : doors.endpoints()) candidates.push_back({CandidateKind::Host, each});
  ChannelOptions options;
  options.session = "s";
  const auto channel = *Channel::open(reactor, std::move(options), {});
  reactor->run_once(0ms);
  EXPECT_TRUE(channel->take(to_string(Signal(
      Description{KeyPair::generate()->public_key(), random_tag(), 1, std::move(candidates)}))));
  for (int turn = 0; turn < 500 && !doors.listen(); ++turn) reactor->run_once(10ms);
  channel->close();
  reactor->run_once(0ms);
  return doors.knocked();
}

TEST(Scope, OfAMachineSaysWhichAddressesOfAPeersItTries) {
  const std::string loopback = "127.0.0.1", link = "169.254.7.1", wider = "10.7.0.1";
  if (!in_own_network({}, [&] { EXPECT_EQ(knocked({loopback}), Addresses{loopback}); }))
    GTEST_SKIP() << "no network of one's own can be made here";
  EXPECT_TRUE(in_own_network({link}, [&] {
    EXPECT_EQ(knocked({loopback, link}), Addresses{link});
  }));
  EXPECT_TRUE(in_own_network({link, wider}, [&] {
    EXPECT_EQ(knocked({loopback, link, wider}), Addresses{wider});
  }));
}

}  // namespace
}  // namespace junctor::nat
