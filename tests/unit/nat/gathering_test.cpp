// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/gathering.h"

#include <gtest/gtest.h>

namespace junctor::nat {
namespace {

using namespace std::chrono_literals;
namespace stun = rtp::stun;

const Endpoint kServer{"192.0.2.1", 3478}, kOther{"192.0.2.2", 3478};

class GatheringTest : public testing::Test {
 protected:
  Time now_ = Time() + 1h;
  Gathering gathering_;

  Bytes answer(const Outgoing &request, std::uint16_t port) {
    const auto message = stun::Message::parse(request.bytes);
    return stun::Writer(stun::Class::Success, *message)
        .xor_address(stun::Type::XorMappedAddress, {"203.0.113.5", port})
        .finish();
  }
  /// What it sends in the next `time`, with the times since the beginning of it.
  std::vector<std::pair<Duration, Outgoing>> run(Duration time) {
    std::vector<std::pair<Duration, Outgoing>> sent;
    const Time begin = now_, end = now_ + time;
    for (;;) {
      for (Outgoing &out : gathering_.poll(now_)) sent.emplace_back(now_ - begin, std::move(out));
      const auto next = gathering_.next();
      if (!next || *next > end) break;
      now_ = *next;
    }
    now_ = end;
    return sent;
  }
};

TEST_F(GatheringTest, AsksAgainAfter20MsAndThenEach50) {
  gathering_.add_socket(0, false, now_);
  gathering_.add_server(kServer, now_);
  const auto sent = run(125ms);
  ASSERT_EQ(sent.size(), 4U);
  EXPECT_EQ(sent[1].first, 20ms);
  EXPECT_EQ(sent[2].first, 70ms);
  EXPECT_EQ(sent[3].first, 120ms);
  EXPECT_FALSE(gathering_.settled());
  run(2s);
  EXPECT_TRUE(gathering_.settled()) << "who does not answer is given up";
}

TEST_F(GatheringTest, TellsAnAddressOnceAndKeepsTheMapping) {
  gathering_.add_socket(0, false, now_);
  gathering_.add_server(kServer, now_);
  const auto sent = run(25ms);
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_FALSE(gathering_.received(0, kOther, answer(sent[0].second, 7), now_));
  EXPECT_FALSE(gathering_.received(1, kServer, answer(sent[0].second, 7), now_));
  EXPECT_TRUE(gathering_.received(0, kServer, answer(sent[0].second, 7), now_));
  EXPECT_TRUE(gathering_.received(0, kServer, answer(sent[1].second, 8), now_))
      << "the answer to the second request is no stranger's";
  const auto found = gathering_.take_found();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0], (Gathering::Found{0, kServer, {"203.0.113.5", 7}}));
  EXPECT_TRUE(gathering_.settled());
  EXPECT_EQ(run(14s).size(), 0U);
  const auto refresh = run(1s);
  ASSERT_FALSE(refresh.empty());
  EXPECT_TRUE(gathering_.received(0, kServer, answer(refresh[0].second, 7), now_));
  EXPECT_TRUE(gathering_.take_found().empty()) << "nothing new";
  gathering_.rest();
  EXPECT_FALSE(gathering_.next());
}

TEST_F(GatheringTest, ARestartForgetsTheOldNetwork) {
  gathering_.add_socket(0, false, now_);
  gathering_.add_server(kServer, now_);
  const auto before = run(1ms);
  gathering_.restart(now_);
  EXPECT_FALSE(gathering_.received(0, kServer, answer(before[0].second, 7), now_));
  const auto after = run(1ms);
  EXPECT_TRUE(gathering_.received(0, kServer, answer(after[0].second, 7), now_));
  EXPECT_EQ(gathering_.take_found().size(), 1U);
  gathering_.restart(now_);
  const auto again = run(1ms);
  EXPECT_TRUE(gathering_.received(0, kServer, answer(again[0].second, 7), now_));
  EXPECT_EQ(gathering_.take_found().size(), 1U) << "told again, though it is the same";
}

TEST_F(GatheringTest, SeesThatTheMappingDependsOnThePeer) {
  gathering_.add_server(kServer, now_);
  gathering_.add_server(kOther, now_);
  gathering_.add_server({"2001:db8::1", 3478}, now_);
  gathering_.add_socket(0, false, now_);
  const auto sent = run(1ms);
  ASSERT_EQ(sent.size(), 2U) << "of the socket's own family";
  gathering_.received(0, kServer, answer(sent[0].second, 7), now_);
  EXPECT_FALSE(gathering_.changes_with_peer());
  gathering_.received(0, kOther, answer(sent[1].second, 8), now_);
  EXPECT_TRUE(gathering_.changes_with_peer());
  EXPECT_EQ(gathering_.known().size(), 2U);
}

}  // namespace
}  // namespace junctor::nat
