// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/peer_log_budget.h"

#include <gtest/gtest.h>

using namespace junctor;
using namespace std::chrono_literals;

TEST(PeerLogBudget, OnePeerHasABurstThenAFewASecondAndTheRestIsCounted) {
  PeerLogBudget budget;
  Time now{100s};
  for (unsigned i = 0; i < PeerLogBudget::kPeerBurst; ++i)
    EXPECT_EQ(budget.take("192.0.2.1", now), 0U) << i;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(budget.take("192.0.2.1", now), std::nullopt);
  EXPECT_EQ(budget.take("192.0.2.2", now), 3U) << "another has its own";
  now += PeerLogBudget::kPeerInterval;
  EXPECT_EQ(budget.take("192.0.2.1", now), 0U);
  EXPECT_EQ(budget.take("192.0.2.1", now), std::nullopt);
  now += PeerLogBudget::kPeerInterval * PeerLogBudget::kPeerBurst;
  EXPECT_EQ(budget.take("192.0.2.1", now), 1U);
  for (unsigned i = 1; i < PeerLogBudget::kPeerBurst; ++i)
    EXPECT_EQ(budget.take("192.0.2.1", now), 0U) << i;
  EXPECT_EQ(budget.take("192.0.2.1", now), std::nullopt) << "rest makes no burst longer";
}

TEST(PeerLogBudget, ManyPeersShareABound) {
  PeerLogBudget budget;
  Time now{100s};
  unsigned written = 0;
  for (int i = 0; i < 10000; ++i)
    if (budget.take(std::to_string(i), now)) ++written;
  EXPECT_EQ(written, PeerLogBudget::kBurst);
  now += PeerLogBudget::kInterval;
  EXPECT_EQ(budget.take("one more", now), 10000 - PeerLogBudget::kBurst);
}

TEST(PeerLogBudget, RemembersABoundedNumberOfPeers) {
  PeerLogBudget budget;
  Time now{100s};
  for (std::size_t i = 0; i < 3 * PeerLogBudget::kMostPeers; ++i) {
    budget.take(std::to_string(i), now);
    now += 1us;
  }
  EXPECT_LE(budget.peers(), PeerLogBudget::kMostPeers + 1);
  now += 1h;
  for (unsigned i = 0; i < PeerLogBudget::kPeerBurst; ++i)
    EXPECT_TRUE(budget.take("new", now)) << "it shares no budget any more";
}
