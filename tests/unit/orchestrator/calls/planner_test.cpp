// SPDX-License-Identifier: LGPL-2.1-or-later
// Routes of media, as a table.
#include "calls/planner.h"

#include <gtest/gtest.h>

#include <map>

#include "media_fixture.h"

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

TEST(Planner, TurnsTheRoomForThePictureWithThePicture) {
  const auto media_line = media(Codec::H264, "profile-level-id=42e01f;packetization-mode=1");
  rtmp::Track upright = kHigh, lying = kHigh;
  upright.width = lying.height = 1080;
  upright.height = lying.width = 1920;
  EXPECT_TRUE(
      make_plan({media_line}, tracks(Codec::Aac, upright), {}).callee(Medium::Video).upright);
  EXPECT_FALSE(
      make_plan({media_line}, tracks(Codec::Aac, lying), {}).callee(Medium::Video).upright);
}

TEST(Planner, MixesStereoDownForThePhone) {
  PushTracks push = tracks(Codec::Pcma, std::nullopt);
  push.audio->channels = 2;
  const Plan plan = make_plan({media(Codec::Pcma)}, push, {});
  EXPECT_TRUE(plan.callee(Medium::Audio).transcoded);
  EXPECT_NE(plan.callee(Medium::Audio).reason.find("stereo"), std::string::npos);
  push.audio->channels = 1;
  EXPECT_FALSE(make_plan({media(Codec::Pcma)}, push, {}).callee(Medium::Audio).transcoded);
}

TEST(Planner, MakesAnAudioCallOfAPhoneWithoutVideo) {
  sip::Media refused = media(Codec::H264);
  refused.accepted = false;
  const Plan plan =
      make_plan({media(Codec::Pcma), refused}, tracks(Codec::Aac, kBaseline), PullCodecs{});
  EXPECT_FALSE(plan.callee(Medium::Video).flows);
  EXPECT_TRUE(plan.is_pushed(Medium::Video)) << "though in vain";
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

TEST(Planner, NamesWhatThisBuildCannotDo) {
  PushTracks push;
  push.audio = sound(Codec::Speex);
  const Plan plan = make_plan({media(Codec::Pcma)}, push, PullCodecs{});
  EXPECT_FALSE(plan.callee(Medium::Audio).flows);
  EXPECT_EQ(plan.callee(Medium::Audio).reason, "This build cannot turn SPEEX into PCMA.");
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
  for (const char *name : {"h264", "opus", "speex", "", "x"}) {
    const auto codecs = pull_codecs({{"audio", name}});
    EXPECT_EQ(static_cast<bool>(codecs), *name == '\0') << name;
    if (!codecs) {
      EXPECT_NE(codecs.error().detail.find("pcma, pcmu, aac"), std::string::npos);
    }
  }
}

TEST(CodecTable, HasBothEndsForEveryFormatOfSip) {
  for (const rtp::Format &format : rtp::formats()) {
    const CodecRow *row = find_codec_row(format.codec);
    ASSERT_NE(row, nullptr) << format.encoding_name;
    EXPECT_TRUE(row->pay.has_value());
    EXPECT_FALSE(row->depay.empty());
  }
}

TEST(CodecTable, LevelsAreTheGreatestNotAbove) {
  EXPECT_EQ(h264_level(31).name, "3.1");
  EXPECT_EQ(h264_level(51).name, "4");
  EXPECT_EQ(h264_level(9).name, "1");
  EXPECT_EQ(h264_level(30).max_height, 576);
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

}  // namespace
}  // namespace junctor::calls
