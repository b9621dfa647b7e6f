// SPDX-License-Identifier: LGPL-2.1-or-later
// Figures that depend on time, with time as an argument.
#include <gtest/gtest.h>

#include "rtp/core/outgoing.h"
#include "rtp/core/playout_clock.h"
#include "rtp/core/reception.h"

using namespace junctor;
using namespace junctor::rtp;
using namespace std::chrono_literals;

namespace {

constexpr Time kStart{1000s};

double ms(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

}  // namespace

TEST(Reception, LossOfTheIntervalAndOfAll) {
  Reception reception(7, 8000);
  for (std::uint64_t sequence = 65536 + 100; sequence < 65536 + 200; ++sequence)
    if (sequence % 4 != 0) reception.on_packet(sequence, 0, kStart);
  auto block = reception.report(kStart);
  EXPECT_EQ(block.ssrc, 7U);
  EXPECT_EQ(block.highest_sequence, 199U);
  EXPECT_EQ(block.cumulative_lost, 24);  // 101 to 199 expected, 75 came
  EXPECT_EQ(block.fraction_lost, 24 * 256 / 99);
  for (std::uint64_t sequence = 65536 + 200; sequence < 65536 + 300; ++sequence)
    reception.on_packet(sequence, 0, kStart);
  block = reception.report(kStart);
  EXPECT_EQ(block.fraction_lost, 0);
  EXPECT_EQ(block.cumulative_lost, 24);
}

TEST(Reception, DuplicatesMakeLossNegative) {
  Reception reception(7, 8000);
  for (int i = 0; i < 3; ++i) reception.on_packet(65536, 0, kStart);
  EXPECT_EQ(reception.report(kStart).cumulative_lost, -2);
  EXPECT_EQ(reception.report(kStart).fraction_lost, 0);
}

TEST(Reception, HighestSequenceCountsCycles) {
  Reception reception(7, 8000);
  reception.on_packet(65536 + 65535, 0, kStart);
  reception.on_packet(65536 + 65536 + 3, 0, kStart);
  EXPECT_EQ(reception.report(kStart).highest_sequence, 0x00010003U);
}

// RFC 3550 A.8: J moves by a sixteenth of each deviation.
TEST(Reception, JitterFollowsTheFormula) {
  Reception reception(7, 8000);
  reception.on_packet(65536, 0, kStart);
  reception.on_packet(65537, 160, kStart + 20ms);
  EXPECT_NEAR(reception.jitter_ms(), 0, 0.2);
  reception.on_packet(65538, 320, kStart + 56ms);  // 16 ms late: 128 units, a sixteenth is 8
  EXPECT_NEAR(reception.jitter_ms(), 1.0, 0.2);
}

TEST(Reception, RoundTripAsTheRfcExample) {
  // Section 6.4.1: LSR 0xb705:2000, DLSR 5.250 s, arrival 0xb710:8000 gives 6.125 s.
  rtcp::ReportBlock block;
  block.last_sr = 0xb7052000;
  block.delay_since_last_sr = 0x00054000;
  const auto trip = round_trip(block, std::uint64_t{0xb44db710} << 32 | 0x80000000U);
  ASSERT_TRUE(trip);
  EXPECT_NEAR(ms(*trip), 6125, 0.01);
  block.last_sr = 0;
  EXPECT_FALSE(round_trip(block, 1));
}

TEST(Reception, ReportsTheLastSenderReport) {
  Reception reception(7, 8000);
  reception.on_packet(65536, 0, kStart);
  EXPECT_EQ(reception.report(kStart).last_sr, 0U);
  reception.on_sender_report(0xb44db705'20000000, kStart);
  const auto block = reception.report(kStart + 5250ms);
  EXPECT_EQ(block.last_sr, 0xb7052000U);
  EXPECT_EQ(block.delay_since_last_sr, 0x00054000U);
}

TEST(Ntp, ThereAndBack) {
  EXPECT_EQ(ntp_to_nanoseconds(std::uint64_t{3} << 32 | 0x80000000U), 3500ms);
  EXPECT_EQ(nanoseconds_to_ntp(3500ms), std::uint64_t{3} << 32 | 0x80000000U);
  const auto now = std::chrono::nanoseconds(4'002'000'000'123'456'789);
  EXPECT_NEAR(static_cast<double>((ntp_to_nanoseconds(nanoseconds_to_ntp(now)) - now).count()), 0,
              2);
}

TEST(ReportDelay, StaysWithinTheRfcsBounds) {
  EXPECT_NEAR(ms(report_delay(5s, 0.0)), 2500 / 1.21828, 1);
  EXPECT_NEAR(ms(report_delay(5s, 1.0)), 7500 / 1.21828, 1);
}

TEST(OutgoingTimeline, SourcesFollowEachOtherByTheClock) {
  OutgoingTimeline timeline(5000);
  EXPECT_EQ(timeline.stamp(111, kStart, 8000), 5000U);
  EXPECT_EQ(timeline.stamp(111 + 160, kStart + 20ms, 8000), 5160U);
  timeline.begin_source();
  EXPECT_EQ(timeline.stamp(4000000000U, kStart + 60ms, 8000), 5480U);
  EXPECT_EQ(timeline.stamp(4000000160U, kStart + 80ms, 8000), 5640U);
  timeline.begin_source();  // at the same moment: still one tick on
  EXPECT_EQ(timeline.stamp(7, kStart + 80ms, 8000), 5641U);
  EXPECT_EQ(timeline.at(kStart + 180ms, 8000), 5641U + 800U);
}

TEST(OutgoingTimeline, WrapsWithoutANotice) {
  OutgoingTimeline timeline(0xffffff00U);
  timeline.stamp(0, kStart, 90000);
  EXPECT_EQ(timeline.stamp(0x200, kStart, 90000), 0x100U);
}

namespace {

WirePacket wire(std::uint16_t sequence, std::size_t size = 100) {
  WirePacket packet;
  const auto head = build_header({96, false, sequence, 0, 1});
  std::ranges::copy(head, packet.head.begin());
  packet.head_size = kFixedHeaderSize;
  packet.payload = SharedBytes::own(Bytes(size));
  return packet;
}

}  // namespace

TEST(SentHistory, ReturnsWhatIsAskedForOnceARoundTrip) {
  SentHistory history;
  for (std::uint16_t sequence = 65530; sequence != 10; ++sequence)
    history.remember(wire(sequence), kStart);
  const std::vector<std::uint16_t> asked{65531, 3, 500};
  auto found = history.recall(asked, kStart + 1ms, 20ms);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0]->sequence(), 65531);
  EXPECT_EQ(found[1]->sequence(), 3);
  EXPECT_TRUE(history.recall(asked, kStart + 10ms, 20ms).empty());
  EXPECT_EQ(history.recall(asked, kStart + 30ms, 20ms).size(), 2U);
}

TEST(SentHistory, BoundedInCountBytesAndAge) {
  SentHistory history;
  for (unsigned sequence = 0; sequence < 2000; ++sequence)
    history.remember(wire(static_cast<std::uint16_t>(sequence)), kStart);
  EXPECT_EQ(history.bytes(), SentHistory::kPackets * 112);
  EXPECT_TRUE(history.recall(std::vector<std::uint16_t>{1487}, kStart, 1ms).empty());
  EXPECT_EQ(history.recall(std::vector<std::uint16_t>{1488}, kStart, 1ms).size(), 1U);
  for (unsigned sequence = 2000; sequence < 2400; ++sequence)
    history.remember(wire(static_cast<std::uint16_t>(sequence), 4000), kStart);
  EXPECT_LE(history.bytes(), SentHistory::kBytes);
  EXPECT_TRUE(history.recall(std::vector<std::uint16_t>{2399}, kStart + 2s, 1ms).empty());
  history.remember(wire(2400), kStart + 2s);
  EXPECT_EQ(history.bytes(), 112U);
}

TEST(SentHistory, APeerCannotMultiplyOurTraffic) {
  SentHistory history;
  std::vector<std::uint16_t> asked;
  for (std::uint16_t sequence = 0; sequence < 400; ++sequence) {
    history.remember(wire(sequence, 1188), kStart);
    asked.push_back(sequence);
  }
  std::size_t sent = 0;
  for (int round = 0; round < 100; ++round)
    for (const WirePacket *packet : history.recall(asked, kStart + round * 1ms, 0ms))
      sent += packet->size();
  EXPECT_GT(sent, 0U);
  EXPECT_LE(sent, SentHistory::kBurstBytes);
}

namespace {

// A peer that sends 50 packets a second by a clock that runs `ppm` fast, with a delay of its own
// for each.
struct Peer {
  explicit Peer(double fast_ppm = 0) : ppm(fast_ppm) {}
  double ppm;
  std::uint64_t timestamp(int n) const { return 1'000'000 + 160ULL * static_cast<unsigned>(n); }
  Duration sent(int n) const {
    return std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(10.0 + n * 0.020 / (1 + ppm / 1e6)));
  }
};

PlayoutClock make_clock() { return {Medium::Audio, 8000, std::make_shared<LipSync>()}; }

}  // namespace

TEST(PlayoutClock, TimestampsRuleNotArrivals) {
  auto clock = make_clock();
  const Peer peer;
  EXPECT_EQ(clock.map(peer.timestamp(0), peer.sent(0), true).time, peer.sent(0));
  for (int n = 1; n < 500; ++n) {
    const Duration jitter = (n % 7) * 3ms;
    const auto mapped = clock.map(peer.timestamp(n), peer.sent(n) + jitter, false);
    EXPECT_NEAR(ms(mapped.time), ms(peer.sent(n)), 0.001) << n;
    EXPECT_FALSE(mapped.discontinuity);
  }
}

TEST(PlayoutClock, ALateFirstPacketIsMadeGood) {
  auto clock = make_clock();
  const Peer peer;
  clock.map(peer.timestamp(0), peer.sent(0) + 100ms, true);
  Duration last{};
  for (int n = 1; n < 600; ++n) {
    last = clock.map(peer.timestamp(n), peer.sent(n), false).time;
  }
  EXPECT_NEAR(ms(last), ms(peer.sent(599)), 0.001);
}

TEST(PlayoutClock, DelayDoesNotGrowInAnHourOfDrift) {
  for (const double ppm : {-100.0, 100.0}) {
    auto clock = make_clock();
    const Peer peer(ppm);
    double worst = 0;
    for (int n = 0; n < 3600 * 50; ++n) {
      const Duration jitter = (n % 5) * 2ms;
      const auto mapped = clock.map(peer.timestamp(n), peer.sent(n) + jitter, n == 0);
      worst = std::max(worst, std::abs(ms(mapped.time - peer.sent(n))));
    }
    EXPECT_LT(worst, 5) << ppm;
  }
}

TEST(PlayoutClock, AStallKeepsMediaTime) {
  auto clock = make_clock();
  const Peer peer;
  int n = 0;
  for (; n < 100; ++n) clock.map(peer.timestamp(n), peer.sent(n), n == 0);
  // Three seconds' packets arrive at once, then all is well again.
  for (; n < 250; ++n) {
    const auto mapped = clock.map(peer.timestamp(n), peer.sent(250), false);
    EXPECT_FALSE(mapped.discontinuity) << n;
  }
  for (; n < 400; ++n) {
    const auto mapped = clock.map(peer.timestamp(n), peer.sent(n), false);
    EXPECT_NEAR(ms(mapped.time), ms(peer.sent(n)), 60) << n;
  }
}

TEST(PlayoutClock, ALeapOfTimestampsBeginsAnew) {
  auto clock = make_clock();
  const Peer peer;
  for (int n = 0; n < 100; ++n) clock.map(peer.timestamp(n), peer.sent(n), n == 0);
  auto mapped = clock.map(peer.timestamp(100) + 8000 * 60, peer.sent(100), false);
  EXPECT_TRUE(mapped.discontinuity);
  EXPECT_EQ(mapped.time, peer.sent(100));
  mapped = clock.map(peer.timestamp(101), peer.sent(101), false);  // and back
  EXPECT_TRUE(mapped.discontinuity);
  EXPECT_EQ(mapped.time, peer.sent(101));
}

TEST(PlayoutClock, APauseWithoutTimestampsIsCaughtUp) {
  auto clock = make_clock();
  const Peer peer;
  for (int n = 0; n < 100; ++n) clock.map(peer.timestamp(n), peer.sent(n), n == 0);
  // Muted for ten seconds, its clock stood still meanwhile.
  Duration last{};
  int discontinuities = 0;
  for (int n = 100; n < 400; ++n) {
    const auto mapped = clock.map(peer.timestamp(n), peer.sent(n) + 10s, false);
    discontinuities += mapped.discontinuity;
    last = mapped.time;
  }
  EXPECT_EQ(discontinuities, 1);
  EXPECT_NEAR(ms(last), ms(peer.sent(399) + 10s), 1);
}

// Captured at once, sent 120 ms apart: sender reports bring them together again.
TEST(PlayoutClock, SenderReportsSynchroniseSoundAndPicture) {
  const auto sync = std::make_shared<LipSync>();
  PlayoutClock audio(Medium::Audio, 8000, sync), video(Medium::Video, 90000, sync);
  const Duration audio_delay = 10ms, video_delay = 130ms;
  Duration audio_time{}, video_time{};
  for (int n = 0; n < 50 * 15; ++n) {
    const Duration captured = 5s + n * 20ms;
    audio_time =
        audio.map(10'000 + 160ULL * static_cast<unsigned>(n), captured + audio_delay, n == 0).time;
    video_time =
        video.map(77'000'000 + 1800ULL * static_cast<unsigned>(n), captured + video_delay, n == 0)
            .time;
    if (n == 20) {
      // At NTP time 4e18 ns the peer captured number 20.
      const std::chrono::nanoseconds at(4'000'000'000'000'000'000);
      audio.set_sender_clock({1, at, 10'000 + 160 * 20, 8000});
      video.set_sender_clock({2, at, 77'000'000 + 1800 * 20, 90000});
      EXPECT_NEAR(ms(video_time - audio_time), 120, 1);
    }
  }
  EXPECT_NEAR(ms(video_time - audio_time), 0, 1);
  EXPECT_NEAR(ms(video_time), ms(5s + 749 * 20ms + video_delay), 1);  // the slower one rules
}

// The picture is the slower one: sound has 120 ms added. A new source of sound, as at a transfer,
// neither drops that nor lets time fall.
TEST(PlayoutClock, ANewSourceKeepsTheDelayAndTimeNeverFalls) {
  const auto sync = std::make_shared<LipSync>();
  sync->delay_for(Medium::Video, 120ms);
  PlayoutClock clock(Medium::Audio, 8000, sync);
  Duration last{};
  for (int n = 0; n < 50 * 15; ++n) {
    const Duration sent = 5s + n * 20ms;
    last = clock.map(10'000 + 160ULL * static_cast<unsigned>(n), sent, n == 0).time;
    if (n == 20) clock.set_sender_clock({1, 5s + 20 * 20ms, 10'000 + 160 * 20, 8000});
  }
  EXPECT_NEAR(ms(last), ms(5s + 749 * 20ms + 120ms), 1);
  auto mapped = clock.map(900'000, 5s + 750 * 20ms, true);
  EXPECT_TRUE(mapped.discontinuity);
  EXPECT_NEAR(ms(mapped.time - last), 20, 1);
  last = mapped.time;
  // At once, as a burst: still no step back.
  mapped = clock.map(5'000'000, 5s + 700 * 20ms, true);
  EXPECT_EQ(mapped.time, last);
  EXPECT_NEAR(ms(clock.map(5'000'160, 5s + 701 * 20ms, false).time - last), 20, 1);
}

TEST(LipSync, ClocksThatHaveNothingInCommonAreLeftAlone) {
  LipSync sync;
  EXPECT_EQ(sync.delay_for(Medium::Audio, 0s), 0s);
  EXPECT_EQ(sync.delay_for(Medium::Video, 100ms), 0s);
  EXPECT_EQ(sync.delay_for(Medium::Audio, 0s), 100ms);
  EXPECT_EQ(sync.delay_for(Medium::Video, 1h), 0s);
  EXPECT_EQ(sync.delay_for(Medium::Audio, 0s), 0s);
}
