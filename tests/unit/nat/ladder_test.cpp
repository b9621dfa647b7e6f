// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/ladder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace junctor::nat {
namespace {

using namespace std::chrono_literals;
using Kind = LadderAction::Kind;

const Attempt kP2p{Rung::P2p, {}}, kRelay{Rung::Relay, {}};
Attempt node(const std::string &name) { return {Rung::Sfu, name}; }

/// Plays the owner: what is prepared comes up, or fails, after the time that the test says; what it
/// does not name never answers.
class LadderTest : public ::testing::Test {
 protected:
  struct Fate {
    Duration after;
    std::string why{};  ///< empty: up
  };

  void make(LadderOptions options = {}) { ladder_ = std::make_unique<Ladder>(std::move(options)); }
  void nodes(std::vector<std::string> names) { names_ = std::move(names); }
  void fate(const Attempt &attempt, Duration after, std::string why = {}) {
    fates_[to_string(attempt)] = {after, std::move(why)};
  }

  /// What came of each attempt so far.
  std::string log_text() const {
    std::string text;
    for (const LadderEntry &each : ladder_->log()) {
      const bool up = each.state == LadderEntry::State::Up;
      if (!up && each.state != LadderEntry::State::Failed) continue;
      const auto took = std::chrono::round<std::chrono::milliseconds>(each.took).count();
      const std::string name = each.attempt == node("") ? "node" : to_string(each.attempt);
      text += (text.empty() ? "" : "; ") + name +
              (up ? " in " + std::to_string(took) + " ms" : " failed: " + each.why);
    }
    return text;
  }

  /// Runs until `until`; every action is written down as "MS what".
  void run(Duration until) {
    if (!ladder_) make();
    ladder_->start(now_);
    for (int turns = 0; turns < 1000; ++turns) {
      act(ladder_->poll(now_));
      auto next = ladder_->next();
      for (const auto &[when, attempt] : pending_)
        if (!next || when < *next) next = when;
      if (!next || *next > begin_ + until) {
        now_ = begin_ + until;
        return;
      }
      ASSERT_TRUE(*next > now_ || !pending_.empty()) << "it would turn for ever";
      now_ = std::max(now_, *next);
      while (!pending_.empty() && pending_.begin()->first <= now_) {
        const Attempt attempt = pending_.begin()->second;
        pending_.erase(pending_.begin());
        const Fate fate = fates_[to_string(attempt)];
        if (fate.why.empty())
          ladder_->up(attempt, now_);
        else
          ladder_->failed(attempt, fate.why, now_);
      }
    }
    FAIL() << "it does not come to rest";
  }

  long ms() const { return std::chrono::round<std::chrono::milliseconds>(now_ - begin_).count(); }
  void wrote(const std::string &text) { told_.push_back(std::to_string(ms()) + " " + text); }

  void act(const std::vector<LadderAction> &actions) {
    for (const LadderAction &action : actions) {
      switch (action.kind) {
        case Kind::AskForNode:
          wrote("ask");
          if (names_.empty()) {
            ladder_->no_node("no node is online", now_);
          } else {
            ladder_->offer_node(names_.front(), now_);
            names_.erase(names_.begin());
          }
          act(ladder_->poll(now_));
          break;
        case Kind::Prepare:
          wrote("prepare " + to_string(action.attempt));
          if (const auto fate = fates_.find(to_string(action.attempt)); fate != fates_.end())
            pending_.emplace(now_ + fate->second.after, action.attempt);
          break;
        case Kind::Carry:
          wrote("carry " + to_string(action.attempt));
          break;
        case Kind::Stop:
          wrote("stop " + to_string(action.attempt));
          std::erase_if(pending_, [&](const auto &one) { return one.second == action.attempt; });
          break;
        case Kind::End:
          wrote("end");
          end_ = action.why;
          break;
      }
    }
  }

  using Told = std::vector<std::string>;
  const Time begin_ = Time{} + 1h;
  Time now_ = begin_;
  std::unique_ptr<Ladder> ladder_;
  std::vector<std::string> names_;
  std::map<std::string, Fate> fates_;
  std::multimap<Time, Attempt> pending_;
  Told told_;
  std::string end_;
};

class Parallel : public LadderTest {
 protected:
  /// The direct way does, for 20 s, and there is no other; the next try of it will fail.
  void carries_alone() {
    fate(kP2p, 25ms);
    LadderOptions options;
    options.rungs = {Rung::P2p};
    make(options);
    run(20s);
    fate(kP2p, 100ms, "the peer is silent");
  }
};
class Strict : public LadderTest {
 protected:
  void SetUp() override {
    LadderOptions options;
    options.order = LadderOrder::Strict;
    make(options);
  }
};

TEST_F(Parallel, ADirectPathCarriesAndTheRestIsLetGo) {
  fate(kP2p, 21ms);
  fate(node("n1"), 38ms);
  nodes({"n1"});
  run(10s);
  EXPECT_EQ(told_, (Told{"0 prepare p2p", "0 ask", "0 prepare node n1", "21 carry p2p",
                         "21 stop node n1"}));
  EXPECT_EQ(ladder_->carrying(), kP2p);
  EXPECT_EQ(log_text(), "p2p in 21 ms");
}

TEST_F(Parallel, ANodeThatIsUpLeavesADirectPathItsHeadStart) {
  fate(kP2p, 250ms);
  fate(node("n1"), 38ms);
  nodes({"n1"});
  run(10s);
  // What was up is kept for a while: the other side still sends over it.
  EXPECT_EQ(told_, (Told{"0 prepare p2p", "0 ask", "0 prepare node n1", "250 carry p2p",
                         "2250 stop node n1"}));
}

TEST_F(Parallel, NothingWaitsForADirectPathThatIsNotToBeExpected) {
  fate(kP2p, 800ms);
  fate(node("n1"), 38ms);
  nodes({"n1"});
  make();
  ladder_->expect_direct(false);
  run(10s);
  EXPECT_EQ(told_, (Told{"0 prepare p2p", "0 ask", "0 prepare node n1", "38 carry node n1",
                         "800 carry p2p", "2800 stop node n1"}));
}

TEST_F(Parallel, ANodeCarriesAfterTheHeadStartAndADirectPathTakesOver) {
  fate(kP2p, 800ms);
  fate(node("n1"), 38ms);
  nodes({"n1"});
  run(10s);
  EXPECT_EQ(told_, (Told{"0 prepare p2p", "0 ask", "0 prepare node n1", "300 carry node n1",
                         "800 carry p2p", "2800 stop node n1"}));
}

TEST_F(Parallel, ANodeCarriesAtOnceWhereThereIsNoDirectPath) {
  fate(kP2p, 0ms, "both sides symmetric: no direct path");
  fate(node("n7"), 38ms);
  nodes({"n7"});
  run(10s);
  EXPECT_EQ(told_, (Told{"0 prepare p2p", "0 ask", "0 prepare node n7", "0 stop p2p",
                         "0 prepare relay", "38 carry node n7", "38 stop relay"}));
  EXPECT_EQ(log_text(), "p2p failed: both sides symmetric: no direct path; node n7 in 38 ms");
}

TEST_F(Parallel, TheRelayWaitsForTheNodesHeadStart) {
  fate(kRelay, 120ms);
  nodes({"n1", "n2"});
  run(1100ms);
  EXPECT_EQ(told_, (Told{"0 prepare p2p", "0 ask", "0 prepare node n1", "300 ask",
                         "300 prepare node n2", "300 prepare relay", "1000 carry relay"}));
}

TEST_F(Parallel, TheRelayCarriesAtOnceWhereThereIsNoNode) {
  fate(kRelay, 120ms);
  run(10s);
  EXPECT_EQ(told_, (Told{"0 prepare p2p", "0 ask", "300 prepare relay", "420 carry relay",
                         "3000 stop p2p"}));
  EXPECT_EQ(
      log_text(),
      "node failed: no node is online; relay in 120 ms; p2p failed: no answer within 3000 ms");
}

TEST_F(Parallel, TheRelayIsPreparedAtOnceWhereNothingElseIsToBeExpected) {
  fate(kRelay, 120ms);
  make();
  ladder_->expect_direct(false);
  run(10s);
  EXPECT_EQ(told_, (Told{"0 prepare p2p", "0 ask", "0 prepare relay", "120 carry relay",
                         "3000 stop p2p"}));
}

TEST_F(Parallel, TheRelayIsNotPreparedAtOnceWhereANodeIsToBeExpected) {
  fate(node("n1"), 38ms);
  nodes({"n1"});
  make();
  ladder_->expect_direct(false);
  run(290ms);
  EXPECT_EQ(told_, (Told{"0 prepare p2p", "0 ask", "0 prepare node n1", "38 carry node n1"}));
}

TEST_F(Parallel, ANodeTakesOverFromTheRelay) {
  fate(kRelay, 120ms);
  fate(node("n2"), 1200ms);
  nodes({"n1", "n2"});
  run(10s);
  EXPECT_EQ(ladder_->carrying(), node("n2"));
  EXPECT_EQ(told_.back(), "3500 stop relay");
}

TEST_F(Parallel, NodesAreTriedOneByOneAndTheNextIsPreparedMeanwhile) {
  fate(kP2p, 0ms, "blocked");
  fate(node("n1"), 100ms, "it is full");
  fate(node("n3"), 50ms);
  nodes({"n1", "n2", "n3", "n4"});
  LadderOptions options;
  options.rungs = {Rung::P2p, Rung::Sfu};
  make(options);
  run(10s);
  EXPECT_EQ(told_, (Told{"0 prepare p2p", "0 ask", "0 prepare node n1", "0 stop p2p",
                         "100 stop node n1", "100 ask", "100 prepare node n2", "400 ask",
                         "400 prepare node n3", "450 carry node n3", "450 stop node n2"}));
}

TEST_F(Parallel, EndsWithReasonsWhenNothingIsLeft) {
  fate(kP2p, 10ms, "no UDP passes on one side");
  fate(node("n1"), 30ms, "bob cannot reach it");
  fate(kRelay, 200ms, "the relay refuses: 401");
  nodes({"n1"});
  run(10s);
  EXPECT_EQ(told_.back().substr(told_.back().find(' ') + 1), "end");
  EXPECT_EQ(end_,
            "p2p failed: no UDP passes on one side; node n1 failed: bob cannot reach it; "
            "relay failed: the relay refuses: 401");
  EXPECT_FALSE(ladder_->carrying());
  EXPECT_FALSE(ladder_->next());
}

TEST_F(Parallel, WithoutAnswersItEndsInTime) {
  nodes({"n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "n10"});
  run(1min);
  EXPECT_EQ(told_.back().substr(told_.back().find(' ') + 1), "end");
  EXPECT_LE(std::stol(told_.back()), 8000);
  EXPECT_EQ(names_, (std::vector<std::string>{"n9", "n10"})) << "most_nodes bounds it";
}

TEST_F(Parallel, WhatItsOwnerBeginsAgainHasItsWholeTime) {
  make({.rungs = {Rung::Relay}});
  run(4900ms);
  ladder_->begun_anew(kRelay, now_);
  run(9800ms);
  EXPECT_EQ(told_, (std::vector<std::string>{"0 prepare relay"}));
  run(9900ms);
  EXPECT_EQ(told_.back(), "9900 end");
}

TEST_F(Parallel, SilenceThatIsExplainedEndsWithWhatItMeans) {
  run(1s);
  ladder_->explain_silence(kRelay, "nobody named a relay");
  run(1min);
  EXPECT_EQ(end_,
            "node failed: no node is online; p2p failed: no answer within 3000 ms; "
            "relay failed: no answer within 5000 ms: nobody named a relay");
}

TEST_F(Parallel, ANodeThatDiesGivesWayToTheNext) {
  fate(kP2p, 10ms, "no direct path");
  fate(node("n1"), 30ms);
  fate(node("n2"), 40ms);
  fate(kRelay, 100ms);
  nodes({"n1"});
  run(20s);
  ASSERT_EQ(ladder_->carrying(), node("n1"));
  told_.clear();
  names_ = {"n2"};
  ladder_->lost(node("n1"), "nothing has come over it for 500 ms", now_);
  EXPECT_FALSE(ladder_->carrying());
  run(40s);
  EXPECT_EQ(told_, (Told{"20000 stop node n1", "20000 prepare p2p", "20000 ask",
                         "20000 prepare node n2", "20000 prepare relay", "20010 stop p2p",
                         "20040 carry node n2", "20040 stop relay"}));
}

TEST_F(Parallel, ANodeThatLeavesCarriesUntilTheNextDoes) {
  fate(kP2p, 10ms, "no direct path");
  fate(node("n1"), 30ms);
  fate(node("n2"), 700ms);
  fate(kRelay, 100ms);
  nodes({"n1"});
  run(20s);
  ASSERT_EQ(ladder_->carrying(), node("n1"));
  told_.clear();
  names_ = {"n2"};
  ladder_->leaving(node("n1"), "its owner stops it", now_);
  EXPECT_EQ(ladder_->carrying(), node("n1"));
  run(40s);
  // No relay in between: nothing is silent that would have to be helped at once.
  EXPECT_EQ(told_, (Told{"20000 prepare p2p", "20000 ask", "20000 prepare node n2",
                         "20000 prepare relay", "20010 stop p2p", "20300 ask",
                         "20700 carry node n2", "22700 stop relay", "22700 stop node n1"}));
}

TEST_F(Parallel, ANodeThatLeavesMakesRoomForARelayToo) {
  fate(kP2p, 10ms, "no direct path");
  fate(node("n1"), 30ms);
  fate(kRelay, 100ms);
  nodes({"n1"});
  run(20s);
  told_.clear();
  ladder_->leaving(node("n1"), "its owner stops it", now_);
  run(24s);
  EXPECT_EQ(told_, (Told{"20000 prepare p2p", "20000 ask", "20000 prepare relay", "20010 stop p2p",
                         "20100 carry relay", "22100 stop node n1"}));
}

TEST_F(Parallel, ANodeThatLeavesAndIsGoneBeforeThereIsAnotherIsLost) {
  fate(kP2p, 10ms, "no direct path");
  fate(node("n1"), 30ms);
  fate(node("n2"), 700ms);
  nodes({"n1"});
  run(20s);
  names_ = {"n2"};
  ladder_->leaving(node("n1"), "its owner stops it", now_);
  run(20200ms);
  ladder_->lost(node("n1"), "nothing is answered any more", now_);
  EXPECT_FALSE(ladder_->carrying());
  run(24s);
  EXPECT_EQ(ladder_->carrying(), node("n2"));
}

TEST_F(Parallel, ADirectPathThatThereNeverWasIsNotWaitedForAfterALoss) {
  fate(node("n1"), 30ms);
  fate(node("n2"), 40ms);
  nodes({"n1"});
  run(20s);
  ASSERT_EQ(ladder_->carrying(), node("n1"));
  told_.clear();
  names_ = {"n2"};
  ladder_->lost(node("n1"), "nothing has come over it for 500 ms", now_);
  run(25s);
  EXPECT_EQ(std::ranges::count(told_, "20040 carry node n2"), 1);

  fate(kP2p, 20ms);
  ladder_->retry_p2p("the network has changed", now_);
  run(26s);
  ASSERT_EQ(ladder_->carrying(), kP2p);
  fates_.erase(to_string(kP2p));
  run(40s);
  told_.clear();
  names_ = {"n3"};
  fate(node("n3"), 40ms);
  ladder_->lost(kP2p, "silence", now_);
  run(50s);
  EXPECT_TRUE(std::ranges::any_of(told_, [](const auto &each) {
    return each.starts_with("40300 carry node");
  })) << "that one may come back";
}

TEST_F(Parallel, WhatIsStillUpCarriesAtOnceAfterALoss) {
  fate(kP2p, 800ms);
  fate(node("n1"), 38ms);
  nodes({"n1"});
  run(1s);
  ASSERT_EQ(ladder_->carrying(), kP2p);
  ladder_->lost(kP2p, "the address has changed", now_);
  run(1s);
  EXPECT_EQ(ladder_->carrying(), node("n1"));
  EXPECT_EQ(ladder_->log().back().state, LadderEntry::State::Trying) << "p2p, once more";
}

TEST_F(Parallel, ANodeThatWasLetGoIsTriedAgainWhenItIsNamedAgain) {
  fate(kP2p, 800ms);
  fate(node("n1"), 38ms);
  nodes({"n1"});
  run(10s);
  ASSERT_EQ(ladder_->carrying(), kP2p);
  ASSERT_EQ(told_.back(), "2800 stop node n1");
  told_.clear();
  fate(kP2p, 10ms, "no direct path any more");
  names_ = {"n1"};
  ladder_->lost(kP2p, "nothing is answered", now_);
  run(20s);
  EXPECT_EQ(told_, (Told{"10000 stop p2p", "10000 prepare p2p", "10000 ask",
                         "10000 prepare node n1", "10010 stop p2p", "10010 prepare relay",
                         "10038 carry node n1", "10038 stop relay"}));
}

TEST_F(Parallel, ANodeThatIsNamedTooLateIsFreeForTheTimeWhenItIsNeeded) {
  fate(kP2p, 10ms, "no direct path");
  fate(node("n1"), 30ms);
  fate(node("n2"), 30ms);
  nodes({"n1"});
  run(1s);
  told_.clear();
  ladder_->offer_node("n2", now_);
  run(5s);
  EXPECT_EQ(told_, Told{"2000 stop node n2"});
  names_ = {"n2"};
  ladder_->lost(node("n1"), "nothing is answered", now_);
  run(6s);
  EXPECT_EQ(ladder_->carrying(), node("n2"));
}

TEST_F(Strict, ANodeThatTheOtherSideHasHadNamedIsTriedWhenOursIsLostToo) {
  fate(kP2p, 10ms, "no direct path");
  fate(node("n1"), 30ms);
  fate(node("n2"), 30ms);
  nodes({"n1"});
  run(5s);
  told_.clear();
  ladder_->offer_node("n2", now_);
  run(5500ms);
  ladder_->lost(node("n1"), "nothing is answered", now_);
  run(20s);
  EXPECT_EQ(told_, (Told{"5500 stop node n1", "5500 prepare node n2", "5530 carry node n2"}))
      << "nobody is asked: it has a name already";
}

TEST_F(Parallel, NodesAreAskedForAgainWhileARelayCarries) {
  fate(kP2p, 10ms, "no direct path");
  fate(kRelay, 50ms);
  fate(node("n1"), 30ms);
  run(100s);
  EXPECT_EQ(told_, (Told{"0 prepare p2p", "0 ask", "10 stop p2p", "10 prepare relay",
                         "60 carry relay", "15060 ask", "45060 ask"}));
  EXPECT_EQ(ladder_->log().size(), 6U) << "it is not told again and again";
  names_ = {"n1"};
  run(200s);
  EXPECT_EQ(ladder_->carrying(), node("n1"));
  EXPECT_EQ(told_.back(), "107090 stop relay");
  // From then on there is nothing to ask for.
  run(2000s);
  EXPECT_EQ(told_.back(), "107090 stop relay");
}

TEST_F(Strict, WhoNamesNodesMayAskASecondOneFirst) {
  ladder_->start(now_);
  (void)ladder_->poll(now_);
  ladder_->failed(kP2p, "no direct path", now_);
  auto actions = ladder_->poll(now_);
  ASSERT_EQ(actions.back().kind, Kind::AskForNode);
  now_ += 2s;
  EXPECT_TRUE(ladder_->poll(now_).empty());
  ladder_->offer_node("n2", now_);
  actions = ladder_->poll(now_);
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_EQ(actions.back().kind, Kind::Prepare);
  EXPECT_EQ(actions.back().attempt, node("n2"));
}

TEST_F(Parallel, EverythingGoneEndsWithTheReason) {
  fate(kP2p, 10ms, "no direct path");
  fate(node("n1"), 30ms);
  fate(kRelay, 50ms, "the relay does not answer");
  nodes({"n1"});
  run(20s);
  fate(node("n1"), 30ms, "gone");
  ladder_->lost(node("n1"), "it is gone", now_);
  run(40s);
  EXPECT_EQ(told_.back().substr(told_.back().find(' ') + 1), "end");
  EXPECT_EQ(end_,
            "node n1 was lost: it is gone; node failed: no node is online; p2p failed: no direct "
            "path; relay failed: the relay does not answer")
      << "what worked once, and failed before, is history";
}

TEST_F(Parallel, WhatCarriedIsNotGivenUpForASilenceOfSeconds) {
  fate(kP2p, 25ms);
  LadderOptions options;
  options.rungs = {Rung::P2p, Rung::Sfu};
  make(options);
  run(20s);
  fate(kP2p, 100ms, "the peer is silent");
  ladder_->lost(kP2p, "nothing is answered any more", now_);
  told_.clear();
  run(26s);
  EXPECT_EQ(told_, (Told{"20000 stop p2p", "20000 prepare p2p", "20000 ask", "20100 stop p2p",
                         "20600 prepare p2p", "20600 ask", "20700 stop p2p", "21700 prepare p2p",
                         "21700 ask", "21800 stop p2p", "23800 prepare p2p", "23800 ask",
                         "23900 stop p2p", "25900 prepare p2p", "25900 ask", "26000 stop p2p"}));
  fate(kP2p, 100ms);
  run(30s);
  EXPECT_EQ(told_.back(), "28100 carry p2p");
  // The next time it has as long again.
  told_.clear();
  fate(kP2p, 100ms, "the peer is silent");
  run(60s);
  EXPECT_TRUE(told_.empty());
  ladder_->lost(kP2p, "nothing is answered any more", now_);
  run(90s);
  EXPECT_EQ(told_.back(), "68100 end");
  EXPECT_EQ(end_,
            "p2p was lost: nothing is answered any more; node failed: no node is online; "
            "p2p failed: the peer is silent");
}

TEST_F(Parallel, WhatWasWaitedForBeforeItWasLostIsTriedOnceMore) {
  carries_alone();
  ladder_->failed(kP2p, "this machine has no network", now_, now_ - LadderOptions().patience);
  told_.clear();
  run(60s);
  EXPECT_EQ(told_, (Told{"20000 stop p2p", "20000 prepare p2p", "20100 stop p2p", "20100 end"}));
}

TEST_F(Parallel, WhatComesUpBetweenTwoRoundsCarries) {
  carries_alone();
  ladder_->lost(kP2p, "nothing is answered any more", now_);
  run(22s);
  fate(kP2p, 100ms);
  ladder_->retry_p2p("it turned out to be there", now_);
  ladder_->up(kP2p, now_);
  told_.clear();
  run(60s);
  EXPECT_EQ(told_, (Told{"22000 prepare p2p", "22000 carry p2p"}));
}

TEST_F(Parallel, ADirectPathIsTriedAgainWhileANodeCarries) {
  fate(kP2p, 10ms, "no direct path");
  fate(node("n1"), 30ms);
  nodes({"n1"});
  run(20s);
  fate(kP2p, 25ms);
  ladder_->retry_p2p("the address has changed", now_);
  EXPECT_EQ(ladder_->carrying(), node("n1"));
  run(40s);
  EXPECT_EQ(ladder_->carrying(), kP2p);
  EXPECT_EQ(told_.back(), "22025 stop node n1");
}

TEST_F(Parallel, WhatNobodyAskedForIsIgnored) {
  fate(kP2p, 10ms);
  run(20s);
  told_.clear();
  ladder_->up(node("x"), now_);
  ladder_->up(kRelay, now_);
  ladder_->failed(kRelay, "late", now_);
  ladder_->lost(node("x"), "late", now_);
  ladder_->offer_node("x", now_);
  ladder_->no_node("late", now_);
  run(30s);
  EXPECT_EQ(told_, Told{"21000 stop node x"}) << "it is let go, and nothing else";
  EXPECT_EQ(ladder_->carrying(), kP2p);
}

TEST_F(Parallel, ANodeThatFailedAndIsNamedAgainIsTheLast) {
  fate(kP2p, 10ms, "no direct path");
  fate(node("n1"), 30ms, "it is full");
  nodes({"n1", "n1", "n1"});
  LadderOptions options;
  options.rungs = {Rung::P2p, Rung::Sfu};
  make(options);
  run(10s);
  EXPECT_EQ(told_.back(), "30 end");
}

TEST_F(Parallel, TheLogIsBounded) {
  LadderOptions options;
  options.rungs = {Rung::P2p};
  make(options);
  fate(kP2p, 1ms);
  for (int time = 1; time < 300; ++time) {
    run(time * 10ms);
    ladder_->lost(kP2p, "again", now_);
  }
  EXPECT_EQ(ladder_->log().size(), Ladder::kMostEntries);
}

TEST_F(Strict, OneAfterTheOtherEachForItsOwnTime) {
  fate(kRelay, 120ms);
  nodes({"n1", "n2"});
  run(20s);
  EXPECT_EQ(told_,
            (Told{"0 prepare p2p", "3000 stop p2p", "3000 ask", "3000 prepare node n1",
                  "4500 stop node n1", "4500 ask", "4500 prepare node n2", "6000 stop node n2",
                  "6000 ask", "6000 prepare relay", "6120 carry relay"}));
}

TEST_F(Strict, NothingWaitsLongForADirectPathThatIsNotToBeExpected) {
  fate(node("n1"), 38ms);
  nodes({"n1"});
  run(200ms);
  ladder_->expect_direct(false);
  run(10s);
  EXPECT_EQ(told_, (Told{"0 prepare p2p", "1000 stop p2p", "1000 ask", "1000 prepare node n1",
                         "1038 carry node n1"}));
}

TEST_F(Strict, ADirectPathThatIsExpectedAfterAllHasItsWholeTime) {
  fate(kP2p, 2900ms);
  ladder_->expect_direct(false);
  run(200ms);
  ladder_->expect_direct(true);
  run(10s);
  EXPECT_EQ(told_, (Told{"0 prepare p2p", "2900 carry p2p"}));
}

TEST_F(Strict, ADirectPathThatThereNeverWasIsNotTriedAgainAfterALoss) {
  fate(node("n1"), 30ms);
  fate(node("n2"), 40ms);
  nodes({"n1"});
  run(20s);
  ASSERT_EQ(ladder_->carrying(), node("n1"));
  told_.clear();
  names_ = {"n2"};
  ladder_->lost(node("n1"), "nothing has come over it for 500 ms", now_);
  run(40s);
  EXPECT_EQ(told_, (Told{"20000 stop node n1", "20000 ask", "20000 prepare node n2",
                         "20040 carry node n2"}));
}

TEST_F(Strict, ADirectPathAsksForNothingElse) {
  fate(kP2p, 2900ms);
  nodes({"n1"});
  run(20s);
  EXPECT_EQ(told_, (Told{"0 prepare p2p", "2900 carry p2p"}));
}

TEST(LadderText, NamesAreThoseOfTheConfiguration) {
  for (const Rung rung : {Rung::P2p, Rung::Sfu, Rung::Relay})
    EXPECT_EQ(rung_from_string(to_string(rung)), rung);
  EXPECT_FALSE(rung_from_string("turn"));
  EXPECT_EQ(to_string(node("n7")), "node n7");
}

}  // namespace
}  // namespace junctor::nat
