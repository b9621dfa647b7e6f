// SPDX-License-Identifier: LGPL-2.1-or-later
// When a client looks around.
#include "rendezvous/surroundings.h"

#include <gtest/gtest.h>

#include <atomic>

namespace junctor::rendezvous {
namespace {

namespace wire = nat::rendezvous;

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
      [held = held, surveys = surveys](const std::vector<wire::Region> &asked) {
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
  run_until_found(2);
  EXPECT_EQ(regions.front().name, "us");
}

TEST_F(LookoutTest, MayEndWhileItAsks) {
  *held = true;
  lookout->look(servers);
  lookout.reset();
  *held = false;
  const Time end = Clock::now() + std::chrono::milliseconds(100);
  while (Clock::now() < end) g_main_context_iteration(nullptr, FALSE);
  EXPECT_EQ(found, 0U);
}

TEST(Surroundings, AWelcomeNamesRegionsAndServers) {
  wire::Welcome welcome;
  welcome.regions = {{"eu", "stun.example:3478"}};
  welcome.stun = {"192.0.2.1:3478"};
  EXPECT_EQ(servers_of(welcome), (std::vector<wire::Region>{{"eu", "stun.example:3478"},
                                                            {"192.0.2.1:3478", "192.0.2.1:3478"}}));
  EXPECT_TRUE(survey({}).stun_servers.empty());
}

}  // namespace
}  // namespace junctor::rendezvous
