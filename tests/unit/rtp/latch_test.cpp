// SPDX-License-Identifier: LGPL-2.1-or-later
// Whose media is believed, with time as an argument.
#include <gtest/gtest.h>

#include "rtp/core/session_core.h"

using namespace junctor;
using namespace junctor::rtp;
using namespace std::chrono_literals;

namespace {

constexpr Time kStart{1000s};
using Verdict = Latch::Verdict;

sockaddr_storage at(const char *host, std::uint16_t port) {
  return *Endpoint{host, port}.to_sockaddr();
}

const Endpoint kNamed{"10.0.0.5", 4000};
const sockaddr_storage kPublic = at("192.0.2.7", 61000), kStranger = at("203.0.113.9", 5555);

/// A packet each 20 ms from `first` on; when the first one was accepted.
std::optional<Time> send_until_accepted(Latch &latch, const sockaddr_storage &source, Time first,
                                        std::uint32_t ssrc = 7) {
  for (Time now = first; now < first + 2s; now += 20ms)
    if (latch.judge(source, ssrc, now) == Verdict::Accepted) return now;
  return std::nullopt;
}

}  // namespace

TEST(Latch, TheNamedHostIsBelievedAtOnceWhateverItsPort) {
  Latch latch;
  latch.configure(kNamed, kStart);
  EXPECT_EQ(latch.judge(at("10.0.0.5", 4711), 7, kStart), Verdict::Accepted);
  EXPECT_TRUE(same_address(*latch.destination(), at("10.0.0.5", 4711)));
  EXPECT_EQ(latch.judge(kStranger, 666, kStart + 10s), Verdict::Stranger);
}

TEST(Latch, AnotherHostWaitsForTheNamedOne) {
  Latch latch;
  latch.configure(kNamed, kStart);
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(latch.judge(kStranger, 666, kStart + i * 20ms), Verdict::Undecided);
  EXPECT_TRUE(same_address(*latch.destination(), at("10.0.0.5", 4000)));
  EXPECT_EQ(latch.judge(at("10.0.0.5", 4000), 7, kStart + 200ms), Verdict::Accepted);
  EXPECT_EQ(latch.judge(kStranger, 666, kStart + 1s), Verdict::Stranger);
}

TEST(Latch, APhoneBehindANatIsBelievedSoon) {
  Latch latch;
  latch.configure(kNamed, kStart);
  EXPECT_EQ(send_until_accepted(latch, kPublic, kStart + 100ms), kStart + 500ms);
  EXPECT_TRUE(same_address(*latch.destination(), kPublic));
  EXPECT_EQ(latch.judge(kStranger, 666, kStart + 10s), Verdict::Stranger);
  // What the answer named may still take over, on any of its ports.
  EXPECT_EQ(latch.judge(at("10.0.0.5", 4002), 7, kStart + 10s), Verdict::Accepted);
  EXPECT_EQ(latch.judge(kPublic, 7, kStart + 10s), Verdict::Stranger);
}

TEST(Latch, WhereNoNatIsBetweenNoOtherHostIsBelieved) {
  Latch latch;
  latch.configure(kNamed, kStart, true);
  for (Time now = kStart; now < kStart + 5s; now += 20ms)
    EXPECT_EQ(latch.judge(kStranger, 666, now), Verdict::Stranger);
  EXPECT_TRUE(same_address(*latch.destination(), at("10.0.0.5", 4000)));
  // Nor where it holds by an address of nowhere, which is not the one that it signals from.
  latch.configure({"0.0.0.0", kNamed.port}, kStart + 5s, false);
  EXPECT_FALSE(send_until_accepted(latch, kStranger, kStart + 6s, 666));
  EXPECT_EQ(latch.judge(at("10.0.0.5", 4711), 7, kStart + 9s), Verdict::Accepted);
  // It signals from elsewhere now, through a NAT.
  Latch natted;
  natted.configure(kNamed, kStart, true);
  natted.configure(kNamed, kStart + 1s, false);
  EXPECT_TRUE(send_until_accepted(natted, kPublic, kStart + 2s));
  // It moves behind a NAT.
  latch.configure({"10.0.0.6", 4000}, kStart + 10s, false);
  EXPECT_TRUE(send_until_accepted(latch, kPublic, kStart + 12s));
}

TEST(Latch, PacketsBeforeTheAnswerAreNoProof) {
  Latch latch;
  latch.configure(kNamed, kStart);
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(latch.judge(kStranger, 666, kStart - 1s + i * 20ms), Verdict::Undecided);
  EXPECT_EQ(latch.judge(kStranger, 666, kStart + 380ms), Verdict::Undecided);
}

TEST(Latch, FewPacketsOrManySourcesProveNothing) {
  Latch latch;
  latch.configure(kNamed, kStart);
  EXPECT_EQ(latch.judge(kStranger, 1, kStart), Verdict::Undecided);
  EXPECT_EQ(latch.judge(kStranger, 1, kStart + 1s), Verdict::Undecided);
  EXPECT_EQ(latch.judge(kStranger, 2, kStart + 1s), Verdict::Undecided);   // another SSRC
  EXPECT_EQ(latch.judge(kStranger, 1, kStart + 10s), Verdict::Undecided);  // after a pause
  EXPECT_EQ(latch.judge(kStranger, 1, kStart + 11s), Verdict::Undecided);
  EXPECT_EQ(latch.judge(kStranger, 1, kStart + 12s), Verdict::Accepted);
}

TEST(Latch, AnUnchangedAnswerKeepsTheLatch) {
  Latch latch;
  latch.configure(kNamed, kStart);
  ASSERT_TRUE(send_until_accepted(latch, kPublic, kStart));
  latch.configure(kNamed, kStart + 10s);
  EXPECT_FALSE(send_until_accepted(latch, kStranger, kStart + 10s, 666));
  EXPECT_EQ(latch.judge(kPublic, 7, kStart + 20s), Verdict::Accepted);
  // After an answer, and until the old one is heard again, the NAT may have given another port.
  EXPECT_EQ(latch.judge(at("192.0.2.7", 61002), 7, kStart + 20s), Verdict::Stranger);
  latch.configure(kNamed, kStart + 30s);
  EXPECT_EQ(latch.judge(at("192.0.2.7", 61002), 7, kStart + 30s), Verdict::Accepted);
}

TEST(Latch, APhoneWhoseNatHasForgottenItIsFollowed) {
  Latch latch;
  latch.configure(kNamed, kStart);
  ASSERT_TRUE(send_until_accepted(latch, kPublic, kStart));
  EXPECT_EQ(latch.judge(kPublic, 7, kStart + 10s), Verdict::Accepted);
  const sockaddr_storage rebound = at("192.0.2.7", 62000);
  EXPECT_EQ(latch.judge(rebound, 7, kStart + 10900ms), Verdict::Stranger) << "may still be there";
  EXPECT_EQ(latch.judge(rebound, 8, kStart + 12s), Verdict::Stranger) << "another stream";
  EXPECT_EQ(latch.judge(kStranger, 7, kStart + 12s), Verdict::Stranger) << "another host";
  EXPECT_EQ(latch.judge(rebound, 7, kStart + 12s), Verdict::Accepted);
  EXPECT_TRUE(same_address(*latch.destination(), rebound));
  EXPECT_EQ(latch.judge(kPublic, 7, kStart + 12s), Verdict::Stranger);
}

TEST(Latch, AHoldByAnAddressOfNowhereKeepsTheLatch) {
  Latch latch;
  latch.configure(kNamed, kStart);
  ASSERT_TRUE(send_until_accepted(latch, kPublic, kStart));
  latch.configure({"0.0.0.0", kNamed.port}, kStart + 10s);
  EXPECT_EQ(latch.judge(kPublic, 7, kStart + 15s), Verdict::Accepted);  // music
  latch.configure(kNamed, kStart + 20s);
  EXPECT_TRUE(same_address(*latch.destination(), kPublic));
  EXPECT_EQ(latch.judge(kPublic, 7, kStart + 20s), Verdict::Accepted);
  EXPECT_EQ(latch.judge(kStranger, 666, kStart + 20s), Verdict::Stranger);
}

TEST(Latch, AnAddressOfNowhereAtFirstIsFollowedByTheNextOne) {
  Latch latch;
  latch.configure({"0.0.0.0", kNamed.port}, kStart);
  EXPECT_EQ(latch.destination(), nullptr);
  latch.configure(kNamed, kStart + 10s);
  EXPECT_TRUE(same_address(*latch.destination(), at("10.0.0.5", 4000)));
}

TEST(Latch, AChangedAnswerLearnsAnewAndLetsStragglersIn) {
  Latch latch;
  latch.configure(kNamed, kStart);
  ASSERT_TRUE(send_until_accepted(latch, kPublic, kStart));
  latch.configure({"10.0.0.6", 4000}, kStart + 10s);
  EXPECT_EQ(latch.judge(kPublic, 7, kStart + 10s), Verdict::Accepted);
  EXPECT_EQ(latch.latched(), nullptr);
  EXPECT_EQ(latch.judge(kStranger, 666, kStart + 10s), Verdict::Undecided);
  EXPECT_EQ(latch.judge(at("10.0.0.6", 4000), 7, kStart + 10s), Verdict::Accepted);
  EXPECT_EQ(latch.judge(kPublic, 7, kStart + 10s), Verdict::Stranger);
}

TEST(Latch, APeerThatHasNamedAnotherPortIsSentToThereWhereverItSendsFrom) {
  Latch latch;
  latch.configure(kNamed, kStart);
  const sockaddr_storage old = at(kNamed.address.c_str(), kNamed.port);
  ASSERT_EQ(latch.judge(old, 7, kStart), Verdict::Accepted);
  latch.configure({kNamed.address, 5000}, kStart + 10s);
  for (const Duration later : {0ms, 900ms, 1100ms, 5000ms}) {
    EXPECT_EQ(latch.judge(old, 7, kStart + 10s + later), Verdict::Accepted);
    EXPECT_TRUE(same_address(*latch.destination(), at(kNamed.address.c_str(), 5000)));
  }
  EXPECT_EQ(latch.judge(at(kNamed.address.c_str(), 5000), 7, kStart + 16s), Verdict::Accepted);
  EXPECT_EQ(latch.judge(old, 7, kStart + 16s), Verdict::Stranger);
}
