// SPDX-License-Identifier: LGPL-2.1-or-later
// What becomes of a session at a node when it is brought there more than once.
#include <gmock/gmock.h>

#include "nat/core/description.h"
#include "nodes_fixture.h"

namespace junctor::rendezvous {
namespace {

using testing::HasSubstr;

TEST_F(Nodes, ANodeIsNotResumedUnderAnotherName) {
  const LinkId first = node("a");
  const std::string secret = last<wire::Welcome>(first).resume;
  call();
  need(alice);
  say(first, wire::Refuse{session, ""});
  const std::size_t came = got(first);
  rendezvous->disconnected(first, now);
  const LinkId renamed = node("b", 10, "", secret, came);
  EXPECT_EQ(heard[renamed].closed, kPolicy);
  EXPECT_THAT(heard[renamed].why, HasSubstr("node a is not resumed under another name"));
  say(renamed, wire::Load{10, 0});  // it would have no room

  // Who comes by the name meanwhile leaves nothing of the session behind.
  const LinkId second = node("a");
  now += 2s;
  need(alice);
  EXPECT_EQ(count<wire::Serve>(second), 1U);
  say(alice, wire::Bye{session, "", ""});
  EXPECT_EQ(count<wire::Release>(second), 2U);
  EXPECT_EQ(view("a").sessions, 0U);
  for (const LinkId each : {renamed, second}) rendezvous->disconnected(each, now);
  pass(40s);
  EXPECT_TRUE(rendezvous->nodes().empty());
}

TEST_F(Nodes, OneThatIsResumedHasWhatItHad) {
  const LinkId first = node("a");
  const std::string secret = last<wire::Welcome>(first).resume;
  call_over(first);
  const std::size_t came = got(first);
  rendezvous->disconnected(first, now);
  const LinkId again = node("a", 10, "", secret, came);
  EXPECT_TRUE(last<wire::Welcome>(again).resumed);
  EXPECT_EQ(view("a").sessions, 1U);
  EXPECT_EQ(count<wire::NodeFailed>(alice), 0U);
}

TEST_F(Nodes, WhatClientsSayOfTheOneBeforeIsNoWordOnTheOneThatIsAsked) {
  const LinkId only = node("a");
  asked_again_over(only);
  ASSERT_EQ(count<wire::Serve>(only), 2U);
  // Bob has not heard of that yet.
  says(bob, "a", "trying");
  says(bob, "a", "up");
  says(bob, "a", "carrying");
  says(bob, "a", "lost");
  says(bob, "a", "stopped");
  says(alice, "a", "stopped");
  EXPECT_EQ(count<wire::Release>(only), 1U);
  serve(only);
  EXPECT_EQ(count<wire::Node>(alice), 2U);
  EXPECT_EQ(count<wire::Node>(bob), 2U);
  need(bob);
  EXPECT_EQ(count<wire::Node>(bob), 2U) << "it is on its way";
  both_say("a", "trying");
  legs_up(only);
  EXPECT_EQ(count<wire::NodeUp>(bob), 2U);
}

TEST_F(Nodes, WhatClientsSayOfTheOneBeforeIsNoWordOnTheOneThatIsNamed) {
  const LinkId only = node("a");
  asked_again_over(only);
  serve(only);
  says(bob, "a", "up");
  says(bob, "a", "carrying");
  says(bob, "a", "lost");
  EXPECT_EQ(count<wire::NodeFailed>(alice), 1U);
  both_say("a", "trying");
  legs_up(only);
  EXPECT_EQ(count<wire::NodeUp>(bob), 2U);
}

TEST_F(Nodes, OneThatDidNotReachBothLetsTheRelayGoFirst) {
  const LinkId only = node("a");
  relay = true;
  call();
  const auto not_reached = [&](std::size_t asked) {
    need(alice);
    ASSERT_EQ(count<wire::Serve>(only), asked);
    stays_down(only, "a");
    now += 2s;
  };
  const auto passed_over = [&] {
    for (const LinkId each : {alice, bob}) {
      need(each);
      EXPECT_EQ(last<wire::NoNode>(each).why, "none but those that were tried");
    }
  };
  not_reached(1);
  passed_over();
  EXPECT_EQ(count<wire::Serve>(only), 1U);
  now += 2s;
  not_reached(2);
  passed_over();
  now += 2s;
  not_reached(3);
  // From another network it may be reached.
  const nat::Candidate elsewhere{nat::CandidateKind::External, {"192.0.2.7", 4000}};
  say(bob, wire::Signal{session, "", "", nat::to_string(nat::MoreCandidates{2, {elsewhere}})});
  need(alice);
  EXPECT_EQ(count<wire::Serve>(only), 4U);
}

TEST_F(Nodes, OneThatDidNotReachBothIsAskedAgainWhereThereIsNoRelay) {
  const LinkId only = node("a");
  call();
  need(alice);
  stays_down(only, "a");
  now += 2s;
  need(alice);
  EXPECT_EQ(count<wire::Serve>(only), 2U);
}

TEST_F(Nodes, WhoseTurnHasComeBeforeIsNotPassedOverOnceMore) {
  const LinkId only = node("a");
  relay = true;
  call();
  need(alice);
  stays_down(only, "a");
  need(alice);  // too soon for it in any case
  EXPECT_EQ(count<wire::NoNode>(alice), 1U);
  now += 2s;
  need(alice);
  EXPECT_EQ(count<wire::Serve>(only), 2U);
}

TEST_F(Nodes, OneThatStoppedWhileBothTriedItIsNotPassedOver) {
  const LinkId only = node("a");
  relay = true;
  call();
  need(alice);
  serve(only);
  both_say("a", "trying");
  say(only, wire::Refuse{session, "its battery is low"});
  now += 2s;
  need(alice);
  EXPECT_EQ(count<wire::Serve>(only), 2U);
}

TEST_F(Nodes, WhoIsNamedOneLaterGetsTheAddressesThatItHasNow) {
  const LinkId only = node("a");
  call();
  need(alice);
  serve(only);
  const auto moves = [&](std::uint32_t generation) {
    const nat::Candidate here{nat::CandidateKind::External, {"192.0.2.7", 4000}};
    say(only, wire::Signal{session, "", "callee",
                           nat::to_string(nat::MoreCandidates{generation, {here}})});
  };
  for (int i = 0; i < 9; ++i) moves(1);
  moves(2);
  moves(2);
  now += 500ms;
  const std::size_t before = count<wire::Signal>(bob);
  need(bob);
  EXPECT_EQ(count<wire::Node>(bob), 2U);
  ASSERT_EQ(count<wire::Signal>(bob), before + 2) << "nothing of the network before";
  const auto told = nat::parse_signal(last<wire::Signal>(bob).data);
  ASSERT_TRUE(told);
  EXPECT_EQ(std::get<nat::MoreCandidates>(*told).generation, 2U);
  for (std::uint32_t generation = 3; generation < 20; ++generation) moves(generation);
  says(bob, "a", "stopped");
  need(bob);
  const auto newest = nat::parse_signal(last<wire::Signal>(bob).data);
  ASSERT_TRUE(newest);
  EXPECT_EQ(std::get<nat::MoreCandidates>(*newest).generation, 19U);
}

}  // namespace
}  // namespace junctor::rendezvous
