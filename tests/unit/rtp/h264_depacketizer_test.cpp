// SPDX-License-Identifier: LGPL-2.1-or-later
// RFC 6184: packets to access units.
#include "rtp/core/h264_depacketizer.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <string>

#include "common/avc.h"
#include "packets.h"
#include "rtp/core/packetizer.h"

namespace junctor::rtp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Bytes bytes_of(std::string_view text) {
  const ByteSpan view = as_bytes(text);
  return {view.begin(), view.end()};
}

// SPS and PPS of x264, constrained baseline, 320x240, and another PPS.
const std::string kSps("\x67\x42\xc0\x0d\xd9\x01\x41\xfb\x01\x10", 10);
const std::string kPps("\x68\xce\x3c\x80", 4), kOtherPps("\x68\xce\x06\xe2", 4);
/// The same id and another level.
const std::string kOtherSps("\x67\x42\xc0\x1e\xd9\x01\x41\xfb\x01\x10", 10);

std::string with_length(const std::string &unit) {
  Bytes bytes;
  ByteWriter(bytes).u32(unit.size()).text(unit);
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

std::string aggregate(const std::vector<std::string> &units) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.u8(24);
  for (const std::string &unit : units) writer.u16(unit.size()).text(unit);
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

class H264 : public testing::Test, protected Unpacking<H264Depacketizer> {
 protected:
  void configure(std::uint64_t timestamp = 0) {
    ASSERT_EQ(add(aggregate({kSps, kPps, "\x65idr"}), timestamp), "");
    ASSERT_EQ(frames_.size(), 1u);
  }
};

TEST_F(H264, AnAccessUnitIsWhatHasOneTimestampUpToTheMarker) {
  EXPECT_EQ(add(aggregate({kSps, kPps}), 0, false), "");
  EXPECT_EQ(add("\x06sei", 0, false), "");
  EXPECT_THAT(frames_, IsEmpty());
  EXPECT_EQ(add("\x65idr", 0), "");
  ASSERT_THAT(texts(), ElementsAre(with_length("\x06sei") + with_length("\x65idr")));
  EXPECT_TRUE(frames_[0].key);
  EXPECT_FALSE(frames_[0].discontinuity);
  EXPECT_EQ(frames_[0].offset, 0);
  const auto config = parse_avc_config(frames_[0].config.view);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->level, 0x0d);
  ASSERT_EQ(config->sps.size(), 1u);
  EXPECT_TRUE(std::ranges::equal(config->sps[0], as_bytes(kSps)));
  EXPECT_TRUE(std::ranges::equal(config->pps[0], as_bytes(kPps)));

  EXPECT_EQ(add("\x41next", 3000), "");
  ASSERT_THAT(texts(), ElementsAre(with_length("\x41next")));
  EXPECT_FALSE(frames_[0].key);
  EXPECT_TRUE(frames_[0].config.view.empty()) << "the same";
}

TEST_F(H264, WithoutAMarkerTheNextTimestampEndsIt) {
  configure();
  EXPECT_EQ(add("\x41one", 3000, false), "");
  EXPECT_THAT(frames_, IsEmpty());
  EXPECT_EQ(add("\x41two", 6000, false), "");
  ASSERT_THAT(texts(), ElementsAre(with_length("\x41one")));
  EXPECT_EQ(frames_[0].offset, -3000) << "its own time";
  EXPECT_EQ(add("\x41three", 9000), "");
  EXPECT_THAT(texts(), ElementsAre(with_length("\x41two"), with_length("\x41three")));
}

TEST_F(H264, FragmentsAreJoined) {
  configure();
  EXPECT_EQ(add("\x7c\x85one", 3000, false), "");
  EXPECT_EQ(add(std::string("\x7c\x05", 2) + "two", 3000, false), "");
  EXPECT_EQ(add("\x7c\x45three", 3000), "");
  ASSERT_THAT(texts(), ElementsAre(with_length("\x65onetwothree")));
  EXPECT_TRUE(frames_[0].key);
}

TEST_F(H264, OfAUnitThatLacksAPartNothingComes) {
  configure();
  // Its middle, its end and its beginning.
  EXPECT_EQ(add("\x41whole", 3000, false), "");
  EXPECT_EQ(add("\x5c\x81one", 3000, false), "");
  EXPECT_EQ(add("\x5c\x41three", 3000, true, true), "");
  ASSERT_THAT(texts(), ElementsAre(with_length("\x41whole")));
  EXPECT_TRUE(frames_[0].discontinuity);

  EXPECT_EQ(add("\x5c\x81one", 6000, false), "");
  EXPECT_EQ(add("\x41whole", 6000, true, true), "");
  ASSERT_THAT(texts(), ElementsAre(with_length("\x41whole")));
  EXPECT_TRUE(frames_[0].discontinuity);

  EXPECT_EQ(add("\x5c\x41three", 9000, false, true), "");
  EXPECT_EQ(add("\x41whole", 9000), "");
  ASSERT_THAT(texts(), ElementsAre(with_length("\x41whole")));
  EXPECT_TRUE(frames_[0].discontinuity);

  EXPECT_EQ(add("\x41whole", 12000), "");
  EXPECT_FALSE(frames_.at(0).discontinuity);
}

TEST_F(H264, NotAllSayWhichPartIsTheLast) {
  configure();
  EXPECT_EQ(add("\x5c\x81one", 3000, false), "");
  EXPECT_EQ(add(std::string("\x5c\x01", 2) + "two", 3000), "");
  EXPECT_THAT(texts(), ElementsAre(with_length("\x41onetwo")));
  EXPECT_EQ(add("\x5c\x81one", 6000, false), "");
  EXPECT_EQ(add("\x5c\x81two", 6000, false), "");
  EXPECT_EQ(add("\x41whole", 6000, false), "");
  EXPECT_EQ(add("\x5c\x81last", 6000, false), "");
  EXPECT_EQ(add("\x41next", 9000), "");
  EXPECT_THAT(texts(), ElementsAre(with_length("\x41one") + with_length("\x41two") +
                                       with_length("\x41whole") + with_length("\x41last"),
                                   with_length("\x41next")));
  for (const UnpackedFrame &frame : frames_) EXPECT_FALSE(frame.discontinuity);
}

TEST_F(H264, ALossIsToldOfEachPictureThatItConcerns) {
  configure();
  EXPECT_EQ(add("\x41one", 3000, false), "");
  // Lost: the last packet of this one and the first of the next.
  EXPECT_EQ(add("\x41two", 6000, true, true), "");
  ASSERT_EQ(frames_.size(), 2u);
  EXPECT_TRUE(frames_[0].discontinuity);
  EXPECT_TRUE(frames_[1].discontinuity);
}

/// A number below 255 as ue(v).
std::string golomb(unsigned number) {
  std::string bits;
  for (unsigned value = number + 1; value > 0; value /= 2)
    bits.insert(bits.begin(), value % 2 != 0 ? '1' : '0');
  return std::string(bits.size() - 1, '0') + bits;
}

std::string packed(const std::string &head, const std::string &bits) {
  std::string bytes = head + std::string(bits.size() / 8 + 1, '\0');
  for (std::size_t n = 0; n < bits.size(); ++n)
    if (bits[n] == '1') bytes[head.size() + n / 8] |= static_cast<char>(0x80 >> n % 8);
  return bytes;
}

std::string sps(unsigned id) { return packed("\x67\x42\xc0\x0d", golomb(id) + "1111"); }
std::string pps(unsigned id, unsigned sps) {
  return packed("\x68", golomb(id) + golomb(sps) + "1111");
}

TEST_F(H264, SetsThatAreNumberedAnewWithEachKeyframe) {
  SharedBytes record;
  for (unsigned n = 0; n < 300; ++n) {
    const unsigned id = n % 32, other = n % 256;
    ASSERT_EQ(add(aggregate({sps(id), pps(other, id), "\x65idr"}), 3000 * n), "");
    ASSERT_EQ(frames_.size(), 1u) << n;
    if (!frames_[0].config.view.empty()) record = frames_[0].config;
    const auto config = parse_avc_config(record.view);
    ASSERT_TRUE(config) << n;
    const auto has = [](const std::vector<ByteSpan> &sets, const std::string &wanted) {
      return std::ranges::any_of(
          sets, [&](ByteSpan set) { return std::ranges::equal(set, as_bytes(wanted)); });
    };
    EXPECT_TRUE(has(config->sps, sps(id))) << n;
    EXPECT_TRUE(has(config->pps, pps(other, id))) << n;
  }
}

TEST_F(H264, APictureSetWhoseSequenceSetIsMissingStaysOut) {
  EXPECT_EQ(add(aggregate({sps(0), pps(0, 0), pps(1, 7), "\x65idr"}), 0), "");
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_EQ(parse_avc_config(frames_[0].config.view)->pps.size(), 1u);
  EXPECT_EQ(add(aggregate({sps(7), "\x65idr"}), 3000), "");
  EXPECT_EQ(parse_avc_config(frames_.at(0).config.view)->pps.size(), 2u) << "now it is there";
}

TEST_F(H264, ASetHasABound) {
  configure();
  EXPECT_EQ(add(aggregate({pps(3, 0) + std::string(1100, 'x'), "\x65idr"}), 3000), "");
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_TRUE(frames_[0].config.view.empty());
}

TEST_F(H264, NothingIsGivenBeforeThereAreParameterSets) {
  EXPECT_FALSE(depacketizer_.wants_keyframe());
  EXPECT_EQ(add("\x41one", 0), "");
  EXPECT_EQ(add(aggregate({kSps, "\x65idr"}), 3000), "");
  EXPECT_THAT(frames_, IsEmpty());
  EXPECT_TRUE(depacketizer_.wants_keyframe());
  EXPECT_TRUE(depacketizer_.config().view.empty());
  EXPECT_EQ(add(aggregate({kPps, "\x65idr"}), 6000), "");
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_FALSE(depacketizer_.wants_keyframe());
  EXPECT_TRUE(frames_[0].discontinuity);
  EXPECT_EQ(text_of(frames_[0].config), text_of(depacketizer_.config()));
}

TEST_F(H264, SetsOfTheDescriptionAreKnownFromTheBeginning) {
  const std::vector<Bytes> sets{bytes_of(kSps), Bytes(), bytes_of("\x41slice"), bytes_of(kPps)};
  depacketizer_ = H264Depacketizer(sets);
  EXPECT_FALSE(depacketizer_.config().view.empty());
  EXPECT_EQ(add("\x65idr", 0), "");
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_TRUE(frames_[0].config.view.empty()) << "nothing new";
  EXPECT_EQ(add(aggregate({kSps, kPps, "\x65idr"}), 3000), "");
  EXPECT_TRUE(frames_[0].config.view.empty()) << "still nothing new";
}

TEST_F(H264, AnotherSetIsAnotherConfiguration) {
  configure();
  EXPECT_EQ(add(aggregate({kOtherSps, kOtherPps, "\x65idr"}), 3000), "");
  ASSERT_EQ(frames_.size(), 1u);
  const auto config = parse_avc_config(frames_[0].config.view);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->level, 0x1e);
  EXPECT_EQ(config->sps.size(), 1u) << "in place of the one of the same id";
  EXPECT_TRUE(std::ranges::equal(config->pps[0], as_bytes(kOtherPps)));
  // In fragments, too, and without a picture: it comes with the next one.
  EXPECT_EQ(add(std::string("\x7c\x87") + kSps.substr(1, 5), 6000, false), "");
  EXPECT_EQ(add(std::string("\x7c\x47") + kSps.substr(6), 6000), "");
  EXPECT_THAT(frames_, IsEmpty());
  EXPECT_EQ(add("\x65idr", 9000), "");
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_EQ(parse_avc_config(frames_[0].config.view)->level, 0x0d);
}

TEST_F(H264, WhatCannotBeReadIsSaidAndLeftOut) {
  configure();
  const std::pair<std::string, const char *> bad[] = {
      {std::string("\x18\0\x0ashort", 8), "longer than its packet"},
      {"\x7c", "FU-A without a header"},
      {"\x19stap-b", "a payload of type 25"},
      {"\x5d\x81"
       "b",
       "a payload of type 29"},
      {std::string("\0zero", 5), "a payload of type 0"},
  };
  std::uint64_t timestamp = 3000;
  for (const auto &[payload, why] : bad) {
    EXPECT_THAT(add(payload, timestamp), HasSubstr(why));
    EXPECT_THAT(frames_, IsEmpty());
    EXPECT_EQ(add("\x41next", timestamp += 3000), "");
    ASSERT_EQ(frames_.size(), 1u) << why;
    EXPECT_TRUE(frames_[0].discontinuity) << why;
    timestamp += 3000;
  }
  EXPECT_EQ(add(aggregate({"\x41next"}) + "x", timestamp), "") << "a byte too many does no harm";
  EXPECT_THAT(texts(), ElementsAre(with_length("\x41next")));
  EXPECT_EQ(add("", timestamp), "") << "what keeps a binding open";
  EXPECT_THAT(frames_, IsEmpty());
}

TEST_F(H264, APictureHasABound) {
  configure();
  const std::string large = "\x41" + std::string(60000, 'x');
  std::string why;
  std::size_t count = 0;
  for (; why.empty() && count < 1000; ++count) why = add(large, 3000, false);
  EXPECT_THAT(why, HasSubstr("more than 4 MiB"));
  EXPECT_EQ(count, H264Depacketizer::kMostBytes / 60005 + 1);
  EXPECT_EQ(add("\x5c\x81one", 3000, false), "");
  for (count = 0, why.clear(); why.empty() && count < 10; ++count)
    why = add(std::string("\x5c\x01") + large, 3000, false);
  EXPECT_THAT(why, HasSubstr("more than 4 MiB"));
}

TEST_F(H264, AnotherSourceBeginsAnew) {
  configure();
  EXPECT_EQ(add("\x65one", 3000, false), "");
  EXPECT_EQ(add("\x41new", 3000, true, false, true), "");
  ASSERT_THAT(texts(), ElementsAre(with_length("\x41new")));
  EXPECT_FALSE(frames_[0].key);
}

TEST_F(H264, GivesWhatOurPacketizerTook) {
  const std::vector<Bytes> sets{bytes_of(kSps), bytes_of(kPps)};
  depacketizer_ = H264Depacketizer(sets);
  auto packetizer = H264Packetizer::make(depacketizer_.config().view);
  ASSERT_TRUE(packetizer);
  for (const bool single : {false, true}) {
    (*packetizer)->set_single_nal(single);
    const std::string unit = with_length("\x06sei") + with_length("\x41slice") +
                             with_length("\x41" + std::string(single ? 900 : 5000, 'y'));
    std::vector<OutgoingPacket> packets;
    Frame frame;
    frame.data = SharedBytes::own(bytes_of(unit));
    ASSERT_TRUE((*packetizer)->add(frame, packets));
    std::vector<std::string> came;
    for (const OutgoingPacket &packet : packets) {
      const std::string prefix(reinterpret_cast<const char *>(packet.prefix.data()),
                               packet.prefix_size);
      const std::string payload = prefix + text_of(packet.payload);
      EXPECT_EQ(add(payload, single ? 1 : 0, packet.marker), "");
      for (const std::string &text : texts()) came.push_back(text);
    }
    EXPECT_THAT(came, ElementsAre(unit));
  }
}

}  // namespace
}  // namespace junctor::rtp
