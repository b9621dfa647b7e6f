// SPDX-License-Identifier: LGPL-2.1-or-later
// Whom a session listens to, and in which order.
#include "session_fixture.h"

namespace junctor::rtp::test {
namespace {

TEST_F(SessionTest, LatchesOntoTheFirstSourceAndKeepsToIt) {
  auto session = open();
  auto listener = listen(*session);
  Wire nat, stranger;
  // The answer named an address that nothing comes from, as behind a NAT.
  session->configure(stream(), remote(Endpoint{"127.0.0.1", 9}));
  settle();
  nat.rtp(session->port(), 1);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  stranger.rtp(session->port(), 2, 666);
  stranger.rtp(session->port(), 3, 666);
  nat.rtp(session->port(), 2);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 2; }));
  EXPECT_EQ(session->stats().strangers, 2U);
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  settle();
  EXPECT_FALSE(nat.receive().empty());
  EXPECT_TRUE(stranger.receive().empty());
}

TEST_F(SessionTest, TheSignalledAddressTakesOverFromAGuess) {
  auto session = open();
  auto listener = listen(*session);
  Wire peer, stranger;
  session->configure(stream(), remote(peer.endpoint()));
  settle();
  stranger.rtp(session->port(), 1, 666);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  peer.rtp(session->port(), 10);
  peer.rtp(session->port(), 11);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 3; }));
  stranger.rtp(session->port(), 2, 666);
  settle();
  EXPECT_EQ(session->stats().strangers, 1U);
  EXPECT_TRUE(listener->packets[1].new_source);
  EXPECT_TRUE(listener->packets[1].discontinuity);
}

TEST_F(SessionTest, WhoComesBeforeTheAnswerDoesNotGetTheCall) {
  auto session = open();
  auto listener = listen(*session);
  settle();
  Wire peer, stranger("127.0.0.2");
  for (std::uint16_t sequence = 1; sequence <= 5; ++sequence)
    stranger.rtp(session->port(), sequence, 666);
  settle();
  session->configure(stream(), remote(peer.endpoint()));
  settle();
  EXPECT_TRUE(listener->packets.empty());
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  settle();
  EXPECT_FALSE(peer.receive().empty());
  EXPECT_TRUE(stranger.receive().empty());
  peer.rtp(session->port(), 10);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  EXPECT_EQ(listener->packets[0].ssrc, 7U);
  EXPECT_EQ(session->stats().strangers, 5U);
}

// An address that nothing comes from, as behind a NAT, and media from another host.
TEST_F(SessionTest, MediaFromAnotherHostComesThroughFromItsFirstPacketOn) {
  auto session = open();
  auto listener = listen(*session);
  Wire nat("127.0.0.2");
  session->configure(stream(), remote(Endpoint{"127.0.0.1", 9}));
  settle();
  std::uint16_t sequence = 0;
  Time next{};
  ASSERT_TRUE(until([&] {
    if (reactor_->now() >= next) {
      next = reactor_->now() + 20ms;
      nat.rtp(session->port(), ++sequence);
    }
    return !listener->packets.empty();
  }));
  EXPECT_EQ(listener->packets[0].sequence, 1);
  EXPECT_EQ(listener->packets.size(), sequence);
  EXPECT_EQ(session->stats().strangers, 0U);
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  settle();
  EXPECT_FALSE(nat.receive().empty());
}

TEST_F(SessionTest, AChangedAddressIsFollowedAtOnce) {
  auto session = open();
  auto listener = listen(*session);
  Wire before, after;
  session->configure(stream(), remote(before.endpoint()));
  settle();
  before.rtp(session->port(), 1);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  session->configure(stream(), remote(after.endpoint()));
  // Still on its way from the old address: taken, but not latched onto.
  before.rtp(session->port(), 2);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 2; }));
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  settle();
  EXPECT_FALSE(after.receive().empty());
  EXPECT_TRUE(before.receive().empty());
  after.rtp(session->port(), 3);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 3; }));
  before.rtp(session->port(), 4);
  settle();
  EXPECT_EQ(session->stats().strangers, 1U);
}

TEST_F(SessionTest, AnUnchangedAnswerKeepsWhatWasLearnt) {
  auto session = open();
  auto listener = listen(*session);
  Wire nat;
  const Remote named = remote(Endpoint{"127.0.0.1", 9});
  session->configure(stream(), named);
  settle();
  nat.rtp(session->port(), 1);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  session->configure(stream(), named);
  settle();
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  settle();
  EXPECT_FALSE(nat.receive().empty());
}

TEST_F(SessionTest, ReordersCountsDuplicatesAndGivesUp) {
  Session::Options options;
  options.reorder_start = 20ms;
  auto session = open(options);
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  for (const std::uint16_t sequence : {1, 3, 2, 2, 6}) wire.rtp(session->port(), sequence);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 4; }));
  EXPECT_EQ(listener->packets[1].sequence, 2);
  EXPECT_EQ(listener->packets[3].sequence, 6);
  EXPECT_TRUE(listener->packets[3].discontinuity);
  settle();
  const Stats stats = session->stats();
  EXPECT_EQ(stats.reordered, 1U);
  EXPECT_EQ(stats.duplicates, 1U);
  EXPECT_EQ(stats.lost, 2U);
  EXPECT_GE(stats.reorder_wait_ms, 20);
}

// Which of two packets comes first is decided long after the first wait is over.
TEST_F(SessionTest, WaitsLongerOnceAPacketCameTooLate) {
  Session::Options options;
  options.reorder_start = 1ms;
  options.reorder_most = 10s;
  auto session = open(options);
  auto listener = listen(*session);
  Wire wire;
  Stream unrepaired = stream();
  unrepaired.nack = false;
  session->configure(unrepaired, remote(wire.endpoint()));
  settle();
  wire.rtp(session->port(), 1);
  wire.rtp(session->port(), 3);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 2; }));
  const Time late = Clock::now() + 100ms;
  ASSERT_TRUE(until([&] { return Clock::now() >= late; }));
  wire.rtp(session->port(), 2);
  ASSERT_TRUE(until([&] { return session->stats().late == 1; }));
  EXPECT_GE(session->stats().reorder_wait_ms, 100);
  wire.rtp(session->port(), 5);
  ASSERT_TRUE(until([&] { return session->stats().received_packets == 4; }));
  EXPECT_EQ(listener->packets.size(), 2U);
  wire.rtp(session->port(), 4);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 4; }));
  EXPECT_EQ(listener->packets[2].sequence, 4);
  EXPECT_EQ(session->stats().lost, 1U);
}

TEST_F(SessionTest, MediaMayOvertakeTheAnswerAndTheListener) {
  auto session = open();
  settle();
  Wire wire;
  wire.rtp(session->port(), 1);
  wire.rtp(session->port(), 3);
  wire.rtp(session->port(), 2);
  settle();
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  wire.rtp(session->port(), 4);
  ASSERT_TRUE(until([&] { return session->stats().received_packets == 4; }));
  auto listener = listen(*session);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 4; }));
  EXPECT_TRUE(listener->packets[0].new_source);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(listener->packets[i].sequence, i + 1);
  // Between two listeners nothing is lost either.
  listener.reset();
  wire.rtp(session->port(), 5);
  ASSERT_TRUE(until([&] { return session->stats().received_packets == 5; }));
  listener = listen(*session);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  EXPECT_EQ(listener->packets[0].sequence, 5);
  EXPECT_FALSE(listener->packets[0].discontinuity);
}

TEST_F(SessionTest, WithoutAListenerOnlyHalfASecondWaits) {
  auto session = open();
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  for (std::uint16_t sequence = 1; sequence <= 600; ++sequence) {
    wire.rtp(session->port(), sequence);
    if (sequence % 50 == 0) {
      ASSERT_TRUE(until([&] { return session->stats().received_packets == sequence; }));
    }
  }
  auto listener = listen(*session);
  ASSERT_TRUE(until([&] { return !listener->packets.empty(); }));
  EXPECT_LE(listener->packets.size(), 512U);
  EXPECT_EQ(listener->packets.back().sequence, 600);
  EXPECT_TRUE(listener->packets.front().discontinuity);
  EXPECT_TRUE(listener->packets.front().new_source);
}

TEST_F(SessionTest, GarbageIsCountedNotPassedOn) {
  auto session = open();
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  wire.send(session->port(), as_bytes("x"));
  wire.send(session->port(), as_bytes("GET / HTTP/1.0\r\n\r\n"));
  wire.send(session->port(), Bytes(4000, std::byte{0x80}));
  wire.rtp(session->port(), 1, 7, 13);  // comfort noise: not agreed
  wire.rtp(session->port(), 1);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  settle();
  EXPECT_EQ(session->stats().malformed, 3U);
  EXPECT_EQ(session->stats().wrong_payload, 1U);
}

TEST_F(SessionTest, AnotherSsrcNeedsTwoPacketsInARow) {
  auto session = open();
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  wire.rtp(session->port(), 1, 7, kPayloadType, 100);
  wire.rtp(session->port(), 500, 8, kPayloadType, 5'000'000);
  wire.rtp(session->port(), 2, 7, kPayloadType, 200);
  wire.rtp(session->port(), 501, 8, kPayloadType, 5'000'100);
  wire.rtp(session->port(), 502, 8, kPayloadType, 5'000'200);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 4; }));
  EXPECT_EQ(listener->packets[1].ssrc, 7U);
  EXPECT_EQ(listener->packets[2].ssrc, 8U);
  EXPECT_EQ(listener->packets[2].sequence, 501);
  EXPECT_TRUE(listener->packets[2].new_source);
  EXPECT_TRUE(listener->packets[2].discontinuity);
  EXPECT_FALSE(listener->packets[3].discontinuity);
}

TEST_F(SessionTest, AlternatesOfTheAnswerBecomeTheAgreedFormat) {
  auto session = open();
  auto listener = listen(*session);
  Wire wire;
  Stream stream;
  stream.payload_type = stream.receive_payload_type = 8;
  stream.alternates = {{0, Conversion::UlawToAlaw}};
  session->configure(stream, remote(wire.endpoint()));
  settle();
  const auto send = [&](std::uint8_t type, std::uint16_t sequence, ByteSpan payload,
                        const PacketExtras &extras = {}) {
    wire.send(session->port(),
              build_packet({type, sequence == 2, sequence, sequence * 160U, 7}, payload, extras));
  };
  send(8, 1, as_bytes("\xaa\x2a"));
  // In the middle of the stream, with all that a packet may have besides; padding stays padding.
  const Bytes extension(4, std::byte{0x80});
  send(0, 2, as_bytes(std::string_view("\x80\x00", 2)),
       {.csrc = {1, 2}, .extension_profile = 0xbede, .extension = extension, .padding = 3});
  send(13, 3, as_bytes("none of them"));
  send(8, 4, as_bytes("\xaa"));
  ASSERT_TRUE(until([&] { return listener->packets.size() == 3; }));
  settle();
  EXPECT_EQ(text_of(listener->packets[0]), "\xaa\x2a");
  const auto changed = parse_packet(listener->packets[1].packet.view);
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->header.payload_type, 8);
  EXPECT_TRUE(changed->header.marker);
  EXPECT_EQ(changed->header.sequence, 2);
  EXPECT_EQ(changed->csrc_count, 2U);
  EXPECT_EQ(changed->extension[0], std::byte{0x80});
  ASSERT_EQ(changed->payload.size(), 2U);
  EXPECT_EQ(changed->payload[0], std::byte{0xaa});
  EXPECT_EQ(changed->payload[1], std::byte{0x2a});
  EXPECT_FALSE(listener->packets[1].new_source);
  EXPECT_EQ(listener->packets[2].sequence, 4);
  EXPECT_EQ(session->stats().wrong_payload, 1U);
  EXPECT_EQ(session->stats().received_packets, 3U);
}

}  // namespace
}  // namespace junctor::rtp::test
