// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/remote_end.h"

#include <gtest/gtest.h>

#include "nat/core/channel.h"

namespace junctor::nat {
namespace {

using namespace std::chrono_literals;

class TheOtherEnd : public testing::Test {
 protected:
  TheOtherEnd() {
    end_.begin(
        {PublicKey{},
         std::string(kTagSize, 'a'),
         3,
         {{CandidateKind::Host, {"192.0.2.1", 1}}, {CandidateKind::Host, {"192.0.2.1", 2}}}});
  }
  /// What becomes of so many candidates.
  std::string take(std::uint32_t generation, std::size_t candidates = 1) {
    bool forgotten = false;
    std::size_t tried = 0;
    const auto anew = end_.take(
        {generation, std::vector<Candidate>(candidates)}, now_,
        [&] {
          EXPECT_EQ(tried, 0U);
          forgotten = true;
        },
        [&](const Candidate &) { ++tried; });
    if (!anew) return anew.error().detail;
    EXPECT_EQ(*anew, forgotten);
    return (forgotten ? "new, tried " : "tried ") + std::to_string(tried);
  }
  Time now_ = Time{} + 1h;
  RemoteEnd end_{"node n7"};
};

TEST_F(TheOtherEnd, SaysSoManyStringsAMinute) {
  for (unsigned i = 0; i < RemoteEnd::kMostStrings; ++i) EXPECT_TRUE(end_.take_string(now_));
  const auto refused = end_.take_string(now_ + 59s);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().detail, "node n7 has sent more than 64 strings within a minute");
  EXPECT_TRUE(end_.take_string(now_ + 60s));
}

TEST_F(TheOtherEnd, NamesSoManyAddressesInAGeneration) {
  EXPECT_EQ(take(2), "tried 0") << "of before";
  EXPECT_EQ(take(3), "tried 1") << "beside the two of its description";
  EXPECT_EQ(take(3, kMostCandidates), "tried " + std::to_string(kMostCandidates - 3));
  EXPECT_EQ(take(3), "tried 0");
  EXPECT_EQ(take(4, 2), "new, tried 2");
  EXPECT_EQ(end_.generation(), 4U);
}

TEST_F(TheOtherEnd, ChangesNoMoreOftenThanOneOfUsWould) {
  std::uint32_t number = 3;
  for (unsigned i = 0; i < RemoteEnd::kGenerations; ++i) EXPECT_EQ(take(++number), "new, tried 1");
  EXPECT_EQ(take(number + 1), "node n7 changes addresses too often");
  EXPECT_EQ(end_.generation(), number) << "it counts for nothing";
  // Nothing of one of ours is refused, though it is late or early now and then.
  for (int i = 0; i < 100; ++i) {
    now_ += Channel::kGatheringInterval;
    EXPECT_EQ(take(++number), "new, tried 1") << i;
  }
}

}  // namespace
}  // namespace junctor::nat
