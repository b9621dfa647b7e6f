// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/ice_agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <mutex>

namespace junctor::nat {
namespace {

using namespace std::chrono_literals;

/// One side, whose news are kept.
class Side {
 public:
  Side(std::shared_ptr<ContextThread> thread, bool controlling) : thread_(std::move(thread)) {
    IceOptions options;
    options.controlling = controlling;
    options.addresses = {"127.0.0.1"};
    IceEvents events;
    events.candidate = [this](const std::string &line) { note([&] { lines_.push_back(line); }); };
    events.gathered = [this] { note([&] { gathered_ = true; }); };
    events.connected = [this](const IcePath &path) { note([&] { path_ = path; }); };
    events.received = [this](ByteSpan bytes) {
      note([&] { heard_.emplace_back(bytes.begin(), bytes.end()); });
    };
    events.failed = [this](const std::string &why) { note([&] { failed_ = why; }); };
    events.complaint = [this](const std::string &what) {
      note([&] { complaints_.push_back(what); });
    };
    auto started = IceAgent::start(thread_, std::move(options), std::move(events));
    EXPECT_TRUE(started) << started.error().detail;
    agent_ = std::move(*started);
  }

  ~Side() {
    drop();
    settle();
  }

  IceAgent &agent() { return *agent_; }
  void drop() { agent_.reset(); }
  /// Until what was said to the agent has come to it.
  void settle() {
    thread_->invoke([] {});
  }
  template <class Check>
  bool wait(Check check) {
    std::unique_lock lock(mutex_);
    return news_.wait_for(lock, 20s, [&] { return check(*this); });
  }
  void tell(Side &other) {
    ASSERT_TRUE(wait([](const Side &self) { return self.gathered_; }));
    other.agent().set_remote(agent_->local());
    for (const std::string &line : lines_) other.agent().add_remote_candidate(line);
    other.agent().remote_gathered();
    other.settle();
    EXPECT_THAT(other.complaints_, testing::IsEmpty());
  }

  std::vector<std::string> lines_, complaints_;
  std::vector<Bytes> heard_;
  std::optional<IcePath> path_;
  std::string failed_;
  bool gathered_ = false;

 private:
  template <class Change>
  void note(Change change) {
    const std::lock_guard lock(mutex_);
    change();
    news_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable news_;
  const std::shared_ptr<ContextThread> thread_;
  std::unique_ptr<IceAgent> agent_;
};

Bytes text(std::string_view what) {
  const ByteSpan bytes = as_bytes(what);
  return {bytes.begin(), bytes.end()};
}

TEST(IceAgent, TwoOfThemExchangeDatagrams) {
  const auto thread = ContextThread::start("ice");
  Side caller(thread, true), callee(thread, false);
  EXPECT_FALSE(caller.agent().send(text("too early")));
  ASSERT_NO_FATAL_FAILURE(caller.tell(callee));
  ASSERT_NO_FATAL_FAILURE(callee.tell(caller));
  for (Side *side : {&caller, &callee})
    ASSERT_TRUE(side->wait([](const Side &self) { return self.path_.has_value(); }));
  EXPECT_NE(caller.path_->local.find("127.0.0.1:"), std::string::npos);
  EXPECT_FALSE(caller.path_->relayed);
  EXPECT_TRUE(caller.agent().send(text("hello")));
  EXPECT_TRUE(callee.agent().send(text("world")));
  ASSERT_TRUE(callee.wait([](const Side &self) { return !self.heard_.empty(); }));
  ASSERT_TRUE(caller.wait([](const Side &self) { return !self.heard_.empty(); }));
  EXPECT_EQ(callee.heard_.front(), text("hello"));
  EXPECT_EQ(caller.heard_.front(), text("world"));
}

TEST(IceAgent, WithTheWrongPasswordThereIsNoPath) {
  const auto thread = ContextThread::start("ice");
  Side caller(thread, true), callee(thread, false);
  ASSERT_TRUE(caller.wait([](const Side &self) { return self.gathered_; }));
  callee.agent().set_remote({caller.agent().local().ufrag, std::string(24, 'x')});
  for (const std::string &line : caller.lines_) callee.agent().add_remote_candidate(line);
  callee.agent().remote_gathered();
  ASSERT_TRUE(callee.wait([](const Side &self) { return !self.failed_.empty(); }));
  EXPECT_EQ(callee.failed_, "ICE finds no path to the peer");
  EXPECT_FALSE(callee.path_);
}

TEST(IceAgent, RefusesWhatNoPeerWouldSay) {
  const auto thread = ContextThread::start("ice");
  Side side(thread, true);
  IceAgent &agent = side.agent();
  agent.set_remote({"abc", std::string(22, 'x')});
  agent.set_remote({"abcd", std::string(21, 'x')});
  agent.set_remote({"ab\r\n", std::string(22, 'x')});
  agent.set_remote({"abcd", std::string(300, 'x')});
  side.settle();
  EXPECT_THAT(side.complaints_, testing::SizeIs(4));
  agent.add_remote_candidate("m=audio");
  agent.add_remote_candidate("candidate:" + std::string(600, '1'));
  side.settle();
  EXPECT_THAT(side.complaints_, testing::SizeIs(6));
  agent.add_remote_candidate("candidate:nonsense");  // a kind of the future's
  for (std::size_t i = 1; i < IceAgent::kMostCandidates; ++i)
    agent.add_remote_candidate("candidate:1 1 UDP 1 127.0.0.1 9 typ host");
  side.settle();
  EXPECT_THAT(side.complaints_, testing::SizeIs(6));
  agent.add_remote_candidate("candidate:1 1 UDP 1 127.0.0.1 9 typ host");
  side.settle();
  EXPECT_THAT(side.complaints_, testing::SizeIs(7));
}

TEST(IceAgent, NobodyWaitsForItsThread) {
  const auto thread = ContextThread::start("ice");
  Side side(thread, true);
  std::promise<void> go;
  ContextThread::post(thread, [held = go.get_future().share()] { held.wait(); });
  auto said = std::async(std::launch::async, [&] {
    side.agent().set_remote({"abc", ""});
    side.agent().add_remote_candidate("m=audio");
    side.agent().remote_gathered();
    side.drop();
  });
  EXPECT_EQ(said.wait_for(20s), std::future_status::ready);
  EXPECT_THAT(side.complaints_, testing::IsEmpty());
  go.set_value();
  said.wait();
  side.settle();
  EXPECT_THAT(side.complaints_, testing::SizeIs(2)) << "nothing of it was lost";
}

TEST(IceAgent, WithoutARelayARelayOnlyOneFails) {
  const auto thread = ContextThread::start("ice");
  IceOptions options;
  options.relay_only = true;
  options.addresses = {"127.0.0.1"};
  std::promise<std::string> failed;
  IceEvents events;
  events.failed = [&](std::string why) { failed.set_value(std::move(why)); };
  auto agent = IceAgent::start(thread, std::move(options), std::move(events));
  ASSERT_TRUE(agent);
  auto why = failed.get_future();
  ASSERT_EQ(why.wait_for(20s), std::future_status::ready);
  EXPECT_NE(why.get().find("no TURN server gave a relayed address"), std::string::npos);
  agent->reset();
  thread->invoke([] {});
}

}  // namespace
}  // namespace junctor::nat
