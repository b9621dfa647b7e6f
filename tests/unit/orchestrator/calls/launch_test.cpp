// SPDX-License-Identifier: LGPL-2.1-or-later
// Launch templates, and lines for people.
#include <glib.h>
#include <gst/gst.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "calls/launch_line.h"
#include "calls/pipeline.h"

namespace junctor::calls {
namespace {

std::string pipelines() {
  const char *directory = std::getenv("JUNCTOR_PIPELINES");
  return directory ? directory : "pipelines";
}

TEST(LaunchTemplate, FillsHolesAndDropsComments) {
  auto made = LaunchTemplate::parse("x.launch", "# a ${comment}\n a n=${n} !\n\n  b${s}\n");
  ASSERT_TRUE(made);
  auto line = made->fill({{"n", Fragment::number(-3)}, {"s", Fragment::ours("")}});
  ASSERT_TRUE(line);
  EXPECT_EQ(line->text(), "a n=-3 ! b");
}

TEST(LaunchTemplate, FillsHolesOfValuesOneLevelDeep) {
  auto made = LaunchTemplate::parse("x", "${encode}");
  ASSERT_TRUE(made);
  auto line = made->fill(
      {{"encode", Fragment::ours("enc rate=${rate}")}, {"rate", Fragment::ours("${encode}")}});
  ASSERT_TRUE(line);
  EXPECT_EQ(line->text(), "enc rate=${encode}") << "no endless loop";
}

TEST(LaunchTemplate, NamesTheHoleThatNothingFills) {
  auto made = LaunchTemplate::parse("call.launch", "a ${kbit} b");
  ASSERT_TRUE(made);
  auto line = made->fill({});
  ASSERT_FALSE(line);
  EXPECT_NE(line.error().detail.find("call.launch"), std::string::npos);
  EXPECT_NE(line.error().detail.find("${kbit}"), std::string::npos);
}

TEST(LaunchTemplate, RefusesWhatIsNoHole) {
  for (const char *text : {"a ${b", "a ${}", "a ${b c}", "${a;b}"})
    EXPECT_FALSE(LaunchTemplate::parse("x", text)) << text;
}

TEST(LaunchTemplate, NamesTheFileThatIsMissing) {
  auto made = LaunchTemplate::load("/nowhere", "call");
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().detail.find("/nowhere/call.launch"), std::string::npos);
}

TEST(Fragment, TakesNoPeersText) {
  EXPECT_TRUE(Fragment::identifier("watchdog_1"));
  for (const char *text : {"", "a b", "a!b", "x;rm", "\"", "a/b"})
    EXPECT_FALSE(Fragment::identifier(text)) << text;
  EXPECT_FALSE(Fragment::identifier(std::string(65, 'a')));
}

Route flowing(Codec from, Codec to) {
  Route route;
  route.flows = true;
  route.from = from;
  route.to = to;
  route.transcoded = from != to;
  return route;
}

Route to_sip(Codec from, Codec to) {
  Route route = flowing(from, to);
  route.to_format = find_format_row(*rtp::find_format(to));
  return route;
}

Route from_sip(Codec from, Codec to) {
  Route route = flowing(from, to);
  route.from_format = find_format_row(*rtp::find_format(from));
  return route;
}

Plan both_ways() {
  Plan plan;
  plan.to_callee = {to_sip(Codec::Aac, Codec::Pcma), to_sip(Codec::H264, Codec::H264)};
  plan.to_caller = {from_sip(Codec::Pcma, Codec::Aac), from_sip(Codec::H264, Codec::H264)};
  return plan;
}

TEST(LaunchLine, IsTheCheapestForEachRoute) {
  auto templates = Templates::load(pipelines());
  ASSERT_TRUE(templates) << templates.error().detail;
  auto line = make_line(*templates, both_ways(), {std::chrono::milliseconds(500), 7});
  ASSERT_TRUE(line) << line.error().detail;
  EXPECT_EQ(line->text(),
            "rtmpauthsrc name=caller eos-on-finish=false "
            "mediawatchdog name=caller_watchdog interval=500 tries=7 armed=true "
            "rtmpplaysink name=caller_player sipcallsink name=callee depayload=true "
            "caller.video ! caller_watchdog.sink_0 caller_watchdog.src_0 ! callee.video "
            "caller.audio ! caller_watchdog.sink_1 caller_watchdog.src_1 ! queue leaky=downstream "
            "max-size-buffers=0 "
            "max-size-bytes=0 max-size-time=200000000 ! "
            "soundfit caps=audio/x-alaw,rate=8000,channels=1 ! callee.audio "
            "callee.video_src ! caller_player.video "
            "callee.audio_src ! queue leaky=downstream max-size-buffers=0 "
            "max-size-bytes=0 max-size-time=200000000 ! soundfit "
            "caps=audio/x-raw,rate=44100,channels=1 ! voaacenc bitrate=64000 ! "
            "audio/mpeg,mpegversion=4,stream-format=raw ! caller_player.audio");
}

TEST(LaunchLine, SoundIsTranscodedOnTheReactorWhereItMay) {
  auto templates = Templates::load(pipelines());
  ASSERT_TRUE(templates);
  auto line = make_line(*templates, both_ways(), {}, SoundWork::OnReactor);
  ASSERT_TRUE(line);
  EXPECT_NE(line->text().find("caller_watchdog.src_1 ! soundfit"), std::string::npos);
  EXPECT_NE(line->text().find("callee.audio_src ! soundfit caps=audio/x-raw"), std::string::npos);
  EXPECT_EQ(line->text().find("queue"), std::string::npos);
}

TEST(LaunchLine, PassthroughHasNoQueueAndNoThread) {
  auto templates = Templates::load(pipelines());
  ASSERT_TRUE(templates);
  Plan plan;
  plan.to_callee = {to_sip(Codec::Pcma, Codec::Pcma), to_sip(Codec::H264, Codec::H264)};
  plan.to_caller = {from_sip(Codec::Pcma, Codec::Pcma), from_sip(Codec::H264, Codec::H264)};
  auto line = make_line(*templates, plan, {});
  ASSERT_TRUE(line);
  for (const char *heavy : {"queue", "jitterbuffer", "rtpbin", "soundfit", "264enc", "avdec"})
    EXPECT_EQ(line->text().find(heavy), std::string::npos) << heavy;
}

TEST(LaunchLine, LooksAtWhatThePushTerminalSendsInVain) {
  auto templates = Templates::load(pipelines());
  ASSERT_TRUE(templates);
  Plan plan;
  plan.pushed[index_of(Side::Caller)] = {true, true};
  plan.to_callee = {to_sip(Codec::Pcma, Codec::Pcma), Route{}};
  auto line = make_line(*templates, plan, {});
  ASSERT_TRUE(line) << line.error().detail;
  EXPECT_NE(
      line->text().find("caller.video ! caller_watchdog.sink_0 caller_watchdog.src_0 ! fakesink "
                        "sync=false async=false caller.audio ! caller_watchdog.sink_1 "
                        "caller_watchdog.src_1 ! callee"),
      std::string::npos)
      << line->text();
}

TEST(LaunchLine, KeepsToTheLevelsSizeAndRate) {
  auto templates = Templates::load(pipelines());
  ASSERT_TRUE(templates);
  Plan plan;
  Route &video = plan.to_callee[static_cast<std::size_t>(Medium::Video)];
  video = to_sip(Codec::H264, Codec::H264);
  video.transcoded = video.upright = true;
  video.level = &h264_level(30);
  auto line = make_line(*templates, plan, {});
  ASSERT_TRUE(line);
  EXPECT_NE(line->text().find("width=[16,576,2],height=[16,720,2]"), std::string::npos);
  EXPECT_NE(line->text().find("max-rate=25"), std::string::npos);
}

TEST(LaunchLine, MakesPicturesOfTheSizesThatH263Has) {
  auto templates = Templates::load(pipelines());
  ASSERT_TRUE(templates);
  Plan plan;
  Route &video = plan.to_caller[static_cast<std::size_t>(Medium::Video)];
  video = from_sip(Codec::H264, Codec::H263);
  auto line = make_line(*templates, plan, {});
  ASSERT_TRUE(line) << line.error().detail;
  EXPECT_NE(line->text().find("width=352,height=288,pixel-aspect-ratio=12/11 ! avenc_h263 "
                              "bitrate=600000 qmax=8 gop-size=60 ! caller_player.video"),
            std::string::npos)
      << line->text();
  video.h263 = &h263_sizes().front();
  video.h263_rate = 15;
  line = make_line(*templates, plan, {});
  ASSERT_TRUE(line);
  EXPECT_NE(line->text().find("width=128,height=96"), std::string::npos);
  EXPECT_NE(line->text().find("max-rate=15"), std::string::npos);
  video.h263 = &usual_h263_size();
  video.h263_kbit = 384;
  line = make_line(*templates, plan, {});
  ASSERT_TRUE(line);
  EXPECT_NE(line->text().find("bitrate=384000 qmax=13"), std::string::npos) << line->text();
  Route &there = plan.to(Side::Callee, Medium::Video);
  there = to_sip(Codec::H264, Codec::Vp8);
  there.vp8 = Vp8Bounds{368, 272, 200, 10};
  line = make_line(*templates, plan, {});
  ASSERT_TRUE(line) << line.error().detail;
  EXPECT_NE(line->text().find("width=[16,368,2],height=[16,272,2]"), std::string::npos);
  EXPECT_NE(line->text().find("target-bitrate=200000"), std::string::npos);
  EXPECT_NE(line->text().find("max-rate=10"), std::string::npos);
}

/// Every codec to and from every format of SIP, and to every codec of RTMP: each line parses, so
/// that its elements exist and can be linked.
TEST(LaunchLine, OfEveryPairParses) {
  gst_init(nullptr, nullptr);
  auto templates = Templates::load(pipelines());
  ASSERT_TRUE(templates);
  std::size_t pairs = 0;
  for (const Plan &plan : every_plan()) {
    auto line = make_line(*templates, plan, {});
    ASSERT_TRUE(line) << line.error().detail;
    const auto tried = try_line(*line);
    EXPECT_TRUE(tried) << line->text() << ": " << tried.error().detail;
    pairs += plan.flowing().any();
  }
  std::size_t expected = 0;
  for (const CodecRow &codec : codec_rows())
    for (const FormatRow &format : format_rows())
      expected += medium_of(codec.codec) == medium_of(format.codec);
  for (const CodecRow &from : codec_rows())
    for (const CodecRow &to : codec_rows())
      expected += medium_of(from.codec) == medium_of(to.codec);
  EXPECT_EQ(pairs, expected);
}

TEST(LaunchLine, SlicesForPhonesThatTakeSingleNalUnits) {
  auto templates = Templates::load(pipelines());
  ASSERT_TRUE(templates);
  Plan plan;
  Route &video = plan.to_callee[static_cast<std::size_t>(Medium::Video)];
  video = to_sip(Codec::H264, Codec::H264);
  video.transcoded = video.single_nal = true;
  video.level = &h264_level(13);
  auto line = make_line(*templates, plan, {});
  ASSERT_TRUE(line);
  EXPECT_NE(line->text().find("slice-max-size=1150"), std::string::npos);
  EXPECT_NE(line->text().find("level=(string)1.3"), std::string::npos);
  EXPECT_NE(line->text().find("width=[16,352,2],height=[16,288,2]"), std::string::npos);
}

/// What a shell and gst-launch-1.0 make of a pasted line is what was set.
TEST(Pasteable, SurvivesShellAndGrammarWhateverThePeerSent) {
  gst_init(nullptr, nullptr);
  auto made = LaunchTemplate::parse(
      "x", "filesrc name=caller ! video/x-raw,format=(string)I420 ! fakesink name=end");
  ASSERT_TRUE(made);
  auto line = made->fill({});
  ASSERT_TRUE(line);
  for (const std::string value :
       {"sip:bob@192.0.2.1:5060;transport=tcp", "a b", "a\" ! fakesrc \"", "$(reboot)`id`", "it's",
        "back\\slash", "ends with \\", "\\\"", "ü ж", "!"}) {
    const std::string text =
        pasteable(*line, {{"caller", "location", value}, {"nobody", "location", "left out"}});
    gchar **arguments = nullptr;
    ASSERT_TRUE(g_shell_parse_argv(text.c_str(), nullptr, &arguments, nullptr)) << text;
    GError *error = nullptr;
    GstElement *pipeline = gst_parse_launchv(const_cast<const gchar **>(arguments), &error);
    g_strfreev(arguments);
    ASSERT_NE(pipeline, nullptr) << text << ": " << (error ? error->message : "");
    EXPECT_EQ(error, nullptr) << text << ": " << error->message;
    g_clear_error(&error);
    GstElement *caller = gst_bin_get_by_name(GST_BIN(pipeline), "caller");
    ASSERT_NE(caller, nullptr);
    gchar *location = nullptr;
    g_object_get(caller, "location", &location, nullptr);
    EXPECT_STREQ(location, value.c_str()) << text;
    g_free(location);
    gst_object_unref(caller);
    gst_object_unref(pipeline);
  }
}

TEST(SetProperty, TakesTextAsItIsAndRefusesWhatDoesNotFit) {
  gst_init(nullptr, nullptr);
  GstElement *queue = gst_element_factory_make("queue", "q");
  ASSERT_NE(queue, nullptr);
  EXPECT_TRUE(set_property(queue, "max-size-buffers", "17"));
  guint size = 0;
  g_object_get(queue, "max-size-buffers", &size, nullptr);
  EXPECT_EQ(size, 17u);
  EXPECT_FALSE(set_property(queue, "max-size-buffers", "many"));
  EXPECT_FALSE(set_property(queue, "no-such", "1"));
  gst_object_unref(queue);
}

}  // namespace
}  // namespace junctor::calls
