// SPDX-License-Identifier: LGPL-2.1-or-later
// Sessions as a whole: sending, reports, their end.
#include <gmock/gmock.h>

#include <array>
#include <set>

#include "session_fixture.h"

namespace junctor::rtp::test {
namespace {

TEST_F(SessionTest, TwoSessionsExchangeMediaAndReports) {
  auto a = open(), b = open();
  auto at_b = listen(*b);
  a->configure(stream(), remote(*b));
  b->configure(stream(), remote(*a));
  settle();
  std::vector<OutgoingPacket> batch{packet(1000, "one"), packet(1000, "two"),
                                    packet(4000, "three")};
  batch[1].marker = true;
  batch[2].prefix = {std::byte{'p'}, std::byte{'q'}};
  batch[2].prefix_size = 2;
  a->send(batch);
  ASSERT_TRUE(until([&] { return at_b->packets.size() == 3; }));
  EXPECT_EQ(text_of(at_b->packets[0]), "one");
  EXPECT_EQ(text_of(at_b->packets[2]), "pqthree");
  EXPECT_TRUE(at_b->packets[0].new_source);
  EXPECT_FALSE(at_b->packets[0].discontinuity);
  EXPECT_FALSE(at_b->packets[1].new_source);
  EXPECT_TRUE(at_b->packets[1].marker);
  EXPECT_EQ(at_b->packets[0].ssrc, a->ssrc());
  EXPECT_EQ(at_b->packets[2].extended_timestamp - at_b->packets[0].extended_timestamp, 3000U);
  // The first sender report goes with the first packets.
  ASSERT_TRUE(until([&] { return b->sender_clock().has_value(); }));
  EXPECT_EQ(b->sender_clock()->ssrc, a->ssrc());
  EXPECT_EQ(a->stats().sent_packets, 3U);
  EXPECT_EQ(b->stats().received_packets, 3U);
  EXPECT_TRUE(b->stats().first_packet);
  a->close();
  ASSERT_TRUE(until([&] { return at_b->byes == 1; }));
}

// On loopback, so that each step takes a moment and no more than the test lets it.
TEST_F(SessionTest, LatencyIsMeasuredStepByStep) {
  auto a = open();
  Session::Options patient;
  patient.reorder_start = patient.reorder_most = 10s;
  auto b = open(patient);
  auto at_b = listen(*b);
  Stream plain = stream();
  plain.nack = false;
  Wire taker, wire;
  a->configure(plain, remote(taker.endpoint()));
  b->configure(plain, remote(wire.endpoint()));
  settle();
  EXPECT_EQ(a->latency().send.count, 0U);
  OutgoingPacket one = packet(0, "x");
  one.entered = Clock::now() - 30ms;
  a->send({&one, 1});
  ASSERT_TRUE(until([&] { return a->stats().sent_packets == 1; }));
  EXPECT_GE(a->latency().packetize.most_ms, 30);
  EXPECT_EQ(a->latency().send.count, 1U);

  wire.rtp(b->port(), 1);
  wire.rtp(b->port(), 3);
  const Time read = Clock::now() + 20ms;
  while (Clock::now() < read) {
  }
  ASSERT_TRUE(until([&] { return b->stats().received_packets == 2; }));
  EXPECT_GE(b->latency().receive.most_ms, 20) << "they lay in the kernel";
  EXPECT_EQ(b->latency().reorder.count, 1U);
  const Time filled = Clock::now() + 25ms;
  ASSERT_TRUE(until([&] { return Clock::now() >= filled; }));
  wire.rtp(b->port(), 2);
  ASSERT_TRUE(until([&] { return at_b->packets.size() == 3; }));
  EXPECT_GE(b->latency().reorder.most_ms, 25) << "the third waited for the second";
  EXPECT_LT(b->latency().reorder.median_ms, 1) << "the others did not";
  EXPECT_EQ(b->latency().pass_on.count, 2U);
}

TEST_F(SessionTest, SenderReportRelatesCaptureTimes) {
  auto a = open(), b = open();
  auto at_b = listen(*b);
  a->configure(stream(), remote(*b));
  b->configure(stream(), remote(*a));
  settle();
  // Captured a second before it is sent.
  OutgoingPacket old = packet(0, "old");
  old.capture = reactor_->now() - 1s;
  a->send({&old, 1});
  ASSERT_TRUE(until([&] { return b->sender_clock() && !at_b->packets.empty(); }));
  const auto ahead = static_cast<double>(b->sender_clock()->extended_timestamp -
                                         at_b->packets[0].extended_timestamp);
  EXPECT_NEAR(ahead / 90000, 1.0, 0.1);
}

TEST_F(SessionTest, NothingIsSentWithoutAnAnswerOrOnHold) {
  auto session = open();
  Wire wire;
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  Remote held = remote(wire.endpoint());
  held.send = false;
  session->configure(stream(), held);
  settle();
  session->send({&one, 1});
  settle();
  held.send = true;
  session->configure(stream(), held);
  settle();
  session->send({&one, 1});
  settle();
  EXPECT_EQ(session->stats().sent_packets, 1U);
  EXPECT_EQ(session->stats().dropped, 2U);
  EXPECT_FALSE(wire.receive().empty());
}

TEST_F(SessionTest, AfterAHoldTheFirstPictureStandsAlone) {
  for (const Duration patience : {Duration(1h), Duration(0)}) {
    Session::Options options;
    options.whole_patience = patience;
    auto session = open(options);
    Wire wire;
    OutgoingPacket part = packet(0, "part");
    part.needs_others = true;
    Remote held = remote(wire.endpoint());
    session->configure(stream(), held);
    settle();
    session->send({&part, 1});  // no hold was before it
    settle();
    for (const bool send : {false, true}) {
      held.send = send;
      session->configure(stream(), held);
      settle();
      session->send({&part, 1});
    }
    const OutgoingPacket whole = packet(3000, "whole");
    session->send({&whole, 1});
    session->send({&part, 1});
    settle();
    std::vector<std::string> sent;
    for (Bytes bytes = wire.receive(); !bytes.empty(); bytes = wire.receive())
      if (!looks_like_rtcp(bytes)) {
        const auto payload = parse_packet(bytes)->payload;
        sent.emplace_back(reinterpret_cast<const char *>(payload.data()), payload.size());
      }
    std::vector<std::string> expected{"part", "whole", "part"};
    if (patience == Duration(0)) expected.insert(expected.begin() + 1, "part");
    EXPECT_EQ(sent, expected);
    EXPECT_EQ(session->stats().dropped, 5U - sent.size());
  }
}

TEST_F(SessionTest, SequencesAreConsecutiveAndSourcesRise) {
  auto session = open();
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  const std::array first{packet(5, "a"), packet(3005, "b")};
  session->send(first);
  session->begin_source();
  const OutgoingPacket other = packet(4'000'000'000U, "c");
  session->send({&other, 1});
  settle();
  std::vector<Header> headers;
  for (Bytes bytes = wire.receive(); !bytes.empty(); bytes = wire.receive())
    if (!looks_like_rtcp(bytes)) headers.push_back(parse_packet(bytes)->header);
  ASSERT_EQ(headers.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(headers[i].ssrc, session->ssrc());
    EXPECT_EQ(headers[i].payload_type, kPayloadType);
    EXPECT_EQ(headers[i].sequence, static_cast<std::uint16_t>(headers[0].sequence + i));
  }
  EXPECT_EQ(headers[1].timestamp - headers[0].timestamp, 3000U);
  EXPECT_GE(headers[2].timestamp - headers[1].timestamp, 1U);
  EXPECT_LT(headers[2].timestamp - headers[1].timestamp, 90000U);
}

TEST_F(SessionTest, AClosedPortDoesNotEndIt) {
  auto session = open();
  auto listener = listen(*session);
  Endpoint closed;
  {
    const Wire gone;
    closed = gone.endpoint();
  }
  session->configure(stream(), remote(closed));
  settle();
  for (int i = 0; i < 5; ++i) {
    const OutgoingPacket one = packet(0, "x");
    session->send({&one, 1});
    settle();
  }
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  wire.rtp(session->port(), 1);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  EXPECT_FALSE(wire.receive().empty());
}

TEST_F(SessionTest, ALargeBurstLeavesCompletely) {
  auto session = open();
  auto at_other = open();
  auto listener = listen(*at_other);
  session->configure(stream(), remote(*at_other));
  at_other->configure(stream(), remote(*session));
  settle();
  // Runs of one size and odd ones between, as frames make them: the kernel may cut the runs.
  std::vector<OutgoingPacket> burst;
  std::vector<std::string> texts;
  for (int i = 0; i < 150; ++i) {
    texts.push_back(std::string(i % 7 == 6     ? 50
                                : i % 31 == 30 ? 240
                                               : 200,
                                'v') +
                    std::to_string(i));
    burst.push_back(packet(0, texts.back()));
  }
  session->send(burst);
  ASSERT_TRUE(until([&] { return listener->packets.size() == burst.size(); }));
  for (std::size_t i = 0; i < burst.size(); ++i) EXPECT_EQ(text_of(listener->packets[i]), texts[i]);
  EXPECT_EQ(session->stats().sent_packets, burst.size());
}

TEST_F(SessionTest, MayBeClosedAndDroppedByItsListener) {
  struct Closer : SessionListener {
    void on_packet(const IncomingPacket &) override {
      ++count;
      session->close();
      session.reset();
    }
    std::shared_ptr<Session> session;
    int count = 0;
  };
  auto closer = std::make_shared<Closer>();
  closer->session = open();
  closer->session->set_listener(closer);
  Wire wire;
  closer->session->configure(stream(), remote(wire.endpoint()));
  settle();
  const std::uint16_t port = closer->session->port();
  for (std::uint16_t sequence = 1; sequence < 100; ++sequence) wire.rtp(port, sequence);
  ASSERT_TRUE(until([&] { return closer->count > 0; }));
  settle();
  // The port is free again.
  EXPECT_TRUE(bind_udp({"127.0.0.1", port}));
}

TEST(PortRange, GivesEvenPortsRoundRobinAndSaysWhenFull) {
  // Two pairs, found free first.
  std::uint16_t low = 0;
  for (std::uint16_t port = 41000; port < 60000 && low == 0; port += 4) {
    bool free = true;
    for (std::uint16_t i = 0; i < 4; ++i)
      free = free && bind_udp({"127.0.0.1", static_cast<std::uint16_t>(port + i)});
    if (free) low = port;
  }
  ASSERT_NE(low, 0);
  PortRange range(static_cast<std::uint16_t>(low - 1), static_cast<std::uint16_t>(low + 3));
  auto first = range.open("127.0.0.1"), second = range.open("127.0.0.1");
  ASSERT_TRUE(first && second);
  EXPECT_THAT((std::array{first->port, second->port}), testing::UnorderedElementsAre(low, low + 2));
  EXPECT_EQ(local_endpoint(first->rtcp.get()).port, first->port + 1);
  const auto full = range.open("127.0.0.1");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().fault, Fault::Overloaded);
  EXPECT_NE(full.error().detail.find("no free port pair in"), std::string::npos);
  first->rtp.reset();
  first->rtcp.reset();
  EXPECT_TRUE(range.open("127.0.0.1"));
  EXPECT_EQ(range.open("192.0.2.1").error().fault, Fault::BadInput);  // not an address of ours
}

TEST(PortRange, BeginsAnywhereSoThatAPortJustFreedIsNotTakenAgain) {
  std::set<std::uint16_t> firsts;
  for (int i = 0; i < 8; ++i) {
    PortRange range(20000, 29999);
    const auto pair = range.open("127.0.0.1");
    ASSERT_TRUE(pair);
    EXPECT_EQ(pair->port % 2, 0);
    firsts.insert(pair->port);
  }
  EXPECT_GT(firsts.size(), 4U);
}

TEST(PortRange, WorksAtTheEndOfThePortSpace) {
  PortRange range(65534, 65535);
  const auto pair = range.open("127.0.0.1");
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->port, 65534);
  EXPECT_FALSE(range.open("127.0.0.1"));
}

}  // namespace
}  // namespace junctor::rtp::test
