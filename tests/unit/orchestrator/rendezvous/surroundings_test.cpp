// SPDX-License-Identifier: LGPL-2.1-or-later
// When a client looks around.
#include "rendezvous/surroundings.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>

#include "../../own_network.h"
#include "common/reactor.h"
#include "nat/core/stun_server.h"

namespace junctor::rendezvous {
namespace {

namespace wire = nat::rendezvous;

/// What is due, and what comes soon.
void turn_for_a_moment() {
  const Time end = Clock::now() + std::chrono::milliseconds(100);
  while (Clock::now() < end)
    if (!g_main_context_iteration(nullptr, FALSE)) g_usleep(1000);
}

class LookoutTest : public ::testing::Test {
 protected:
  void run_until_found(unsigned number) {
    const Time end = Clock::now() + std::chrono::seconds(20);
    while (found < number && Clock::now() < end) {
      g_main_context_iteration(nullptr, FALSE);
      g_usleep(1000);
    }
    EXPECT_EQ(found, number);
  }

  const std::vector<wire::Region> servers = {{"eu", "192.0.2.1:3478"}};
  std::vector<std::string> addresses = {"192.0.2.9"};
  // Not this: a survey may outlive the test.
  const std::shared_ptr<std::atomic<bool>> held = std::make_shared<std::atomic<bool>>(false);
  const std::shared_ptr<std::atomic<unsigned>> surveys = std::make_shared<std::atomic<unsigned>>(0);
  unsigned found = 0;
  std::vector<wire::RegionTime> regions;
  std::optional<Lookout> lookout{
      std::in_place,
      [this](Surroundings told) {
        ++found;
        regions = told.regions;
      },
      [held = held, surveys = surveys](const std::vector<wire::Region> &asked,
                                       const std::stop_token &) {
        ++*surveys;
        while (*held) g_usleep(1000);
        Surroundings told;
        told.regions = {{asked.front().name, 7}};
        return told;
      },
      [this] { return addresses; }};
};

TEST_F(LookoutTest, TellsWhatItFinds) {
  lookout->look(servers);
  run_until_found(1);
  EXPECT_EQ(regions, (std::vector<wire::RegionTime>{{"eu", 7}}));
}

TEST_F(LookoutTest, LooksAgainAtOnceWhereTheAddressesAreOthers) {
  lookout->look(servers);
  run_until_found(1);
  addresses = {"198.51.100.9"};
  lookout->look(servers);
  run_until_found(2);
}

TEST_F(LookoutTest, DoesNotAskAgainForEachConnectionThatBreaks) {
  lookout->look(servers);
  run_until_found(1);
  for (unsigned i = 0; i < 100; ++i) {
    lookout->look(servers);
    g_main_context_iteration(nullptr, FALSE);
  }
  EXPECT_EQ(*surveys, 1U);
}

TEST_F(LookoutTest, WhatHasChangedMeanwhileIsAskedNext) {
  *held = true;
  lookout->look(servers);
  addresses = {"198.51.100.9"};
  lookout->look({{"us", "192.0.2.2:3478"}});
  *held = false;
  run_until_found(1);
  EXPECT_EQ(*surveys, 2U) << "the first is of a network that is gone";
  EXPECT_EQ(regions.front().name, "us");
}

TEST_F(LookoutTest, WhatIsFoundWithoutANetworkIsNotTold) {
  lookout->look(servers);
  run_until_found(1);
  for (const std::vector<std::string> &none :
       {std::vector<std::string>(), std::vector<std::string>{"127.0.0.1"}}) {
    addresses = none;
    const unsigned before = *surveys;
    lookout->look(servers);
    while (*surveys == before) g_usleep(1000);
    turn_for_a_moment();
    EXPECT_EQ(found, 1U);
  }
  addresses = {"192.0.2.9"};
  lookout->look(servers);
  run_until_found(2);
}

TEST_F(LookoutTest, AMachineThatNeverHadANetworkHasItsServersItself) {
  addresses = {"127.0.0.1"};
  lookout->look(servers);
  run_until_found(1);
}

TEST(Lookout, WhatIsFoundWhileTheNetworkIsGoneForAMomentIsNotTold) {
  const bool made = in_own_network({"198.51.100.7"}, [] {
    const auto held = std::make_shared<std::atomic<bool>>(true),
               ended = std::make_shared<std::atomic<bool>>(false);
    unsigned found = 0;
    Lookout lookout([&](const Surroundings &) { ++found; },
                    [held, ended](const auto &, const std::stop_token &) {
                      while (*held) g_usleep(1000);
                      *ended = true;
                      return Surroundings();
                    },
                    nat::host_addresses);
    lookout.look({{"eu", "192.0.2.1:3478"}});
    EXPECT_TRUE(set_own_address(0, ""));
    turn_for_a_moment();
    EXPECT_TRUE(set_own_address(0, "198.51.100.7"));
    turn_for_a_moment();
    *held = false;
    while (!*ended) g_usleep(1000);
    turn_for_a_moment();
    EXPECT_EQ(found, 0U);
  });
  if (!made) GTEST_SKIP() << "no network of one's own can be made here";
}

TEST_F(LookoutTest, MayEndWhileItAsks) {
  *held = true;
  lookout->look(servers);
  lookout.reset();
  *held = false;
  turn_for_a_moment();
  EXPECT_EQ(found, 0U);
}

TEST(Lookout, ASurveyThatGoesOnEndsWithIt) {
  const UniqueFd silent = *bind_udp({"127.0.0.1", 0});
  bool found = false;
  std::weak_ptr<bool> under_way;
  {
    auto held = std::make_shared<bool>();
    under_way = held;
    Lookout lookout([&](Surroundings) { found = true; },
                    [held = std::move(held)](const auto &servers, const std::stop_token &stop) {
                      return survey(servers, stop);
                    },
                    [] { return std::vector<std::string>(); });
    lookout.look({{"silent", local_endpoint(silent.get()).to_string()}});
    pollfd asked = {silent.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&asked, 1, 10'000), 1);
  }
  EXPECT_TRUE(under_way.expired());
  EXPECT_FALSE(found);
}

TEST(Surroundings, AWelcomeNamesRegionsAndServers) {
  wire::Welcome welcome;
  welcome.regions = {{"eu", "stun.example:3478"}};
  welcome.stun = {"192.0.2.1:3478"};
  EXPECT_EQ(servers_of(welcome), (std::vector<wire::Region>{{"eu", "stun.example:3478"},
                                                            {"192.0.2.1:3478", "192.0.2.1:3478"}}));
  EXPECT_TRUE(survey({}).stun_servers.empty());
}

class SurveyTest : public ::testing::Test {
 protected:
  /// Where a STUN server answers.
  Endpoint listen(const std::string &address) {
    nat::StunServerOptions options;
    options.listen = {address, 0};
    const auto server = nat::StunServer::listen(thread->reactor(), std::move(options));
    if (!server) return {};
    servers.push_back(*server);
    return (*server)->local();
  }

  const std::shared_ptr<ReactorThread> thread = *ReactorThread::start("survey-test");
  std::vector<std::shared_ptr<nat::StunServer>> servers;
};

TEST_F(SurveyTest, KnowsServersOfBothFamilies) {
  const Endpoint six = listen("::1"), four = listen("127.0.0.1");
  if (six.port == 0) GTEST_SKIP() << "this machine has no IPv6";
  const Surroundings found =
      survey({{"six", six.to_string()}, {"four", four.to_string()}, {"again", four.to_string()}});
  EXPECT_EQ(found.stun_servers, (std::vector<Endpoint>{four, six}));
  ASSERT_EQ(found.regions.size(), 1U);
  EXPECT_EQ(found.regions.front().name, "four") << "NATs are those of IPv4";
  EXPECT_TRUE(found.nat);
}

TEST_F(SurveyTest, MeasuresTheOtherFamilyWhereOneIsSilent) {
  const Endpoint six = listen("::1");
  if (six.port == 0) GTEST_SKIP() << "this machine has no IPv6";
  const auto silent = bind_udp({"127.0.0.1", 0});
  ASSERT_TRUE(silent);
  const Endpoint four = local_endpoint(silent->get());
  const Surroundings found = survey({{"four", four.to_string()}, {"six", six.to_string()}});
  EXPECT_EQ(found.stun_servers, (std::vector<Endpoint>{six, four}));
  ASSERT_EQ(found.regions.size(), 1U);
  EXPECT_EQ(found.regions.front().name, "six");
}

}  // namespace
}  // namespace junctor::rendezvous
