// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/depacketizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "packets.h"

namespace junctor::rtp {
namespace {

using testing::HasSubstr;

const Format &format_named(std::string_view name) {
  for (const Format &format : formats())
    if (format.encoding_name == name) return format;
  ADD_FAILURE() << name;
  return formats().front();
}

std::string text(const UnpackedFrame &frame) { return text_of(frame.data); }

/// RFC 3640 section 3.2.1: the length of the headers in bits, and for each its unit's size and an
/// index of 0.
std::string headers(const std::vector<std::size_t> &sizes) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.u16(sizes.size() * 16);
  for (const std::size_t size : sizes) writer.u16(size << 3);
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

class Aac : public testing::Test, protected Unpacking<AacDepacketizer> {
 protected:
  /// A part of the unit "hello world".
  IncomingPacket part(const std::string &piece, bool last = false, std::uint64_t timestamp = 0) {
    return packet_of(headers({11}) + piece, timestamp, last);
  }
};

TEST(Depacketizer, IsThereForWhatHasOne) {
  for (const Format &format : formats()) {
    const bool wanted = format.encoding_name != "MP4A-LATM" && format.encoding_name != "H263";
    EXPECT_EQ(has_depacketizer(format), wanted) << format.encoding_name;
    EXPECT_EQ(make_depacketizer(format) != nullptr, has_depacketizer(format));
  }
}

TEST(Depacketizer, GivesWholePayloadsWithoutCopyingThem) {
  for (const char *name : {"PCMA", "PCMU", "SPEEX"}) {
    const auto depacketizer = make_depacketizer(format_named(name));
    std::vector<UnpackedFrame> frames;
    IncomingPacket packet = packet_of("samples");
    EXPECT_TRUE(depacketizer->add(packet, frames));
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(text(frames[0]), "samples");
    EXPECT_EQ(frames[0].data.owner, packet.packet.owner);
    EXPECT_EQ(frames[0].offset, 0U);
    EXPECT_EQ(frames[0].length, std::string(name) == "SPEEX" ? 0U : 7U);
    EXPECT_FALSE(frames[0].discontinuity);
    packet.discontinuity = true;
    EXPECT_TRUE(depacketizer->add(packet, frames));
    ASSERT_EQ(frames.size(), 2U);
    EXPECT_TRUE(frames[1].discontinuity);
    EXPECT_TRUE(depacketizer->add(packet_of(""), frames));
    EXPECT_EQ(frames.size(), 2U) << "nothing is no frame";
  }
}

TEST_F(Aac, OneUnitIsAFrame) {
  const IncomingPacket packet = packet_of(headers({5}) + "hello");
  EXPECT_EQ(add(packet), "");
  ASSERT_EQ(frames_.size(), 1U);
  EXPECT_EQ(text(frames_[0]), "hello");
  EXPECT_EQ(frames_[0].data.owner, packet.packet.owner);
}

TEST_F(Aac, SeveralUnitsAreTheirFramesInTime) {
  EXPECT_EQ(add(packet_of(headers({5, 0, 6}) + "hello world")), "");
  ASSERT_EQ(frames_.size(), 2U);
  EXPECT_EQ(text(frames_[0]), "hello");
  EXPECT_EQ(frames_[0].offset, 0U);
  EXPECT_EQ(text(frames_[1]), " world");
  EXPECT_EQ(frames_[1].offset, 2048U);
  for (const UnpackedFrame &frame : frames_) EXPECT_EQ(frame.length, 1024U);
}

TEST_F(Aac, WhatTheFirstIndexSaysDoesNotMatter) {
  EXPECT_EQ(add(packet_of(std::string("\0\x10\0\x2b", 4) + "hello")), "");
  ASSERT_EQ(frames_.size(), 1U);
  EXPECT_EQ(text(frames_[0]), "hello");
}

TEST_F(Aac, PartsAreOneFrameWhenAllAreThere) {
  EXPECT_EQ(add(part("hell")), "");
  EXPECT_TRUE(frames_.empty());
  EXPECT_EQ(add(part("o wo")), "");
  EXPECT_TRUE(frames_.empty());
  EXPECT_EQ(add(part("rld", true)), "");
  ASSERT_EQ(frames_.size(), 1U);
  EXPECT_EQ(text(frames_[0]), "hello world");
  EXPECT_FALSE(frames_[0].discontinuity);
}

TEST_F(Aac, AUnitOfWhichAPartIsLostIsMissed) {
  EXPECT_EQ(add(part("hell")), "");
  IncomingPacket last = part("rld", true);
  last.discontinuity = true;
  EXPECT_EQ(add(last), "") << "a loss is nobody's fault";
  EXPECT_TRUE(frames_.empty());
  EXPECT_EQ(add(packet_of(headers({2}) + "on", 1024)), "");
  ASSERT_EQ(frames_.size(), 1U);
  EXPECT_TRUE(frames_[0].discontinuity);
  EXPECT_EQ(add(packet_of(headers({2}) + "on", 2048)), "");
  EXPECT_FALSE(frames_[0].discontinuity);
}

TEST_F(Aac, AUnitThatEndsTooEarlyIsRefused) {
  EXPECT_EQ(add(part("hell")), "");
  EXPECT_THAT(add(part("rld", true)), HasSubstr("7 bytes of an access unit that has 11"));
  EXPECT_TRUE(frames_.empty());
}

TEST_F(Aac, AUnitWhoseEndNeverComesIsMissed) {
  for (const bool next_in_parts : {true, false}) {
    EXPECT_EQ(add(part("hello", false, 0)), "");
    if (next_in_parts) {
      EXPECT_EQ(add(part("hello ", false, 1024)), "");
      EXPECT_EQ(add(part("world", true, 1024)), "");
    } else {
      EXPECT_EQ(add(packet_of(headers({11}) + "hello world", 1024)), "");
    }
    ASSERT_EQ(frames_.size(), 1U);
    EXPECT_EQ(text(frames_[0]), "hello world");
    EXPECT_TRUE(frames_[0].discontinuity);
  }
}

TEST_F(Aac, MorePartsThanTheUnitHasAreRefused) {
  EXPECT_EQ(add(part("hello wor")), "");
  EXPECT_THAT(add(part("hello wor")), HasSubstr("18 bytes of an access unit that has 11"));
  EXPECT_EQ(add(part("hello world", true)), "") << "the next is welcome";
}

TEST_F(Aac, AnotherSourceDoesNotGoOnWithTheUnitOfTheOneBefore) {
  EXPECT_EQ(add(part("hello ")), "");
  IncomingPacket other = part("world");
  other.new_source = true;
  EXPECT_EQ(add(other), "");
  EXPECT_TRUE(frames_.empty());
}

TEST_F(Aac, WhatCannotBeReadIsNamed) {
  EXPECT_THAT(add(packet_of(std::string("\0\x08", 2) + "hello")), HasSubstr("8 bits"));
  EXPECT_THAT(add(packet_of(std::string("\0\0", 2) + "hello")), HasSubstr("0 bits"));
  EXPECT_THAT(add(packet_of(std::string("\xff\xf0\0\x28", 4))),
              HasSubstr("longer than its packet"));
  EXPECT_THAT(add(packet_of("h")), HasSubstr("0 bits"));
  EXPECT_THAT(add(packet_of(headers({5, 7}) + "hello world")),
              HasSubstr("of 12 bytes, of which 11"));
  EXPECT_THAT(add(packet_of(std::string("\0\x20\0\x28\0\x31", 6) + "hello world")),
              HasSubstr("interleaved"));
  EXPECT_EQ(add(packet_of("")), "") << "which keeps a NAT's binding open";
  EXPECT_EQ(add(packet_of(headers({5}) + "hello")), "");
  ASSERT_EQ(frames_.size(), 1U);
  EXPECT_TRUE(frames_[0].discontinuity);
}

}  // namespace
}  // namespace junctor::rtp
