// SPDX-License-Identifier: LGPL-2.1-or-later
// What is kept for retransmission, and what is asked for again.
#include "sfu/core/packet_history.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "sfu/core/feedback_requests.h"

namespace junctor::sfu {
namespace {

using namespace std::chrono_literals;

constexpr Time kStart{std::chrono::seconds(100)};

Bytes packet(std::uint16_t sequence, std::size_t size) {
  Bytes made(size, static_cast<std::byte>(sequence));
  made[0] = static_cast<std::byte>(sequence >> 8);
  return made;
}

bool holds(const PacketHistory &history, std::uint16_t sequence, std::size_t size, Time now) {
  const ByteSpan found = history.find(sequence, now);
  return std::ranges::equal(found, packet(sequence, size));
}

TEST(PacketHistory, HalfASecondOfSoundFitsIntoTheLeastRoom) {
  PacketHistory history;
  EXPECT_TRUE(history.find(1, kStart).empty());
  Time now = kStart;
  for (std::uint16_t i = 65500; i != 200; ++i, now += 20ms)
    history.remember(i, packet(i, 172), now);
  EXPECT_EQ(history.capacity(), PacketHistory::kLeastBytes);
  now -= 20ms;
  for (std::uint16_t i = 175; i < 200; ++i) EXPECT_TRUE(holds(history, i, 172, now)) << i;
  EXPECT_TRUE(history.find(173, now).empty());  // too old
  EXPECT_TRUE(history.find(200, now).empty());
  EXPECT_TRUE(history.find(65500, now).empty());
}

TEST(PacketHistory, GrowsToHalfASecondOfAPicture) {
  PacketHistory history;
  Time now = kStart;
  std::uint16_t sequence = 65000;
  for (int i = 0; i < 1500; ++i, ++sequence, now += 4ms)  // 2.4 Mbit/s, sizes differ
    history.remember(sequence, packet(sequence, 1000 + sequence % 400), now);
  now -= 4ms;
  for (int back = 1; back < 125; ++back) {
    const auto old = static_cast<std::uint16_t>(sequence - back);
    ASSERT_TRUE(holds(history, old, 1000 + old % 400, now)) << back;
  }
  EXPECT_LE(history.capacity(), PacketHistory::kMostBytes);
}

TEST(PacketHistory, GrowsWherePacketsFillEachLapExactly) {
  for (const std::size_t size : {64U, 256U, 1024U, 4096U, 8192U}) {
    PacketHistory history;
    Time now = kStart;
    std::uint16_t sequence = 0;
    for (int i = 0; i < 400; ++i, ++sequence, now += 20ms)
      history.remember(sequence, packet(sequence, size), now);
    now -= 20ms;
    for (int back = 1; back <= 25; ++back) {
      const auto old = static_cast<std::uint16_t>(sequence - back);
      ASSERT_TRUE(holds(history, old, size, now)) << size << ", " << back;
    }
    EXPECT_LE(history.capacity(), std::max(64 * size, PacketHistory::kLeastBytes)) << size;
  }
}

TEST(PacketHistory, KeepsEachByteOfAnySize) {
  PacketHistory history;
  std::uint16_t sequence = 0;
  Bytes random(1500);
  std::uint32_t state = 1;
  for (std::byte &each : random)
    each = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
  for (std::size_t size = 1; size <= random.size(); ++size, ++sequence) {
    // From any place: as they lie in what was received.
    const ByteSpan sent =
        ByteSpan(random).subspan(size % 17 < random.size() - size ? size % 17 : 0, size);
    history.remember(sequence, sent, kStart);
    ASSERT_TRUE(std::ranges::equal(history.find(sequence, kStart), sent)) << size;
  }
}

TEST(PacketHistory, StaysWithinItsBounds) {
  PacketHistory history;
  Time now = kStart;
  for (int i = 0; i < 20000; ++i, now += 10us)
    history.remember(static_cast<std::uint16_t>(i), packet(static_cast<std::uint16_t>(i), 1200),
                     now);
  EXPECT_EQ(history.capacity(), PacketHistory::kMostBytes);
  std::size_t kept = 0;
  for (int i = 0; i < 20000; ++i) {
    const auto sequence = static_cast<std::uint16_t>(i);
    if (history.find(sequence, now).empty()) continue;
    ++kept;
    ASSERT_TRUE(holds(history, sequence, 1200, now));
  }
  EXPECT_GT(kept, 400U);
  EXPECT_LE(kept, PacketHistory::kMostBytes / 1200);
}

TEST(PacketHistory, GivesBackWhatIsNeededNoLonger) {
  HistoryBudget budget{0, 1 << 30};
  PacketHistory history(&budget);
  Time now = kStart;
  std::uint16_t sequence = 65000;
  const auto send = [&](int packets, std::size_t size, Duration gap) {
    for (int i = 0; i < packets; ++i, ++sequence, now += gap) {
      history.remember(sequence, packet(sequence, size), now);
      if (i % 100 == 99) history.trim(now);
    }
  };
  send(4000, 1200, 1ms);  // 9.6 Mbit/s
  EXPECT_EQ(history.capacity(), PacketHistory::kMostBytes);
  send(500, 1200, 10ms);
  EXPECT_LE(history.capacity(), 2 * 50 * 1216U + PacketHistory::kLeastBytes);
  history.is_repeated(static_cast<std::uint16_t>(sequence - 7), packet(0, 1200), now);
  now += PacketHistory::kTrim;  // nothing, then a bit
  send(3, 100, 10ms);
  history.is_repeated(static_cast<std::uint16_t>(sequence - 2), packet(0, 100), now);
  history.trim(now);
  EXPECT_EQ(history.capacity(), PacketHistory::kLeastBytes);
  EXPECT_LT(budget.used, PacketHistory::kLeastBytes + 1024);
  EXPECT_TRUE(holds(history, static_cast<std::uint16_t>(sequence - 3), 100, now));
  EXPECT_TRUE(history.find(static_cast<std::uint16_t>(sequence - 2), now).empty()) << "contested";
  EXPECT_TRUE(holds(history, static_cast<std::uint16_t>(sequence - 1), 100, now));
  history.trim(now + 2 * PacketHistory::kTrim);
  EXPECT_EQ(history.capacity(), 0U);
  EXPECT_EQ(budget.used, 0U);
  now += 2 * PacketHistory::kTrim;
  send(5, 100, 10ms);
  EXPECT_TRUE(holds(history, static_cast<std::uint16_t>(sequence - 5), 100, now));
}

// Whatever it was sent and whenever it is trimmed, what is young enough is there.
TEST(PacketHistory, LosesNothingYoungWhenItGivesBack) {
  PacketHistory history;
  Time now = kStart;
  std::uint32_t random = 1;
  std::uint16_t sequence = 0;
  for (int second = 0; second < 200; ++second) {
    random = random * 1664525 + 1013904223;
    const int packets = (random >> 20 & 3) == 0 ? 150 : static_cast<int>(random >> 8 & 7);
    for (int i = 0; i < packets; ++i, ++sequence, now += 2ms)
      history.remember(sequence, packet(sequence, 40 + sequence * 7 % 1400), now);
    std::vector<std::uint16_t> young;
    for (std::uint16_t i = 0; i < 1000; ++i)
      if (const auto old = static_cast<std::uint16_t>(sequence - i);
          !history.find(old, now).empty())
        young.push_back(old);
    history.trim(now);
    for (const std::uint16_t each : young)
      ASSERT_TRUE(holds(history, each, 40 + each * 7 % 1400, now)) << second;
    now += Duration(1s) - packets * 2ms;
  }
}

TEST(PacketHistory, GrowsNoFurtherThanAllTogetherMay) {
  HistoryBudget budget{0, 100'000};
  {
    PacketHistory one(&budget), other(&budget);
    Time now = kStart;
    for (std::uint16_t i = 0; i < 2000; ++i, now += 1ms) one.remember(i, packet(i, 1200), now);
    EXPECT_GT(one.capacity(), PacketHistory::kLeastBytes);
    EXPECT_LE(budget.used, budget.most);
    EXPECT_TRUE(holds(one, 1999, 1200, now));
    budget.most = budget.used;
    for (std::uint16_t i = 0; i < 2000; ++i, now += 1ms) other.remember(i, packet(i, 1200), now);
    EXPECT_EQ(other.capacity(), PacketHistory::kLeastBytes) << "so much it has anyway";
    EXPECT_TRUE(holds(other, 1999, 1200, now));
  }
  EXPECT_EQ(budget.used, 0U);
}

TEST(KeyframeRequests, AreMergedWithinAWindow) {
  KeyframeRequests requests;
  EXPECT_TRUE(requests.ask(kStart));
  EXPECT_FALSE(requests.next());
  EXPECT_FALSE(requests.ask(kStart + 10ms));
  EXPECT_FALSE(requests.ask(kStart + 20ms));
  EXPECT_EQ(requests.next(), kStart + KeyframeRequests::kWindow);
  EXPECT_FALSE(requests.due(kStart + KeyframeRequests::kWindow - 1ms));
  EXPECT_TRUE(requests.due(kStart + KeyframeRequests::kWindow));
  EXPECT_FALSE(requests.due(kStart + KeyframeRequests::kWindow));
  EXPECT_FALSE(requests.ask(kStart + KeyframeRequests::kWindow + 10ms));
  requests.passed();
  EXPECT_FALSE(requests.next());
}

TEST(RepeatLimit, AllowsAFewTimesWithAPause) {
  RepeatLimit limit;
  EXPECT_TRUE(limit.allow(7, kStart, 50ms));
  EXPECT_FALSE(limit.allow(7, kStart + 49ms, 50ms));
  EXPECT_TRUE(limit.allow(8, kStart, 50ms));
  EXPECT_TRUE(limit.allow(7, kStart + 50ms, 50ms));
  EXPECT_TRUE(limit.allow(7, kStart + 100ms, 50ms));
  EXPECT_FALSE(limit.allow(7, kStart + 1s, 50ms));
  EXPECT_TRUE(limit.allow(7, kStart + 30s, 50ms));  // another packet, 65,536 later
}

TEST(RetransmissionCredit, IsHalfOfWhatWasSentAndABurst) {
  RetransmissionCredit credit;
  EXPECT_TRUE(credit.spend(RetransmissionCredit::kBurst));
  EXPECT_FALSE(credit.spend(1));
  credit.earn(1000);
  EXPECT_FALSE(credit.spend(501));
  EXPECT_TRUE(credit.spend(500));
}

TEST(PacketHistory, OfTwoThatDifferNeitherIsBelieved) {
  PacketHistory history;
  const Bytes one(100, std::byte{1}), other(100, std::byte{2});
  history.remember(7, one, kStart);
  EXPECT_TRUE(history.is_repeated(7, one, kStart));
  EXPECT_FALSE(history.is_repeated(8, one, kStart));
  EXPECT_FALSE(history.is_repeated(7, other, kStart)) << "it may be the real one";
  EXPECT_TRUE(history.find(7, kStart).empty());
  history.remember(7, other, kStart);
  EXPECT_TRUE(history.find(7, kStart).empty());
  EXPECT_FALSE(history.is_repeated(7, one, kStart));
  // By then the number is another packet's.
  history.remember(7, one, kStart + 2 * PacketHistory::kAge);
  EXPECT_FALSE(history.find(7, kStart + 2 * PacketHistory::kAge).empty());
}

}  // namespace
}  // namespace junctor::sfu
