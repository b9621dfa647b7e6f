// SPDX-License-Identifier: LGPL-2.1-or-later
// Sessions that are brought to nodes.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "nat/core/description.h"
#include "nodes_fixture.h"

namespace junctor::rendezvous {
namespace {

using testing::HasSubstr;

TEST_F(Nodes, ASessionIsBroughtToOneThatBothHaveAnAddressFamilyFor) {
  const nat::Families v4{true, false}, v6{false, true};
  const LinkId first = node("v4", 1), second = node("dual", 50);
  has(first, v4);
  has(second, {true, true});
  call();
  has(alice, v6);
  has(bob, v4);
  say(bob, wire::Moved{"", {{"eu", 6}}, {}});  // says nothing of it
  need(alice);
  EXPECT_EQ(count<wire::Serve>(first), 0U);
  EXPECT_EQ(count<wire::Serve>(second), 1U);
  say(second, wire::Drain{});
  EXPECT_EQ(last<wire::NoNode>(alice).why,
            "of 2 nodes online those that both clients reach are full or stopping");
}

TEST_F(Nodes, AHelloSaysWhichAddressFamiliesThereAre) {
  const LinkId link = connect("carol");
  wire::Hello hello;
  hello.role = wire::Role::Node;
  hello.families = {true, false};
  hello.node = wire::NodeOffer{"v4", "eu", 10, 0};
  say(link, hello);
  call();
  has(alice, {false, true});
  need(alice);
  EXPECT_THAT(last<wire::NoNode>(alice).why, HasSubstr("(caller: IPv6, callee: unknown)"));
}

TEST_F(Nodes, ASessionIsBroughtToTheNearest) {
  const LinkId far = node("far", 50), near = node("near", 10);
  call();
  need(alice);
  EXPECT_EQ(count<wire::Serve>(far), 0U);
  const auto asked = last<wire::Serve>(near);
  EXPECT_EQ(asked.session, session);
  EXPECT_EQ(asked.legs, (std::vector<wire::Leg>{{"caller", kOffer, R"({"audio":["opus"]})"},
                                                {"callee", kAnswer}}));

  serve(near);
  const auto told = last<wire::Node>(alice);
  EXPECT_EQ(told.node, "near");
  EXPECT_EQ(told.order, 1U);
  EXPECT_EQ(told.description, R"({"n":1})");
  EXPECT_DOUBLE_EQ(told.round_trip_ms, 30);
  EXPECT_THAT(told.why, HasSubstr("30 ms"));
  EXPECT_EQ(last<wire::Node>(bob).description, R"({"n":2})") << "who has not asked, too";

  EXPECT_EQ(count<wire::NodeUp>(alice), 0U);
  legs_up(near);
  EXPECT_EQ(last<wire::NodeUp>(alice).node, "near");
  EXPECT_EQ(last<wire::NodeUp>(bob).node, "near");
  EXPECT_EQ(view("near").sessions, 1U);
  EXPECT_EQ(view("near").served, 1U);
}

TEST_F(Nodes, TheOperatorsRuleDecides) {
  rule = nodes::Rule::LeastLoaded;
  make();
  const LinkId busy = node("busy", 1), idle = node("idle", 90);
  say(busy, wire::Load{4, 1e6});
  call();
  need(bob);
  EXPECT_EQ(count<wire::Serve>(idle), 1U);
  EXPECT_EQ(count<wire::Serve>(busy), 0U);
}

TEST_F(Nodes, WhomAClientsNatDoesNotReachIsLeftOut) {
  const auto symmetric = behind(nat::Dependence::AddressAndPortDependent);
  const LinkId behind_nat = node("behind", 1, symmetric),
               open = node("open", 90, behind(nat::Dependence::EndpointIndependent));
  alice = somebody("alice", symmetric);
  bob = somebody("bob");
  session = join(alice, bob, "bob");
  need(alice);
  EXPECT_EQ(count<wire::Serve>(behind_nat), 0U);
  EXPECT_EQ(count<wire::Serve>(open), 1U);
}

TEST_F(Nodes, BothAreToldWhetherThereCanBeADirectWay) {
  const auto symmetric = behind(nat::Dependence::AddressAndPortDependent);
  alice = somebody("alice", symmetric);
  bob = somebody("bob", symmetric);
  session = join(alice, bob, "bob");
  for (const LinkId each : {alice, bob}) {
    EXPECT_EQ(last<wire::Reach>(each).direct, "none");
    EXPECT_THAT(last<wire::Reach>(each).why, HasSubstr("both sides' NATs take another port"));
  }
  EXPECT_EQ(rendezvous->find(session)->direct, "none");
  say(bob, wire::Moved{behind(nat::Dependence::EndpointIndependent), {}});
  EXPECT_EQ(count<wire::Reach>(alice), 2U);
  say(bob, wire::Moved{behind(nat::Dependence::EndpointIndependent), {}});
  EXPECT_EQ(count<wire::Reach>(alice), 2U) << "no news";
}

TEST_F(Nodes, OfANatThatNobodyKnowsNothingIsForetold) {
  alice = somebody("alice", behind(nat::Dependence::AddressAndPortDependent));
  bob = somebody("bob");
  session = join(alice, bob, "bob");
  EXPECT_EQ(last<wire::Reach>(alice).direct, "unknown");
  EXPECT_EQ(last<wire::Reach>(alice).why, "the NAT of bob is not known");
}

TEST_F(Nodes, OneThatIsAskedBeforeTheAnswerIsSoughtAtTheAnswer) {
  const LinkId here = node("n");
  alice = somebody("alice");
  bob = somebody("bob");
  session = ring(alice, "bob");
  need(alice);
  EXPECT_EQ(count<wire::Serve>(here), 0U);
  say(bob, wire::Accept{session, kAnswer, ""});
  EXPECT_EQ(count<wire::Serve>(here), 1U);
}

TEST_F(Nodes, OneThatRefusesOrIsSilentIsFollowedByTheNext) {
  const LinkId first = node("a", 10), second = node("b", 20), third = node("c", 30);
  call();
  need(alice);
  need(bob);
  EXPECT_EQ(count<wire::Serve>(second), 0U) << "one at a time";
  say(first, wire::Refuse{session, "its owner's limit of bytes is reached"});
  EXPECT_EQ(count<wire::Serve>(second), 1U);
  EXPECT_EQ(count<wire::Serve>(third), 0U);
  pass(1s);
  EXPECT_EQ(count<wire::Serve>(third), 1U);
  serve(third);
  EXPECT_EQ(last<wire::Node>(alice).order, 3U);
  EXPECT_EQ(count<wire::NoNode>(alice), 0U);
  EXPECT_THAT(log, HasSubstr("node a: it refuses: its owner's limit of bytes is reached"));
  EXPECT_THAT(log, HasSubstr("node b: it does not answer"));

  // The one that comes too late is of no use.
  serve(second);
  EXPECT_EQ(last<wire::Release>(second).session, session);
  EXPECT_EQ(count<wire::Node>(alice), 1U);
}

TEST_F(Nodes, ASilentOneIsFollowedBeforeTheClientsGiveUpWaiting) {
  const LinkId first = node("a", 10), second = node("b", 20), third = node("c", 30);
  call();
  need(alice);
  for (const Time end = now + 2s; now < end; now += 250ms) rendezvous->tick(now);
  EXPECT_EQ(count<wire::Serve>(first), 1U);
  EXPECT_EQ(count<wire::Serve>(second), 1U);
  EXPECT_EQ(count<wire::Serve>(third), 1U);
}

TEST_F(Nodes, NoneIsLeftIsSaidToWhoAsked) {
  const LinkId only = node("only");
  call();
  need(alice);
  say(only, wire::Refuse{session, ""});
  EXPECT_EQ(last<wire::NoNode>(alice).why, "none but those that were tried");
  EXPECT_EQ(count<wire::NoNode>(bob), 0U);
  need(bob);
  EXPECT_EQ(count<wire::NoNode>(bob), 1U);
  EXPECT_EQ(count<wire::Serve>(only), 1U) << "not again at once";
}

TEST_F(Nodes, WhyThereIsNone) {
  call();
  need(alice);
  EXPECT_EQ(last<wire::NoNode>(alice).why, "no node is online");
}

TEST_F(Nodes, NoMoreThanSomeAreAskedForOneSession) {
  Limits limits;
  limits.nodes_per_session = 3;
  make(limits);
  std::vector<LinkId> all;
  for (char name = 'a'; name < 'h'; ++name) all.push_back(node(std::string(1, name)));
  call();
  need(alice);
  for (const LinkId each : all) say(each, wire::Refuse{session, ""});
  std::size_t asked = 0;
  for (const LinkId each : all) asked += count<wire::Serve>(each);
  EXPECT_EQ(asked, 3U);
  EXPECT_EQ(count<wire::NoNode>(alice), 1U);
}

TEST_F(Nodes, ALegThatFailsIsToldAndTheNextOneAsked) {
  const LinkId first = node("a", 10), second = node("b", 20);
  call();
  need(alice);
  serve(first);
  say(bob, wire::Rung{session, "sfu", "a", "trying", "", 1});
  say(first, wire::LegState{session, "callee", "failed", 2000});
  EXPECT_EQ(last<wire::NodeFailed>(alice).node, "a");
  EXPECT_THAT(last<wire::NodeFailed>(bob).why, HasSubstr("bob and the node do not reach"));
  need(alice);
  EXPECT_EQ(count<wire::Serve>(second), 1U);
  // What was given up passes on what comes until the clients have another way.
  EXPECT_EQ(count<wire::Release>(first), 0U);
  pass(15s);
  EXPECT_EQ(count<wire::Release>(first), 1U);
}

TEST_F(Nodes, WhoAsksWhileANameIsOnItsWayGetsThatOneAlone) {
  const LinkId first = node("a", 10), second = node("b", 20);
  call();
  need(alice);
  serve(first);
  say(alice, wire::Rung{session, "sfu", "a", "trying", "", 1});
  need(bob);
  EXPECT_EQ(count<wire::Serve>(second), 0U) << "what he is told of";
  need(alice);
  EXPECT_EQ(count<wire::Serve>(second), 1U) << "the next one, while that is tried";
}

TEST_F(Nodes, OneThatNobodyHasTriedMayBeAskedAgain) {
  const LinkId first = node("a", 10);
  call();
  need(alice);
  serve(first);
  say(first, wire::LegState{session, "caller", "failed", 3000});
  say(first, wire::LegState{session, "callee", "failed", 3000});
  EXPECT_EQ(count<wire::NodeFailed>(alice), 1U);
  EXPECT_EQ(view("a").sessions, 0U);
  need(alice);
  EXPECT_EQ(count<wire::Serve>(first), 2U);
}

TEST_F(Nodes, OneThatCarriedIsAskedAgainAtOnce) {
  const LinkId only = node("a");
  call_over(only);
  says(alice, "a", "lost", "silent for 300 ms");
  EXPECT_EQ(count<wire::NodeFailed>(bob), 1U);
  need(alice);
  ASSERT_EQ(count<wire::Serve>(only), 2U);
  const auto &told = heard[only].messages;
  EXPECT_TRUE(std::holds_alternative<wire::Release>(told[told.size() - 2]))
      << "it drops the old legs first";
  EXPECT_TRUE(std::holds_alternative<wire::Serve>(told.back()));
  comes_up(only, "a");
  EXPECT_EQ(count<wire::Node>(bob), 2U);
  EXPECT_EQ(last<wire::Node>(bob).order, 2U);
  EXPECT_EQ(count<wire::NodeUp>(bob), 2U);
  EXPECT_EQ(view("a").sessions, 1U);
  pass(20s);
  EXPECT_EQ(count<wire::Release>(only), 1U) << "that was for the legs of before";
  say(alice, wire::Bye{session, "", ""});
  EXPECT_EQ(count<wire::Release>(only), 2U);
}

TEST_F(Nodes, OneThatALegOfFailedIsAskedAgainThoughItsLegsCameBack) {
  const LinkId only = node("a");
  call_over(only);
  say(only, wire::LegState{session, "caller", "failed", 13000});
  EXPECT_EQ(count<wire::NodeFailed>(bob), 1U);
  legs_up(only);
  EXPECT_EQ(count<wire::NodeUp>(bob), 1U) << "the clients have given it up";
  need(bob);
  EXPECT_EQ(count<wire::Serve>(only), 2U);
  comes_up(only, "a");
  EXPECT_EQ(count<wire::NodeUp>(bob), 2U);
}

TEST_F(Nodes, OneThatDidNotComeUpIsAskedAgainAfterAMoment) {
  const LinkId only = node("a");
  call();
  need(alice);
  serve(only);
  says(alice, "a", "trying");  // bob has not
  says(alice, "a", "failed", "no answer within 1500 ms");
  need(alice);
  EXPECT_EQ(count<wire::Serve>(only), 1U);
  EXPECT_EQ(count<wire::NoNode>(alice), 1U);
  now += 2s;
  need(alice);
  EXPECT_EQ(count<wire::Serve>(only), 2U);
  say(only, wire::Refuse{session, "all 10 legs are in use"});
  now += 2s;
  need(alice);
  EXPECT_EQ(count<wire::Serve>(only), 3U);
}

TEST_F(Nodes, OneThatWasNotTriedComesFirst) {
  const LinkId near = node("a", 10), far = node("b", 50);
  call_over(near);
  says(alice, "a", "lost");
  need(alice);
  EXPECT_EQ(count<wire::Serve>(near), 1U);
  EXPECT_EQ(count<wire::Serve>(far), 1U);
  say(far, wire::Refuse{session, ""});
  EXPECT_EQ(count<wire::Serve>(near), 2U);
}

TEST_F(Nodes, WhatTheOtherOneLosesTooIsWhatThereWasBefore) {
  const LinkId only = node("a");
  asked_again_over(only);
  serve(only);
  says(alice, "a", "trying");
  says(bob, "a", "lost");  // before he was told
  EXPECT_EQ(count<wire::NodeFailed>(alice), 1U);
  need(bob);
  EXPECT_EQ(count<wire::Node>(bob), 2U) << "it is on its way";
  says(bob, "a", "trying");
  legs_up(only);
  EXPECT_EQ(count<wire::NodeUp>(bob), 2U);
  says(bob, "a", "lost");
  EXPECT_EQ(count<wire::NodeFailed>(alice), 2U);
}

TEST_F(Nodes, WhatANodeSaysBeforeItAnswersIsOfTheLegsOfBefore) {
  const LinkId only = node("a");
  asked_again_over(only);
  legs_up(only);
  say(only, wire::LegState{session, "callee", "failed", 13000});
  serve(only);
  EXPECT_EQ(count<wire::Node>(alice), 2U);
  EXPECT_EQ(count<wire::NodeFailed>(alice), 1U);
  EXPECT_EQ(count<wire::NodeUp>(alice), 1U);
  both_say("a", "trying");
  say(only, wire::LegState{session, "caller", "up", 3});
  EXPECT_EQ(count<wire::NodeUp>(alice), 1U);
  say(only, wire::LegState{session, "callee", "up", 3});
  EXPECT_EQ(count<wire::NodeUp>(alice), 2U);
}

TEST_F(Nodes, ASilentOneIsAskedAgainWhenItHasAnswered) {
  const LinkId only = node("a");
  call();
  need(alice);
  pass(5s);
  need(alice);
  EXPECT_EQ(count<wire::Serve>(only), 1U) << "nobody knew what it answers";
  serve(only);
  EXPECT_EQ(count<wire::Node>(alice), 0U);
  need(alice);
  EXPECT_EQ(count<wire::Serve>(only), 2U);
  serve(only);
  EXPECT_EQ(count<wire::Node>(alice), 1U);
}

TEST_F(Nodes, OneThatIsStartedAnewIsAskedAgain) {
  const LinkId first = node("a");
  call_over(first);
  rendezvous->disconnected(first, now);
  const LinkId again = node("a");
  need(bob);
  ASSERT_EQ(count<wire::Serve>(again), 1U);
  EXPECT_EQ(count<wire::Release>(again), 1U) << "it may have the legs still";
  comes_up(again, "a");
  EXPECT_EQ(count<wire::NodeUp>(bob), 2U);
  EXPECT_EQ(view("a").sessions, 1U);
}

TEST_F(Nodes, ASessionIsNotBroughtToNodesAgainAndAgain) {
  const LinkId only = node("a");
  call();
  const auto lose = [&] {
    need(alice);
    comes_up(only, "a");
    says(alice, "a", "lost");
  };
  for (int i = 0; i < 20; ++i) lose();
  EXPECT_EQ(count<wire::Serve>(only), 8U);
  EXPECT_EQ(last<wire::NoNode>(alice).why, "too many nodes were tried");
  for (int i = 0; i < 20; ++i) {
    now += 1s;
    lose();
  }
  EXPECT_EQ(count<wire::Serve>(only), 12U) << "one each 5 s";
}

TEST_F(Nodes, OfManyThatWereTriedTheOldestAreForgotten) {
  call();
  const auto try_one = [&](const std::string &name) {
    const LinkId link = node(name);
    now += 5s;
    need(alice);
    EXPECT_EQ(count<wire::Serve>(link), 1U) << name;
    say(link, wire::Refuse{session, ""});
    rendezvous->disconnected(link, now);
    return count<wire::Release>(link);
  };
  EXPECT_EQ(try_one("a"), 0U);
  EXPECT_EQ(try_one("a"), 1U) << "it was tried";
  for (int i = 0; i < 40; ++i) try_one("n" + std::to_string(i));
  EXPECT_EQ(try_one("a"), 0U);
}

TEST_F(Nodes, WhoHadNoUseForOneWhenItWasNamedIsToldAgain) {
  const LinkId only = node("a");
  call();
  need(alice);
  serve(only);
  says(alice, "a", "trying");
  say(only, wire::Signal{session, "", "callee", R"({"n":4})"});
  need(bob);
  EXPECT_EQ(count<wire::Node>(bob), 1U) << "that has crossed its name";
  now += 500ms;
  need(bob);
  EXPECT_EQ(count<wire::Node>(bob), 2U);
  EXPECT_EQ(last<wire::Node>(bob).description, R"({"n":2})");
  EXPECT_EQ(count<wire::Signal>(bob), 2U);
  EXPECT_EQ(last<wire::Signal>(bob).node, "a");
  EXPECT_EQ(last<wire::Signal>(bob).data, R"({"n":4})");
  says(bob, "a", "stopped", "p2p carries");
  need(bob);
  EXPECT_EQ(count<wire::Node>(bob), 3U);
  need(bob);
  EXPECT_EQ(count<wire::Node>(bob), 3U);
  EXPECT_EQ(count<wire::Node>(alice), 1U);
  EXPECT_EQ(count<wire::Serve>(only), 1U);
}

TEST_F(Nodes, WhatAClientLosesIsGivenUpForBoth) {
  const LinkId first = node("a", 10);
  call_over(first);
  say(bob, wire::Rung{session, "sfu", "a", "lost", "silent for 300 ms", 9000});
  EXPECT_THAT(last<wire::NodeFailed>(alice).why, HasSubstr("silent for 300 ms"));
}

TEST_F(Nodes, OneThatBothNeedNoMoreIsReleasedAndMayBeAskedAgain) {
  const LinkId first = node("a", 10);
  call_over(first);
  say(alice, wire::Rung{session, "sfu", "a", "stopped", "", 1});
  EXPECT_EQ(count<wire::Release>(first), 0U);
  say(bob, wire::Rung{session, "sfu", "a", "stopped", "", 1});
  EXPECT_EQ(count<wire::Release>(first), 1U);
  EXPECT_EQ(view("a").sessions, 0U);
  need(bob);
  EXPECT_EQ(count<wire::Serve>(first), 2U);
}

TEST_F(Nodes, AnEndReleasesAll) {
  const LinkId first = node("a", 10);
  call_over(first);
  say(alice, wire::Bye{session, "", ""});
  EXPECT_EQ(last<wire::Release>(first).session, session);
  EXPECT_EQ(view("a").sessions, 0U);
}

TEST_F(Nodes, AnOwnerWhoStopsBreaksNoCall) {
  const LinkId first = node("a", 10), second = node("b", 20);
  call_over(first);
  say(first, wire::Drain{"battery at 20 %"});
  EXPECT_EQ(last<wire::NodeFailed>(alice).why, "battery at 20 %");
  EXPECT_TRUE(last<wire::NodeFailed>(alice).leaving);
  EXPECT_EQ(count<wire::Release>(first), 0U) << "it carries until the next does";
  EXPECT_EQ(view("a").draining, "battery at 20 %");
  need(alice);
  EXPECT_EQ(count<wire::Serve>(first), 1U);
  EXPECT_EQ(count<wire::Serve>(second), 1U);
  // Whoever has moved away says so: the owner need not wait longer than the slower of the two.
  say(alice, wire::Rung{session, "sfu", "a", "stopped", "node b carries", 0});
  EXPECT_EQ(count<wire::Release>(first), 0U);
  say(bob, wire::Rung{session, "sfu", "a", "lost", "nothing is answered any more", 0});
  EXPECT_EQ(count<wire::Release>(first), 1U);
  need(alice);
  EXPECT_EQ(count<wire::Serve>(first), 1U) << "it is not asked again";
  pass(20s);
  EXPECT_EQ(count<wire::Release>(first), 1U);
}

TEST_F(Nodes, AnOwnerWhoStopsGivesCallsAsLongAsTheyNeed) {
  const LinkId only = node("a");
  call_over(only);
  say(only, wire::Drain{"its owner stops it"});
  pass(60s);
  EXPECT_EQ(count<wire::Release>(only), 0U) << "it carries, and its owner lets it";
  says(alice, "a", "lost", "silent for 300 ms");
  EXPECT_EQ(count<wire::Release>(only), 0U);
  says(bob, "a", "stopped", "relay carries");
  EXPECT_EQ(count<wire::Release>(only), 1U);
  EXPECT_EQ(view("a").sessions, 0U);
}

TEST_F(Nodes, AnOwnerWhoStopsWaitsForNoneThatNeverCarried) {
  const LinkId only = node("a");
  call();
  need(alice);
  serve(only);
  say(only, wire::Drain{"its owner stops it"});
  pass(11s);
  EXPECT_EQ(count<wire::Release>(only), 1U);
}

TEST_F(Nodes, AnEndReleasesWhatIsLeavingToo) {
  const LinkId only = node("a");
  call_over(only);
  say(only, wire::Drain{"its owner stops it"});
  say(alice, wire::Bye{session, "", ""});
  EXPECT_EQ(count<wire::Release>(only), 1U);
}

TEST_F(Nodes, OneThatServesAgainGoesOnCarryingUntilBothHaveMoved) {
  const LinkId first = node("a");
  call_over(first);
  both_say("a", "carrying");
  say(first, wire::Drain{"it is outside the hours in which it serves"});
  rendezvous->disconnected(first, now);
  const LinkId again = node("a");
  need(alice);
  EXPECT_EQ(count<wire::Serve>(again), 0U);
  EXPECT_EQ(count<wire::Release>(again), 0U);
  both_say("a", "lost");
  need(alice);
  EXPECT_EQ(count<wire::Serve>(again), 1U);
}

TEST_F(Nodes, OneWhoseConnectionIsLostWhileItIsAskedIsFollowedByTheNext) {
  const LinkId first = node("a", 10), second = node("b", 20);
  call();
  need(alice);
  rendezvous->disconnected(first, now);
  pass(3s);
  EXPECT_EQ(count<wire::Serve>(second), 1U);
}

TEST_F(Nodes, OneWhoseConnectionIsLostGoesOnCarrying) {
  LinkId first = node("a", 10);
  const std::string secret = last<wire::Welcome>(first).resume;
  call_over(first);
  say(alice, wire::Rung{session, "sfu", "a", "carrying", "", 20});
  const std::size_t came = got(first);
  rendezvous->disconnected(first, now);
  pass(400s);
  EXPECT_EQ(count<wire::NodeFailed>(alice), 0U);
  EXPECT_EQ(view("a").draining, "its connection is lost");
  first = node("a", 10, "", secret, came);
  EXPECT_TRUE(last<wire::Welcome>(first).resumed);
  say(alice, wire::Bye{session, "", ""});
  EXPECT_EQ(count<wire::Release>(first), 1U);
}

TEST_F(Nodes, OneThatIsAwayAndCarriesNothingIsForgotten) {
  const LinkId first = node("a", 10);
  call_over(first);
  say(alice, wire::Rung{session, "p2p", "", "carrying", "", 20});
  rendezvous->disconnected(first, now);
  pass(40s);
  EXPECT_TRUE(rendezvous->nodes().empty());
  EXPECT_EQ(rendezvous->find(session)->state, State::Answered);
}

TEST_F(Nodes, OneThatIsStartedAnewTakesThePlaceOfWhatItWas) {
  const LinkId first = node("a", 10);
  call_over(first);
  say(alice, wire::Rung{session, "sfu", "a", "carrying", "", 20});
  rendezvous->disconnected(first, now);
  const LinkId again = node("a", 10);
  EXPECT_EQ(heard[again].closed, 0);
  EXPECT_EQ(rendezvous->nodes().size(), 1U);
  EXPECT_EQ(view("a").draining, "");
  EXPECT_EQ(last<wire::NodeFailed>(alice).why, "the node was started anew");
  EXPECT_EQ(rendezvous->find(session)->state, State::Answered);
}

TEST_F(Nodes, AnotherAccountDoesNotTakeTheNameOfOneThatIsAway) {
  const LinkId first = node("a", 10);
  call();
  need(alice);
  serve(first);
  rendezvous->disconnected(first, now);
  const LinkId thief = connect("bob");
  wire::Hello hello;
  hello.role = wire::Role::Node;
  hello.node = wire::NodeOffer{"a", "eu", 10, 0};
  say(thief, hello);
  EXPECT_EQ(heard[thief].closed, kPolicy);
  EXPECT_EQ(view("a").account, "carol");
}

TEST_F(Nodes, ANodeThatComesBackAsAClientEndsNobodysCall) {
  const LinkId first = node("a", 10);
  const std::string secret = last<wire::Welcome>(first).resume;
  call_over(first);
  const std::size_t came = got(first);
  rendezvous->disconnected(first, now);
  const LinkId again = client("carol", secret, came);
  EXPECT_EQ(heard[again].closed, kPolicy);
  rendezvous->expel("carol", {}, "The account is gone.", now);
  EXPECT_EQ(rendezvous->find(session)->state, State::Answered);
  EXPECT_EQ(count<wire::Bye>(alice), 0U);
  EXPECT_EQ(count<wire::Bye>(bob), 0U);
}

TEST_F(Nodes, AClientThatComesBackAsANodeIsRefused) {
  call();
  const std::string secret = last<wire::Welcome>(alice).resume;
  const std::size_t came = got(alice);
  rendezvous->disconnected(alice, now);
  const LinkId again = connect("alice");
  wire::Hello hello;
  hello.role = wire::Role::Node;
  hello.resume = secret;
  hello.got = static_cast<std::uint32_t>(came);
  hello.node = wire::NodeOffer{"a", "eu", 10, 0};
  say(again, hello);
  EXPECT_EQ(heard[again].closed, kPolicy);
  EXPECT_TRUE(rendezvous->nodes().empty());
  alice = client("alice", secret, came);
  EXPECT_TRUE(last<wire::Welcome>(alice).resumed);
  EXPECT_EQ(rendezvous->find(session)->state, State::Answered);
}

TEST_F(Nodes, WhatClientsSayOfTheirAddressesGoesToTheirNodes) {
  const LinkId first = node("a", 10), second = node("b", 20);
  call();
  const auto more = [](std::uint32_t generation) {
    return nat::to_string(
        nat::MoreCandidates{generation, {{nat::CandidateKind::External, {"192.0.2.7", 4000}}}});
  };
  const auto again = [](const std::string &object) {  // as it is written onto the wire
    return nlohmann::json::parse(object).dump();
  };
  say(alice, wire::Signal{session, "", "", more(1)});
  need(alice);
  EXPECT_EQ(last<wire::Signal>(first).leg, "caller");
  EXPECT_EQ(again(last<wire::Signal>(first).data), again(more(1)));
  say(alice, wire::Signal{session, "", "", more(2)});
  EXPECT_EQ(again(last<wire::Signal>(first).data), again(more(2)));
  say(bob, wire::Signal{session, "", "", R"({"type":"up","generation":1})"});
  EXPECT_EQ(count<wire::Signal>(first), 2U) << "that is between the clients";

  // One that comes later is told of the new network alone.
  say(first, wire::Refuse{session, ""});
  EXPECT_EQ(count<wire::Signal>(second), 1U);
  EXPECT_EQ(again(last<wire::Signal>(second).data), again(more(2)));
  const std::size_t before = count<wire::Signal>(bob);
  say(second, wire::Signal{session, "", "callee", more(1)});
  EXPECT_EQ(count<wire::Signal>(bob), before + 1);
  EXPECT_EQ(last<wire::Signal>(bob).node, "b");
  EXPECT_EQ(count<wire::Signal>(alice), 1U) << "what bob said";
}

TEST_F(Nodes, ANodeHasNoPartInWhatItWasNotAskedFor) {
  const LinkId first = node("a", 10), mallory = node("mallory", 99);
  call();
  need(alice);
  const std::size_t before = heard[alice].messages.size() + heard[bob].messages.size();
  serve(mallory);
  EXPECT_EQ(count<wire::Release>(mallory), 1U);
  legs_up(mallory);
  say(mallory, wire::Signal{session, "", "caller", R"({"n":3})"});
  say(mallory, wire::Refuse{session, ""});
  say(mallory, wire::Open{"r", "bob"});
  say(mallory, wire::Bye{session, "", ""});
  EXPECT_EQ(heard[alice].messages.size() + heard[bob].messages.size(), before);
  EXPECT_EQ(count<wire::Wrong>(mallory), 2U);
  EXPECT_EQ(rendezvous->find(session)->state, State::Answered);
  serve(first);
  EXPECT_EQ(last<wire::Node>(alice).node, "a");
}

TEST_F(Nodes, ClientsDoNotSayWhatNodesSay) {
  call();
  say(alice, wire::Load{1, 1});
  say(alice, wire::Drain{""});
  EXPECT_EQ(count<wire::Wrong>(alice), 2U);
}

TEST_F(Nodes, ANameIsOnes) {
  node("a");
  const LinkId second = node("a");
  EXPECT_EQ(heard[second].closed, kPolicy);
  EXPECT_THAT(heard[second].why, HasSubstr("--name"));
  EXPECT_EQ(rendezvous->nodes().size(), 1U);
}

TEST_F(Nodes, OneThatNamesNoRegionIsOfTheNearest) {
  const LinkId link = connect("carol");
  wire::Hello hello;
  hello.role = wire::Role::Node;
  // The server of the last is no region.
  hello.regions = {{"us", 80}, {"eu", 20}, {"192.0.2.3:3478", 1}};
  hello.node = wire::NodeOffer{"n1", "", 10, 0};
  say(link, hello);
  EXPECT_EQ(view("n1").region, "eu");
  say(link, wire::Moved{"", {{"eu", 90}, {"us", 80}}, {}});
  EXPECT_EQ(view("n1").region, "us");
  say(link, wire::Moved{"", {{"192.0.2.3:3478", 1}}, {}});
  EXPECT_EQ(view("n1").region, "");
}

TEST_F(Nodes, ServersMayTakeNone) {
  accept = false;
  make();
  const LinkId first = node("a");
  EXPECT_EQ(heard[first].closed, kPolicy);
  EXPECT_THAT(heard[first].why, HasSubstr("takes no nodes"));
  EXPECT_TRUE(rendezvous->nodes().empty());
}

TEST_F(Nodes, AnAccountThatIsExpelledLosesItsNodesAndNobodysCalls) {
  const LinkId first = node("a", 10), second = node("b", 20);
  call_over(first);
  rendezvous->expel("carol", {}, "The account is gone.", now);
  EXPECT_EQ(heard[first].closed, kPolicy);
  EXPECT_EQ(heard[second].closed, kPolicy);
  EXPECT_EQ(last<wire::NodeFailed>(bob).node, "a");
  EXPECT_EQ(rendezvous->find(session)->state, State::Answered);
  EXPECT_TRUE(rendezvous->nodes().empty());
}

}  // namespace
}  // namespace junctor::rendezvous
