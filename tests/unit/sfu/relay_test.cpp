// SPDX-License-Identifier: LGPL-2.1-or-later
// The relay on real sockets.
#include "sfu/core/relay.h"

#include <gtest/gtest.h>

#include <functional>

#include "fake_wire.h"

namespace junctor::sfu::test {
namespace {

class Peer {
 public:
  explicit Peer(const std::string &address) : fd_(*bind_udp(*Endpoint::parse(address))) {}
  Endpoint endpoint() const { return local_endpoint(fd_.get()); }
  void send(const Endpoint &to, ByteSpan bytes) const {
    const auto raw = *to_raw(to);
    ASSERT_EQ(::sendto(fd_.get(), bytes.data(), bytes.size(), 0,
                       reinterpret_cast<const sockaddr *>(&raw), raw_size(raw)),
              static_cast<ssize_t>(bytes.size()));
  }
  Bytes receive() const {
    Bytes bytes(2000);
    const ssize_t size = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    bytes.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return bytes;
  }

 private:
  UniqueFd fd_;
};

class RelayTest : public ::testing::TestWithParam<const char *> {
 protected:
  void SetUp() override { start({}); }
  void start(const Relay::Options &options) {
    relay.reset();
    relay = *Relay::listen(reactor, *Endpoint::parse(GetParam()), options);
  }
  LegId leg(const Peer &peer) {
    LegOptions options;
    options.remote = peer.endpoint();
    return *relay->add_leg(options);
  }
  /// Turns until `done`; false after a hundred turns in which nothing came.
  bool until(const std::function<bool()> &done) {
    for (int i = 0; i < 100; ++i) {
      if (done()) return true;
      reactor->run_once(50ms);
    }
    return done();
  }

  std::shared_ptr<Reactor> reactor = *Reactor::create();
  std::unique_ptr<Relay> relay;
  Peer alice{GetParam()}, bob{GetParam()}, eve{GetParam()};
};

TEST_P(RelayTest, ForwardsWhatSocketsGive) {
  const LegId from = leg(alice), to = leg(bob);
  ASSERT_TRUE(relay->route(from, to));
  constexpr std::uint16_t kCount = 200;  // more than one batch, sizes that change
  for (std::uint16_t i = 0; i < kCount; ++i)
    alice.send(relay->local(), rtp_packet(1, i, i % 7 ? 160 : 1100));
  eve.send(relay->local(), rtp_packet(1, 300));
  ASSERT_TRUE(until([&] { return relay->stats(from)->received_packets == kCount; }));
  for (std::uint16_t i = 0; i < kCount; ++i)
    ASSERT_EQ(bob.receive(), rtp_packet(1, i, i % 7 ? 160 : 1100)) << i;
  EXPECT_TRUE(bob.receive().empty());
  ASSERT_TRUE(until([&] { return relay->stats().strangers == 1; }));
  EXPECT_EQ(relay->stats(to)->sent.packets, kCount);
}

TEST_P(RelayTest, ForwardsTheSameWithoutSegmentation) {
  start({1024, false});
  const LegId from = leg(alice), to = leg(bob);
  ASSERT_TRUE(relay->route(from, to));
  for (std::uint16_t i = 0; i < 100; ++i) alice.send(relay->local(), rtp_packet(1, i));
  ASSERT_TRUE(until([&] { return relay->stats(to)->sent.packets == 100; }));
  EXPECT_EQ(relay->stats().sent_messages, 100U);
  for (std::uint16_t i = 0; i < 100; ++i) ASSERT_EQ(bob.receive(), rtp_packet(1, i));
}

TEST_P(RelayTest, LargerDatagramsThanItReadsAreDropped) {
  const LegId from = leg(alice), to = leg(bob);
  ASSERT_TRUE(relay->route(from, to));
  alice.send(relay->local(), rtp_packet(1, 1, 1700));
  alice.send(relay->local(), rtp_packet(1, 2, 1500));
  ASSERT_TRUE(until([&] { return relay->stats(from)->received_packets == 1; }));
  EXPECT_EQ(bob.receive(), rtp_packet(1, 2, 1500));
  EXPECT_EQ(relay->stats().oversized, 1U);
}

TEST_P(RelayTest, StunGoesToWhoKnowsItAndMayBeAnswered) {
  relay->on_stun([&](const Endpoint &from, ByteSpan datagram) {
    EXPECT_EQ(from, eve.endpoint());
    EXPECT_TRUE(relay->send(from, datagram));
    LegOptions options;
    options.remote = from;
    EXPECT_TRUE(relay->add_leg(options));
  });
  eve.send(relay->local(), filled(20, 1));
  ASSERT_TRUE(until([&] { return relay->stats().legs == 1; }));
  EXPECT_EQ(eve.receive(), filled(20, 1));
}

TEST_P(RelayTest, ReportsOnTime) {
  const LegId from = leg(alice), to = leg(bob);
  ASSERT_TRUE(relay->route(from, to));
  alice.send(relay->local(), rtp_packet(1, 1));
  Bytes report;
  ASSERT_TRUE(until([&] {
    report = alice.receive();
    return !report.empty();
  }));
  const auto reports = items_of<rtp::rtcp::ReceiverReport>({report});
  ASSERT_EQ(reports.size(), 1U);
  ASSERT_EQ(reports[0].blocks.size(), 1U);
  EXPECT_EQ(reports[0].blocks[0].ssrc, 1U);
}

TEST_P(RelayTest, PacketsOfAPadLeave) {
  LegOptions options;
  options.deliver = [](ByteSpan, bool) {};
  const LegId pads = *relay->add_leg(options), to = leg(bob);
  ASSERT_TRUE(relay->route(pads, to));
  std::vector<Bytes> packets;
  for (std::uint16_t i = 0; i < 3; ++i) packets.push_back(rtp_packet(1, i));
  const std::vector<std::span<std::byte>> spans(packets.begin(), packets.end());
  relay->inject(pads, spans);
  for (std::uint16_t i = 0; i < 3; ++i) ASSERT_EQ(bob.receive(), rtp_packet(1, i));
}

TEST(DualRelay, ServesBothFamiliesOnOnePort) {
  const std::shared_ptr<Reactor> reactor = *Reactor::create();
  auto relay = Relay::listen(reactor, {"::", 0}, {});
  if (!relay || !(*relay)->is_dual()) GTEST_SKIP() << "no IPv6 here";
  const Peer four("127.0.0.1:0"), six("[::1]:0");
  const std::uint16_t port = (*relay)->local().port;
  LegOptions options;
  options.remote = four.endpoint();
  const LegId one = *(*relay)->add_leg(options);
  options.remote = six.endpoint();
  const LegId other = *(*relay)->add_leg(options);
  ASSERT_TRUE((*relay)->route(one, other));
  ASSERT_TRUE((*relay)->route(other, one));
  EXPECT_EQ((*relay)->stats(one)->remote, four.endpoint());
  Endpoint asked;
  (*relay)->on_stun([&](const Endpoint &from, ByteSpan datagram) {
    asked = from;
    (*relay)->send(from, datagram);
  });
  const auto turn = [&] {
    for (int i = 0; i < 20; ++i) reactor->run_once(5ms);
  };
  four.send({"127.0.0.1", port}, rtp_packet(1, 1));
  six.send({"::1", port}, rtp_packet(2, 1));
  turn();
  EXPECT_EQ(six.receive(), rtp_packet(1, 1));
  EXPECT_EQ(four.receive(), rtp_packet(2, 1));
  Bytes stun(20);
  stun[4] = std::byte{0x21}, stun[5] = std::byte{0x12}, stun[6] = std::byte{0xA4},
  stun[7] = std::byte{0x42};
  four.send({"127.0.0.1", port}, stun);
  turn();
  EXPECT_EQ(asked, four.endpoint());
  EXPECT_EQ(four.receive(), stun);
}

INSTANTIATE_TEST_SUITE_P(Families, RelayTest, ::testing::Values("127.0.0.1:0", "[::1]:0"),
                         [](const auto &family) {
                           return std::string(family.index == 0 ? "IPv4" : "IPv6");
                         });

}  // namespace
}  // namespace junctor::sfu::test
