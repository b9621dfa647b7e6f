// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/prediction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace junctor::nat {
namespace {

using testing::ElementsAre;

std::vector<Endpoint> seen(std::initializer_list<std::uint16_t> ports) {
  std::vector<Endpoint> list;
  for (const std::uint16_t port : ports) list.push_back({"203.0.113.5", port});
  return list;
}

TEST(Prediction, GoesOnFromTheLastPort) {
  EXPECT_THAT(predicted_ports(seen({5000, 5001})),
              ElementsAre(5002, 5003, 5004, 5005, 5006, 5007, 5008, 5009));
  EXPECT_THAT(predicted_ports(seen({5000, 4998})),
              ElementsAre(4996, 4994, 4992, 4990, 4988, 4986, 4984, 4982));
  EXPECT_THAT(predicted_ports(seen({1, 9000, 9002})), testing::Contains(9004)) << "the last two";
}

TEST(Prediction, KnowsWhatCannotBePredicted) {
  EXPECT_FALSE(port_step(seen({5000})));
  EXPECT_FALSE(port_step(seen({5000, 5000}))) << "the same for each peer";
  EXPECT_FALSE(port_step(seen({5000, 61234}))) << "by chance";
  EXPECT_FALSE(port_step(std::vector<Endpoint>{{"203.0.113.5", 1}, {"203.0.113.6", 2}}));
}

TEST(Prediction, StaysWithinThePorts) {
  EXPECT_THAT(predicted_ports(seen({65530, 65533})), testing::IsEmpty());
  EXPECT_THAT(predicted_ports(seen({65530, 65532})), ElementsAre(65534));
}

}  // namespace
}  // namespace junctor::nat
