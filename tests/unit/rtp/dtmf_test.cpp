// SPDX-License-Identifier: LGPL-2.1-or-later
// Telephone events (RFC 4733): their bytes, and digits made of packets and packets of digits.
#include "rtp/core/dtmf.h"

#include <gmock/gmock.h>

#include <string>

namespace junctor::rtp {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

constexpr Time kStart{1000s};

TEST(TelephoneEventBytes, AreThoseOfTheStandard) {
  // RFC 4733 section 5.1 dials 911: its first 9, ended, 1600 units long, at -7 dBm0.
  const TelephoneEvent nine{.event = 9, .end = true, .volume = 7, .duration = 1600};
  const auto bytes = nine.build();
  EXPECT_THAT(bytes, ElementsAre(std::byte{9}, std::byte{0x87}, std::byte{0x06}, std::byte{0x40}));
  const auto back = TelephoneEvent::parse(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->event, 9);
  EXPECT_TRUE(back->end);
  EXPECT_EQ(back->volume, 7);
  EXPECT_EQ(back->duration, 1600);
  // The reserved bit says nothing.
  const std::array reserved{std::byte{11}, std::byte{0x4a}, std::byte{0}, std::byte{160}};
  EXPECT_FALSE(TelephoneEvent::parse(reserved)->end);
  EXPECT_EQ(TelephoneEvent::parse(reserved)->volume, 10);
  EXPECT_FALSE(TelephoneEvent::parse(ByteSpan(bytes).first(3)));
}

TEST(TelephoneEventBytes, DigitsAreNumbered) {
  EXPECT_EQ(event_of('0'), 0);
  EXPECT_EQ(event_of('*'), 10);
  EXPECT_EQ(event_of('#'), 11);
  EXPECT_EQ(event_of('A'), 12);
  EXPECT_EQ(event_of('d'), 15);
  for (const char wrong : {'E', 'e', ' ', '\0', '+', 'x'}) EXPECT_FALSE(event_of(wrong)) << wrong;
}

TEST(TelephoneEventBytes, ListsOfEventsAreRead) {
  EXPECT_EQ(parse_events(""), kAllDigits);
  EXPECT_EQ(parse_events("0-15"), kAllDigits);
  EXPECT_EQ(parse_events("0-16,66,70"), kAllDigits);
  EXPECT_EQ(parse_events("0-9"), 0x03ff);
  EXPECT_EQ(parse_events("1, 3 ,11"), 0x080a);
  EXPECT_EQ(parse_events("4294967295-4294967295,5-3,x,-,7-"), 0);
}

/// Steps `sender` whenever it wants, with an audio clock of `rate` that stands at 1000 at kStart.
std::vector<std::pair<Duration, DigitSender::Packet>> run(DigitSender &sender, std::uint32_t rate,
                                                          int most = 1000) {
  std::vector<std::pair<Duration, DigitSender::Packet>> sent;
  Time now = kStart;
  for (; most > 0; --most) {
    const auto due = sender.due(now);
    if (!due) break;
    now = *due;
    const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(now - kStart).count();
    const auto timestamp = static_cast<std::uint32_t>(1000 + passed * rate / 1000);
    for (const auto &packet : sender.step(now, timestamp, rate))
      sent.emplace_back(now - kStart, packet);
  }
  EXPECT_GT(most, 0) << "it never ends";
  return sent;
}

TEST(DigitSending, OneDigitGrowsAndEndsThreeTimes) {
  DigitSender sender;
  EXPECT_FALSE(sender.due(kStart));
  ASSERT_TRUE(sender.add({'5', 90ms}));
  const auto sent = run(sender, 8000);
  ASSERT_EQ(sent.size(), 7U);
  const std::vector<std::uint16_t> durations{160, 320, 480, 640, 720, 720, 720};
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(sent[i].first, i * 20ms);
    EXPECT_EQ(sent[i].second.timestamp, 1000U);
    EXPECT_EQ(sent[i].second.marker, i == 0);
    EXPECT_EQ(sent[i].second.event.event, 5);
    EXPECT_EQ(sent[i].second.event.duration, durations[i]);
    EXPECT_EQ(sent[i].second.event.end, i >= 4);
  }
}

TEST(DigitSending, TheSameDigitAgainIsAnotherEventAfterAPause) {
  DigitSender sender;
  sender.add({'1', 100ms});
  sender.add({'1', 100ms});
  const auto sent = run(sender, 16000);
  ASSERT_EQ(sent.size(), 14U);
  EXPECT_EQ(sent[7].first, 200ms);
  EXPECT_TRUE(sent[7].second.marker);
  EXPECT_EQ(sent[7].second.timestamp, 1000U + 3200U);
  EXPECT_EQ(sent[13].second.event.duration, 1600);
}

TEST(DigitSending, LongOnesAreCutIntoSegments) {
  DigitSender sender;
  sender.add({'#', 3s});  // 144,000 units at 48 kHz: two whole segments and a rest
  const auto sent = run(sender, 48000);
  std::vector<std::uint32_t> begins;
  int ends = 0, markers = 0;
  for (const auto &[when, packet] : sent) {
    if (begins.empty() || begins.back() != packet.timestamp) begins.push_back(packet.timestamp);
    ends += packet.event.end ? 1 : 0;
    markers += packet.marker ? 1 : 0;
    if (packet.event.end) {
      EXPECT_EQ(packet.timestamp, 1000U + 2 * 0xffff);
      EXPECT_EQ(packet.event.duration, 144000 - 2 * 0xffff);
    }
  }
  EXPECT_THAT(begins, ElementsAre(1000U, 1000U + 0xffff, 1000U + 2 * 0xffff));
  EXPECT_EQ(ends, 3);
  EXPECT_EQ(markers, 1);
}

TEST(DigitSending, AudioIsHeldBackWhileADigitSounds) {
  DigitSender sender;
  EXPECT_FALSE(sender.covers(1000, kStart));
  sender.add({'1', 100ms});
  EXPECT_FALSE(sender.covers(1000, kStart));
  sender.step(kStart, 0xfffffff0, 8000);
  EXPECT_TRUE(sender.covers(0xfffffff0, kStart));
  EXPECT_TRUE(sender.covers(0xfffffff0 + 799, kStart + 40ms));
  EXPECT_TRUE(sender.covers(0xffffff00, kStart + 40ms));  // what was captured before, late
  EXPECT_FALSE(sender.covers(0xfffffff0 + 800, kStart + 40ms));
  run(sender, 8000);
  // Captured while it sounded, though it is over when that comes; and what has another time line.
  EXPECT_TRUE(sender.covers(0xfffffff0 + 799, kStart + 400ms));
  EXPECT_FALSE(sender.covers(0xfffffff0 + 799, kStart + 3s));
}

TEST(DigitSending, WhatIsNoDigitAndWhatIsTooMuchIsRefused) {
  DigitSender sender;
  EXPECT_FALSE(sender.add({'x', 100ms}));
  for (std::size_t i = 0; i < DigitSender::kMaxWaiting; ++i) EXPECT_TRUE(sender.add({'1', 100ms}));
  EXPECT_FALSE(sender.add({'1', 100ms}));
  sender.clear();
  EXPECT_FALSE(sender.due(kStart));
}

/// A receiver, and what it has told.
class DigitReceiving : public testing::Test {
 protected:
  void add(std::uint64_t timestamp, std::uint8_t event, std::uint16_t duration, bool end = false) {
    now_ += 20ms;
    const auto bytes = TelephoneEvent{.event = event, .end = end, .duration = duration}.build();
    receiver_.add(timestamp, bytes, 8000, now_, digits_);
  }
  std::string told() const {
    std::string text;
    for (const Digit &digit : digits_)
      text += std::string(1, digit.digit) +
              std::to_string(
                  std::chrono::duration_cast<std::chrono::milliseconds>(digit.length).count()) +
              ' ';
    return text;
  }
  Time now_ = kStart;
  DigitReceiver receiver_;
  std::vector<Digit> digits_;
};

TEST_F(DigitReceiving, RepeatedPacketsAreOneDigit) {
  for (const std::uint16_t duration : {160, 320, 480}) add(5000, 1, duration);
  EXPECT_EQ(told(), "");
  for (int i = 0; i < 3; ++i) add(5000, 1, 640, true);
  EXPECT_EQ(told(), "180 ");
  // The same key again.
  add(9000, 1, 160);
  add(9000, 1, 320, true);
  EXPECT_EQ(told(), "180 140 ");
}

TEST_F(DigitReceiving, AnyOneOfThePacketsIsEnough) {
  add(5000, 7, 800, true);
  EXPECT_EQ(told(), "7100 ");
  add(5000, 7, 160);  // overtaken
  add(7000, 8, 160);
  receiver_.expire(now_ + 199ms, digits_);
  EXPECT_EQ(told(), "7100 ");
  EXPECT_EQ(receiver_.deadline(), now_ + 200ms);
  receiver_.expire(now_ + 200ms, digits_);
  EXPECT_EQ(told(), "7100 820 ");
  EXPECT_FALSE(receiver_.deadline());
  add(7000, 8, 400, true);  // its end after all
  EXPECT_EQ(told(), "7100 820 ");
}

TEST_F(DigitReceiving, TheNextDigitEndsOneWhoseEndWasLost) {
  add(5000, 1, 800);
  add(7000, 2, 160);
  EXPECT_EQ(told(), "1100 ");
  add(5000, 1, 960, true);  // late: of the one before
  EXPECT_EQ(told(), "1100 ");
  add(7000, 2, 320, true);
  EXPECT_EQ(told(), "1100 240 ");
}

TEST_F(DigitReceiving, SegmentsOfALongOneAreJoined) {
  add(5000, 11, 65000);
  add(5000, 11, 0xffff);
  add(5000 + 0xffff, 11, 160);
  EXPECT_EQ(told(), "");
  add(5000 + 0xffff, 11, 801, true);
  EXPECT_EQ(told(), "#8292 ");
}

TEST_F(DigitReceiving, WhatIsSentIsReceived) {
  DigitSender sender;
  for (const char digit : {'1', '1', '*', 'D'}) sender.add({digit, 100ms});
  sender.add({'#', 10s});
  for (const auto &[when, packet] : run(sender, 8000)) {
    const auto bytes = packet.event.build();
    receiver_.add(packet.timestamp, bytes, 8000, kStart + when, digits_);
  }
  EXPECT_EQ(told(), "1100 1100 *100 D100 #10000 ");
}

TEST_F(DigitReceiving, OtherEventsAndRubbishSayNothing) {
  add(1, 16, 160, true);  // flash
  add(2, 255, 160, true);
  receiver_.add(3, as_bytes("\x01\x80"), 8000, now_, digits_);
  receiver_.add(3, {}, 8000, now_, digits_);
  EXPECT_EQ(told(), "");
  EXPECT_FALSE(receiver_.deadline());
}

TEST_F(DigitReceiving, NobodyPressesSoManyKeys) {
  const std::array end{std::byte{1}, std::byte{0x80}, std::byte{0}, std::byte{0}};
  for (unsigned i = 0; i < 1000; ++i) receiver_.add(i, end, 8000, now_ + i * 1ms, digits_);
  EXPECT_EQ(digits_.size(), DigitReceiver::kMost);
  EXPECT_EQ(receiver_.left_out(), 1000 - DigitReceiver::kMost);
  receiver_.add(5000, end, 8000, now_ + 2s, digits_);
  EXPECT_EQ(digits_.size(), DigitReceiver::kMost + 1);
}

TEST_F(DigitReceiving, AnotherSourceBeginsAnew) {
  add(5000, 1, 160);
  receiver_.restart(now_, digits_);
  EXPECT_EQ(told(), "120 ");
  add(10, 1, 160, true);  // an older timestamp, of another line of time
  EXPECT_EQ(told(), "120 120 ");
}

TEST_F(DigitReceiving, TimestampsThatWentBackCountAfterAWhile) {
  add(5000, 1, 160, true);
  add(10, 2, 160, true);
  EXPECT_EQ(told(), "120 ");
  now_ += 3s;
  add(10, 2, 160, true);
  EXPECT_EQ(told(), "120 220 ");
}

}  // namespace
}  // namespace junctor::rtp
