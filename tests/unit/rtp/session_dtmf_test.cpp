// SPDX-License-Identifier: LGPL-2.1-or-later
// Digits of sessions: between packets of audio, in one sequence and on one time line.
#include <gmock/gmock.h>

#include <list>

#include "session_fixture.h"

namespace junctor::rtp::test {
namespace {

using ::testing::ElementsAre;

constexpr std::uint8_t kEvents = 101;

class SessionDigits : public SessionTest {
 protected:
  static Stream audio() {
    Stream audio;
    audio.payload_type = audio.receive_payload_type = 8;
    audio.clock_rate = 8000;
    audio.events = {.payload_type = kEvents, .receive_payload_type = kEvents};
    return audio;
  }
  void hear(Session &session) {
    session.set_digits_heard([this](const Digit &digit) { heard_.push_back(digit.digit); });
    settle();
  }
  std::vector<PacketView> packets(Wire &wire) {
    std::vector<PacketView> views;
    for (Bytes bytes = wire.receive(); !bytes.empty(); bytes = wire.receive()) {
      if (looks_like_rtcp(bytes)) continue;
      kept_.push_back(std::move(bytes));
      views.push_back(*parse_packet(kept_.back()));
    }
    return views;
  }
  static void event(Wire &wire, std::uint16_t to, std::uint16_t sequence, std::uint32_t timestamp,
                    const TelephoneEvent &event) {
    wire.send(to, build_packet({kEvents, false, sequence, timestamp, 7}, event.build()));
  }
  std::string heard_;
  std::list<Bytes> kept_;
};

TEST_F(SessionDigits, GoFromOneSessionToAnother) {
  auto a = open(), b = open();
  auto at_b = listen(*b);
  hear(*b);
  a->configure(audio(), remote(*b));
  b->configure(audio(), remote(*a));
  settle();
  a->send_digit({'4', 40ms});
  a->send_digit({'#', 40ms});
  ASSERT_TRUE(until([&] { return heard_.size() == 2; }));
  EXPECT_EQ(heard_, "4#");
  EXPECT_TRUE(at_b->packets.empty());
  EXPECT_EQ(b->stats().wrong_payload, 0U);
  EXPECT_EQ(b->stats().lost, 0U);
}

TEST_F(SessionDigits, TakeThePlaceOfAudioOnItsTimeLine) {
  auto session = open();
  Wire wire;
  session->configure(audio(), remote(wire.endpoint()));
  settle();
  const OutgoingPacket before = packet(50000, "before");
  session->send({&before, 1});
  settle();
  session->send_digit({'9', 60ms});
  settle();
  OutgoingPacket during = packet(50160, "during");
  session->send({&during, 1});
  ASSERT_TRUE(until([&] { return session->stats().sent_packets == 6; }));  // 1, 3 and 2 ends more
  OutgoingPacket after = packet(50000 + 8000, "after");
  session->send({&after, 1});
  settle();
  const auto sent = packets(wire);
  ASSERT_EQ(sent.size(), 7U);
  for (std::size_t i = 1; i < sent.size(); ++i) {
    EXPECT_EQ(sent[i].header.sequence, static_cast<std::uint16_t>(sent[i - 1].header.sequence + 1));
    EXPECT_EQ(sent[i].header.ssrc, sent[0].header.ssrc);
  }
  const std::uint32_t begin = sent[0].header.timestamp;
  EXPECT_EQ(sent[0].header.payload_type, 8);
  EXPECT_TRUE(sent[1].header.marker);
  for (std::size_t i = 1; i <= 5; ++i) {
    EXPECT_EQ(sent[i].header.payload_type, kEvents);
    EXPECT_EQ(sent[i].header.timestamp, sent[1].header.timestamp);
    EXPECT_EQ(TelephoneEvent::parse(sent[i].payload)->end, i >= 3);
  }
  // As much later than the audio as it was pressed later.
  EXPECT_LT(sent[1].header.timestamp - begin, 8000U * 20);
  EXPECT_EQ(sent[6].header.timestamp - begin, 8000U);
  EXPECT_TRUE(sent[6].header.marker) << "audio begins anew after the digit";
  EXPECT_EQ(session->stats().dropped, 1U);
}

TEST_F(SessionDigits, BeginBehindAudioThatIsAheadOfTheClock) {
  auto session = open();
  Wire wire;
  session->configure(audio(), remote(wire.endpoint()));
  settle();
  OutgoingPacket ahead = packet(0, "ahead");
  ahead.capture = reactor_->now() + 500ms;
  session->send({&ahead, 1});
  session->send_digit({'9', 20ms});
  ASSERT_TRUE(until([&] { return session->stats().sent_packets == 4; }));
  const auto sent = packets(wire);
  EXPECT_EQ(sent[1].header.timestamp - sent[0].header.timestamp, 160U);
}

TEST_F(SessionDigits, MayBeTheFirstThatIsSent) {
  auto session = open();
  Wire wire;
  session->configure(audio(), remote(wire.endpoint()));
  session->send_digit({'1', 20ms});
  ASSERT_TRUE(until([&] { return session->stats().sent_packets == 3; }));
  const OutgoingPacket after = packet(0, "after");
  session->send({&after, 1});
  settle();
  const auto sent = packets(wire);
  ASSERT_EQ(sent.size(), 4U);
  EXPECT_GT(static_cast<std::int32_t>(sent[3].header.timestamp - sent[0].header.timestamp), 0);
}

TEST_F(SessionDigits, OfANewSourceAreHeardThoughItsAudioComesFirst) {
  auto session = open();
  auto listener = listen(*session);
  hear(*session);
  Wire wire;
  session->configure(audio(), remote(wire.endpoint()));
  settle();
  const TelephoneEvent one{.event = 1, .end = true, .duration = 800},
      two{.event = 2, .end = true, .duration = 800};
  event(wire, session->port(), 1, 800000, one);
  ASSERT_TRUE(until([&] { return heard_ == "1"; }));
  // Its timestamps lie before those of the first one.
  for (std::uint16_t i = 0; i < 3; ++i)
    wire.send(session->port(), build_packet({8, false, i, i * 160U, 8}, as_bytes("audio")));
  ASSERT_TRUE(until([&] { return listener->packets.size() == 3; }));
  wire.send(session->port(), build_packet({kEvents, false, 3, 480, 8}, two.build()));
  ASSERT_TRUE(until([&] { return session->stats().received_packets == 5; }));
  EXPECT_EQ(heard_, "12");
}

TEST_F(SessionDigits, AreNotSentToWhoDoesNotKnowThem) {
  auto session = open();
  Wire wire;
  Stream stream = audio();
  stream.events.payload_type = -1;
  session->configure(stream, remote(wire.endpoint()));
  session->send_digit({'1', 20ms});
  settle();
  stream.events = {.payload_type = kEvents, .taken = parse_events("0-9")};
  session->configure(stream, remote(wire.endpoint()));
  session->send_digit({'#', 20ms});
  session->send_digit({'1', 20ms});
  ASSERT_TRUE(until([&] { return session->stats().sent_packets == 3; }));
  for (const auto &each : packets(wire)) EXPECT_EQ(TelephoneEvent::parse(each.payload)->event, 1);
}

TEST_F(SessionDigits, AreHeardBetweenAudioWhichNoticesNothing) {
  auto session = open();
  auto listener = listen(*session);
  hear(*session);
  Wire wire;
  session->configure(audio(), remote(wire.endpoint()));
  settle();
  const std::uint16_t to = session->port();
  wire.rtp(to, 1, 7, 8, 1000);
  event(wire, to, 3, 1160, {.event = 5, .duration = 320});  // overtakes the one before
  event(wire, to, 2, 1160, {.event = 5, .duration = 160});
  event(wire, to, 4, 1160, {.event = 5, .end = true, .duration = 480});
  event(wire, to, 5, 1160, {.event = 5, .end = true, .duration = 480});
  wire.rtp(to, 6, 7, 8, 1800);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 2; }));
  EXPECT_EQ(heard_, "5");
  EXPECT_FALSE(listener->packets[1].discontinuity);
  EXPECT_EQ(session->stats().lost, 0U);
  EXPECT_EQ(session->stats().received_packets, 6U);
}

TEST_F(SessionDigits, AreHeardWithoutListenerAndWithoutTheirEnd) {
  auto session = open();
  hear(*session);
  Wire wire;
  session->configure(audio(), remote(wire.endpoint()));
  settle();
  event(wire, session->port(), 1, 1160, {.event = 10, .duration = 320});
  ASSERT_TRUE(until([&] { return !heard_.empty(); }));
  EXPECT_EQ(heard_, "*");
  // Audio that comes now is the first of its source for whoever listens.
  auto listener = listen(*session);
  wire.rtp(session->port(), 2, 7, 8, 1800);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  EXPECT_TRUE(listener->packets[0].new_source);
}

TEST_F(SessionDigits, ALostPacketOfAnEventIsToldToTheAudioBehindIt) {
  Session::Options options;
  options.reorder_start = options.reorder_most = 0ms;
  auto session = open(options);
  auto listener = listen(*session);
  Wire wire;
  session->configure(audio(), remote(wire.endpoint()));
  settle();
  wire.rtp(session->port(), 1, 7, 8, 1000);
  event(wire, session->port(), 3, 1160, {.event = 5, .end = true, .duration = 480});
  wire.rtp(session->port(), 4, 7, 8, 1800);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 2; }));
  EXPECT_TRUE(listener->packets[1].discontinuity);
}

TEST_F(SessionDigits, JitterIsThatOfAudioAlone) {
  auto session = open();
  auto listener = listen(*session);
  Wire wire;
  session->configure(audio(), remote(wire.endpoint()));
  settle();
  wire.rtp(session->port(), 1, 7, 8, 1000);
  // Minutes away from the audio's clock.
  for (std::uint16_t i = 2; i < 40; ++i)
    event(wire, session->port(), i, 1000000, {.event = 5, .duration = 480});
  ASSERT_TRUE(until([&] { return session->stats().received_packets == 39; }));
  EXPECT_LT(session->stats().jitter_ms, 1000);
}

}  // namespace
}  // namespace junctor::rtp::test
