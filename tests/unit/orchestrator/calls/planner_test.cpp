// SPDX-License-Identifier: LGPL-2.1-or-later
// Routes of media, as a table.
#include "calls/planner.h"

#include <gtest/gtest.h>

#include <map>

#include "calls/sentence.h"
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

TEST(Planner, SaysWhyARouteIsLeftOut) {
  const Plan whole = make_plan({media(Codec::Pcma)}, tracks(Codec::Aac, kHigh), PullCodecs{});
  const Plan less = whole.without(RouteSet(0b0001), "It broke.");
  EXPECT_FALSE(less.callee(Medium::Audio).flows);
  EXPECT_EQ(less.callee(Medium::Audio).reason,
            "Left out, for the media pipeline fails with it: It broke.");
  EXPECT_EQ(less.caller(Medium::Audio), whole.caller(Medium::Audio));
  EXPECT_TRUE(less.is_pushed(Medium::Audio)) << "the watchdog counts it all the same";
  EXPECT_EQ(whole.without({}, ""), whole);
}

TEST(Planner, SendsAndReceivesOnlyWhatTheTableKnows) {
  for (const auto &[codec, name] : {std::pair(Codec::Vp8, "VP8"), std::pair(Codec::Aac, "AAC")}) {
    rtp::Format format = *rtp::find_format(Codec::Pcma);
    format.codec = codec;
    sip::Media agreed = media(Codec::Pcma);
    agreed.medium = medium_of(codec);
    agreed.format = &format;
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
