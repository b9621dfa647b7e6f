// SPDX-License-Identifier: LGPL-2.1-or-later
// Which packets are given up when the system takes no more.
#include "sfu/core/backlog.h"

#include <gtest/gtest.h>

#include <array>

namespace junctor::sfu {
namespace {

using namespace std::chrono_literals;

constexpr Time kStart{std::chrono::seconds(100)};

Bytes one(int value) { return Bytes(10, static_cast<std::byte>(value)); }

int value(const std::optional<Backlog::Packet> &packet) {
  return packet ? std::to_integer<int>(packet->bytes[0]) : -1;
}

TEST(Backlog, ClassesLeaveInTheirOrderAndEachInItsOwn) {
  Backlog backlog;
  Backlog::Owner owner;
  backlog.push(owner, one(1), Class::Again, kStart);
  backlog.push(owner, one(2), Class::Picture, kStart);
  backlog.push(owner, one(3), Class::Picture, kStart);
  backlog.push(owner, one(4), Class::Sound, kStart);
  backlog.push(owner, one(5), Class::Control, kStart);
  EXPECT_EQ(owner.waiting, 5U);
  for (const int expected : {5, 4, 2, 3, 1}) {
    EXPECT_EQ(value(backlog.front(kStart)), expected);
    backlog.pop();
  }
  EXPECT_TRUE(backlog.empty());
  EXPECT_FALSE(backlog.front(kStart));
  EXPECT_EQ(owner.waiting, 0U);
  EXPECT_EQ(owner.counters.all_dropped(), 0U);
}

TEST(Backlog, WhatHasWaitedTooLongIsGivenUpAndCounted) {
  Backlog backlog;
  Backlog::Owner owner;
  backlog.push(owner, one(1), Class::Sound, kStart);
  backlog.push(owner, one(2), Class::Sound, kStart + 50ms);
  EXPECT_EQ(value(backlog.front(kStart + Backlog::kAge)), 1);
  EXPECT_EQ(value(backlog.front(kStart + Backlog::kAge + 1ms)), 2);
  EXPECT_EQ(owner.counters.dropped[static_cast<std::size_t>(Class::Sound)], 1U);
}

// Four destinations fill it with pictures and retransmissions.
class FullBacklog : public ::testing::Test {
 protected:
  void SetUp() override {
    for (auto &owner : owners)
      for (std::size_t i = 0; i < Backlog::kShare; ++i)
        backlog.push(owner, one(static_cast<int>(i % 100)), i % 2 ? Class::Picture : Class::Again,
                     kStart);
    ASSERT_EQ(backlog.size(), Backlog::kPackets);
  }
  std::uint64_t dropped(Class kind) const {
    std::uint64_t sum = 0;
    for (const auto &owner : owners) sum += owner.counters.dropped[static_cast<std::size_t>(kind)];
    return sum;
  }
  Backlog backlog;
  std::array<Backlog::Owner, 4> owners;
  Backlog::Owner late;
};

TEST_F(FullBacklog, SoundTakesThePlaceOfRetransmissionsThenOfPictures) {
  for (int i = 0; i < 100; ++i) backlog.push(late, one(7), Class::Sound, kStart);
  EXPECT_EQ(dropped(Class::Again), 100U);
  EXPECT_EQ(dropped(Class::Picture), 0U);
  Backlog::Owner another, third;
  for (int i = 0; i < 100; ++i) backlog.push(another, one(7), Class::Sound, kStart);
  for (int i = 0; i < 100; ++i) backlog.push(third, one(7), Class::Sound, kStart);
  EXPECT_EQ(dropped(Class::Again), 256U);
  EXPECT_EQ(dropped(Class::Picture), 44U);
  EXPECT_EQ(backlog.size(), Backlog::kPackets);
}

TEST_F(FullBacklog, APictureNeverTakesThePlaceOfAnother) {
  for (int i = 0; i < 128; ++i) backlog.push(late, one(7), Class::Picture, kStart);
  EXPECT_EQ(dropped(Class::Again), 128U);
  EXPECT_EQ(late.waiting, Backlog::kShare);
  Backlog::Owner another;
  backlog.push(another, one(7), Class::Again, kStart);
  EXPECT_EQ(another.counters.dropped[static_cast<std::size_t>(Class::Again)], 1U);
  EXPECT_EQ(another.waiting, 0U);
}

TEST_F(FullBacklog, OneDestinationHasAQuarterAtMost) {
  backlog.push(owners[0], one(7), Class::Control, kStart);
  EXPECT_EQ(owners[0].counters.dropped[static_cast<std::size_t>(Class::Control)], 1U);
  EXPECT_EQ(owners[0].waiting, Backlog::kShare);
}

TEST_F(FullBacklog, WhoIsForgottenIsNotSentTo) {
  backlog.forget(owners[0]);
  backlog.forget(owners[1]);
  backlog.forget(owners[2]);
  std::size_t left = 0;
  for (; const auto packet = backlog.front(kStart); backlog.pop(), ++left)
    ASSERT_EQ(packet->owner, &owners[3]);
  EXPECT_EQ(left, Backlog::kShare);
  EXPECT_TRUE(backlog.empty());
  EXPECT_EQ(owners[0].counters.all_dropped(), 0U);
}

}  // namespace
}  // namespace junctor::sfu
