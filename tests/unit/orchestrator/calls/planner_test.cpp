// SPDX-License-Identifier: LGPL-2.1-or-later
// Routes of media, as a table.
#include "calls/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "calls/launch_line.h"
#include "calls/sentence.h"
#include "media_fixture.h"
#include "rtp/core/depacketizer.h"

namespace junctor::calls {
namespace {

rtmp::Track h264(std::uint8_t profile, std::uint8_t constraints, std::uint8_t level) {
  rtmp::Track track;
  track.codec = Codec::H264;
  track.config = avcc(profile, constraints, level);
  return track;
}

rtmp::Track sound(Codec codec) {
  rtmp::Track track;
  track.codec = codec;
  return track;
}

PushTracks tracks(Codec audio, std::optional<rtmp::Track> video) {
  PushTracks push;
  push.audio = sound(audio);
  push.video = std::move(video);
  return push;
}

const rtmp::Track kBaseline = h264(66, 0xc0, 30);
const rtmp::Track kHigh = h264(100, 0, 40);

struct AudioRow {
  Codec push, callee, pull;
  bool transcoded_there, transcoded_back;
};
class AudioRoutes : public testing::TestWithParam<AudioRow> {};

TEST_P(AudioRoutes, PassWhatIsTheSameAndTranscodeTheRest) {
  const AudioRow &row = GetParam();
  const Plan plan = make_plan({media(row.callee)}, tracks(row.push, std::nullopt),
                              PullCodecs{row.pull, Codec::H264});
  const Route &there = plan.callee(Medium::Audio), &back = plan.caller(Medium::Audio);
  EXPECT_TRUE(there.flows);
  EXPECT_EQ(there.from, row.push);
  EXPECT_EQ(there.to, row.callee);
  EXPECT_EQ(there.transcoded, row.transcoded_there) << there.reason;
  EXPECT_TRUE(back.flows);
  EXPECT_EQ(back.from, row.callee);
  EXPECT_EQ(back.to, row.pull);
  EXPECT_EQ(back.transcoded, row.transcoded_back) << back.reason;
  EXPECT_EQ(there.reason.back(), '.');
  EXPECT_EQ(back.reason.back(), '.');
}

INSTANTIATE_TEST_SUITE_P(
    All, AudioRoutes,
    testing::Values(AudioRow{Codec::Aac, Codec::Pcma, Codec::Aac, true, true},
                    AudioRow{Codec::Aac, Codec::Pcmu, Codec::Pcmu, true, false},
                    AudioRow{Codec::Pcma, Codec::Pcma, Codec::Pcma, false, false},
                    AudioRow{Codec::Pcmu, Codec::Pcmu, Codec::Aac, false, true},
                    AudioRow{Codec::Pcma, Codec::Pcmu, Codec::Pcma, true, true},
                    AudioRow{Codec::Pcmu, Codec::Pcma, Codec::Pcmu, true, true}));

struct VideoRow {
  const char *name;
  rtmp::Track push;
  const char *fmtp;
  bool transcoded, single_nal;
};
class VideoRoutes : public testing::TestWithParam<VideoRow> {};

TEST_P(VideoRoutes, PassWhereProfileAndPacketizationAllow) {
  const VideoRow &row = GetParam();
  const Plan plan = make_plan({media(Codec::Pcma), media(Codec::H264, row.fmtp)},
                              tracks(Codec::Aac, row.push), PullCodecs{});
  const Route &there = plan.callee(Medium::Video);
  EXPECT_TRUE(there.flows);
  EXPECT_EQ(there.transcoded, row.transcoded) << there.reason;
  EXPECT_EQ(there.single_nal, row.single_nal) << there.reason;
  EXPECT_EQ(there.level != nullptr, row.transcoded);
  EXPECT_FALSE(plan.caller(Medium::Video).transcoded) << "players decode any profile";
}

INSTANTIATE_TEST_SUITE_P(
    All, VideoRoutes,
    testing::Values(
        VideoRow{"same", kBaseline, "profile-level-id=42c01e;packetization-mode=1", false, false},
        VideoRow{"lower", kBaseline, "profile-level-id=42e01f;packetization-mode=1", false, false},
        VideoRow{"level", kBaseline, "profile-level-id=42e00d;packetization-mode=1", true, false},
        VideoRow{"profile", kHigh, "profile-level-id=42e028;packetization-mode=1", true, false},
        VideoRow{"mode0", kBaseline, "profile-level-id=42e01f", true, true}),
    [](const auto &info) { return info.param.name; });

TEST(Planner, KeepsTheEncoderToThePhonesLevel) {
  const Plan plan = make_plan({media(Codec::H264, "profile-level-id=42e00d;packetization-mode=1")},
                              tracks(Codec::Aac, kHigh), PullCodecs{});
  ASSERT_NE(plan.callee(Medium::Video).level, nullptr);
  EXPECT_EQ(plan.callee(Medium::Video).level->name, "1.3");
  EXPECT_EQ(plan.callee(Medium::Video).level->max_width, 352);
}

TEST(Planner, KeepsTheEncoderToTheRateThatThePhoneAsksFor) {
  auto asks = media(Codec::H264, "profile-level-id=42e01f;packetization-mode=1");
  const auto planned = [&](int kbit) {
    asks.kbit_per_second = kbit;
    return make_plan({asks}, tracks(Codec::Aac, kHigh), PullCodecs{}).callee(Medium::Video);
  };
  const auto encoded_at = [&](int kbit) { return encoder_holes(planned(kbit)).at("kbit").text(); };
  EXPECT_EQ(encoded_at(384), "384");
  EXPECT_EQ(encoded_at(0), "1800");
  EXPECT_EQ(encoded_at(5000), "1800");
  EXPECT_EQ(encoded_at(1), "60");
  EXPECT_TRUE(planned(384).reason.ends_with(", within the 384 kbit/s that it asks for."))
      << planned(384).reason;
}

TEST(Planner, TurnsTheRoomForThePictureWithThePicture) {
  const auto media_line = media(Codec::H264, "profile-level-id=42e01f;packetization-mode=1");
  rtmp::Track upright = kHigh, lying = kHigh;
  upright.width = lying.height = 1080;
  upright.height = lying.width = 1920;
  EXPECT_TRUE(make_plan({media_line}, tracks(Codec::Aac, upright), std::nullopt)
                  .callee(Medium::Video)
                  .upright);
  EXPECT_FALSE(make_plan({media_line}, tracks(Codec::Aac, lying), std::nullopt)
                   .callee(Medium::Video)
                   .upright);
}

TEST(Planner, MixesStereoDownForThePhone) {
  PushTracks push = tracks(Codec::Pcma, std::nullopt);
  push.audio->channels = 2;
  const Plan plan = make_plan({media(Codec::Pcma)}, push, std::nullopt);
  EXPECT_TRUE(plan.callee(Medium::Audio).transcoded);
  EXPECT_NE(plan.callee(Medium::Audio).reason.find("stereo"), std::string::npos);
  push.audio->channels = 1;
  EXPECT_FALSE(
      make_plan({media(Codec::Pcma)}, push, std::nullopt).callee(Medium::Audio).transcoded);
}

TEST(Planner, MakesAnAudioCallOfAPhoneWithoutVideo) {
  sip::Media refused = media(Codec::H264);
  refused.accepted = false;
  const Plan plan =
      make_plan({media(Codec::Pcma), refused}, tracks(Codec::Aac, kBaseline), PullCodecs{});
  EXPECT_FALSE(plan.callee(Medium::Video).flows);
  EXPECT_TRUE(plan.is_pushed(Side::Caller, Medium::Video)) << "though in vain";
  EXPECT_FALSE(plan.caller(Medium::Video).flows);
  EXPECT_TRUE(plan.callee(Medium::Audio).flows);
  const auto steps = plan.steps();
  ASSERT_EQ(steps.size(), 4u);
  EXPECT_EQ(steps[0].from, "none");
  EXPECT_EQ(steps[2].reason,
            "The callee has no video: the pull terminal gets a picture that says "
            "so.");
}

TEST(Planner, LeavesOutTracksThatThePushTerminalDoesNotSend) {
  const Plan plan = make_plan({media(Codec::Pcma), media(Codec::H264)}, {}, PullCodecs{});
  EXPECT_FALSE(plan.callee(Medium::Audio).flows);
  EXPECT_FALSE(plan.callee(Medium::Video).flows);
  EXPECT_TRUE(plan.caller(Medium::Audio).flows);
  EXPECT_TRUE(plan.caller(Medium::Video).flows);
}

TEST(Planner, SendsNothingBackWhileNobodyHasPlayed) {
  const Plan plan = make_plan({media(Codec::Pcma), media(Codec::H264)},
                              tracks(Codec::Aac, kBaseline), std::nullopt);
  EXPECT_TRUE(plan.callee(Medium::Audio).flows);
  EXPECT_FALSE(plan.caller(Medium::Audio).flows);
  EXPECT_FALSE(plan.caller(Medium::Video).flows);
  EXPECT_EQ(plan.caller(Medium::Video).reason, "No pull terminal has played yet.");
}

TEST(PullCodecs, AreFixedByThePlay) {
  const auto defaults = pull_codecs({{"token", "x"}});
  ASSERT_TRUE(defaults);
  EXPECT_EQ(*defaults, (PullCodecs{Codec::Aac, Codec::H264}));
  const auto asked = pull_codecs({{"audio", "pcmu"}, {"video", "h264"}});
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->audio, Codec::Pcmu);
}

TEST(PullCodecs, RefuseWhatCannotBeWritten) {
  for (const char *name : {"h264", "opus", "", "x"}) {
    const auto codecs = pull_codecs({{"audio", name}});
    EXPECT_EQ(static_cast<bool>(codecs), *name == '\0') << name;
    if (!codecs) {
      EXPECT_NE(codecs.error().detail.find("pcma, pcmu, aac, speex"), std::string::npos);
    }
  }
}

TEST(PullCodecs, AreAllThatThereAre) {
  for (const CodecRow &row : codec_rows()) {
    const Medium medium = medium_of(row.codec);
    const auto codecs =
        pull_codecs({{std::string(to_string(medium)), std::string(to_string(row.codec))}});
    ASSERT_TRUE(codecs) << row.spoken;
    EXPECT_EQ(medium == Medium::Audio ? codecs->audio : codecs->video, row.codec);
  }
}

TEST(CodecTable, HasBothEndsForEveryFormatOfSip) {
  for (const rtp::Format &format : rtp::formats()) {
    const FormatRow *row = find_format_row(format);
    ASSERT_NE(row, nullptr) << format.encoding_name << "/" << format.clock_rate;
    EXPECT_EQ(row->depay.empty(), rtp::has_depacketizer(format)) << format.encoding_name;
  }
  for (const Codec codec : {Codec::Pcma, Codec::Pcmu, Codec::Aac, Codec::Speex, Codec::H263,
                            Codec::Sorenson, Codec::H264, Codec::Vp8}) {
    const CodecRow *row = find_codec_row(codec);
    ASSERT_NE(row, nullptr) << to_string(codec);
    EXPECT_FALSE(row->encode.empty()) << to_string(codec);
    EXPECT_GT(row->decode_percent + row->encode_percent, 0) << to_string(codec);
  }
}

// RFC 5574: the modes of 8 kHz have numbers of their own, others are qualities.
TEST(Planner, EncodesSpeexInTheModeThatThePhonePrefers) {
  const struct {
    std::uint32_t rate;
    const char *fmtp;
    int quality;
  } kRows[] = {{8000, "", 8},
               {8000, "mode=\"any\"", 8},
               {8000, "mode=\"3,any\"", 4},
               {8000, "mode=\"8\"", 1},
               {8000, "mode=7;vbr=on", 10},
               {16000, "mode=\"5,any\"", 5},
               {16000, "mode=10", 10},
               {16000, "", 8}};
  for (const auto &row : kRows) {
    sip::Media agreed = media(Codec::Speex, row.fmtp);
    agreed.format = rtp::find_format("SPEEX", row.rate, 1);
    const Plan plan = make_plan({agreed}, tracks(Codec::Pcma, kBaseline), PullCodecs{});
    const Route &route = plan.callee(Medium::Audio);
    EXPECT_TRUE(route.transcoded);
    EXPECT_EQ(route.speex_quality, row.quality) << row.rate << ' ' << row.fmtp;
    EXPECT_EQ(encoder_holes(route).at("speex_quality").text(), std::to_string(row.quality));
  }
}

/// Every codec of RTMP against every format of SIP, both ways.
TEST(Planner, HasARouteForEveryPair) {
  for (const rtp::Format &format : rtp::formats())
    for (const CodecRow &row : codec_rows()) {
      const Medium medium = medium_of(format.codec);
      if (medium_of(row.codec) != medium) continue;
      const std::string pair = std::string(row.spoken) + " and " +
                               std::string(format.encoding_name) + "/" +
                               std::to_string(format.clock_rate);
      sip::Media agreed = media(format.codec);
      agreed.format = &format;
      rtmp::Track track;
      track.codec = row.codec;
      PushTracks push;
      (medium == Medium::Audio ? push.audio : push.video) = track;
      PullCodecs pull;
      (medium == Medium::Audio ? pull.audio : pull.video) = row.codec;
      const Plan plan = make_plan({agreed}, push, pull);
      const Route &there = plan.callee(medium), &back = plan.caller(medium);
      EXPECT_TRUE(there.flows) << pair << ": " << there.reason;
      EXPECT_TRUE(back.flows) << pair << ": " << back.reason;
      EXPECT_EQ(there.from, row.codec);
      EXPECT_EQ(there.to, format.codec);
      EXPECT_EQ(back.from, format.codec);
      EXPECT_EQ(back.to, row.codec);
      EXPECT_EQ(there.to_format, find_format_row(format)) << pair;
      if (row.codec != format.codec) {
        EXPECT_TRUE(there.transcoded && back.transcoded) << pair;
      }
      for (const PlanStep &step : plan.steps()) {
        EXPECT_EQ(step.reason.back(), '.') << step.reason;
        if (step.medium != medium) continue;
        // Passing through costs the carrying alone.
        EXPECT_EQ(step.cpu_percent,
                  step.transcoded ? step.cpu_percent : (medium == Medium::Video ? 0.8 : 0.3))
            << pair;
        EXPECT_GT(step.cpu_percent, 0.2) << pair;
      }
    }
}

sip::Media aac_media(const char *encoding, const char *fmtp) {
  sip::Media agreed = media(Codec::Pcma);
  agreed.format = rtp::find_format(encoding, 44100, 1);
  agreed.fmtp = fmtp;
  return agreed;
}

rtmp::Track aac(std::initializer_list<std::uint8_t> config) {
  rtmp::Track track = sound(Codec::Aac);
  const std::vector<std::uint8_t> bytes(config);
  track.config = SharedBytes::copy(std::as_bytes(std::span(bytes)));
  return track;
}

/// ISO/IEC 14496-3: 12 08 is LC, 44100 Hz, one channel; 11 90 is LC, 48000 Hz, two.
TEST(Planner, PassesAacOfTheSameRateAndChannels) {
  constexpr const char *kGeneric =
      "streamtype=5;mode=AAC-hbr;config=1208;sizelength=13;indexlength=3;indexdeltalength=3";
  constexpr const char *kLatm = "cpresent=0;config=400024103fc0";
  for (const auto &agreed : {aac_media("MPEG4-GENERIC", kGeneric), aac_media("MP4A-LATM", kLatm)}) {
    PushTracks push;
    push.audio = aac({0x12, 0x08});
    const Plan same = make_plan({agreed}, push, PullCodecs{});
    EXPECT_TRUE(same.callee(Medium::Audio).flows);
    EXPECT_FALSE(same.callee(Medium::Audio).transcoded) << same.callee(Medium::Audio).reason;
    EXPECT_FALSE(same.caller(Medium::Audio).transcoded);
    push.audio = aac({0x11, 0x90});
    const Plan other = make_plan({agreed}, push, PullCodecs{});
    EXPECT_TRUE(other.callee(Medium::Audio).transcoded) << other.callee(Medium::Audio).reason;
    EXPECT_EQ(other.callee(Medium::Audio).aac, (rtp::AacConfig{44100, 1}));
    push.audio = sound(Codec::Pcma);
    EXPECT_EQ(make_plan({agreed}, push, PullCodecs{}).callee(Medium::Audio).aac,
              (rtp::AacConfig{44100, 1}));
  }
}

TEST(Planner, PassesH263OfASizeThatThePhoneTakes) {
  rtmp::Track cif;
  cif.codec = Codec::H263;
  cif.width = 352;
  cif.height = 288;
  for (const char *encoding : {"H263", "H263-1998", "H263-2000"}) {
    sip::Media agreed = media(Codec::H263, "QCIF=2");
    agreed.format = rtp::find_format(encoding, 90000, 1);
    const Plan smaller = make_plan({agreed}, tracks(Codec::Pcma, cif), PullCodecs{});
    const Route &route = smaller.callee(Medium::Video);
    EXPECT_TRUE(route.transcoded) << encoding;
    ASSERT_NE(route.h263, nullptr);
    EXPECT_EQ(route.h263->name, "QCIF");
    EXPECT_EQ(route.h263_rate, 15);
    EXPECT_NE(route.reason.find("352x288"), std::string::npos) << route.reason;
    agreed.fmtp = "CIF=1;QCIF=1";
    EXPECT_FALSE(make_plan({agreed}, tracks(Codec::Pcma, cif), PullCodecs{})
                     .callee(Medium::Video)
                     .transcoded)
        << encoding;
  }
}

TEST(Vp8, KeepsWithinWhatAReceiverNames) {
  EXPECT_EQ(vp8_bounds({}), (Vp8Bounds{1280, 720, 1800, 30}));
  EXPECT_EQ(vp8_bounds({60, 3600}), (Vp8Bounds{1280, 720, 1800, 30}));
  EXPECT_EQ(vp8_bounds({15, 0}), (Vp8Bounds{1280, 720, 1800, 15}));
  EXPECT_EQ(vp8_bounds({0, 1200}), (Vp8Bounds{640, 480, 600, 30}));
  EXPECT_EQ(vp8_bounds({0, 1}), (Vp8Bounds{16, 16, 60, 30}));
  for (int blocks = 1; blocks < 4000; ++blocks) {
    const Vp8Bounds bounds = vp8_bounds({0, blocks});
    EXPECT_LE(bounds.max_width / 16 * (bounds.max_height / 16), blocks);
    EXPECT_GT(bounds.max_width, 0);
  }
}

TEST(Planner, PassesVp8ThatThePhoneTakes) {
  rtmp::Track picture;
  picture.codec = Codec::Vp8;
  const auto route = [&](const char *fmtp, int width, int height) {
    picture.width = width;
    picture.height = height;
    return make_plan({media(Codec::Vp8, fmtp)}, tracks(Codec::Pcma, picture), PullCodecs{})
        .callee(Medium::Video);
  };
  EXPECT_FALSE(route("", 1920, 1080).transcoded) << "who names no limit takes all";
  EXPECT_FALSE(route("", 0, 0).transcoded);
  EXPECT_FALSE(route("max-fr=30;max-fs=1200", 640, 480).transcoded);
  EXPECT_FALSE(route("max-fr=30;max-fs=920", 638, 360).transcoded) << "40 by 23 macroblocks";
  const Route larger = route("max-fr=30;max-fs=396", 640, 480);
  EXPECT_TRUE(larger.transcoded);
  EXPECT_NE(larger.reason.find("max-fs"), std::string::npos) << larger.reason;
  ASSERT_TRUE(larger.vp8);
  EXPECT_LE(larger.vp8->max_width / 16 * (larger.vp8->max_height / 16), 396);
  EXPECT_TRUE(route("max-fr=30;max-fs=396", 0, 0).transcoded) << "it may be larger";
  const Route faster = route("max-fr=15;max-fs=3600", 640, 480);
  EXPECT_TRUE(faster.transcoded);
  EXPECT_EQ(faster.vp8->max_rate, 15);
}

TEST(Offer, HasEveryFormatAndBeginsWithWhatPassesThrough) {
  PushTracks push;
  push.audio = aac({0x11, 0x90});
  push.video.emplace().codec = Codec::H263;
  const auto offer = make_offer(LegMedia::terminal(push, std::nullopt));
  EXPECT_EQ(offer.size(), rtp::formats().size());
  const auto first = [&offer](Medium medium) {
    return std::ranges::find_if(offer, [medium](const sip::Offered &offered) {
      return medium_of(offered.format->codec) == medium;
    });
  };
  EXPECT_EQ(first(Medium::Audio)->format->codec, Codec::Aac);
  EXPECT_EQ(first(Medium::Audio)->aac, (rtp::AacConfig{48000, 2}));
  EXPECT_EQ(first(Medium::Video)->format->encoding_name, "H263-2000");
  // Of what cannot pass, that which nearly every phone has.
  const auto plain = make_offer({});
  EXPECT_EQ(plain.front().format->encoding_name, "PCMA");
  EXPECT_EQ(std::ranges::find_if(plain,
                                 [](const sip::Offered &offered) {
                                   return medium_of(offered.format->codec) == Medium::Video;
                                 })
                ->format->codec,
            Codec::H264);
  // Speex of RTMP is 16 kHz: at 8 kHz it does not pass.
  push.audio = sound(Codec::Speex);
  const auto speex = make_offer(LegMedia::terminal(push, std::nullopt));
  EXPECT_EQ(speex[0].format->clock_rate, 16000u);
  EXPECT_NE(speex[1].format->codec, Codec::Speex);
}

TEST(Offer, HasTheProfileOfPhonesBehindThatOfThePicture) {
  const auto of = [](std::uint8_t profile, std::uint8_t constraints) {
    PushTracks push;
    push.video.emplace().codec = Codec::H264;
    push.video->config = avcc(profile, constraints, 31);
    std::vector<std::string> fmtp;
    for (const sip::Offered &offered : make_offer(LegMedia::terminal(push, std::nullopt)))
      if (offered.format->codec == Codec::H264) fmtp.push_back(offered.fmtp);
    return fmtp;
  };
  const std::string tail = ";level-asymmetry-allowed=1";
  EXPECT_THAT(of(100, 0),
              testing::ElementsAre("profile-level-id=64001f;packetization-mode=1" + tail,
                                   "profile-level-id=42e01f;packetization-mode=1" + tail,
                                   "profile-level-id=42e01f;packetization-mode=0" + tail));
  EXPECT_EQ(of(77, 0).size(), 3u);
  // What constrained baseline decoders show is offered in both modes by the SIP side.
  EXPECT_THAT(of(66, 0xc0), testing::ElementsAre(""));
  EXPECT_THAT(of(77, 0x80), testing::ElementsAre("")) << "main, but of baseline's tools alone";
}

TEST(Planner, OffersOnlyWhatTheOperatorNames) {
  PushTracks push;
  push.audio = sound(Codec::Speex);
  const auto offer = make_offer(LegMedia::terminal(push, std::nullopt),
                                {"pcmu", "speex/8000", "h263-1998", "h264"});
  std::vector<std::string> names;
  for (const sip::Offered &offered : offer) names.push_back(rtp::name_of(*offered.format));
  EXPECT_THAT(names,
              testing::ElementsAre("PCMU/8000", "H264/90000", "SPEEX/8000", "H263-1998/90000"));
}

TEST(Planner, TellsWhatARouteIsExpectedToCost) {
  const Plan plan =
      make_plan({media(Codec::Pcma), media(Codec::H264)}, tracks(Codec::Aac, kHigh), PullCodecs{});
  const auto steps = plan.steps();
  ASSERT_EQ(steps.size(), 4u);
  EXPECT_TRUE(steps[0].transcoded);
  EXPECT_DOUBLE_EQ(steps[0].cpu_percent, 5.5) << "H.264 of another profile, encoded anew";
  EXPECT_FALSE(steps[2].transcoded);
  EXPECT_DOUBLE_EQ(steps[2].cpu_percent, 0.8) << "passed through";
  EXPECT_DOUBLE_EQ(make_plan({}, {}, std::nullopt).steps()[0].cpu_percent, 0);
}

TEST(CodecTable, LevelsAreTheGreatestNotAbove) {
  EXPECT_EQ(h264_level(31).name, "3.1");
  EXPECT_EQ(h264_level(51).name, "4");
  EXPECT_EQ(h264_level(9).name, "1");
  EXPECT_EQ(h264_level(30).max_height, 576);
  // Level 1b: constraint_set3 beside 1.1's number, except in the High profiles, which number it 9.
  const auto of = [](const char *id) {
    return h264_level(*rtp::H264Profile::from_profile_level_id(id)).name;
  };
  EXPECT_EQ(of("42f00b"), "1");
  EXPECT_EQ(of("4d500b"), "1");
  EXPECT_EQ(of("640009"), "1");
  EXPECT_EQ(of("42e00b"), "1.1");
  EXPECT_EQ(of("64100b"), "1.1");
  // Table A-1: macroblocks of a picture and a second.
  const std::map<int, std::pair<int, int>> kTable = {
      {10, {99, 1485}},     {11, {396, 3000}},    {12, {396, 6000}},   {13, {396, 11880}},
      {20, {396, 11880}},   {21, {792, 19800}},   {22, {1620, 20250}}, {30, {1620, 40500}},
      {31, {3600, 108000}}, {32, {5120, 216000}}, {40, {8192, 245760}}};
  for (const auto &[idc, bound] : kTable) {
    const H264Level &level = h264_level(static_cast<std::uint8_t>(idc));
    const int blocks = (level.max_width + 15) / 16 * ((level.max_height + 15) / 16);
    EXPECT_LE(blocks, bound.first) << level.name;
    EXPECT_LE(blocks * level.max_rate, bound.second) << level.name;
    EXPECT_EQ(level.max_width % 2 + level.max_height % 2, 0) << level.name;
  }
}

std::string in_order(const std::vector<RouteSet> &sets) {
  std::string text;
  for (const RouteSet &set : sets) text += to_string(set) + "\n";
  return text;
}

TEST(Planner, LeavesOutWhatACallMissesLeastFirst) {
  const Plan plan = make_plan(
      {media(Codec::Pcma), media(Codec::H264, "profile-level-id=42e00d;packetization-mode=1")},
      tracks(Codec::Aac, kHigh), PullCodecs{Codec::Pcma, Codec::H264});
  ASSERT_EQ(plan.flowing(), RouteSet(0b1111));
  EXPECT_EQ(in_order(reductions(plan)),
            "caller-to-callee video\n"  // transcoded
            "callee-to-caller video\n"
            "caller-to-callee video, callee-to-caller video\n"
            "caller-to-callee audio\n"  // transcoded
            "callee-to-caller audio\n"
            "caller-to-callee audio, caller-to-callee video\n"
            "caller-to-callee video, callee-to-caller audio\n"
            "caller-to-callee audio, callee-to-caller video\n"
            "callee-to-caller audio, callee-to-caller video\n"
            "caller-to-callee audio, caller-to-callee video, callee-to-caller video\n"
            "caller-to-callee video, callee-to-caller audio, callee-to-caller video\n"
            "caller-to-callee audio, callee-to-caller audio\n"
            "caller-to-callee audio, caller-to-callee video, callee-to-caller audio\n"
            "caller-to-callee audio, callee-to-caller audio, callee-to-caller video\n");
}

TEST(Planner, LeavesNotAllOutUnlessMoreMayCome) {
  const auto phone = {media(Codec::Pcma)};
  const Plan whole = make_plan(phone, tracks(Codec::Aac, std::nullopt), PullCodecs{});
  EXPECT_EQ(in_order(reductions(whole)), "caller-to-callee audio\ncallee-to-caller audio\n");
  const Plan no_player = make_plan(phone, tracks(Codec::Aac, std::nullopt), std::nullopt);
  EXPECT_EQ(in_order(reductions(no_player)), "caller-to-callee audio\n");
  const Plan no_sound = make_plan(phone, PushTracks{}, PullCodecs{});
  EXPECT_EQ(in_order(reductions(no_sound)), "callee-to-caller audio\n");
  EXPECT_TRUE(reductions(make_plan({}, PushTracks{}, std::nullopt)).empty());
}

TEST(Planner, SaysWhichCodecCannotBeUsed) {
  PushTracks push = tracks(Codec::Aac, std::nullopt);
  push.audio.reset();
  push.left_out[static_cast<std::size_t>(Medium::Audio)] = "the audio codec, MP3, is unknown";
  const Plan plan = make_plan({media(Codec::Pcma)}, push, PullCodecs{});
  EXPECT_FALSE(plan.callee(Medium::Audio).flows);
  EXPECT_EQ(plan.callee(Medium::Audio).reason,
            "The push terminal sends audio that cannot be used. The audio codec, MP3, is "
            "unknown.");
}

TEST(Planner, SaysWhyARouteIsLeftOut) {
  const Plan whole = make_plan({media(Codec::Pcma)}, tracks(Codec::Aac, kHigh), PullCodecs{});
  const Plan less = whole.without(RouteSet(0b0001), "It broke.");
  EXPECT_FALSE(less.callee(Medium::Audio).flows);
  EXPECT_EQ(less.callee(Medium::Audio).reason,
            "Left out, for the media pipeline fails with it: It broke.");
  EXPECT_EQ(less.caller(Medium::Audio), whole.caller(Medium::Audio));
  EXPECT_TRUE(less.is_pushed(Side::Caller, Medium::Audio)) << "the watchdog counts it all the same";
  EXPECT_EQ(whole.without({}, ""), whole);
}

TEST(Planner, LeavesPicturesOutThatAreTooLargeToBeDecoded) {
  rtmp::Track large;
  large.codec = Codec::Vp8;
  large.width = large.height = 16383;
  const PushTracks push = tracks(Codec::Pcma, large);
  const Plan encoded = make_plan({media(Codec::Pcma), media(Codec::H264)}, push, std::nullopt);
  EXPECT_FALSE(encoded.callee(Medium::Video).flows);
  EXPECT_EQ(encoded.callee(Medium::Video).reason,
            "The push terminal sends pictures of 16383x16383, which the callee cannot have as they "
            "are: no more than 4096x2304 samples are decoded here.");
  EXPECT_TRUE(encoded.callee(Medium::Audio).flows);
  const Plan passed = make_plan({media(Codec::Pcma), media(Codec::Vp8)}, push, std::nullopt);
  EXPECT_TRUE(passed.callee(Medium::Video).flows) << "nothing of it is decoded here";
}

TEST(Planner, TellsThatPicturesAreLeftOutOnTheWay) {
  const Plan plan =
      make_plan({media(Codec::Pcma), media(Codec::Vp8)}, tracks(Codec::Pcma, kHigh), PullCodecs{});
  auto steps = plan.steps();
  tell_too_large(steps, Side::Caller, "16000x16000");
  for (const PlanStep &step : steps)
    EXPECT_EQ(step.reason.ends_with(" Its pictures of 16000x16000 are left out: no more than "
                                    "4096x2304 samples are decoded here."),
              step.direction == kToCaller && step.medium == Medium::Video)
        << step.reason;
}

TEST(Planner, SendsAndReceivesOnlyWhatTheTableKnows) {
  for (const auto &[codec, name] : {std::pair(Codec::Vp8, "VP8"), std::pair(Codec::Aac, "AAC")}) {
    rtp::Format format = *rtp::find_format(Codec::Pcma);
    format.codec = codec;
    sip::Media agreed = media(Codec::Pcma);
    agreed.medium = medium_of(codec);
    agreed.format = &format;
    format.encoding_name = "X-UNHEARD-OF";
    const Plan plan = make_plan({agreed}, tracks(Codec::Aac, kHigh), PullCodecs{});
    EXPECT_TRUE(plan.flowing().none()) << "though both sides may speak it";
    EXPECT_EQ(plan.callee(agreed.medium).reason,
              "This build cannot send " + std::string(name) + " over RTP.");
    EXPECT_EQ(plan.caller(agreed.medium).reason,
              "This build cannot receive " + std::string(name) + " over RTP.");
  }
}

TEST(Sentence, IsWholeAndLeavesNamesAndCodesAsTheyAre) {
  for (const auto &[text, whole] : std::map<std::string, std::string>{
           {"no answer within 60 s", "No answer within 60 s."},
           {"486 Busy Here", "486 Busy Here."},
           {"The callee is busy.", "The callee is busy."},
           {"gone, for good!\n", "Gone, for good!"},
           {"x264enc0: no memory", "x264enc0: no memory."},
           {"sip:bob@example.org is mute", "sip:bob@example.org is mute."},
           {"", ""},
           {"  ", ""}})
    EXPECT_EQ(as_sentence(text), whole);
}

}  // namespace
}  // namespace junctor::calls
