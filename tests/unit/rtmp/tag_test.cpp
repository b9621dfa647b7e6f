// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/tag.h"

#include <gtest/gtest.h>

#include "common/avc.h"
#include "rtmp/core/aac.h"
#include "wire.h"

using namespace junctor;
using namespace junctor::rtmp;
using namespace junctor::test;

namespace {

// x264's constrained baseline, level 3: SPS and PPS as a publisher sends them.
constexpr const char *kAvcConfig = "01 42c01e ff e1 0009 6742c01ed9014016ec 01 0004 68cb83cb";

/// A reader that has seen the configuration of kAvcConfig.
TagReader avc_reader(const char *config = kAvcConfig) {
  TagReader reader(Medium::Video);
  const auto read = reader.read(shared(std::string("17 00 000000 ") + config), 0);
  EXPECT_TRUE(read) << read.error().detail;
  EXPECT_TRUE(read && read->track);
  return reader;
}

std::string frame_text(const std::optional<Frame> &frame) {
  if (!frame) return "none";
  return std::string(to_string(frame->medium)) + (frame->key ? " key" : "") +
         (frame->droppable ? " droppable" : "") + " " + std::to_string(frame->dts) + "+" +
         std::to_string(frame->composition) + " " + hex(frame->data.view);
}

}  // namespace

// Adobe FLV 10.1, E.4.2.1: the flags' byte of each format.
TEST(AudioTag, PlainCodecsTellTheirTrackOnce) {
  const struct {
    const char *body;
    Codec codec;
    int rate, channels;
  } kRows[] = {
      {"72 d5d5", Codec::Pcma, 8000, 1},   {"70 d5d5", Codec::Pcma, 8000, 1},
      {"73 d5d5", Codec::Pcma, 8000, 2},   {"82 ffff", Codec::Pcmu, 8000, 1},
      {"8f ffff", Codec::Pcmu, 8000, 2},   {"b2 1d02", Codec::Speex, 16000, 1},
      {"b6 1d02", Codec::Speex, 16000, 1}, {"bf 1d02", Codec::Speex, 16000, 1},
  };
  for (const auto &row : kRows) {
    TagReader reader(Medium::Audio);
    const auto first = reader.read(shared(row.body), 20);
    ASSERT_TRUE(first) << row.body;
    ASSERT_TRUE(first->track) << row.body;
    EXPECT_EQ(first->track->codec, row.codec) << row.body;
    EXPECT_EQ(first->track->rate, row.rate) << row.body;
    EXPECT_EQ(first->track->channels, row.channels) << row.body;
    EXPECT_TRUE(first->track->config.view.empty());
    EXPECT_EQ(frame_text(first->frame), "audio 20+0 " + std::string(row.body).substr(3));
    const auto second = reader.read(shared(row.body), 40);
    ASSERT_TRUE(second);
    EXPECT_FALSE(second->track);
    EXPECT_TRUE(second->frame);
  }
}

TEST(AudioTag, HasNoMoreSoundThanIsPlayedAsItComes) {
  TagReader reader(Medium::Audio);
  Bytes most(kMostSoundBytes, std::byte{0xd5});
  most[0] = std::byte{0x72};
  EXPECT_TRUE(reader.read(SharedBytes::copy(most), 0));
  most.push_back(std::byte{0xd5});
  const auto more = reader.read(SharedBytes::copy(most), 0);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().fault, Fault::BadInput);
  EXPECT_TRUE(reader.read(shared("72 d5d5"), 20)) << "the reader stays usable";
}

TEST(AudioTag, AacNeedsItsConfiguration) {
  for (const bool enhanced : {false, true}) {
    const std::string start = enhanced ? "90 'mp4a' " : "af 00 ";
    const std::string coded = enhanced ? "91 'mp4a' " : "af 01 ";
    TagReader reader(Medium::Audio);
    const auto early = reader.read(shared(coded + "21 10 04"), 0);
    ASSERT_TRUE(early);
    EXPECT_EQ(frame_text(early->frame), "none");
    const auto config = reader.read(shared(start + "12 10"), 0);
    ASSERT_TRUE(config) << config.error().detail;
    ASSERT_TRUE(config->track);
    EXPECT_EQ(config->track->codec, Codec::Aac);
    EXPECT_EQ(config->track->rate, 44100);
    EXPECT_EQ(config->track->channels, 2);
    EXPECT_EQ(hex(config->track->config.view), "1210");
    const auto frame = reader.read(shared(coded + "21 10 04"), 23);
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame_text(frame->frame), "audio 23+0 211004");
    // The same again is no news; another is.
    EXPECT_FALSE(reader.read(shared(start + "12 10"), 0)->track);
    EXPECT_TRUE(reader.read(shared(start + "11 90"), 0)->track);
    EXPECT_EQ(reader.track()->rate, 48000);
  }
}

TEST(AudioTag, CodecMayChangeInMidStream) {
  TagReader reader(Medium::Audio);
  ASSERT_TRUE(reader.read(shared("af 00 12 10"), 0)->track);
  const auto alaw = reader.read(shared("72 d5"), 10);
  ASSERT_TRUE(alaw && alaw->track);
  EXPECT_EQ(alaw->track->codec, Codec::Pcma);
  // AAC's old configuration counts no more.
  EXPECT_FALSE(reader.read(shared("af 01 21"), 20)->frame);
}

TEST(VideoTag, AvcWithCompositionTimes) {
  const struct {
    const char *body;
    const char *expected;
  } kRows[] = {
      {"17 01 000000 00000002 6588", "video key 40+0 000000026588"},
      {"27 01 000021 00000002 419a", "video 40+33 00000002419a"},
      {"27 01 ffffd6 00000002 019a", "video droppable 40+-42 00000002019a"},
      // Says "inter" but is an IDR: a decoder can begin here.
      {"27 01 000000 00000002 6588", "video key 40+0 000000026588"},
      // One slice of two is referred to.
      {"27 01 000000 00000001 01 00000001 41", "video 40+0 00000001010000000141"},
      // Parameter sets and an SEI before the slice; an empty NAL unit.
      {"17 01 000000 00000001 67 00000000 00000002 0605 00000002 6588",
       "video key 40+0 0000000167000000000000000206050000000265"
       "88"},
      // No slice at all: nothing to drop it for.
      {"27 01 000000 00000002 0605", "video 40+0 000000020605"},
  };
  for (const auto &row : kRows) {
    TagReader reader = avc_reader();
    const auto read = reader.read(shared(row.body), 40);
    ASSERT_TRUE(read) << row.body << ": " << read.error().detail;
    EXPECT_EQ(frame_text(read->frame), row.expected) << row.body;
    EXPECT_FALSE(read->track);
  }
}

TEST(VideoTag, NalLengthsAsTheConfigurationSays) {
  const struct {
    const char *config;
    const char *good;
    const char *lying;
  } kRows[] = {
      {"01 42c01e fc e1 0004 6742c01e 01 0001 68", "17 01 000000 02 6588 01 65",
       "17 01 000000 03 6588"},
      {"01 42c01e fd e1 0004 6742c01e 01 0001 68", "17 01 000000 0002 6588",
       "17 01 000000 0003 6588"},
      {"01 42c01e ff e1 0004 6742c01e 01 0001 68", "17 01 000000 00000002 6588",
       "17 01 000000 ffffffff 6588"},
  };
  for (const auto &row : kRows) {
    TagReader reader = avc_reader(row.config);
    EXPECT_TRUE(reader.read(shared(row.good), 0)->frame) << row.good;
    const auto lying = reader.read(shared(row.lying), 0);
    ASSERT_FALSE(lying) << row.lying;
    EXPECT_EQ(lying.error().fault, Fault::BadInput);
    // The reader goes on with the next tag.
    EXPECT_TRUE(reader.read(shared(row.good), 0)->frame);
  }
}

TEST(VideoTag, AvcBeforeItsConfigurationIsPassedOver) {
  TagReader reader(Medium::Video);
  const auto read = reader.read(shared("17 01 000000 00000002 6588"), 0);
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->frame);
  EXPECT_FALSE(read->track);
}

TEST(VideoTag, ABadConfigurationLeavesTheOldOne) {
  TagReader reader = avc_reader();
  EXPECT_FALSE(reader.read(shared("17 00 000000 01 42"), 0));
  EXPECT_TRUE(reader.read(shared("27 01 000000 00000002 419a"), 0)->frame);
}

TEST(VideoTag, EndOfSequence) {
  for (const char *body : {"17 02 000000", "17 02", "92 'avc1'", "92 'vp08'"}) {
    TagReader reader = avc_reader();
    const auto read = reader.read(shared(body), 0);
    ASSERT_TRUE(read) << body;
    EXPECT_FALSE(read->track || read->frame) << body;
  }
}

TEST(VideoTag, ModExIsBounded) {
  const auto tag = [](int prefixes) {
    Bytes body = wire("a7");
    for (int i = 0; i < prefixes; ++i) {
      ByteWriter(body).u8(255).u16(1023).raw(Bytes(1024)).u8(i + 1 < prefixes ? 0x07 : 0x03);
    }
    ByteWriter(body).raw(wire("'avc1' 00000002 419a"));
    return SharedBytes::own(std::move(body));
  };
  TagReader reader = avc_reader();
  const auto within = reader.read(tag(4), 0);
  ASSERT_TRUE(within) << within.error().detail;
  EXPECT_TRUE(within->frame);
  const auto beyond = reader.read(tag(5), 0);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().detail, "A tag has more than 4096 bytes of ModEx.");
}

// Enhanced RTMP v2, "Enhanced Video": composition time only in CodedFrames of avc1.
TEST(VideoTag, EnhancedAvc) {
  TagReader reader(Medium::Video);
  const auto config = reader.read(shared(std::string("90 'avc1' ") + kAvcConfig), 0);
  ASSERT_TRUE(config && config->track);
  EXPECT_EQ(config->track->codec, Codec::H264);
  EXPECT_EQ(hex(config->track->config.view), hex(wire(kAvcConfig)));
  const struct {
    const char *body;
    const char *expected;
  } kRows[] = {
      {"91 'avc1' 000010 00000002 6588", "video key 7+16 000000026588"},
      {"93 'avc1' 00000002 6588", "video key 7+0 000000026588"},
      {"a1 'avc1' fffff0 00000002 419a", "video 7+-16 00000002419a"},
      {"a3 'avc1' 00000002 419a", "video 7+0 00000002419a"},
      {"94 'avc1' 02 0000", "none"},  // metadata
      {"d1 00", "none"},              // a command: seek begins
      // ModEx: 3 bytes of nanoseconds, then the packet type proper.
      {"a7 02 0007a1 01 'avc1' 000010 00000002 419a", "video 7+16 00000002419a"},
      {"a7 02 0007a1 03 'avc1' 00000002 419a", "video 7+0 00000002419a"},
      // Two of them; the second has its size in 2 bytes more.
      {"a7 02 0007a1 17 ff 0003 01020304 03 'avc1' 00000002 419a", "video 7+0 00000002419a"},
  };
  for (const auto &row : kRows) {
    const auto read = reader.read(shared(row.body), 7);
    ASSERT_TRUE(read) << row.body << ": " << read.error().detail;
    EXPECT_EQ(frame_text(read->frame), row.expected) << row.body;
  }
}

TEST(VideoTag, Vp8TellsItsSizeWithEachKeyFrame) {
  TagReader reader(Medium::Video);
  const auto start = reader.read(shared("90 'vp08' 00 00 82 02 02 02 0000"), 0);
  ASSERT_TRUE(start);
  EXPECT_FALSE(start->track);
  EXPECT_FALSE(reader.read(shared("a1 'vp08' 31 0000 aa"), 0)->frame) << "no key frame yet";
  const auto key = reader.read(shared("91 'vp08' 300200 9d012a 8002 e001 aa"), 33);
  ASSERT_TRUE(key);
  ASSERT_TRUE(key->track);
  EXPECT_EQ(key->track->codec, Codec::Vp8);
  EXPECT_EQ(key->track->width, 640);
  EXPECT_EQ(key->track->height, 480);
  EXPECT_EQ(frame_text(key->frame), "video key 33+0 3002009d012a8002e001aa");
  const auto inter = reader.read(shared("a1 'vp08' 310000 aa"), 66);
  EXPECT_EQ(frame_text(inter->frame), "video 66+0 310000aa");
  EXPECT_FALSE(reader.read(shared("91 'vp08' 300200 9d012a 8002 e001 bb"), 99)->track);
  EXPECT_TRUE(reader.read(shared("91 'vp08' 300200 9d012a 4001 f000 bb"), 99)->track);
  for (const char *bad :
       {"91 'vp08' 30", "91 'vp08' 300200 9d012b 8002 e001", "91 'vp08' 300200 9d012a 8002"})
    EXPECT_FALSE(reader.read(shared(bad), 0)) << bad;
}

TEST(VideoTag, TheOlderCodecs) {
  const struct {
    const char *body;
    Codec codec;
    const char *expected;
  } kRows[] = {
      {"12 00008400", Codec::Sorenson, "video key 5+0 00008400"},
      {"22 00008400", Codec::Sorenson, "video 5+0 00008400"},
      {"32 00008400", Codec::Sorenson, "video droppable 5+0 00008400"},
      {"18 00008000", Codec::H263, "video key 5+0 00008000"},
      {"28 00008000", Codec::H263, "video 5+0 00008000"},
  };
  for (const auto &row : kRows) {
    TagReader reader(Medium::Video);
    const auto read = reader.read(shared(row.body), 5);
    ASSERT_TRUE(read) << row.body;
    ASSERT_TRUE(read->track);
    EXPECT_EQ(read->track->codec, row.codec);
    EXPECT_EQ(frame_text(read->frame), row.expected);
  }
}

TEST(Tag, WhatIsOfNoConcernIsEmpty) {
  for (const auto medium : {Medium::Audio, Medium::Video}) {
    TagReader reader(medium);
    const auto read = reader.read(shared(""), 0);
    ASSERT_TRUE(read);
    EXPECT_FALSE(read->track || read->frame);
  }
  TagReader video(Medium::Video);
  const auto info = video.read(shared("57 00"), 0);
  ASSERT_TRUE(info);
  EXPECT_FALSE(info->frame);
}

TEST(Tag, RefusesOtherCodecsByName) {
  const struct {
    Medium medium;
    const char *body;
    const char *named;
  } kRows[] = {
      {Medium::Audio, "2f ff", "MP3"},
      {Medium::Audio, "6e 00", "Nellymoser"},
      {Medium::Audio, "91 'Opus' 00", "Opus"},
      {Medium::Audio, "95 01 'mp4a'", "Several"},
      {Medium::Video, "14 00", "VP6"},
      {Medium::Video, "1c 00 000000", "12"},
      {Medium::Video, "90 'hvc1' 00", "hvc1"},
      {Medium::Video, "91 00 0a ff 00", "?"},
      {Medium::Video, "96 01 'avc1'", "Several"},
  };
  for (const auto &row : kRows) {
    TagReader reader(row.medium);
    const auto read = reader.read(shared(row.body), 0);
    ASSERT_FALSE(read) << row.body;
    EXPECT_EQ(read.error().fault, Fault::Refused) << row.body;
    EXPECT_NE(read.error().detail.find(row.named), std::string::npos) << read.error().detail;
  }
}

TEST(Tag, RefusesTruncatedOnes) {
  const struct {
    Medium medium;
    const char *body;
  } kRows[] = {
      {Medium::Audio, "af"},           {Medium::Audio, "af 02 00"},
      {Medium::Audio, "af 00"},        {Medium::Audio, "af 00 12"},
      {Medium::Audio, "91 'mp4'"},     {Medium::Audio, "97"},
      {Medium::Audio, "97 ff ffff"},   {Medium::Video, "17"},
      {Medium::Video, "17 01 0000"},   {Medium::Video, "17 03 000000"},
      {Medium::Video, "17 00 000000"}, {Medium::Video, "91 'avc'"},
      {Medium::Video, "91 'avc1' 00"}, {Medium::Video, "a7 ff 0001 00"},
      {Medium::Video, "a7"},
  };
  for (const auto &row : kRows) {
    TagReader reader(row.medium);
    const auto read = reader.read(shared(row.body), 0);
    ASSERT_FALSE(read) << row.body;
    EXPECT_EQ(read.error().fault, Fault::BadInput) << row.body;
  }
}

TEST(Tag, FramesShareTheMessagesBlock) {
  const SharedBytes body = shared("72 d5d5d5");
  TagReader reader(Medium::Audio);
  const auto read = reader.read(body, 0);
  ASSERT_TRUE(read && read->frame);
  EXPECT_EQ(read->frame->data.owner, body.owner);
  EXPECT_EQ(read->frame->data.view.data(), body.view.data() + 1);
  // A configuration does not: it would hold the block for as long as the stream lives.
  const SharedBytes config = shared("af 00 12 10");
  const auto told = reader.read(config, 0);
  ASSERT_TRUE(told && told->track);
  EXPECT_NE(told->track->config.owner, config.owner);
}

TEST(Tag, WritesTheBytesOfTheStandards) {
  Track avc, vp8, aac, pcma, pcmu, speex, sorenson, h263;
  avc.codec = Codec::H264;
  avc.config = shared(kAvcConfig);
  vp8.codec = Codec::Vp8;
  aac.codec = Codec::Aac;
  aac.config = shared("1210");
  aac.channels = 1;
  pcma.codec = Codec::Pcma;
  pcma.channels = 1;
  pcmu.codec = Codec::Pcmu;
  pcmu.channels = 2;
  speex.codec = Codec::Speex;
  sorenson.codec = Codec::Sorenson;
  h263.codec = Codec::H263;
  Frame key, inter, late, droppable;
  key.key = true;
  late.composition = 33;
  droppable.droppable = true;
  droppable.composition = -2;
  const struct {
    Track track;
    Frame frame;
    TagStyle style;
    const char *prefix;
  } kRows[] = {
      {avc, key, TagStyle::Legacy, "17 01 000000"},
      {avc, inter, TagStyle::Legacy, "27 01 000000"},
      {avc, late, TagStyle::Legacy, "27 01 000021"},
      {avc, droppable, TagStyle::Legacy, "27 01 fffffe"},
      {avc, key, TagStyle::Enhanced, "93 'avc1'"},
      {avc, late, TagStyle::Enhanced, "a1 'avc1' 000021"},
      {vp8, key, TagStyle::Legacy, "91 'vp08'"},
      {vp8, inter, TagStyle::Enhanced, "a1 'vp08'"},
      {sorenson, key, TagStyle::Legacy, "12"},
      {sorenson, droppable, TagStyle::Enhanced, "32"},
      {h263, key, TagStyle::Legacy, "18"},
      {h263, droppable, TagStyle::Legacy, "28"},
      {aac, inter, TagStyle::Legacy, "af 01"},
      {aac, inter, TagStyle::Enhanced, "af 01"},
      {pcma, inter, TagStyle::Legacy, "72"},
      {pcmu, inter, TagStyle::Legacy, "83"},
      {speex, inter, TagStyle::Legacy, "b6"},
  };
  for (const auto &row : kRows)
    EXPECT_EQ(hex(frame_prefix(row.track, row.frame, row.style).view()), hex(wire(row.prefix)))
        << row.prefix;

  EXPECT_EQ(hex(config_body(avc)), hex(wire(std::string("17 00 000000 ") + kAvcConfig)));
  EXPECT_EQ(hex(config_body(avc, TagStyle::Enhanced)),
            hex(wire(std::string("90 'avc1' ") + kAvcConfig)));
  EXPECT_EQ(hex(config_body(aac)), "af001210");
  EXPECT_EQ(hex(config_body(vp8)), hex(wire("90 'vp08' 00 00 82 02 02 02 0000")));
  for (const Track &track : {pcma, pcmu, speex, sorenson, h263}) {
    EXPECT_TRUE(config_body(track).empty());
  }
}

TEST(Tag, ReadsWhatItWrites) {
  const struct {
    Codec codec;
    const char *config;
    const char *data;
  } kRows[] = {
      {Codec::H264, kAvcConfig, "00000002 6588"},
      {Codec::Aac, "1210", "211004"},
      {Codec::Pcma, "", "d5d5"},
      {Codec::Pcmu, "", "ffff"},
      {Codec::Speex, "", "1d02"},
      {Codec::Sorenson, "", "00008400"},
      {Codec::H263, "", "00008000"},
      {Codec::Vp8, "", "300200 9d012a 8002 e001 aa"},
  };
  for (const auto &row : kRows) {
    for (const auto style : {TagStyle::Legacy, TagStyle::Enhanced}) {
      Track track;
      track.codec = row.codec;
      track.config = shared(row.config);
      track.channels = 2;
      Frame frame;
      frame.medium = medium_of(row.codec);
      frame.key = frame.medium == Medium::Video;
      frame.dts = 1000;
      frame.composition = row.codec == Codec::H264 ? -5 : 0;
      frame.data = shared(row.data);
      TagReader reader(frame.medium);
      const auto config = reader.read(SharedBytes::own(config_body(track, style)), 0);
      ASSERT_TRUE(config) << to_string(row.codec) << ": " << config.error().detail;
      Bytes body;
      ByteWriter(body).raw(frame_prefix(track, frame, style).view()).raw(frame.data.view);
      const auto read = reader.read(SharedBytes::own(std::move(body)), frame.dts);
      ASSERT_TRUE(read) << to_string(row.codec) << ": " << read.error().detail;
      EXPECT_EQ(frame_text(read->frame), frame_text(frame)) << to_string(row.codec);
      ASSERT_TRUE(reader.track());
      EXPECT_EQ(reader.track()->codec, row.codec);
      EXPECT_EQ(hex(reader.track()->config.view), hex(track.config.view));
    }
  }
}

// ISO/IEC 14496-15, 5.3.3.1.
TEST(AvcConfig, ReadsAndBuilds) {
  const Bytes record = wire(kAvcConfig);
  const auto config = parse_avc_config(record);
  ASSERT_TRUE(config) << config.error().detail;
  EXPECT_EQ(config->profile, 66);
  EXPECT_EQ(config->constraints, 0xc0);
  EXPECT_EQ(config->level, 30);
  EXPECT_EQ(config->nal_length_size, 4);
  ASSERT_EQ(config->sps.size(), 1u);
  EXPECT_EQ(hex(config->sps[0]), "6742c01ed9014016ec");
  ASSERT_EQ(config->pps.size(), 1u);
  EXPECT_EQ(hex(config->pps[0]), "68cb83cb");
  const auto built = build_avc_config(config->sps, config->pps);
  ASSERT_TRUE(built);
  EXPECT_EQ(hex(*built), hex(record));
  // The header's copies lie; the SPS tells.
  const auto lying = parse_avc_config(wire("01 640029 ff e1 0004 6742c01e 01 0001 68"));
  ASSERT_TRUE(lying);
  EXPECT_EQ(lying->profile, 66);
  // The high profiles go on after the PPS; two of each.
  const auto high = parse_avc_config(
      wire("01 640029 ff e2 0004 67640029 0004 6764000b 02 0002 68ee 0002 68ef fd f8 f8 00"));
  ASSERT_TRUE(high);
  EXPECT_EQ(high->sps.size(), 2u);
  EXPECT_EQ(high->pps.size(), 2u);
  EXPECT_EQ(high->profile, 100);
}

TEST(AvcConfig, RefusesWhatIsWrong) {
  const Bytes record = wire(kAvcConfig);
  for (std::size_t size = 0; size < record.size(); ++size)
    EXPECT_FALSE(parse_avc_config(ByteSpan(record).first(size))) << size;
  for (const char *wrong : {"00 42c01e ff e1 0004 6742c01e 01 0001 68",   // version
                            "01 42c01e fe e1 0004 6742c01e 01 0001 68",   // lengths of 3 bytes
                            "01 42c01e ff e0 01 0001 68",                 // no SPS
                            "01 42c01e ff e1 0004 6742c01e 00",           // no PPS
                            "01 42c01e ff e1 0003 6742c0 01 0001 68",     // an SPS too short
                            "01 42c01e ff e1 0004 6842c01e 01 0001 68",   // an SPS that is a PPS
                            "01 42c01e ff e1 0004 6742c01e 01 0001 67",   // a PPS that is an SPS
                            "01 42c01e ff e1 0004 6742c01e 01 0000",      // an empty PPS
                            "01 42c01e ff e1 ffff 6742c01e 01 0001 68"})  // an SPS beyond the end
    EXPECT_FALSE(parse_avc_config(wire(wrong))) << wrong;
  const Bytes sps = wire("6742c01e"), pps = wire("68cb"), none;
  const ByteSpan good_sps(sps), good_pps(pps), empty(none);
  EXPECT_FALSE(build_avc_config({}, {&good_pps, 1}));
  EXPECT_FALSE(build_avc_config({&good_sps, 1}, {}));
  EXPECT_FALSE(build_avc_config({&good_pps, 1}, {&good_pps, 1}));
  EXPECT_FALSE(build_avc_config({&good_sps, 1}, {&empty, 1}));
  const std::vector<ByteSpan> many(32, good_sps);
  EXPECT_FALSE(build_avc_config(many, {&good_pps, 1}));
}

TEST(AvcConfig, WalksNalUnits) {
  std::vector<std::string> units;
  const auto collect = [&](ByteSpan nal) { units.push_back(hex(nal)); };
  EXPECT_TRUE(for_each_nal(wire("00000001 67 00000000 00000002 6588"), 4, collect));
  EXPECT_EQ(units, (std::vector<std::string>{"67", "6588"}));
  units.clear();
  EXPECT_FALSE(for_each_nal(wire("00000001 67 00000003 6588"), 4, collect));
  EXPECT_FALSE(for_each_nal(wire("00000001 67 000000"), 4, collect));
  EXPECT_TRUE(units.empty()) << "nothing of what is broken is handed out";
}

// ISO/IEC 14496-3, 1.6.2.1.
TEST(AudioSpecificConfig, Reads) {
  const struct {
    const char *bytes;
    int object_type, rate, channels, extension_rate;
  } kRows[] = {
      {"12 10", 2, 44100, 2, 0},
      {"11 90", 2, 48000, 2, 0},
      {"11 88", 2, 48000, 1, 0},
      {"14 08", 2, 16000, 1, 0},
      {"15 88", 2, 8000, 1, 0},
      {"10 38", 2, 96000, 8, 0},
      {"0a 10", 1, 44100, 2, 0},
      {"12 00", 2, 44100, 0, 0},
      {"17 80 3e 80 08", 2, 32000, 1, 0},      // an explicit rate: index 15, then 24 bits
      {"2b 92 08 00", 2, 22050, 2, 44100},     // SBR told at the front (HE-AAC)
      {"eb 8a 08 00", 2, 22050, 1, 44100},     // PS (HE-AAC v2)
      {"13 90 56 e5 a0", 2, 22050, 2, 44100},  // SBR told at the end
      {"12 12 00 00", 2, 44100, 2, 0},         // a core coder's delay of 14 bits
      {"13 80 56 e5 a0", 2, 22050, 0, 0},      // what looks so is the program config element
      {"12 10 56 e5 00", 2, 44100, 2, 0},      // at the end: no SBR
  };
  for (const auto &row : kRows) {
    const auto config = parse_audio_specific_config(wire(row.bytes));
    ASSERT_TRUE(config) << row.bytes << ": " << config.error().detail;
    EXPECT_EQ(config->object_type, row.object_type) << row.bytes;
    EXPECT_EQ(config->rate, row.rate) << row.bytes;
    EXPECT_EQ(config->channels, row.channels) << row.bytes;
    EXPECT_EQ(config->extension_rate, row.extension_rate) << row.bytes;
  }
}

TEST(AudioSpecificConfig, RefusesWhatIsWrong) {
  for (const char *wrong : {"", "12", "16 90", "12 48", "fa 10", "02 10", "17 80 3e", "f8 00",
                            "17 80 00 00 08", "2b 92", "12 12"})
    EXPECT_FALSE(parse_audio_specific_config(wire(wrong))) << wrong;
}

TEST(AudioSpecificConfig, Builds) {
  const struct {
    int object_type, rate, channels;
    const char *bytes;
  } kRows[] = {{2, 44100, 2, "1210"}, {2, 48000, 1, "1188"}, {2, 16000, 1, "1408"},
               {2, 8000, 1, "1588"},  {1, 44100, 2, "0a10"}, {2, 32001, 1, "17803e8088"},
               {2, 96000, 8, "1038"}};
  for (const auto &row : kRows) {
    const auto bytes = build_audio_specific_config(row.object_type, row.rate, row.channels);
    ASSERT_TRUE(bytes);
    EXPECT_EQ(hex(*bytes), row.bytes);
    const auto config = parse_audio_specific_config(*bytes);
    ASSERT_TRUE(config);
    EXPECT_EQ(config->rate, row.rate);
    EXPECT_EQ(config->channels, row.channels);
  }
  EXPECT_FALSE(build_audio_specific_config(0, 44100, 2));
  EXPECT_FALSE(build_audio_specific_config(5, 44100, 2));
  EXPECT_FALSE(build_audio_specific_config(2, 0, 2));
  EXPECT_FALSE(build_audio_specific_config(2, 1 << 24, 2));
  EXPECT_FALSE(build_audio_specific_config(2, 44100, 0));
  EXPECT_FALSE(build_audio_specific_config(2, 44100, 7));
  EXPECT_FALSE(build_audio_specific_config(2, 44100, 9));
}
