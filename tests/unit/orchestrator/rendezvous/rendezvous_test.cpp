// SPDX-License-Identifier: LGPL-2.1-or-later
// What the rendezvous carries, to whom, and what it does about clients that misbehave.
#include "rendezvous/rendezvous.h"

#include <glib.h>

#include <algorithm>

#include "fixture.h"

namespace junctor::rendezvous {
namespace {

TEST_F(RendezvousTest, IsIdleWhileNobodyIsThereNorExpected) {
  EXPECT_TRUE(rendezvous->idle());
  const LinkId silent = connect("carol");
  EXPECT_FALSE(rendezvous->idle()) << "its hello has a bound";
  rendezvous->disconnected(silent, now);
  EXPECT_TRUE(rendezvous->idle());
  const LinkId alice = client("alice"), bob = client("bob");
  join(alice, bob, "bob");
  for (const LinkId each : {alice, bob}) rendezvous->disconnected(each, now);
  EXPECT_FALSE(rendezvous->idle()) << "they may come back";
  pass(120s);
  EXPECT_TRUE(rendezvous->idle());
}

TEST_F(RendezvousTest, WelcomesWithWhatAClientNeeds) {
  const LinkId alice = client("alice");
  const auto welcome = last<wire::Welcome>(alice);
  EXPECT_EQ(welcome.account, "alice");
  EXPECT_EQ(welcome.stun, std::vector<std::string>{"192.0.2.1:3478"});
  EXPECT_EQ(welcome.regions, (std::vector<wire::Region>{{"eu", "192.0.2.1:3478"}}));
  EXPECT_FALSE(welcome.resumed);
  EXPECT_NE(welcome.resume, welcome.connection);
}

TEST_F(RendezvousTest, CarriesASessionFromOpenToBye) {
  const LinkId alice = client("alice"), bob = client("bob"), carol = client("carol");
  const std::string session = open(alice, "bob");
  EXPECT_EQ(count<wire::Invite>(bob), 0U) << "nothing rings before the invite";
  say(alice, wire::Invite{session, "mallory", kOffer, R"({"audio":["opus"]})"});
  EXPECT_EQ(last<wire::Invite>(bob),
            (wire::Invite{session, "alice", kOffer, R"({"audio":["opus"]})"}));
  EXPECT_EQ(last<wire::Trying>(alice).ringing, 1U);
  say(alice, wire::Signal{session, "", "", R"({"n":1})"});
  EXPECT_EQ(last<wire::Signal>(bob).data, R"({"n":1})") << "while it rings";
  say(bob, wire::Accept{session, kAnswer, ""});
  EXPECT_EQ(last<wire::Accept>(alice).answer, kAnswer);
  say(bob, wire::Signal{session, "", "", R"({"n":2})"});
  say(alice, wire::Signal{session, "", "", R"({"n":3})"});
  EXPECT_EQ(last<wire::Signal>(alice).data, R"({"n":2})");
  EXPECT_EQ(last<wire::Signal>(bob).data, R"({"n":3})");
  say(alice, wire::Rung{session, "p2p", "", "carrying", "", 21});
  EXPECT_EQ(rendezvous->find(session)->caller_rung, "p2p");
  EXPECT_EQ(rendezvous->find(session)->state, State::Answered);
  say(bob, wire::Bye{session, "callee-hangup", ""});
  EXPECT_EQ(last<wire::Bye>(alice).reason, "callee-hangup");
  EXPECT_EQ(count<wire::Bye>(bob), 0U);
  const auto over = rendezvous->find(session);
  EXPECT_EQ(over->state, State::Ended);
  EXPECT_EQ(over->reason, "callee-hangup");
  EXPECT_EQ(over->rungs.size(), 1U);
  EXPECT_EQ(changes.back().state, State::Ended);
  EXPECT_EQ(heard[carol].messages.size(), 1U) << "others hear nothing of it";
  EXPECT_EQ(rendezvous->stats().sessions, 0U);
  EXPECT_EQ(rendezvous->stats().ended.at("callee-hangup"), 1U);
  say(alice, wire::Signal{session, "", "", kOffer});
  EXPECT_EQ(count<wire::Wrong>(alice), 0U) << "it had not heard of the end yet";
}

TEST_F(RendezvousTest, RingsAtAllDevicesAndTheFirstHasIt) {
  const LinkId alice = client("alice"), desk = client("bob"), pocket = client("bob"),
               late = connect("bob");
  const std::string session = ring(alice, "bob");
  EXPECT_EQ(last<wire::Trying>(alice).ringing, 2U);
  EXPECT_EQ(heard[late].messages.size(), 0U) << "it has not said hello";
  say(pocket, wire::Accept{session, kAnswer, ""});
  EXPECT_EQ(last<wire::Bye>(desk).detail, "Another device of bob has answered.");
  say(desk, wire::Accept{session, R"({"key":"C"})", ""});
  EXPECT_EQ(count<wire::Accept>(alice), 1U);
  say(desk, wire::Signal{session, "", "", kOffer});
  EXPECT_EQ(count<wire::Signal>(alice), 0U);
  say(desk, wire::Bye{session, "", ""});
  EXPECT_EQ(rendezvous->find(session)->state, State::Answered);
}

TEST_F(RendezvousTest, OneDeviceIsBusyADeclineIsForAll) {
  const LinkId alice = client("alice"), desk = client("bob"), pocket = client("bob");
  std::string session = ring(alice, "bob");
  say(desk, wire::Decline{session, "busy"});
  EXPECT_EQ(rendezvous->find(session)->state, State::Ringing);
  say(pocket, wire::Decline{session, "busy"});
  EXPECT_EQ(last<wire::Bye>(alice).reason, "busy");
  session = ring(alice, "bob");
  say(desk, wire::Decline{session, "declined"});
  EXPECT_EQ(last<wire::Bye>(alice).reason, "declined");
  EXPECT_EQ(last<wire::Bye>(pocket).reason, "declined");
}

TEST_F(RendezvousTest, RefusesWhoCannotBeReached) {
  const LinkId alice = client("alice");
  say(alice, wire::Open{"1", "bob"});
  EXPECT_EQ(last<wire::Refused>(alice),
            (wire::Refused{"1", "unreachable", "bob is not connected."}));
  say(alice, wire::Open{"2", "alice"});
  EXPECT_EQ(last<wire::Refused>(alice),
            (wire::Refused{"2", "unreachable",
                           "You call yourself: no other device of alice is connected."}));
  say(alice, wire::Open{"2", "nobody"});
  EXPECT_EQ(last<wire::Refused>(alice).detail, "There is no account 'nobody'.");
  say(alice, wire::Open{"3", "alice"});
  EXPECT_EQ(last<wire::Refused>(alice).ref, "3") << "itself does not count";
  const LinkId bob = client("bob");
  const std::string session = open(alice, "bob");
  rendezvous->disconnected(bob, now);
  say(alice, wire::Invite{session, "", kOffer, ""});
  EXPECT_EQ(last<wire::Bye>(alice).reason, "unreachable");
}

TEST_F(RendezvousTest, NobodyAnswers) {
  const LinkId alice = client("alice"), bob = client("bob");
  const std::string session = ring(alice, "bob");
  pass(59s);
  EXPECT_EQ(rendezvous->find(session)->state, State::Ringing);
  pass(2s);
  EXPECT_EQ(last<wire::Bye>(alice).reason, "no-answer");
  EXPECT_EQ(last<wire::Bye>(bob).reason, "no-answer");
  open(alice, "bob");
  pass(31s);
  EXPECT_EQ(last<wire::Bye>(alice).detail, "No invite came.");
}

TEST_F(RendezvousTest, TheCallerGivesUp) {
  const LinkId alice = client("alice"), bob = client("bob");
  const std::string session = ring(alice, "bob");
  say(alice, wire::Bye{session, "caller-hangup", ""});
  EXPECT_EQ(last<wire::Bye>(bob).reason, "caller-hangup");
  say(bob, wire::Accept{session, kAnswer, ""});
  EXPECT_EQ(count<wire::Accept>(alice), 0U);
}

TEST_F(RendezvousTest, AConnectionIsResumed) {
  LinkId alice = client("alice");
  const LinkId bob = client("bob");
  const std::string session = join(alice, bob, "bob");
  const std::string secret = last<wire::Welcome>(alice).resume;
  const std::size_t came = got(alice);
  say(alice, wire::Moved{});
  // The connection is dead, and nobody here knows it yet.
  say(bob, wire::Signal{session, "", "", R"({"n":1})"});
  rendezvous->disconnected(alice, now);
  say(bob, wire::Signal{session, "", "", R"({"n":2})"});
  pass(20s);
  alice = client("alice", secret, came);
  EXPECT_EQ(last<wire::Welcome>(alice).got, 3U) << "open, invite, moved";
  EXPECT_TRUE(last<wire::Welcome>(alice).resumed);
  ASSERT_EQ(count<wire::Signal>(alice), 2U);
  EXPECT_EQ(last<wire::Signal>(alice).data, R"({"n":2})") << "in order";
  EXPECT_TRUE(std::holds_alternative<wire::Welcome>(heard[alice].messages.front()));
  say(alice, wire::Signal{session, "", "", R"({"n":3})"});
  EXPECT_EQ(last<wire::Signal>(bob).data, R"({"n":3})");
}

TEST_F(RendezvousTest, AConnectionIsResumedWhoseWelcomeNeverArrived) {
  LinkId alice = client("alice");
  const LinkId bob = client("bob");
  const std::string session = join(alice, bob, "bob");
  const std::string secret = last<wire::Welcome>(alice).resume;
  const std::size_t came = got(alice);
  for (int i = 0; i < 3; ++i) {
    rendezvous->disconnected(alice, now);
    alice = client("alice", secret, came);
    EXPECT_TRUE(last<wire::Welcome>(alice).resumed) << i;
  }
  say(bob, wire::Bye{session, "caller-hangup", ""});
  EXPECT_EQ(count<wire::Bye>(alice), 1U);
}

TEST_F(RendezvousTest, AResumedConnectionEndsTheOldOne) {
  const LinkId old = client("alice"), bob = client("bob");
  const std::string session = join(old, bob, "bob");
  const LinkId fresh = client("alice", last<wire::Welcome>(old).resume, got(old));
  EXPECT_EQ(heard[old].closed, kGoingAway);
  say(bob, wire::Signal{session, "", "", kOffer});
  EXPECT_EQ(count<wire::Signal>(fresh), 1U);
  rendezvous->disconnected(old, now);
  EXPECT_EQ(rendezvous->find(session)->state, State::Answered);
}

TEST_F(RendezvousTest, AnEndReachesWhoseConnectionWasDead) {
  LinkId alice = client("alice");
  const LinkId bob = client("bob");
  const std::string session = join(alice, bob, "bob");
  const std::string secret = last<wire::Welcome>(alice).resume;
  const std::size_t came = got(alice);
  // The connection is dead, and nobody here knows it yet.
  say(bob, wire::Bye{session, "callee-hangup", ""});
  now += 2s;
  rendezvous->disconnected(alice, now);
  pass(1s);
  alice = client("alice", secret, came);
  EXPECT_TRUE(last<wire::Welcome>(alice).resumed);
  EXPECT_EQ(count<wire::Bye>(alice), 1U);
  // Later there is nothing that it can have missed.
  pass(31s);
  rendezvous->disconnected(alice, now);
  EXPECT_FALSE(last<wire::Welcome>(client("alice", secret, came)).resumed);
}

TEST_F(RendezvousTest, AnEndReachesWhoWasAwayForLong) {
  LinkId alice = client("alice");
  const LinkId bob = client("bob");
  const std::string session = join(alice, bob, "bob");
  const std::string secret = last<wire::Welcome>(alice).resume;
  const std::size_t came = got(alice);
  rendezvous->disconnected(alice, now);
  pass(60s);
  say(bob, wire::Bye{session, "callee-hangup", ""});
  pass(2s);
  alice = client("alice", secret, came);
  EXPECT_TRUE(last<wire::Welcome>(alice).resumed);
  EXPECT_EQ(count<wire::Bye>(alice), 1U);
}

TEST_F(RendezvousTest, AnEndReachesADeviceThatRangNoMore) {
  const LinkId alice = client("alice"), desk = client("bob");
  LinkId pocket = client("bob");
  const std::string session = ring(alice, "bob");
  const std::string secret = last<wire::Welcome>(pocket).resume;
  const std::size_t came = got(pocket);
  say(desk, wire::Accept{session, kAnswer, ""});
  rendezvous->disconnected(pocket, now);
  pocket = client("bob", secret, came);
  EXPECT_EQ(last<wire::Bye>(pocket).detail, "Another device of bob has answered.");
}

TEST_F(RendezvousTest, WhoComesAndGoesLeavesNoMoreThanAFewBehind) {
  Limits limits;
  limits.connections_per_account = 3;
  make(limits);
  const LinkId bob = client("bob");
  std::vector<std::string> secrets;
  std::size_t came = 0;
  for (int i = 0; i < 20; ++i) {
    now += 100ms;
    const LinkId alice = client("alice");
    secrets.push_back(last<wire::Welcome>(alice).resume);
    say(bob, wire::Bye{join(alice, bob, "bob"), "", ""});
    came = got(alice);
    rendezvous->disconnected(alice, now);
  }
  EXPECT_EQ(rendezvous->stats().clients, 4U) << "three, and bob";
  EXPECT_TRUE(last<wire::Welcome>(client("alice", secrets[17], came)).resumed);
  EXPECT_FALSE(last<wire::Welcome>(client("alice", secrets[16], came)).resumed);
  pass(31s);
  EXPECT_EQ(rendezvous->stats().clients, 3U) << "who is here";
}

TEST_F(RendezvousTest, NobodyResumesForAnother) {
  const LinkId alice = client("alice"), bob = client("bob");
  const std::string session = join(alice, bob, "bob");
  const std::string secret = last<wire::Welcome>(alice).resume;
  const LinkId mallory = client("carol", secret);
  EXPECT_FALSE(last<wire::Welcome>(mallory).resumed);
  EXPECT_EQ(heard[alice].closed, 0);
  say(mallory, wire::Signal{session, "", "", kOffer});
  say(mallory, wire::Bye{session, "", ""});
  say(mallory, wire::Rung{session, "p2p", "", "up", "", 1});
  say(mallory, wire::Accept{session, kAnswer, ""});
  EXPECT_EQ(count<wire::Wrong>(mallory), 4U);
  EXPECT_EQ(last<wire::Wrong>(mallory).detail, "there is no such session");
  EXPECT_EQ(rendezvous->find(session)->state, State::Answered);
  EXPECT_EQ(count<wire::Signal>(bob), 0U);
}

TEST_F(RendezvousTest, WhoStaysAwayIsForgotten) {
  LinkId alice = client("alice");
  LinkId bob = client("bob");
  const std::string ringing = ring(alice, "bob");
  rendezvous->disconnected(bob, now);
  pass(31s);
  EXPECT_EQ(last<wire::Bye>(alice).reason, "unreachable");
  EXPECT_EQ(rendezvous->find(ringing)->state, State::Ended);

  // An answered one lives on while the other is there: their media needs nobody here.
  bob = client("bob");
  const std::string session = join(alice, bob, "bob");
  rendezvous->disconnected(bob, now);
  pass(300s);
  EXPECT_EQ(rendezvous->find(session)->state, State::Answered);
  rendezvous->disconnected(alice, now);
  pass(31s);
  EXPECT_EQ(rendezvous->find(session)->reason, "unreachable");
  EXPECT_EQ(rendezvous->stats().clients, 0U);
}

TEST_F(RendezvousTest, WhatWaitsForOneWhoIsAwayIsBounded) {
  Limits limits;
  limits.kept_bytes = 2000;
  make(limits);
  const LinkId alice = client("alice"), bob = client("bob");
  const std::string session = join(alice, bob, "bob");
  const std::string secret = last<wire::Welcome>(alice).resume;
  const std::size_t came = got(alice);
  rendezvous->disconnected(alice, now);
  for (int i = 0; i < 100; ++i) say(bob, wire::Signal{session, "", "", kOffer});
  const LinkId back = client("alice", secret, came);
  EXPECT_FALSE(last<wire::Welcome>(back).resumed) << "it has missed something";
  const LinkId liar = client("alice", secret, 1000000);
  EXPECT_FALSE(last<wire::Welcome>(liar).resumed) << "that many were never said";
}

TEST_F(RendezvousTest, TheFirstWordIsHelloAndSoon) {
  const LinkId rude = connect("alice");
  say(rude, wire::Open{"1", "bob"});
  EXPECT_EQ(heard[rude].closed, kPolicy);
  const LinkId silent = connect("alice");
  pass(6s);
  EXPECT_EQ(heard[silent].closed, kPolicy);
  const LinkId twice = client("alice");
  say(twice, wire::Hello{});
  EXPECT_EQ(last<wire::Wrong>(twice).detail, "hello is said once");
  EXPECT_EQ(rendezvous->stats().connections, 1U);
}

TEST_F(RendezvousTest, WhoGoesOnSayingWrongThingsIsParted) {
  const LinkId bob = client("bob");
  const LinkId mallory = client("alice");
  const std::string session = join(mallory, bob, "bob");
  for (int i = 0; i < 32; ++i) rendezvous->received(mallory, "{", now);
  EXPECT_EQ(heard[mallory].closed, 0);
  EXPECT_EQ(count<wire::Wrong>(mallory), 32U);
  say(mallory, wire::Welcome{"alice", "x", "", false, 0, {}, {}});
  EXPECT_EQ(heard[mallory].closed, kPolicy);
  EXPECT_NE(heard[mallory].why.find("a client does not send 'welcome'"), std::string::npos);
  EXPECT_EQ(rendezvous->find(session)->state, State::Answered);
  EXPECT_EQ(heard[bob].closed, 0);
}

TEST_F(RendezvousTest, NoReasonEndsInHalfACharacter) {
  for (const std::string begin : {"", "x"}) {
    const LinkId mallory = client("alice");
    std::string name = begin;
    while (name.size() + 2 <= wire::kMostName) name += "ä";
    for (int i = 0; i < 33; ++i)
      rendezvous->received(mallory, R"({"type": ")" + name + R"("})", now);
    ASSERT_EQ(heard[mallory].closed, kPolicy);
    const std::string &why = heard[mallory].why;
    EXPECT_NE(why.find("'" + begin + "ä"), std::string::npos) << why;
    EXPECT_LE(why.size(), 123u);
    EXPECT_TRUE(g_utf8_validate(why.data(), static_cast<gssize>(why.size()), nullptr)) << why;
  }
}

TEST_F(RendezvousTest, WhoSaysTooMuchIsParted) {
  const LinkId alice = client("alice"), bob = client("bob");
  const std::string session = join(alice, bob, "bob");
  for (int i = 0; i < 400 && heard[bob].closed == 0; ++i)
    say(bob, wire::Signal{session, "", "", kOffer});
  EXPECT_EQ(heard[bob].closed, kPolicy);
  EXPECT_LE(count<wire::Signal>(alice), Limits().burst);
  EXPECT_EQ(heard[alice].closed, 0);
  // At a usual pace there is no end to it.
  for (int i = 0; i < 1000; ++i) {
    now += 25ms;
    say(alice, wire::Moved{});
  }
  EXPECT_EQ(heard[alice].closed, 0);
}

TEST_F(RendezvousTest, BoundsOfNumbers) {
  Limits limits;
  limits.connections = 3;
  limits.connections_per_account = 2;
  limits.sessions_per_account = 2;
  limits.sessions = 3;
  limits.keep_ended = 2;
  make(limits);
  const LinkId alice = client("alice");
  client("alice");
  EXPECT_NE(rendezvous->connected({"alice", "t"}, {}, now).error().detail.find("2 connections"),
            std::string::npos);
  const LinkId bob = client("bob");
  EXPECT_FALSE(rendezvous->connected({"carol", "t"}, {}, now));
  open(alice, "bob");
  open(alice, "bob");
  say(alice, wire::Open{"x", "bob"});
  EXPECT_EQ(last<wire::Refused>(alice).reason, "overloaded");
  open(bob, "alice");
  say(bob, wire::Open{"y", "alice"});
  EXPECT_EQ(last<wire::Refused>(bob).reason, "overloaded");
  pass(31s);
  EXPECT_EQ(rendezvous->list().size(), 2U);
  EXPECT_EQ(rendezvous->stats().ended.at("internal"), 3U);
}

TEST_F(RendezvousTest, AnAccountIsExpelled) {
  const LinkId alice = client("alice"), bob = client("bob"), carol = client("carol");
  const std::string session = join(alice, bob, "bob"), other = join(carol, bob, "bob");
  rendezvous->expel("alice", {}, "The account was removed.", now);
  EXPECT_EQ(heard[alice].closed, kPolicy);
  EXPECT_EQ(last<wire::Bye>(bob).session, session);
  EXPECT_EQ(last<wire::Bye>(bob).reason, "admin");
  EXPECT_EQ(rendezvous->find(other)->state, State::Answered);
  EXPECT_TRUE(rendezvous->hang_up(other, now));
  EXPECT_FALSE(rendezvous->hang_up(other, now));
  EXPECT_EQ(last<wire::Bye>(carol).reason, "admin");
}

TEST_F(RendezvousTest, ATokenThatIsRevokedPartsWhatCameByIt) {
  const LinkId alice = client("alice", "", 0, "old"), other = client("alice", "", 0, "new"),
               bob = client("bob", "", 0, "old"), carol = client("carol");
  const LinkId silent = connect("alice", "old");
  const std::string lost = join(alice, bob, "bob"), kept = join(other, bob, "bob");
  rendezvous->expel("alice", "old", "The token was revoked.", now);
  EXPECT_EQ(heard[alice].closed, kPolicy);
  EXPECT_EQ(heard[silent].closed, kPolicy) << "before its hello";
  EXPECT_EQ(heard[other].closed, 0);
  EXPECT_EQ(heard[bob].closed, 0) << "another account's token of that id";
  EXPECT_EQ(last<wire::Bye>(bob).session, lost);
  EXPECT_EQ(last<wire::Bye>(bob).reason, "admin");
  EXPECT_EQ(rendezvous->find(kept)->state, State::Answered);
  EXPECT_EQ(rendezvous->stats().clients, 3U);
  EXPECT_EQ(count<wire::Bye>(carol), 0U);
}

TEST_F(RendezvousTest, ATokenThatIsRevokedEndsWhatItsBearerLeftBehind) {
  const LinkId alice = client("alice", "", 0, "old"), bob = client("bob");
  const std::string session = join(alice, bob, "bob");
  const std::string secret = last<wire::Welcome>(alice).resume;
  const std::size_t came = got(alice);
  rendezvous->disconnected(alice, now);
  rendezvous->expel("alice", "old", "The token was revoked.", now);
  EXPECT_EQ(rendezvous->find(session)->reason, "admin");
  EXPECT_FALSE(last<wire::Welcome>(client("alice", secret, came, "new")).resumed);
}

TEST_F(RendezvousTest, WhoComesBackWithANewTokenDoesNotGoWithTheOldOne) {
  const LinkId alice = client("alice", "", 0, "old"), bob = client("bob");
  const std::string session = join(alice, bob, "bob");
  const std::string secret = last<wire::Welcome>(alice).resume;
  const LinkId again = client("alice", secret, got(alice), "new");
  rendezvous->expel("alice", "old", "The token was revoked.", now);
  EXPECT_EQ(heard[again].closed, 0);
  EXPECT_EQ(rendezvous->find(session)->state, State::Answered);
}

TEST_F(RendezvousTest, WhatRingsElsewhereTooGoesOnRinging) {
  const LinkId alice = client("alice"), desk = client("bob", "", 0, "desk"),
               pocket = client("bob", "", 0, "pocket");
  const std::string session = ring(alice, "bob");
  rendezvous->expel("bob", "desk", "The token was revoked.", now);
  EXPECT_EQ(heard[desk].closed, kPolicy);
  EXPECT_EQ(rendezvous->find(session)->state, State::Ringing);
  say(pocket, wire::Accept{session, kAnswer, ""});
  EXPECT_EQ(count<wire::Accept>(alice), 1U);
  const std::string second = ring(alice, "bob");
  rendezvous->expel("bob", "pocket", "The token was revoked.", now);
  EXPECT_EQ(rendezvous->find(session)->reason, "admin");
  EXPECT_EQ(rendezvous->find(second)->reason, "admin") << "it rang nowhere else";
}

TEST_F(RendezvousTest, TheServerStops) {
  const LinkId alice = client("alice"), bob = client("bob");
  join(alice, bob, "bob");
  rendezvous->shutdown(now);
  EXPECT_EQ(last<wire::Bye>(alice).reason, "shutdown");
  EXPECT_EQ(heard[bob].closed, kGoingAway);
  EXPECT_EQ(rendezvous->stats().connections, 0U);
}

TEST_F(RendezvousTest, RungsAreKept) {
  const LinkId alice = client("alice"), bob = client("bob");
  const std::string session = join(alice, bob, "bob");
  say(alice, wire::Rung{session, "p2p", "", "failed", "both sides symmetric", 3000});
  say(alice, wire::Rung{session, "sfu", "n7", "carrying", "", 38});
  say(bob, wire::Rung{session, "sfu", "n7", "carrying", "", 40});
  say(bob, wire::Rung{session, "sfu", "n7", "lost", "", 0});
  say(bob, wire::Rung{session, "rope", "", "up", "", 0});
  say(bob, wire::Rung{session, "p2p", "", "great", "", 0});
  EXPECT_EQ(count<wire::Wrong>(bob), 2U);
  const auto view = *rendezvous->find(session);
  EXPECT_EQ(view.caller_rung, "sfu n7");
  EXPECT_EQ(view.callee_rung, "");
  ASSERT_EQ(view.rungs.size(), 4U);
  EXPECT_EQ(view.rungs[0].why, "both sides symmetric");
  EXPECT_EQ(view.rungs[2].by, "callee");
  EXPECT_NE(log.find("caller: p2p failed: both sides symmetric"), std::string::npos);
  EXPECT_EQ(rendezvous->stats().rungs.at({"sfu", "carrying"}), 2U);
  for (int i = 0; i < 120; ++i) {
    now += 25ms;
    say(alice, wire::Rung{session, "p2p", "", "trying", "", 0});
  }
  EXPECT_EQ(rendezvous->find(session)->rungs.size(), kMostRungs);
}

class RelayTest : public RendezvousTest {
 protected:
  void adjust(Options &options) override {
    options.relay = [](const std::string &account) -> std::optional<wire::Turn> {
      return wire::Turn{"", {"turn:192.0.2.1:3478"}, "600:" + account, "secret", 600};
    };
  }
};

TEST_F(RelayTest, GivesCredentialsToWhoHasASession) {
  const LinkId alice = client("alice"), bob = client("bob");
  say(alice, wire::Need{"none", "relay"});
  EXPECT_EQ(count<wire::Turn>(alice), 0U);
  const std::string session = join(alice, bob, "bob");
  say(bob, wire::Need{session, "relay"});
  EXPECT_EQ(last<wire::Turn>(bob),
            (wire::Turn{session, {"turn:192.0.2.1:3478"}, "600:bob", "secret", 600}));
  EXPECT_EQ(log.find("secret"), std::string::npos);
  say(bob, wire::Need{session, "p2p"});
  EXPECT_EQ(count<wire::Wrong>(bob), 1U);
  make();
}

TEST_F(RendezvousTest, AnAccountFillsNeitherTheLogNorWatchersEars) {
  const LinkId alice = client("alice"), bob = client("bob");
  const std::string session = join(alice, bob, "bob");
  const auto lines = [this] { return std::ranges::count(log, '\n'); };
  const auto lines_before = lines();
  const std::size_t changes_before = changes.size();
  constexpr int kSaid = 2000;
  const Time begin = now;
  for (int i = 0; i < kSaid; ++i) {
    now += Limits{}.message_interval;
    say(alice, wire::Rung{session, "p2p", "", i % 2 ? "failed" : "trying", "noise", 1});
  }
  const auto most = AccountLog::kBurst + (now - begin) / AccountLog::kInterval + 1;
  EXPECT_LE(lines() - lines_before, most);
  EXPECT_LE(static_cast<long>(changes.size() - changes_before), most);
  EXPECT_EQ(heard[alice].closed, 0);

  say(bob, wire::Rung{session, "p2p", "", "failed", "it is quiet here", 1});
  EXPECT_NE(log.find("it is quiet here"), std::string::npos) << "others are heard";

  say(alice, wire::Rung{session, "p2p", "", "up", "at last", 1});
  rendezvous->tick(now);
  EXPECT_EQ(changes.back().rungs.back().why, "at last") << "nothing is kept from who watches";
  const std::size_t shown = changes.size();
  rendezvous->tick(now);
  EXPECT_EQ(changes.size(), shown);
  now += 10s;
  say(alice, wire::Rung{session, "p2p", "", "failed", "", 1});
  EXPECT_NE(log.find("lines that alice caused before were left out"), std::string::npos);
}

}  // namespace
}  // namespace junctor::rendezvous
