// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/rtcp.h"

#include <gtest/gtest.h>

using namespace junctor;
using namespace junctor::rtp::rtcp;

namespace {

Bytes bytes(std::initializer_list<unsigned> values) {
  Bytes out;
  for (const unsigned value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

template <class T>
Bytes built(const T &item) {
  Bytes out;
  append(out, item);
  return out;
}

template <class T>
T only(const Bytes &packet) {
  const auto items = parse(packet);
  EXPECT_TRUE(items) << items.error().detail;
  if (!items || items->size() != 1 || !std::holds_alternative<T>(items->front())) {
    ADD_FAILURE() << "not one item of the kind expected";
    return {};
  }
  return std::get<T>(items->front());
}

}  // namespace

TEST(Rtcp, SenderReportBytes) {
  const SenderReport report{0x01020304, 0x1122334455667788,
                            0xa0b0c0d0, 7,
                            700,        {{0x0a0b0c0d, 64, -2, 0x00010005, 9, 0x33445566, 65536}}};
  const Bytes packet = built(report);
  EXPECT_EQ(packet,
            bytes({0x81, 200,  0,    12,   1,    2,    3,    4,    0x11, 0x22, 0x33, 0x44, 0x55,
                   0x66, 0x77, 0x88, 0xa0, 0xb0, 0xc0, 0xd0, 0,    0,    0,    7,    0,    0,
                   2,    0xbc, 0x0a, 0x0b, 0x0c, 0x0d, 64,   0xff, 0xff, 0xfe, 0,    1,    0,
                   5,    0,    0,    0,    9,    0x33, 0x44, 0x55, 0x66, 0,    1,    0,    0}));
  const auto read = only<SenderReport>(packet);
  EXPECT_EQ(read.ntp, report.ntp);
  EXPECT_EQ(read.blocks, report.blocks);
}

TEST(Rtcp, CompoundKeepsOrder) {
  Bytes compound;
  append(compound, ReceiverReport{5, {}});
  append(compound, SourceDescription{5, "alice@junctor"});
  append(compound, Pli{5, 6});
  append(compound, Bye{{5}, "done"});
  EXPECT_EQ(compound.size() % 4, 0U);
  const auto items = parse(compound);
  ASSERT_TRUE(items) << items.error().detail;
  ASSERT_EQ(items->size(), 4U);
  EXPECT_EQ(std::get<ReceiverReport>((*items)[0]).ssrc, 5U);
  EXPECT_EQ(std::get<SourceDescription>((*items)[1]).cname, "alice@junctor");
  EXPECT_EQ(std::get<Pli>((*items)[2]).media, 6U);
  EXPECT_EQ(std::get<Bye>((*items)[3]).reason, "done");
}

TEST(Rtcp, DescriptionOfEveryLengthIsPaddedToAWord) {
  for (std::size_t length = 0; length <= 255; ++length) {
    const std::string cname(length, 'c');
    const Bytes packet = built(SourceDescription{9, cname});
    ASSERT_EQ(packet.size() % 4, 0U);
    EXPECT_EQ(only<SourceDescription>(packet).cname, cname);
  }
}

TEST(Rtcp, ByeReasonOfEveryLength) {
  for (std::size_t length = 1; length <= 255; ++length) {
    const Bytes packet = built(Bye{{1, 2}, std::string(length, 'r')});
    ASSERT_EQ(packet.size() % 4, 0U);
    EXPECT_EQ(only<Bye>(packet).reason.size(), length);
  }
}

// RFC 4585 section 6.3.1 and RFC 5104 section 4.3.1.
TEST(Rtcp, KeyframeRequestBytes) {
  EXPECT_EQ(built(Pli{1, 2}), bytes({0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2}));
  const Bytes fir = built(Fir{1, 2, 200});
  EXPECT_EQ(fir, bytes({0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 200, 0, 0, 0}));
  EXPECT_EQ(only<Fir>(fir).request, 200);
  EXPECT_EQ(only<Fir>(fir).media, 2U);
}

// RFC 4585 section 6.2.1: PID and a mask of the sixteen that follow.
TEST(Rtcp, NackPacksSixteenBehindEach) {
  const Nack nack{1, 2, {10, 11, 26, 27, 65535, 0, 15}};
  const Bytes packet = built(nack);
  EXPECT_EQ(packet.size(), 12U + 3 * 4U);
  EXPECT_EQ(only<Nack>(packet).lost, nack.lost);
  EXPECT_EQ(packet[14], std::byte{0x80});  // 26 is 10 + 16: the highest bit
  EXPECT_EQ(packet[15], std::byte{0x01});  // 11 the lowest
}

TEST(Rtcp, UnknownPacketsAreSkipped) {
  Bytes compound = bytes({0x80, 207, 0, 1, 0, 0, 0, 1});  // extended report, RFC 3611
  append(compound, Pli{1, 2});
  const auto items = parse(compound);
  ASSERT_TRUE(items);
  EXPECT_EQ(items->size(), 1U);
}

TEST(Rtcp, RefusesWhatContradictsItself) {
  Bytes good = built(ReceiverReport{5, {{}}});
  ASSERT_TRUE(parse(good));
  EXPECT_FALSE(parse(bytes({})));
  for (std::size_t length = 1; length < good.size(); ++length)
    EXPECT_FALSE(parse(ByteSpan(good).first(length))) << length;
  Bytes version = good;
  version[0] = std::byte{0x41};
  EXPECT_FALSE(parse(version));
  Bytes count = good;
  count[0] = std::byte{0x82};  // two blocks in the room of one
  EXPECT_FALSE(parse(count));
  Bytes type = good;
  type[1] = std::byte{96};
  EXPECT_FALSE(parse(type));
  Bytes padding = good;
  padding[0] |= std::byte{0x20};
  padding.back() = std::byte{200};
  EXPECT_FALSE(parse(padding));
  Bytes middle = good;
  middle[0] |= std::byte{0x20};
  middle.insert(middle.end(), good.begin(), good.end());
  EXPECT_FALSE(parse(middle));  // padding before the last packet
  EXPECT_FALSE(parse(bytes({0x81, 202, 0, 2, 0, 0, 0, 1, 1, 200, 'a', 'b'})));  // item too long
  EXPECT_FALSE(parse(bytes({0x81, 202, 0, 2, 0, 0, 0, 1, 1, 2, 'a', 'b'})));    // without its end
}
