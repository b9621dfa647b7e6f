// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/probe.h"

#include <gtest/gtest.h>

namespace junctor::nat {
namespace {

ProbeKey key_of(int number) {
  ProbeKey key{};
  key.fill(static_cast<std::byte>(number));
  return key;
}

TEST(Replay, WindowTakesEachNumberOnce) {
  ReplayWindow window;
  EXPECT_FALSE(window.take(0));
  EXPECT_TRUE(window.take(5));
  EXPECT_FALSE(window.take(5));
  EXPECT_FALSE(window.take(4)) << "sent before the first that came";
  EXPECT_TRUE(window.take(7));
  EXPECT_TRUE(window.take(6));
  EXPECT_FALSE(window.take(6));
  EXPECT_TRUE(window.take(700)) << "of a way that is much faster";
  for (std::uint64_t number = 8; number < 700; ++number) EXPECT_TRUE(window.take(number)) << number;
  for (std::uint64_t number = 1; number <= 700; ++number)
    EXPECT_FALSE(window.take(number)) << number;
  EXPECT_TRUE(window.take(1 + ReplayWindow::kSize + 700));
  EXPECT_FALSE(window.take(701)) << "too old to tell";
  EXPECT_TRUE(window.take(702));
  EXPECT_FALSE(window.take(702));
  EXPECT_TRUE(window.take(~std::uint64_t{0}));
  EXPECT_FALSE(window.take(~std::uint64_t{0}));
  EXPECT_FALSE(window.take(702));
}

TEST(Probe, HasTheSizesThatTheRuleOfCreditRestsOn) {
  const auto id = rtp::stun::random_transaction_id();
  EXPECT_EQ(make_probe(id, "0123456789abcdef", 1, false, key_of(1)).size(), kProbeSize);
  const auto padded = make_probe(id, "0123456789abcdef", 1, true, key_of(1));
  EXPECT_EQ(padded.size(), kPaddedProbeSize);
  const auto message = rtp::stun::Message::parse(padded);
  ASSERT_TRUE(message);
  EXPECT_EQ(read_probe(*message, "0123456789abcdef", key_of(1)), 1U);
  EXPECT_EQ(make_ack(*message, {"2001:db8::1", 9}, key_of(1)).size(), kMostAckSize);
  const Bytes ack = make_ack(*message, {"192.0.2.7", 9}, key_of(1));
  const auto read = rtp::stun::Message::parse(ack);
  ASSERT_TRUE(read);
  EXPECT_EQ(read_ack(*read, key_of(1)), (Endpoint{"192.0.2.7", 9}));
  EXPECT_FALSE(read_ack(*read, key_of(2)));
}

}  // namespace
}  // namespace junctor::nat
