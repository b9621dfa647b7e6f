// SPDX-License-Identifier: LGPL-2.1-or-later
// Channels over ICE.
#include <arpa/inet.h>
#include <poll.h>

#include <thread>

#include "channel_fixture.h"

namespace junctor::nat {
namespace {

class Ice : public Channels, public testing::WithParamInterface<bool> {};

TEST_P(Ice, TwoEndsFindEachOther) {
  ChannelOptions one = options(Side::Caller, {Rung::P2p}),
                 other = options(Side::Callee, {Rung::P2p});
  one.ice = other.ice = true;
  one.encrypt = other.encrypt = GetParam();
  caller_ = std::make_unique<End>(reactor(), one);
  callee_ = std::make_unique<End>(reactor(), other);
  join();
  if (!GetParam())
    for (End *each : {caller_.get(), callee_.get()})
      each->channel().post(R"({"type":"ice"})");  // what a peer without keys begins with
  for (End *each : {caller_.get(), callee_.get()})
    ASSERT_TRUE(each->wait_event(ChannelEvent::Kind::Up)) << each->complaints_;
  ASSERT_NO_FATAL_FAILURE(talk());
  if (GetParam()) return;
  // Whose application encrypts gets DTLS too: an alert, close_notify (RFC 6347 section 4.1).
  const Bytes alert = {std::byte{21},
                       std::byte{254},
                       std::byte{253},
                       {},
                       {},
                       {},
                       {},
                       {},
                       {},
                       {},
                       {},
                       {},
                       std::byte{2},
                       {},
                       {}};
  reactor()->invoke([&] { caller_->channel().send(alert, false); });
  ASSERT_TRUE(callee_->wait([](const End &self) { return !self.dtls_.empty(); }));
  EXPECT_EQ(callee_->dtls_.front(), alert);
  EXPECT_EQ(callee_->rtp_.size(), 5U);
  // libnice hands on an answer to what it has had an answer to already: nobody's.
  const auto refused = callee_->channel().stats().refused;
  EXPECT_LE(refused, 1U);
  callee_->takes_dtls_ = false;
  const auto received = callee_->channel().stats().packets_received;
  reactor()->invoke([&] { caller_->channel().send(alert, false); });
  ASSERT_TRUE(callee_->wait([](const End &self) { return self.dtls_.size() == 2; }));
  reactor()->invoke([] {});  // who was asked has been answered
  EXPECT_GT(callee_->channel().stats().refused, refused);
  EXPECT_EQ(callee_->channel().stats().packets_received, received);
}

TEST_F(Channels, SilenceOverIceIsNoFailureAndAPeerThatIsGoneIs) {
  ChannelOptions one = options(Side::Caller, {Rung::P2p}),
                 other = options(Side::Callee, {Rung::P2p});
  one.ice = other.ice = true;
  caller_ = std::make_unique<End>(reactor(), one);
  callee_ = std::make_unique<End>(reactor(), other);
  join();
  for (End *each : {caller_.get(), callee_.get()})
    ASSERT_TRUE(each->wait_event(ChannelEvent::Kind::Up)) << each->complaints_;
  // Longer than questions without an answer are waited for.
  std::this_thread::sleep_for(6s);
  for (End *each : {caller_.get(), callee_.get()}) {
    const ChannelStats stats = each->channel().stats();
    EXPECT_EQ(stats.state, ChannelState::Up);
    EXPECT_EQ(each->events_.size(), 2U) << "trying, up";
    EXPECT_TRUE(stats.round_trip);
    EXPECT_EQ(stats.packets_received, 0U) << "questions are not the application's";
    EXPECT_EQ(stats.refused, 0U);
  }
  ASSERT_NO_FATAL_FAILURE(talk());
  callee_->channel().close();
  ASSERT_TRUE(caller_->wait(
      [](const End &self) { return self.events_.back().kind == ChannelEvent::Kind::Trying; }));
  EXPECT_EQ(caller_->events_.back().why, "nothing is answered any more");
}

TEST_F(Channels, WithIceAStrangersPacketsAreNotTaken) {
  ChannelOptions one = options(Side::Caller, {Rung::P2p}),
                 other = options(Side::Callee, {Rung::P2p});
  one.ice = other.ice = true;
  one.encrypt = other.encrypt = false;
  caller_ = std::make_unique<End>(reactor(), one);
  callee_ = std::make_unique<End>(reactor(), other);
  join();
  for (End *each : {caller_.get(), callee_.get()}) each->channel().post(R"({"type":"ice"})");
  for (End *each : {caller_.get(), callee_.get()})
    ASSERT_TRUE(each->wait_event(ChannelEvent::Kind::Up)) << each->complaints_;
  // To each UDP port that this process has.
  auto stranger = bind_udp({"0.0.0.0", 0});
  ASSERT_TRUE(stranger);
  unsigned tried = 0;
  for (int fd = 3; fd < 1024; ++fd) {
    int type = 0;
    socklen_t length = sizeof type;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_DGRAM) continue;
    Endpoint to = local_endpoint(fd);
    if (to.port == 0 || is_v6(to)) continue;
    if (to.address == "0.0.0.0") to.address = "127.0.0.1";
    const auto raw = to.to_sockaddr();
    const Bytes packet = rtp_packet(7);
    if (::sendto(stranger->get(), packet.data(), packet.size(), 0,
                 reinterpret_cast<const sockaddr *>(&*raw), sockaddr_length(*raw)) > 0)
      ++tried;
  }
  EXPECT_GE(tried, 2U) << "libnice has some";
  ASSERT_NO_FATAL_FAILURE(talk());
  for (End *each : {caller_.get(), callee_.get()}) EXPECT_EQ(each->rtp_.size(), 5U);
}

TEST_F(Channels, WithIceAServerThatIsANameIsAsked) {
  const auto server = bind_udp({"0.0.0.0", 0});
  ASSERT_TRUE(server);
  // One of this machine, for libnice's sockets do not reach loopback from elsewhere.
  in_addr own{};
  for (const std::string &each : host_addresses())
    if (own.s_addr == 0) ::inet_pton(AF_INET, each.c_str(), &own);
  if (own.s_addr == 0) GTEST_SKIP() << "no IPv4";
  ChannelOptions one = options(Side::Caller, {Rung::P2p});
  one.ice = true;
  one.encrypt = false;
  // Nothing that is an address here, so a name, and one that needs no DNS.
  one.stun_servers = {{std::to_string(ntohl(own.s_addr)), local_endpoint(server->get()).port}};
  caller_ = std::make_unique<End>(reactor(), one);
  // The peer is there already.
  caller_->channel().post(R"({"type":"ice"})");
  pollfd readable{server->get(), POLLIN, 0};
  EXPECT_EQ(::poll(&readable, 1, 30000), 1);
}

TEST_F(Channels, WhatNoAgentWouldSayIsComplainedOf) {
  ChannelOptions one = options(Side::Caller, {Rung::P2p});
  one.ice = true;
  one.encrypt = false;
  caller_ = std::make_unique<End>(reactor(), one);
  caller_->channel().post(
      R"({"type":"ice","ufrag":"abcd","pwd":"0123456789012345678901","candidates":["m=audio"]})");
  EXPECT_TRUE(caller_->wait([](const End &self) {
    return self.complaints_.find("that is no ICE candidate") != std::string::npos;
  }));
}

TEST_F(Channels, APeersEarlierAgentIsForgottenForItsNextOne) {
  // More than can be kept, of agents that were given up one after the other.
  caller_ = std::make_unique<End>(reactor(), options(Side::Caller, {Rung::Relay}));
  caller_->on_want_ = [](Rung) {};
  const auto say = [&](const std::string &text) {
    std::string why;
    reactor()->invoke([&] {
      const auto taken = caller_->channel().take(text);
      if (!taken) why = taken.error().detail;
    });
    return why;
  };
  for (int agent = 0; agent < 15; ++agent) {
    EXPECT_EQ(say(R"({"type":"ice","ufrag":"agent)" + std::to_string(100 + agent) +
                  R"(","pwd":"0123456789012345678901","candidates":[]})"),
              "");
    EXPECT_EQ(say(R"({"type":"ice","candidates":["candidate:1 1 UDP 1 192.0.2.1 9 typ host"]})"),
              "");
    EXPECT_EQ(say(R"({"type":"ice","candidates":[],"complete":true})"), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Keys, Ice, testing::Bool());

}  // namespace
}  // namespace junctor::nat
