// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/nearest_region.h"

#include <gtest/gtest.h>

#include "simulated_network.h"

namespace junctor::nat {
namespace {

using namespace std::chrono_literals;

const Region kNear{"eu-west", {"192.0.2.1", 3478}}, kFar{"us-east", {"192.0.2.2", 3478}},
    kGone{"ap-south", {"192.0.2.3", 3478}};

void add(SimulatedNetwork &network, const Region &region, Duration one_way) {
  network.add_server({region.stun, {}, {}, {}}, one_way);
}

TEST(NearestRegion, RanksByRoundTrip) {
  SimulatedNetwork network;
  add(network, kNear, 10ms);
  add(network, kFar, 45ms);
  NearestRegion nearest({kFar, kNear});
  const Duration took = network.run(nearest);
  const auto ranking = nearest.ranking();
  ASSERT_EQ(ranking.size(), 2U);
  EXPECT_EQ(ranking[0].region.name, "eu-west");
  EXPECT_EQ(ranking[0].round_trip, 20ms);
  EXPECT_EQ(ranking[0].external->address, "203.0.113.5");
  EXPECT_EQ(ranking[1].round_trip, 90ms);
  EXPECT_EQ(took, 100ms + 90ms) << "three requests each, 50 ms apart";
}

TEST(NearestRegion, WaitsForTheSilentNoLongerThanItMust) {
  SimulatedNetwork network;
  add(network, kNear, 10ms);
  NearestRegion nearest({kGone, kNear});
  const Duration took = network.run(nearest);
  const auto ranking = nearest.ranking();
  EXPECT_EQ(ranking[0].region.name, "eu-west");
  EXPECT_FALSE(ranking[1].round_trip);
  EXPECT_EQ(ranking[1].answers, 0U);
  EXPECT_LE(took, 120ms + 200ms);
}

TEST(NearestRegion, EndsWhereNobodyAnswers) {
  SimulatedNetwork network;
  NearestRegion nearest({kGone, kNear});
  EXPECT_EQ(network.run(nearest), 1500ms);
  EXPECT_FALSE(nearest.ranking()[0].round_trip);
  EXPECT_EQ(network.requests, 16U);
  NearestRegion none({});
  EXPECT_TRUE(none.done());
  EXPECT_TRUE(none.ranking().empty());
}

TEST(NearestRegion, IsRightUnderLoss) {
  int right = 0;
  for (unsigned seed = 0; seed < 100; ++seed) {
    SimulatedNetwork network(seed);
    network.loss = 0.2;
    add(network, kNear, 20ms);
    add(network, kFar, 40ms);
    NearestRegion nearest({kFar, kNear});
    network.run(nearest);
    right += nearest.ranking()[0].region.name == "eu-west";
  }
  EXPECT_GE(right, 99);
}

TEST(NearestRegion, BelievesOnlyTheServerItAsked) {
  NearestRegion nearest({kNear});
  const Time now = Time() + 1h;
  const auto sent = nearest.poll(now);
  ASSERT_EQ(sent.size(), 1U);
  StunResponder responder({kNear.stun, {}, {}, {}});
  const auto answer = responder.datagram(sent[0].bytes, {"203.0.113.5", 5}, 0, kNear.stun, now);
  nearest.received(0, kFar.stun, answer.reply->bytes, now + 1ms);
  EXPECT_FALSE(nearest.ranking()[0].round_trip);
  nearest.received(0, kNear.stun, answer.reply->bytes, now + 5ms);
  nearest.received(0, kNear.stun, answer.reply->bytes, now + 6ms);
  EXPECT_EQ(nearest.ranking()[0].round_trip, 5ms);
  EXPECT_EQ(nearest.ranking()[0].answers, 1U);
}

TEST(NearestRegion, IsBounded) {
  NearestRegion nearest(std::vector<Region>(1000, kNear));
  EXPECT_EQ(nearest.poll(Time()).size(), NearestRegion::kMostRegions);
}

}  // namespace
}  // namespace junctor::nat
