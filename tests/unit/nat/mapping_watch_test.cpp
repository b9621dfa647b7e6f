// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/mapping_watch.h"

#include <gtest/gtest.h>

#include "simulated_network.h"

namespace junctor::nat {
namespace {

using namespace std::chrono_literals;
using Kind = MappingWatch::Event::Kind;

const Endpoint kServer{"192.0.2.1", 3478};

class Watching : public testing::Test {
 protected:
  Watching() { network_.add_server({kServer, {}, {}, {}}, 20ms); }
  /// What happened in the next `time`, or nothing.
  std::optional<MappingWatch::Event> after(Duration time) {
    network_.run(watch_, time);
    return watch_.take_event();
  }
  SimulatedNetwork network_;
  MappingWatch watch_{{.server = kServer}};
};

TEST_F(Watching, TellsTheFirstAddressAndThenOnlyChanges) {
  const auto first = after(1s);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->kind, Kind::Seen);
  EXPECT_EQ(first->now->address, "203.0.113.5");
  EXPECT_FALSE(after(60s));
  EXPECT_EQ(network_.requests, 5U) << "one each 15 s";
  network_.reboot();
  const auto moved = after(15s);
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->kind, Kind::Changed);
  EXPECT_EQ(moved->before, first->now);
  EXPECT_NE(moved->now, first->now);
  EXPECT_FALSE(after(60s));
}

TEST_F(Watching, TellsSilenceOnceAndItsEnd) {
  ASSERT_TRUE(after(1s));
  network_.nat.udp = false;
  const auto silent = after(20s);
  ASSERT_TRUE(silent);
  EXPECT_EQ(silent->kind, Kind::Silent);
  EXPECT_FALSE(after(60s));
  network_.nat.udp = true;
  const auto back = after(20s);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->kind, Kind::Back);
}

TEST_F(Watching, LossIsNoChange) {
  network_.loss = 0.1;
  ASSERT_TRUE(after(5s));
  EXPECT_FALSE(after(300s));
}

}  // namespace
}  // namespace junctor::nat
