// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/packet.h"

#include <gtest/gtest.h>

#include "rtp/core/unwrap.h"

using namespace junctor;
using namespace junctor::rtp;

namespace {

Bytes bytes(std::initializer_list<unsigned> values) {
  Bytes out;
  for (const unsigned value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

}  // namespace

TEST(RtpPacket, FixedHeader) {
  const auto view =
      parse_packet(bytes({0x80, 0xe0, 0x12, 0x34, 0, 0, 1, 2, 0xde, 0xad, 0xbe, 0xef, 0x55, 0xaa}));
  ASSERT_TRUE(view);
  EXPECT_EQ(view->header.payload_type, 96);
  EXPECT_TRUE(view->header.marker);
  EXPECT_EQ(view->header.sequence, 0x1234);
  EXPECT_EQ(view->header.timestamp, 0x102U);
  EXPECT_EQ(view->header.ssrc, 0xdeadbeefU);
  EXPECT_EQ(view->header_size, 12U);
  EXPECT_EQ(view->payload.size(), 2U);
}

TEST(RtpPacket, BuildsWhatItParses) {
  PacketExtras extras;
  extras.csrc = {1, 2, 3};
  extras.extension_profile = 0xbede;
  const Bytes extension = bytes({0x10, 0xff, 0, 0});
  extras.extension = extension;
  extras.padding = 3;
  const Bytes payload = bytes({9, 8, 7, 6, 5});
  const Bytes packet = build_packet({111, true, 65535, 0xfffffff0, 42}, payload, extras);
  EXPECT_EQ(packet.size(), 12U + 12U + 8U + 5U + 3U);
  const auto view = parse_packet(packet);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->header.sequence, 65535);
  EXPECT_EQ(view->csrc_count, 3U);
  EXPECT_EQ(view->csrc[2], 3U);
  EXPECT_EQ(view->extension_profile, 0xbede);
  EXPECT_EQ(view->extension.size(), 4U);
  EXPECT_EQ(view->header_size, 32U);
  EXPECT_TRUE(std::ranges::equal(view->payload, payload));
}

TEST(RtpPacket, RefusesWhatContradictsItself) {
  const Bytes good = build_packet({0, false, 1, 2, 3}, bytes({1, 2, 3, 4}));
  ASSERT_TRUE(parse_packet(good));
  EXPECT_FALSE(parse_packet(ByteSpan(good).first(11)));  // shorter than a header
  Bytes version = good;
  version[0] = std::byte{0x40};
  EXPECT_FALSE(parse_packet(version));
  Bytes csrcs = good;
  csrcs[0] = std::byte{0x82};  // two CSRCs in four bytes
  EXPECT_FALSE(parse_packet(csrcs));
  Bytes extension = good;
  extension[0] = std::byte{0x90};  // an extension of 0x0304 words
  EXPECT_FALSE(parse_packet(extension));
  Bytes padding = good;
  padding[0] = std::byte{0xa0};
  EXPECT_TRUE(parse_packet(padding)->payload.empty());  // four bytes of padding of four
  padding.back() = std::byte{5};
  EXPECT_FALSE(parse_packet(padding));
  padding.back() = std::byte{0};
  EXPECT_FALSE(parse_packet(padding));
}

TEST(RtpPacket, ToldFromRtcpBySecondByte) {
  EXPECT_TRUE(looks_like_rtcp(bytes({0x80, 200, 0, 6})));
  EXPECT_TRUE(looks_like_rtcp(bytes({0x81, 206, 0, 2})));
  EXPECT_FALSE(looks_like_rtcp(bytes({0x80, 0xe0, 0, 6})));
  EXPECT_FALSE(looks_like_rtcp(bytes({0x80, 8, 0, 6})));
  EXPECT_FALSE(looks_like_rtcp(bytes({0x00, 200, 0, 6})));  // STUN
}

TEST(Unwrapper, RisesAcrossTheWrapAndKeepsStragglersBehind) {
  Unwrapper<std::uint32_t> timestamps;
  const std::uint64_t first = timestamps.push(0xffffff00U);
  EXPECT_EQ(timestamps.push(0x00000100U), first + 0x200);
  EXPECT_EQ(timestamps.push(0xffffffffU), first + 0xff);
  EXPECT_EQ(timestamps.push(0x00000200U), first + 0x300);
  EXPECT_EQ(timestamps.peek(0x00000000U), first + 0x100);
}
