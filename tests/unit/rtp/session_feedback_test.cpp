// SPDX-License-Identifier: LGPL-2.1-or-later
// What sessions tell each other by RTCP.
#include <algorithm>
#include <array>

#include "session_fixture.h"

namespace junctor::rtp::test {
namespace {

TEST_F(SessionTest, NackIsAnsweredWithTheSamePacket) {
  auto session = open();
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  const std::array batch{packet(0, "lost"), packet(0, "came")};
  session->send(batch);
  settle();
  Bytes original = wire.receive();
  ASSERT_FALSE(original.empty());
  while (!wire.receive().empty()) {
  }
  Bytes nack;
  rtcp::append(nack, rtcp::ReceiverReport{7, {}});
  rtcp::append(nack, rtcp::Nack{7, session->ssrc(), {parse_packet(original)->header.sequence}});
  wire.send(session->port(), nack);
  ASSERT_TRUE(until([&] { return session->stats().retransmitted == 1; }));
  EXPECT_EQ(wire.receive(), original);
  EXPECT_EQ(session->stats().nacks_received, 1U);
}

TEST_F(SessionTest, LossIsNackedAndRepaired) {
  Session::Options options;
  options.reorder_start = options.reorder_most =
      10s;  // the repair, not the wait, must fill the gap
  auto session = open(options);
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  wire.rtp(session->port(), 1);
  wire.rtp(session->port(), 4);
  std::vector<rtcp::Nack> nacks;
  ASSERT_TRUE(until([&] {
    nacks = items<rtcp::Nack>(wire);
    return !nacks.empty();
  }));
  EXPECT_EQ(nacks[0].media, 7U);
  EXPECT_EQ(nacks[0].lost, (std::vector<std::uint16_t>{2, 3}));
  wire.rtp(session->port(), 2);
  wire.rtp(session->port(), 3);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 4; }));
  for (const IncomingPacket &each : listener->packets) EXPECT_FALSE(each.discontinuity);
}

TEST_F(SessionTest, ANumberThatIsLostOnceMoreIsAskedForOnceMore) {
  Session::Options options;
  options.reorder_start = options.reorder_most = 10s;
  auto session = open(options);
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  const auto asked_for = [&](std::vector<std::uint16_t> sequence) {
    const auto nacks = items<rtcp::Nack>(wire);
    return std::ranges::count(nacks, sequence, &rtcp::Nack::lost);
  };
  wire.rtp(session->port(), 1);
  long asked = 0;
  ASSERT_TRUE(until([&] {
    wire.rtp(session->port(), 3);
    settle();
    asked += asked_for({2});
    return asked == 3;
  })) << "as often as one is asked for";
  // Gaps all the while: numbers go on elsewhere, and come round.
  for (const std::uint16_t sequence : {40000, 40001, 40003}) wire.rtp(session->port(), sequence);
  settle();
  EXPECT_EQ(asked_for({40002}), 1);
  for (const std::uint16_t sequence : {65535, 0, 1, 3}) wire.rtp(session->port(), sequence);
  settle();
  EXPECT_EQ(asked_for({2}), 1);
}

TEST_F(SessionTest, NothingIsAskedForThatCannotComeInTime) {
  Session::Options options;
  options.report_interval = 20ms;
  options.reorder_start = options.reorder_most = 100ms;
  auto session = open(options);
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  std::vector<rtcp::SenderReport> reports;
  ASSERT_TRUE(until([&] {
    reports = items<rtcp::SenderReport>(wire);
    return !reports.empty();
  }));
  rtcp::ReceiverReport far{7, {{}}};
  far.blocks[0].ssrc = session->ssrc();
  far.blocks[0].last_sr = static_cast<std::uint32_t>(reports[0].ntp >> 16) - 65536;  // 1 s away
  Bytes bytes;
  rtcp::append(bytes, far);
  wire.send(session->port(), bytes);
  ASSERT_TRUE(until([&] { return session->stats().round_trip_ms >= 999; }));
  for (const std::uint16_t sequence : {1, 3, 4}) wire.rtp(session->port(), sequence);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 3; }));
  EXPECT_EQ(session->stats().nacks_sent, 0U);
}

TEST_F(SessionTest, KeyframesAreAskedForByPliAtMostTwiceASecond) {
  auto session = open();
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  EXPECT_TRUE(session->request_keyframe());  // nobody to ask yet: kept
  settle();
  EXPECT_TRUE(items<rtcp::Pli>(wire).empty());
  wire.rtp(session->port(), 1);
  std::vector<rtcp::Pli> found;
  ASSERT_TRUE(until([&] {
    found = items<rtcp::Pli>(wire);
    return !found.empty();
  }));
  EXPECT_EQ(found[0].media, 7U);
  EXPECT_EQ(found[0].sender, session->ssrc());
  const Time first = reactor_->now();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(session->request_keyframe());
  ASSERT_TRUE(until([&] {
    found = items<rtcp::Pli>(wire);
    return !found.empty();
  }));
  EXPECT_GE(reactor_->now() - first, 400ms);
  EXPECT_EQ(session->stats().keyframe_requests_sent, 2U);
}

TEST_F(SessionTest, AnUnchangedAnswerKeepsWhereRtcpGoes) {
  auto session = open();
  auto listener = listen(*session);
  Wire media, named, learnt;
  Remote where{media.endpoint(), named.endpoint(), true, true};
  session->configure(stream(), where);
  settle();
  media.rtp(session->port(), 1);
  Bytes report;
  rtcp::append(report, rtcp::SenderReport{7, 1, 2, 3, 4, {}});
  learnt.send(static_cast<std::uint16_t>(session->port() + 1), report);
  ASSERT_TRUE(until([&] { return session->sender_clock().has_value(); }));
  // A hold, another by an address of nowhere, and their end.
  const Remote before = where;
  where.send = false;
  session->configure(stream(), where);
  where.rtp.address = where.rtcp.address = "0.0.0.0";
  session->configure(stream(), where);
  where = before;
  session->configure(stream(), where);
  settle();
  EXPECT_TRUE(session->request_keyframe());
  EXPECT_EQ(items<rtcp::Pli>(learnt).size(), 1U);
  EXPECT_TRUE(items<rtcp::Pli>(named).empty());
  // Another address is another place.
  Wire other;
  where.rtcp = other.endpoint();
  session->configure(stream(), where);
  settle();
  EXPECT_TRUE(session->request_keyframe());
  std::vector<rtcp::Pli> found;
  ASSERT_TRUE(until([&] {
    found = items<rtcp::Pli>(other);
    return !found.empty();
  }));
}

TEST_F(SessionTest, FirServesPeersWithoutPliAndNoneSaysSo) {
  auto session = open();
  auto listener = listen(*session);
  Wire wire;
  Stream with_fir = stream();
  with_fir.pli = false;
  session->configure(with_fir, remote(wire.endpoint()));
  settle();
  wire.rtp(session->port(), 1);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  EXPECT_TRUE(session->request_keyframe());
  const auto found = items<rtcp::Fir>(wire);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].media, 7U);
  Stream bare = with_fir;
  bare.fir = false;
  session->configure(bare, remote(wire.endpoint()));
  settle();
  EXPECT_FALSE(session->request_keyframe());
}

TEST_F(SessionTest, KeyframeRequestsOfThePeerArePassedOnWithoutFlood) {
  auto session = open();
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  Bytes pli, fir;
  rtcp::append(pli, rtcp::Pli{7, session->ssrc()});
  rtcp::append(fir, rtcp::Fir{7, session->ssrc(), 1});
  wire.send(session->port(), pli);
  ASSERT_TRUE(until([&] { return listener->keyframe_requests == 1; }));
  const Time first = reactor_->now();
  for (int i = 0; i < 50; ++i) wire.send(session->port(), i % 2 == 0 ? pli : fir);
  ASSERT_TRUE(until([&] { return listener->keyframe_requests == 2; }));
  EXPECT_GE(reactor_->now() - first, 400ms);
  settle();
  EXPECT_EQ(listener->keyframe_requests, 2);
  EXPECT_EQ(session->stats().keyframe_requests_received, 1U + 25U + 1U);  // one FIR, repeated
}

TEST_F(SessionTest, AnotherSourceMayAskUnderTheSameNumber) {
  auto session = open();
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  const auto ask = [&](std::uint32_t sender) {
    Bytes fir;
    rtcp::append(fir, rtcp::Fir{sender, session->ssrc(), 0});
    wire.send(session->port(), fir);
    settle();
    return session->stats().keyframe_requests_received;
  };
  ask(7);
  EXPECT_EQ(ask(7), 1U);
  EXPECT_EQ(ask(8), 2U);
  EXPECT_EQ(ask(8), 2U);
  EXPECT_TRUE(until([&] { return listener->keyframe_requests == 2; }));
}

TEST_F(SessionTest, FeedbackFromElsewhereIsIgnored) {
  auto session = open();
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  Bytes wrong_media, cut;
  rtcp::append(wrong_media, rtcp::Pli{7, session->ssrc() + 1});
  rtcp::append(cut, rtcp::ReceiverReport{7, {{}}});
  cut.resize(cut.size() - 4);
  wire.send(session->port(), wrong_media);
  wire.send(session->port(), cut);
  settle();
  EXPECT_EQ(listener->keyframe_requests, 0);
  wire.rtp(session->port(), 1);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  EXPECT_EQ(session->stats().malformed, 1U);
}

TEST_F(SessionTest, ReportsComeAgainAndCarryRoundTripAndLoss) {
  Session::Options options;
  options.report_interval = 20ms;
  options.reorder_start = options.reorder_most = 0ms;
  auto session = open(options);
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  for (const std::uint16_t sequence : {1, 2, 4}) wire.rtp(session->port(), sequence);
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  std::vector<rtcp::SenderReport> reports;
  ASSERT_TRUE(until([&] {
    for (auto &report : items<rtcp::SenderReport>(wire))
      if (!report.blocks.empty()) reports.push_back(report);
    return !reports.empty();
  }));
  EXPECT_EQ(reports[0].packets, 1U);
  EXPECT_EQ(reports[0].octets, 1U);
  EXPECT_EQ(reports[0].blocks[0].ssrc, 7U);
  EXPECT_EQ(reports[0].blocks[0].cumulative_lost, 1);
  rtcp::ReceiverReport answer{7, {{}}};
  answer.blocks[0].ssrc = session->ssrc();
  answer.blocks[0].fraction_lost = 64;
  answer.blocks[0].last_sr = static_cast<std::uint32_t>(reports[0].ntp >> 16) - 65536 / 10;
  Bytes bytes;
  rtcp::append(bytes, answer);
  wire.send(session->port(), bytes);
  ASSERT_TRUE(until([&] { return session->stats().round_trip_ms > 0; }));
  EXPECT_GE(session->stats().round_trip_ms, 99);
  EXPECT_EQ(session->stats().remote_fraction_lost, 0.25);
  // Nothing sent any more: receiver reports.
  ASSERT_TRUE(until([&] { return !items<rtcp::ReceiverReport>(wire).empty(); }));
}

TEST_F(SessionTest, AStrayOrARestartIsNotReportedAsLoss) {
  Session::Options options;
  options.report_interval = 20ms;
  auto session = open(options);
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  const auto report = [&](std::uint16_t highest) {
    std::optional<rtcp::ReportBlock> block;
    EXPECT_TRUE(until([&] {
      for (const auto &each : items<rtcp::ReceiverReport>(wire))
        if (!each.blocks.empty() &&
            static_cast<std::uint16_t>(each.blocks[0].highest_sequence) == highest)
          block = each.blocks[0];
      return block.has_value();
    }));
    return block.value_or(rtcp::ReportBlock{});
  };
  for (const std::uint16_t sequence : {1, 2, 20000, 3}) wire.rtp(session->port(), sequence);
  EXPECT_EQ(report(3).cumulative_lost, 0);
  for (const std::uint16_t sequence : {30000, 30001, 30002}) wire.rtp(session->port(), sequence);
  EXPECT_EQ(report(30002).cumulative_lost, 0);
}

}  // namespace
}  // namespace junctor::rtp::test
