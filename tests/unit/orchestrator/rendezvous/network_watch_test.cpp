// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rendezvous/network_watch.h"

#include <gtest/gtest.h>

#include <thread>

#include "../../own_network.h"

namespace junctor::rendezvous {
namespace {

using namespace std::chrono_literals;

/// For so long that what is told would have come, or until it has.
bool told(const int &count, int before) {
  const Time end = Clock::now() + 300ms;
  while (count == before && Clock::now() < end)
    if (!g_main_context_iteration(nullptr, FALSE)) std::this_thread::sleep_for(1ms);
  return count > before;
}

TEST(NetworkWatch, TellsOfEachChangeAndOfNothingElse) {
  const bool made = in_own_network({"198.51.100.7"}, [] {
    int count = 0;
    NetworkWatch watch([&] { ++count; });
    EXPECT_FALSE(told(count, 0)) << "nothing has changed";
    EXPECT_TRUE(set_own_address(1, "203.0.113.7"));
    EXPECT_TRUE(told(count, 0));
    EXPECT_TRUE(set_own_address(1, ""));
    EXPECT_TRUE(told(count, 1)) << "it is gone";
    EXPECT_TRUE(set_own_address(0, ""));
    EXPECT_TRUE(told(count, 2)) << "none is left";
    EXPECT_TRUE(set_own_address(0, "198.51.100.7"));
    EXPECT_TRUE(told(count, 3)) << "the first is back";
    // Messages come, and all is as it was.
    EXPECT_TRUE(set_own_address(0, "198.51.100.7"));
    EXPECT_TRUE(set_own_address(2, "127.0.0.2"));
    EXPECT_FALSE(told(count, 4));
    EXPECT_EQ(count, 4);
  });
  if (!made) GTEST_SKIP() << "no network of one's own can be made here";
}

TEST(NetworkWatch, MayBeDestroyedByWhatItTells) {
  const bool made = in_own_network({}, [] {
    int count = 0;
    std::unique_ptr<NetworkWatch> watch;
    watch = std::make_unique<NetworkWatch>([&] {
      ++count;
      watch.reset();
    });
    EXPECT_TRUE(set_own_address(0, "203.0.113.7"));
    EXPECT_TRUE(told(count, 0));
    EXPECT_TRUE(set_own_address(0, ""));
    EXPECT_FALSE(told(count, 1));
  });
  if (!made) GTEST_SKIP() << "no network of one's own can be made here";
}

}  // namespace
}  // namespace junctor::rendezvous
