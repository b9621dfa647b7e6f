// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/packetizer.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <numeric>
#include <string>

#include "common/avc.h"

namespace junctor::rtp {
namespace {

using namespace std::chrono_literals;

Bytes bytes(std::initializer_list<int> values) {
  Bytes out;
  for (const int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

/// A NAL unit of `size` bytes that starts with `head`.
Bytes unit(int head, std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i * 7);
  out[0] = static_cast<std::byte>(head);
  return out;
}

const Bytes kSps = bytes({0x67, 0x42, 0xc0, 0x1e, 0xda}), kPps = bytes({0x68, 0xce, 0x3c});

std::unique_ptr<H264Packetizer> h264() {
  auto config = build_avc_config(std::vector<ByteSpan>{kSps}, std::vector<ByteSpan>{kPps});
  auto made = H264Packetizer::make(*config);
  EXPECT_TRUE(made);
  return *std::move(made);
}

Frame access_unit(const std::vector<Bytes> &units, std::chrono::nanoseconds time = 0ns) {
  Bytes whole;
  for (const Bytes &each : units) ByteWriter(whole).u32(each.size()).raw(each);
  Frame frame;
  frame.data = SharedBytes::own(std::move(whole));
  frame.time = time;
  return frame;
}

Bytes whole(const OutgoingPacket &packet) {
  Bytes out(packet.prefix.begin(), packet.prefix.begin() + packet.prefix_size);
  out.insert(out.end(), packet.payload.view.begin(), packet.payload.view.end());
  return out;
}

/// The NAL units of packets, put together again as a receiver does (RFC 6184 section 5).
std::vector<Bytes> unpacked(const std::vector<OutgoingPacket> &packets) {
  std::vector<Bytes> units;
  for (const OutgoingPacket &packet : packets) {
    const Bytes payload = whole(packet);
    const int type = std::to_integer<int>(payload[0]) & 0x1f;
    if (type == 24) {
      ByteReader reader(ByteSpan(payload).subspan(1));
      while (reader.left() > 0) {
        const ByteSpan each = reader.take(reader.u16());
        EXPECT_FALSE(reader.failed());
        units.emplace_back(each.begin(), each.end());
      }
    } else if (type == 28) {
      if ((payload[1] & std::byte{0x80}) != std::byte{0})
        units.push_back({(payload[0] & std::byte{0xe0}) | (payload[1] & std::byte{0x1f})});
      units.back().insert(units.back().end(), payload.begin() + 2, payload.end());
    } else {
      units.push_back(payload);
    }
  }
  return units;
}

TEST(H264Packetizer, PutsASmallUnitIntoAPacketOfItsOwn) {
  const auto packetizer = h264();
  const Frame frame = access_unit({unit(0x41, 500)}, 1001ms);
  std::vector<OutgoingPacket> packets;
  ASSERT_TRUE(packetizer->add(frame, packets));
  ASSERT_EQ(packets.size(), 1U);
  EXPECT_EQ(whole(packets[0]), unit(0x41, 500));
  EXPECT_EQ(packets[0].payload.view.data(), frame.data.view.data() + 4);  // no copy
  EXPECT_EQ(packets[0].timestamp, 90090U);
  EXPECT_TRUE(packets[0].marker);
}

TEST(H264Packetizer, FragmentsALargeUnit) {
  const auto packetizer = h264();
  const Bytes large = unit(0x61, 1 + 2 * (kMaxPayload - 2) + 1);
  const Frame frame = access_unit({large});
  std::vector<OutgoingPacket> packets;
  ASSERT_TRUE(packetizer->add(frame, packets));
  ASSERT_EQ(packets.size(), 3U);
  // FU indicator: F and NRI of the unit, type 28. FU header: S, E, type of the unit (section 5.8).
  EXPECT_EQ(packets[0].prefix[0], std::byte{0x7c});
  EXPECT_EQ(packets[0].prefix[1], std::byte{0x81});
  EXPECT_EQ(packets[1].prefix[1], std::byte{0x01});
  EXPECT_EQ(packets[2].prefix[1], std::byte{0x41});
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_LE(whole(packets[i]).size(), kMaxPayload);
    EXPECT_EQ(packets[i].marker, i == 2);
  }
  EXPECT_EQ(unpacked(packets), std::vector<Bytes>{large});
}

TEST(H264Packetizer, AUnitOfJustAPacketsSizeIsNotFragmented) {
  for (const std::size_t size : {kMaxPayload, kMaxPayload + 1}) {
    const auto packetizer = h264();
    std::vector<OutgoingPacket> packets;
    ASSERT_TRUE(packetizer->add(access_unit({unit(0x61, size)}), packets));
    EXPECT_EQ(packets.size(), size > kMaxPayload ? 2U : 1U);
    EXPECT_EQ(unpacked(packets), std::vector<Bytes>{unit(0x61, size)});
  }
}

TEST(H264Packetizer, SmallUnitsShareAPacket) {
  const auto packetizer = h264();
  const std::vector<Bytes> units{unit(0x06, 30), unit(0x21, 100), unit(0x41, 100),
                                 unit(0x01, 1000)};
  std::vector<OutgoingPacket> packets;
  ASSERT_TRUE(packetizer->add(access_unit(units), packets));
  ASSERT_EQ(packets.size(), 2U);
  // STAP-A with the highest NRI of its parts (section 5.7.1).
  EXPECT_EQ(whole(packets[0])[0], std::byte{0x58});
  EXPECT_EQ(whole(packets[0]).size(), 1U + 3 * 2 + 230);
  EXPECT_EQ(unpacked(packets), units);
}

TEST(H264Packetizer, AKeyframeCarriesTheParameterSets) {
  const auto packetizer = h264();
  const std::vector<Bytes> slices{unit(0x65, 2000), unit(0x65, 300)};
  std::vector<OutgoingPacket> packets;
  ASSERT_TRUE(packetizer->add(access_unit(slices), packets));
  EXPECT_EQ(unpacked(packets), (std::vector{kSps, kPps, slices[0], slices[1]}));
}

TEST(H264Packetizer, ParameterSetsFollowADelimiter) {
  const auto packetizer = h264();
  const std::vector<Bytes> units{unit(0x09, 2), unit(0x06, 30), unit(0x65, 2000)};
  std::vector<OutgoingPacket> packets;
  ASSERT_TRUE(packetizer->add(access_unit(units), packets));
  EXPECT_EQ(unpacked(packets), (std::vector{units[0], kSps, kPps, units[1], units[2]}));
}

TEST(H264Packetizer, AKeyframeWithItsOwnParameterSetsIsLeftAsItIs) {
  const auto packetizer = h264();
  const std::vector<Bytes> units{unit(0x67, 12), unit(0x68, 4), unit(0x65, 2000)};
  std::vector<OutgoingPacket> packets;
  ASSERT_TRUE(packetizer->add(access_unit(units), packets));
  EXPECT_EQ(unpacked(packets), units);
}

TEST(H264Packetizer, InMode0EachUnitIsAPacket) {
  const auto packetizer = h264();
  packetizer->set_single_nal(true);
  const std::vector<Bytes> units{unit(0x06, 30), unit(0x65, 3000)};
  std::vector<OutgoingPacket> packets;
  ASSERT_TRUE(packetizer->add(access_unit(units), packets));
  ASSERT_EQ(packets.size(), 4U);
  EXPECT_EQ(whole(packets[0]), kSps);
  EXPECT_EQ(whole(packets[3]), units[1]);
  EXPECT_TRUE(packets[3].marker);
}

TEST(H264Packetizer, LeavesOutTypesThatMeanSomethingElseInRtp) {
  const auto packetizer = h264();
  std::vector<OutgoingPacket> packets;
  ASSERT_TRUE(
      packetizer->add(access_unit({unit(0x1c, 20), unit(0x18, 20), unit(0x41, 20)}), packets));
  EXPECT_EQ(unpacked(packets), std::vector<Bytes>{unit(0x41, 20)});
}

TEST(H264Packetizer, ABrokenFrameLeavesNothingBehind) {
  const auto packetizer = h264();
  std::vector<OutgoingPacket> packets;
  Frame broken;
  broken.data = SharedBytes::own(bytes({0, 0, 0, 2, 0x41, 1, 0, 0, 0, 9, 0x41}));
  EXPECT_FALSE(packetizer->add(broken, packets));
  EXPECT_TRUE(packets.empty());
  EXPECT_TRUE(packetizer->add(access_unit({unit(0x41, 20)}), packets));
  EXPECT_EQ(packets.size(), 1U);
}

TEST(H264Packetizer, WantsAConfiguration) {
  EXPECT_FALSE(H264Packetizer::make({}));
  EXPECT_FALSE(H264Packetizer::make(bytes({1, 0x42, 0xc0})));
}

class G711 : public testing::Test {
 protected:
  /// Pushes `count` samples that go on where the last ones ended.
  void push(std::size_t count, std::chrono::nanoseconds time, bool discontinuity = false) {
    push_at(Time{}, count, time, discontinuity);
  }
  void push_at(Time came, std::size_t count, std::chrono::nanoseconds time,
               bool discontinuity = false) {
    Bytes samples(count);
    for (std::byte &sample : samples) sample = static_cast<std::byte>(pushed_++);
    Frame frame;
    frame.data = SharedBytes::own(std::move(samples));
    frame.time = time;
    frame.capture = Time(time + 1h);
    frame.discontinuity = discontinuity;
    frame.came = came;
    ASSERT_TRUE(packetizer_.add(frame, packets_));
  }
  std::vector<std::size_t> sizes() const {
    std::vector<std::size_t> sizes;
    for (const auto &packet : packets_) sizes.push_back(packet.payload.view.size());
    return sizes;
  }
  /// All samples of the packets, which rise by one each.
  void expect_unbroken() const {
    unsigned next = 0;
    for (const auto &packet : packets_)
      for (const std::byte sample : packet.payload.view)
        ASSERT_EQ(std::to_integer<unsigned>(sample), next++ & 0xff);
  }

  G711Packetizer packetizer_;
  std::vector<OutgoingPacket> packets_;
  unsigned pushed_ = 0;
};

TEST_F(G711, MakesPacketsOf20Milliseconds) {
  push(480, 0ms);
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{160, 160, 160}));
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(packets_[i].timestamp, 160 * i);
    EXPECT_EQ(packets_[i].capture, Time(1h + i * 20ms));
    EXPECT_EQ(packets_[i].marker, i == 0);
  }
  expect_unbroken();
}

TEST_F(G711, JoinsShortFramesAndCutsOddOnes) {
  push(80, 0ms);
  EXPECT_TRUE(packets_.empty());
  push(80, 10ms);
  push(185, 20ms);
  push(186, 43ms);
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{160, 160, 160}));
  EXPECT_EQ(packets_[2].timestamp, 320U);
  expect_unbroken();
}

TEST_F(G711, UnevenStampsDoNotTearTheSound) {
  push(160, 0ms);
  push(160, 19ms);
  push(160, 42ms);
  EXPECT_EQ(packets_[1].timestamp, 160U);
  EXPECT_EQ(packets_[2].timestamp, 320U);
}

TEST_F(G711, AGapIsAGap) {
  push(200, 0ms);
  push(160, 500ms);
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{160, 40, 160}));
  EXPECT_EQ(packets_[1].timestamp, 160U);
  EXPECT_EQ(packets_[2].timestamp, 4000U);
  EXPECT_TRUE(packets_[2].marker);
  expect_unbroken();
}

TEST_F(G711, AfterALongGapNothingOfThePastIsSent) {
  push(200, 0ms);
  push(160, 20s);
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{160, 160}));
  EXPECT_EQ(packets_[1].timestamp, 160'000U);
  EXPECT_TRUE(packets_[1].marker);
}

TEST_F(G711, WhatAResamplerHeldBackThroughALongGapIsNotSent) {
  const Time start{1h};
  push_at(start, 310, 0ms);
  push_at(start + 20s, 31, 38750us);  // with what waits it would fill a packet
  push_at(start + 20s, 155, 20s, true);
  push_at(start + 20s + 20ms, 186, 20s + 19375us);
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{160, 160, 160}));
  EXPECT_EQ(packets_[1].timestamp, 160'000U);
  EXPECT_TRUE(packets_[1].marker);
  EXPECT_FALSE(packets_[2].marker);
}

TEST_F(G711, ABurstAfterAStallIsSentWhole) {
  const Time start{1h};
  push_at(start, 200, 0ms);
  for (int n = 1; n <= 3; ++n) push_at(start + 5s, 200, n * 25ms);
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{160, 160, 160, 160}));
  EXPECT_EQ(packets_[1].timestamp, 200U) << "without what waited";
  EXPECT_TRUE(packets_[1].marker);
}

TEST_F(G711, ADiscontinuityStartsAnew) {
  push(160, 0ms);
  push(160, 25ms, true);
  EXPECT_EQ(packets_[1].timestamp, 200U);
}

TEST(RtpUnits, AreRoundedAndDoNotOverflow) {
  EXPECT_EQ(rtp_units(33'333'333ns, 90000), 3000U);
  EXPECT_EQ(rtp_units(1ms, 8000), 8U);
  // Ten years, modulo 2^32.
  const auto years = std::chrono::seconds(10LL * 365 * 24 * 3600);
  EXPECT_EQ(rtp_units(years, 90000),
            static_cast<std::uint32_t>(10ULL * 365 * 24 * 3600 * 90000 & 0xffffffff));
}

}  // namespace
}  // namespace junctor::rtp
