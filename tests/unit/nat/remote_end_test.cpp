// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/remote_end.h"

#include <gtest/gtest.h>

#include "nat/core/channel.h"

namespace junctor::nat {
namespace {

using namespace std::chrono_literals;
using Generation = RemoteEnd::Generation;

class TheOtherEnd : public testing::Test {
 protected:
  TheOtherEnd() {
    end_.begin(
        {PublicKey{},
         std::string(kTagSize, 'a'),
         3,
         {{CandidateKind::Host, {"192.0.2.1", 1}}, {CandidateKind::Host, {"192.0.2.1", 2}}}});
  }
  Time now_ = Time{} + 1h;
  RemoteEnd end_;
};

TEST_F(TheOtherEnd, SaysSoManyStringsAMinute) {
  for (unsigned i = 0; i < RemoteEnd::kMostStrings; ++i) EXPECT_TRUE(end_.take_string(now_));
  EXPECT_FALSE(end_.take_string(now_ + 59s));
  EXPECT_TRUE(end_.take_string(now_ + 60s));
}

TEST_F(TheOtherEnd, NamesSoManyAddressesInAGeneration) {
  for (std::size_t i = 2; i < kMostCandidates; ++i) EXPECT_TRUE(end_.take_candidate()) << i;
  EXPECT_FALSE(end_.take_candidate());
  EXPECT_EQ(end_.take_generation(2, now_), Generation::Past);
  EXPECT_EQ(end_.take_generation(3, now_), Generation::Present);
  EXPECT_FALSE(end_.take_candidate());
  EXPECT_EQ(end_.take_generation(4, now_), Generation::New);
  EXPECT_TRUE(end_.take_candidate());
}

TEST_F(TheOtherEnd, ChangesNoMoreOftenThanOneOfUsWould) {
  std::uint32_t number = 3;
  for (unsigned i = 0; i < RemoteEnd::kGenerations; ++i)
    EXPECT_EQ(end_.take_generation(++number, now_), Generation::New);
  EXPECT_EQ(end_.take_generation(number + 1, now_), Generation::TooMany);
  EXPECT_EQ(end_.generation(), number) << "it counts for nothing";
  // Nothing of one of ours is refused, though it is late or early now and then.
  for (int i = 0; i < 100; ++i) {
    now_ += Channel::kGatheringInterval;
    EXPECT_EQ(end_.take_generation(++number, now_), Generation::New) << i;
  }
}

}  // namespace
}  // namespace junctor::nat
