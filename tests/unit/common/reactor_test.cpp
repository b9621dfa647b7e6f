// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/reactor.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>

using namespace junctor;
using namespace std::chrono_literals;

namespace {

std::shared_ptr<Reactor> make() {
  auto reactor = Reactor::create();
  EXPECT_TRUE(reactor);
  return *reactor;
}

std::array<UniqueFd, 2> make_pair_of_sockets() {
  int fds[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

}  // namespace

TEST(Reactor, CallsWhatWasPostedInOrder) {
  auto reactor = make();
  std::string order;
  reactor->post([&] { order += 'a'; });
  reactor->post([&] { order += 'b'; });
  reactor->run_once(0ms);
  EXPECT_EQ(order, "ab");
}

TEST(Reactor, EndOfTurnComesAfterEventsPostsAndTimers) {
  auto reactor = make();
  std::string order;
  auto sockets = make_pair_of_sockets();
  auto watch = reactor->watch(sockets[0].get(), EPOLLIN, [&](std::uint32_t) {
    order += 'e';
    reactor->at_end_of_turn([&] { order += 'z'; });
  });
  auto timer = reactor->after(-1ms, [&] { order += 't'; });
  reactor->post([&] { order += 'p'; });
  ASSERT_EQ(::write(sockets[1].get(), "x", 1), 1);
  reactor->run_once(100ms);
  EXPECT_EQ(order.find('z'), order.size() - 1);
  EXPECT_EQ(order.size(), 4U);
}

TEST(Reactor, WatchMayDestroyItselfAndItsNeighbour) {
  auto reactor = make();
  auto first = make_pair_of_sockets();
  auto second = make_pair_of_sockets();
  int calls = 0;
  Reactor::Watch a, b;
  const auto both = [&](std::uint32_t) {
    ++calls;
    a.reset();
    b.reset();
  };
  a = reactor->watch(first[0].get(), EPOLLIN, both);
  b = reactor->watch(second[0].get(), EPOLLIN, both);
  ASSERT_EQ(::write(first[1].get(), "x", 1), 1);
  ASSERT_EQ(::write(second[1].get(), "x", 1), 1);
  reactor->run_once(100ms);
  reactor->run_once(0ms);
  EXPECT_EQ(calls, 1);
}

TEST(Reactor, SetEventsPausesReading) {
  auto reactor = make();
  auto sockets = make_pair_of_sockets();
  int calls = 0;
  auto watch = reactor->watch(sockets[0].get(), EPOLLIN, [&](std::uint32_t) { ++calls; });
  ASSERT_EQ(::write(sockets[1].get(), "x", 1), 1);
  watch.set_events(0);
  reactor->run_once(0ms);
  EXPECT_EQ(calls, 0);
  watch.set_events(EPOLLIN);
  reactor->run_once(0ms);
  EXPECT_EQ(calls, 1);
}

TEST(Reactor, DestroyedTimerNeverFires) {
  auto reactor = make();
  bool fired = false;
  {
    auto timer = reactor->after(0ms, [&] { fired = true; });
  }
  reactor->run_once(0ms);
  EXPECT_FALSE(fired);
}

TEST(Reactor, TimerMayReArmItsOwner) {
  auto reactor = make();
  int fired = 0;
  Reactor::Timer timer;
  std::function<void()> again = [&] {
    if (++fired < 3) timer = reactor->after(0ms, again);
  };
  timer = reactor->after(0ms, again);
  for (int turn = 0; turn < 10 && fired < 3; ++turn) reactor->run_once(10ms);
  EXPECT_EQ(fired, 3);
}

TEST(Reactor, TimersFireInOrderOfTime) {
  auto reactor = make();
  std::string order;
  auto late = reactor->after(2ms, [&] { order += 'b'; });
  auto early = reactor->after(1ms, [&] { order += 'a'; });
  while (order.size() < 2) reactor->run_once(10ms);
  EXPECT_EQ(order, "ab");
}

TEST(Reactor, EndOfTurnMayAskForMore) {
  auto reactor = make();
  std::string order;
  for (int turn = 0; turn < 2; ++turn) {
    reactor->at_end_of_turn([&] {
      order += 'a';
      reactor->at_end_of_turn([&] { order += 'c'; });
    });
    reactor->at_end_of_turn([&] { order += 'b'; });
    reactor->run_once(0ms);
  }
  EXPECT_EQ(order, "abcabc");
}

TEST(Reactor, TurnEndRunsOnceATurnAndMayAskAgain) {
  auto reactor = make();
  std::string order;
  Reactor::TurnEnd b([&] { order += 'b'; });
  int more = 1;
  Reactor::TurnEnd a([&] {
    order += 'a';
    if (more-- > 0) a.request(*reactor);
  });
  a.request(*reactor);
  b.request(*reactor);
  a.request(*reactor);
  reactor->run_once(0ms);
  EXPECT_EQ(order, "aba");
  reactor->run_once(0ms);
  EXPECT_EQ(order, "aba");
}

TEST(Reactor, TurnEndMayBeCancelledOrDestroyed) {
  auto reactor = make();
  std::string order;
  auto gone = std::make_unique<Reactor::TurnEnd>([&] { order += 'x'; });
  Reactor::TurnEnd cancelled([&] { order += 'y'; });
  Reactor::TurnEnd last([&] { order += 'c'; });
  Reactor::TurnEnd first([&] {
    order += 'a';
    gone.reset();
  });
  first.request(*reactor);
  gone->request(*reactor);
  last.request(*reactor);
  cancelled.request(*reactor);
  cancelled.cancel();
  reactor->run_once(0ms);
  EXPECT_EQ(order, "ac");
  // The list is whole after its last one went.
  first.request(*reactor);
  reactor->run_once(0ms);
  EXPECT_EQ(order, "aca");
}

// A regression hangs here.
TEST(Reactor, InvokeReturnsWhileTheReactorEnds) {
  int ran = 0;
  constexpr int kRounds = 2000;
  for (int round = 0; round < kRounds; ++round) {
    auto reactor = make();
    std::atomic<bool> ending = false;
    reactor->stop();
    // The last that run() does before it ends; invoke() comes a little later each round.
    reactor->post([&] { ending = true; });
    std::thread thread([&] { reactor->run(); });
    while (!ending) std::this_thread::yield();
    for (int spin = round % 200; spin > 0; --spin) ending.load();
    reactor->invoke([&] { ++ran; });
    thread.join();
  }
  EXPECT_EQ(ran, kRounds);
}

TEST(ReactorThread, InvokeWaitsAndRunsThere) {
  auto thread = ReactorThread::start("test");
  ASSERT_TRUE(thread);
  auto reactor = (*thread)->reactor();
  bool inside = false;
  reactor->invoke([&] { inside = reactor->in_thread(); });
  EXPECT_TRUE(inside);
  EXPECT_FALSE(reactor->in_thread());
}

TEST(ReactorThread, PostsFromManyThreadsAllArrive) {
  auto thread = ReactorThread::start("test");
  ASSERT_TRUE(thread);
  auto reactor = (*thread)->reactor();
  std::atomic<int> count = 0;
  std::vector<std::thread> posters;
  for (int i = 0; i < 4; ++i)
    posters.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) reactor->post([&] { ++count; });
    });
  for (auto &poster : posters) poster.join();
  reactor->invoke([] {});
  EXPECT_EQ(count, 4000);
}
