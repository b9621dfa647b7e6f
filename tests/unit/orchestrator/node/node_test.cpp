// SPDX-License-Identifier: LGPL-2.1-or-later
// A node that runs, its rendezvous, and what its owner's device allows.
#include "node/node.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <variant>
#include <vector>

#include "../../temporary_directory.h"
#include "nat/core/agreement.h"
#include "nat/core/description.h"

namespace junctor::node {
namespace {

namespace wire = nat::rendezvous;

class NodeTest : public testing::Test {
 protected:
  /// To the rendezvous: what the node said over it stays when it is gone.
  struct Connection {
    rendezvous::ClientEvents events;
    std::vector<wire::Message> said;
  };
  struct FakeClient : rendezvous::Client {
    explicit FakeClient(Connection &connection) : over(connection) {}
    void send(const wire::Message &message) override { over.said.push_back(message); }
    void reconnect() override {}
    void set_network(const wire::Moved &) override {}
    void close(std::function<void()> done) override { done(); }
    Connection &over;
  };

  void start(NodeOptions options = {}) {
    options.offer.name = "n7";
    options.offer.legs = 10;
    options.listen = {"127.0.0.1", 0};
    options.battery_folder = supplies_.path();
    options.connect =
        [this](rendezvous::ClientOptions,
               rendezvous::ClientEvents events) -> Result<std::unique_ptr<rendezvous::Client>> {
      connections_.push_back(std::make_unique<Connection>(std::move(events)));
      return std::unique_ptr<rendezvous::Client>(
          std::make_unique<FakeClient>(*connections_.back()));
    };
    auto started = Node::start(std::move(options), [this](auto) { ended_ = true; });
    ASSERT_TRUE(started) << started.error().detail;
    node_ = std::move(*started);
    welcome();
  }
  void welcome() {
    wire::Welcome welcome;
    welcome.account = "alice";
    connections_.back()->events.welcome(welcome);
  }
  void battery(int percent, const char *status) {
    const auto folder = std::filesystem::path(supplies_.path()) / "BAT0";
    std::filesystem::create_directory(folder);
    std::ofstream(folder / "type") << "Battery\n";
    std::ofstream(folder / "capacity") << percent << "\n";
    std::ofstream(folder / "status") << status << "\n";
  }
  void serve(const std::string &session) {
    const auto leg = [](const char *name) {
      return wire::Leg{name,
                       nat::to_string(nat::Signal(nat::Description{
                           nat::KeyPair::generate()->public_key(), nat::random_tag(), 1, {}})),
                       ""};
    };
    connections_.back()->events.message(wire::Serve{session, {leg("caller"), leg("callee")}});
  }
  /// It looks each second.
  template <class Check>
  bool until(Check check) {
    const Time end = Clock::now() + std::chrono::seconds(20);
    while (!check()) {
      if (Clock::now() > end) return false;
      g_main_context_iteration(nullptr, TRUE);
    }
    return true;
  }
  /// What was said last of this kind over the latest connection; null: nothing.
  template <class Kind>
  const Kind *said() const {
    const Kind *last = nullptr;
    for (const wire::Message &each : connections_.back()->said)
      if (const auto *one = std::get_if<Kind>(&each)) last = one;
    return last;
  }

  const TemporaryDirectory supplies_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::unique_ptr<Node> node_;
  bool ended_ = false;
};

TEST_F(NodeTest, RestsWhileItsBatteryIsLowAndServesAgain) {
  battery(80, "Discharging");
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_EQ(node_->status().state, "serving");
  EXPECT_FALSE(said<wire::Drain>());

  battery(12, "Discharging");
  ASSERT_TRUE(until([&] { return said<wire::Drain>(); }));
  EXPECT_EQ(said<wire::Drain>()->why, "its battery is at 12 %");
  EXPECT_EQ(node_->status().state, "resting: its battery is at 12 %");
  connections_.back()->events.message(wire::Serve{"s1", {}});
  ASSERT_TRUE(said<wire::Refuse>());
  EXPECT_EQ(said<wire::Refuse>()->reason, "its battery is at 12 %");
  EXPECT_FALSE(ended_) << "it may be charged";

  // Who has drained takes nothing over that connection any more.
  battery(12, "Charging");
  ASSERT_TRUE(until([&] { return connections_.size() == 2; }));
  welcome();
  EXPECT_FALSE(said<wire::Drain>());
  EXPECT_EQ(node_->status().state, "serving");
}

TEST_F(NodeTest, TakesTheOwnersWordForHowLowABatteryMayBe) {
  NodeOptions options;
  options.limits.battery = 5;
  battery(12, "Discharging");
  ASSERT_NO_FATAL_FAILURE(start(std::move(options)));
  EXPECT_EQ(node_->status().state, "serving");
  EXPECT_FALSE(said<wire::Drain>());
}

TEST_F(NodeTest, SaysAtOnceWhatKeepsItFromServing) {
  battery(12, "Discharging");
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_TRUE(said<wire::Drain>());
  EXPECT_EQ(said<wire::Drain>()->why, "its battery is at 12 %");
}

TEST_F(NodeTest, StopsOnceNobodyIsLeftOnIt) {
  NodeOptions options;
  options.drain_time = std::chrono::seconds(600);
  ASSERT_NO_FATAL_FAILURE(start(std::move(options)));
  // Its clients have gone, and nobody releases their session.
  serve("s1");
  ASSERT_TRUE(until([&] { return node_->status().hub.sessions == 1; }));
  node_->stop();
  EXPECT_FALSE(ended_) << "they may only be silent";
  EXPECT_TRUE(until([&] { return ended_; }));
}

TEST_F(NodeTest, WhatLapsesIsNoAnswerToASessionThatIsBroughtAgain) {
  NodeOptions options;
  options.idle = std::chrono::milliseconds(100);
  ASSERT_NO_FATAL_FAILURE(start(std::move(options)));
  serve("s1");
  const auto lapsed = [&] {
    const auto *state = said<wire::LegState>();
    return said<wire::Refuse>() || (state && state->state == "failed");
  };
  ASSERT_TRUE(until(lapsed));
  EXPECT_TRUE(said<wire::Serving>());
  EXPECT_FALSE(said<wire::Refuse>());
}

TEST_F(NodeTest, SaysOverEachConnectionWhatItCarries) {
  ASSERT_NO_FATAL_FAILURE(start());
  for (const std::size_t count : {1U, 2U}) {
    // A rendezvous that takes it for the one before may know more of it than is so now.
    const auto loads = [&] {
      return std::ranges::count_if(connections_.back()->said, [](const wire::Message &each) {
        return std::holds_alternative<wire::Load>(each);
      });
    };
    ASSERT_TRUE(until([&] { return static_cast<std::size_t>(loads()) == count; }));
    EXPECT_EQ(said<wire::Load>()->legs, 0U);
    welcome();
  }
}

TEST_F(NodeTest, SaysAtOnceThatThereIsRoomAgain) {
  ASSERT_NO_FATAL_FAILURE(start());
  serve("s1");
  ASSERT_TRUE(until([&] { return said<wire::Load>() && said<wire::Load>()->legs == 2; }));
  connections_.back()->events.message(wire::Release{"s1"});
  ASSERT_TRUE(until([&] { return said<wire::Load>()->legs == 0; }));
  EXPECT_EQ(node_->status().hub.sessions, 1U) << "it has looked at its figures meanwhile";
}

TEST_F(NodeTest, StopsAtOnceWithoutCalls) {
  ASSERT_NO_FATAL_FAILURE(start());
  node_->stop();
  EXPECT_TRUE(ended_);
}

}  // namespace
}  // namespace junctor::node
