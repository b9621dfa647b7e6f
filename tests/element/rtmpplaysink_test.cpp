// SPDX-License-Identifier: LGPL-2.1-or-later
// rtmpplaysink on a fake server: what reaches the players.
#include <gst/check/gstharness.h>
#include <gst/video/video-event.h>

#include <future>
#include <thread>

#include "fake_server.h"

namespace junctor::test {
namespace {

constexpr const char *kAlaw = "audio/x-alaw, rate=8000, channels=1";

std::string video_caps() {
  std::string hex;
  for (const std::byte byte : avc_config().view) {
    char text[3];
    g_snprintf(text, sizeof text, "%02x", std::to_integer<unsigned>(byte));
    hex += text;
  }
  return "video/x-h264, stream-format=avc, alignment=au, width=640, height=360, "
         "codec_data=(buffer)" +
         hex;
}

GstBuffer *buffer_of(const SharedBytes &bytes, GstClockTime dts, GstClockTime pts) {
  GstBuffer *buffer = gst_buffer_new_memdup(bytes.view.data(), bytes.view.size());
  GST_BUFFER_DTS(buffer) = dts;
  GST_BUFFER_PTS(buffer) = pts;
  return buffer;
}

class SinkTest : public FakeServerTest {
 protected:
  void SetUp() override {
    FakeServerTest::SetUp();
    sink = make("rtmpplaysink");
    ASSERT_TRUE(sink);
    bus.reset(gst_bus_new());
    gst_element_set_bus(sink.get(), bus.get());
    give_server(sink.get());
    g_object_set(sink.get(), "stream", "alice", nullptr);
    video.reset(gst_harness_new_with_element(sink.get(), "video", nullptr));
    audio.reset(gst_harness_new_with_element(sink.get(), "audio", nullptr));
    gst_harness_play(video.get());
    gst_harness_set_src_caps_str(video.get(), video_caps().c_str());
    gst_harness_set_src_caps_str(audio.get(), kAlaw);
  }
  void TearDown() override {
    if (!sink) return;
    gst_element_set_state(sink.get(), GST_STATE_NULL);
    gst_element_set_bus(sink.get(), nullptr);
    settle();
  }

  GstFlowReturn push_video(bool key, GstClockTime dts, GstClockTime pts, bool reference = true) {
    GstBuffer *buffer = buffer_of(picture(key, reference), dts, pts);
    if (!key) GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
    return gst_harness_push(video.get(), buffer);
  }
  GstFlowReturn push_audio(GstClockTime pts) {
    return gst_harness_push(audio.get(),
                            buffer_of(bytes_of({0xd5, 0xd5}), GST_CLOCK_TIME_NONE, pts));
  }
  std::vector<rtmp::Frame> frames() {
    settle();
    std::vector<rtmp::Frame> all;
    for (const auto &event : server->fake_outlet->events())
      if (event.what == "frame") all.push_back(event.frame);
    return all;
  }
  std::vector<rtmp::Track> tracks() {
    settle();
    std::vector<rtmp::Track> all;
    for (const auto &event : server->fake_outlet->events())
      if (event.what == "track") all.push_back(event.track);
    return all;
  }
  bool has_message(GstMessageType type) {
    return MessageRef(gst_bus_pop_filtered(bus.get(), type)) != nullptr;
  }

  using HarnessRef = std::unique_ptr<GstHarness, Releaser<gst_harness_teardown>>;
  ElementRef sink;
  BusRef bus;
  HarnessRef video, audio;
};

TEST_F(SinkTest, NothingIsTakenOverBeforeTheFirstFrame) {
  settle();
  EXPECT_TRUE(server->names.empty());
  push_audio(0);
  settle();
  EXPECT_EQ(server->names, std::vector<std::string>{"alice"});
  EXPECT_EQ(server->fake_outlet->told(), "source track frame");
}

TEST_F(SinkTest, TracksComeFromTheCaps) {
  push_video(true, 0, 0);
  push_audio(0);
  const auto all = tracks();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].codec, Codec::H264);
  EXPECT_EQ(all[0].width, 640);
  EXPECT_EQ(all[0].height, 360);
  EXPECT_TRUE(std::ranges::equal(all[0].config.view, avc_config().view));
  EXPECT_EQ(all[1].codec, Codec::Pcma);
  EXPECT_EQ(all[1].rate, 8000);
  EXPECT_EQ(all[1].channels, 1);
}

TEST_F(SinkTest, AacIsDescribedByItsConfiguration) {
  gst_harness_set_src_caps_str(audio.get(),
                               "audio/mpeg, mpegversion=4, stream-format=raw, framed=true, "
                               "rate=44100, channels=2, codec_data=(buffer)1210");
  push_audio(0);
  const auto all = tracks();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].codec, Codec::Aac);
  EXPECT_EQ(all[0].rate, 44100);
  EXPECT_EQ(all[0].channels, 2);
  EXPECT_TRUE(std::ranges::equal(all[0].config.view, bytes_of({0x12, 0x10}).view));
}

struct CodecRow {
  Codec codec;
  const char *encoder;
};

class SinkOfCodec : public SinkTest, public testing::WithParamInterface<CodecRow> {};

/// A real encoder writes; what comes is its track, its packets, and nothing else.
TEST_P(SinkOfCodec, TakesWhatItsEncoderWrites) {
  const Codec codec = GetParam().codec;
  const bool video = medium_of(codec) == Medium::Video;
  GError *error = nullptr;
  const std::string source =
      video ? "videotestsrc num-buffers=5 ! video/x-raw,width=352,height=288,framerate=25/1 ! "
            : "audiotestsrc num-buffers=5 samplesperbuffer=320 ! audio/x-raw,rate=16000,channels=1"
              " ! ";
  ElementRef pipeline(GST_ELEMENT(gst_object_ref_sink(gst_parse_launch(
      (source + GetParam().encoder + " ! rtmpplaysink name=sink stream=alice").c_str(), &error))));
  ASSERT_EQ(error, nullptr) << error->message;
  give_server(pipeline.get());
  BusRef its_bus(gst_element_get_bus(pipeline.get()));
  gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
  const MessageRef ended(gst_bus_timed_pop_filtered(
      its_bus.get(), 20 * GST_SECOND, GstMessageType(GST_MESSAGE_EOS | GST_MESSAGE_ERROR)));
  ASSERT_TRUE(ended);
  EXPECT_EQ(GST_MESSAGE_TYPE(ended.get()), GST_MESSAGE_EOS);
  const auto all = frames();
  const auto announced = tracks();
  gst_element_set_state(pipeline.get(), GST_STATE_NULL);
  ASSERT_EQ(announced.size(), 1u);
  EXPECT_EQ(announced[0].codec, codec);
  if (video) {
    ASSERT_EQ(all.size(), 5u);
    EXPECT_EQ(announced[0].width, 352);
    EXPECT_EQ(announced[0].height, 288);
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(all[i].key, i == 0) << i;
      EXPECT_EQ(all[i].dts, static_cast<std::int64_t>(i) * 40) << i;
    }
  } else {
    EXPECT_EQ(announced[0].rate, 16000);
    EXPECT_GE(all.size(), 5u);
    for (const rtmp::Frame &frame : all)
      EXPECT_LT(frame.data.view.size(), 75u) << "no header of 80 bytes";
  }
}

INSTANTIATE_TEST_SUITE_P(All, SinkOfCodec,
                         testing::Values(CodecRow{Codec::Speex, "speexenc"},
                                         CodecRow{Codec::H263, "avenc_h263"},
                                         CodecRow{Codec::Sorenson, "avenc_flv"},
                                         CodecRow{Codec::Vp8, "vp8enc deadline=1"}),
                         [](const auto &info) { return std::string(to_string(info.param.codec)); });

TEST_F(SinkTest, WhatIsNoVp8IsPassedOver) {
  gst_harness_set_src_caps_str(video.get(), "video/x-vp8, width=352, height=288");
  EXPECT_EQ(
      gst_harness_push(video.get(), buffer_of(bytes_of({0, 0, 0, 1, 2, 3, 4, 5, 6, 7}), 0, 0)),
      GST_FLOW_OK);
  EXPECT_TRUE(frames().empty());
}

TEST_F(SinkTest, TimestampsAreTheRunningTimeInMilliseconds) {
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  segment.start = 10 * GST_SECOND;
  gst_harness_push_event(video.get(), gst_event_new_segment(&segment));
  push_video(true, 10 * GST_SECOND, 10 * GST_SECOND);
  push_video(false, 10 * GST_SECOND + 33'333'333, 10 * GST_SECOND + 100'000'000);
  push_video(false, GST_CLOCK_TIME_NONE, 10 * GST_SECOND + 66'666'667);
  push_video(false, 9 * GST_SECOND, 10 * GST_SECOND);  // decoded before the segment begins
  const auto all = frames();
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].dts, 0);
  EXPECT_EQ(all[1].dts, 33);
  EXPECT_EQ(all[1].composition, 67);
  EXPECT_EQ(all[2].dts, 67);
  EXPECT_EQ(all[2].composition, 0);
  EXPECT_EQ(all[3].dts, -1000);
  EXPECT_EQ(all[3].composition, 1000);
}

TEST_F(SinkTest, PicturesAreJudgedByTheirNalUnits) {
  push_video(true, 0, 0);
  push_video(false, 40 * GST_MSECOND, 40 * GST_MSECOND);
  push_video(false, 80 * GST_MSECOND, 80 * GST_MSECOND, false);
  const auto all = frames();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_TRUE(all[0].key);
  EXPECT_FALSE(all[0].droppable);
  EXPECT_FALSE(all[1].key);
  EXPECT_FALSE(all[1].droppable);
  EXPECT_FALSE(all[2].key);
  EXPECT_TRUE(all[2].droppable);
}

TEST_F(SinkTest, AnUpstreamWithoutFlagsMakesNoFalseKeyframes) {
  gst_harness_push(video.get(), buffer_of(picture(false), 0, 0));
  EXPECT_FALSE(frames().at(0).key);
}

TEST_F(SinkTest, BytesThatAreNoAccessUnitAreLeftOut) {
  EXPECT_EQ(gst_harness_push(video.get(), buffer_of(bytes_of({0, 0, 1, 0, 0x65}), 0, 0)),
            GST_FLOW_OK);
  EXPECT_TRUE(frames().empty());
}

TEST_F(SinkTest, FramesAreTheBuffersBytesAndHoldThem) {
  GstBuffer *buffer = buffer_of(picture(true), 0, 0);
  gst_buffer_ref(buffer);
  GstMapInfo map;
  gst_buffer_map(buffer, &map, GST_MAP_READ);
  gst_harness_push(video.get(), buffer);
  {
    const auto all = frames();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(static_cast<const void *>(all[0].data.view.data()), map.data);
    EXPECT_GT(GST_MINI_OBJECT_REFCOUNT_VALUE(buffer), 1);
  }
  server->fake_outlet = std::make_shared<FakeOutlet>();
  gst_element_set_state(sink.get(), GST_STATE_READY);  // the element lets go of the outlet
  settle();
  EXPECT_EQ(GST_MINI_OBJECT_REFCOUNT_VALUE(buffer), 1);
  gst_buffer_unmap(buffer, &map);
  gst_buffer_unref(buffer);
}

TEST_F(SinkTest, WhatIsPushedOnTheReactorIsWrittenAtOnce) {
  on_reactor([&] {
    push_audio(0);
    EXPECT_EQ(server->fake_outlet->told(), "source track frame");
  });
  push_audio(20 * GST_MSECOND);
  settle();
  const auto all = server->fake_outlet->events();
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[3].thread, all[2].thread);  // the reactor's, from wherever it comes
  EXPECT_NE(all[3].thread, std::this_thread::get_id());
}

TEST_F(SinkTest, AReactorThatLagsGetsNoMoreThanItsShareAndThenAKeyframe) {
  push_video(true, 0, 0);
  settle();
  std::promise<void> go_on;
  thread->reactor()->post([held = go_on.get_future().share()] { held.wait(); });
  for (int i = 1; i <= 1000; ++i) push_video(false, i * GST_MSECOND, i * GST_MSECOND);
  go_on.set_value();
  settle();
  push_video(false, 1001 * GST_MSECOND, 1001 * GST_MSECOND);  // refers to what was dropped
  push_video(true, 1002 * GST_MSECOND, 1002 * GST_MSECOND);
  const auto all = frames();
  ASSERT_EQ(all.size(), 1u + 512 + 1);
  EXPECT_EQ(all[512].dts, 512);
  EXPECT_EQ(all[513].dts, 1002);
  GstStructure *stats = property<GstStructure *>(sink.get(), "stats");
  guint64 dropped = 0;
  EXPECT_TRUE(gst_structure_get_uint64(stats, "dropped", &dropped));
  EXPECT_EQ(dropped, 1000u - 512 + 1);
  gst_structure_free(stats);
}

TEST_F(SinkTest, AKeyframeWishGoesUpstreamOnVideoOnly) {
  push_audio(0);
  push_video(true, 0, 0);
  on_reactor([&] { server->fake_outlet->keyframe_wanted(); });
  const auto wishes = [](GstHarness *harness) {
    int count = 0;
    while (GstEvent *event = gst_harness_try_pull_upstream_event(harness)) {
      if (gst_video_event_is_force_key_unit(event)) {
        gboolean all_headers = FALSE;
        gst_video_event_parse_upstream_force_key_unit(event, nullptr, &all_headers, nullptr);
        EXPECT_TRUE(all_headers);
        ++count;
      }
      gst_event_unref(event);
    }
    return count;
  };
  EXPECT_EQ(wishes(video.get()), 1);
  EXPECT_EQ(wishes(audio.get()), 0);
}

TEST_F(SinkTest, AWishAfterTheEndReachesNobody) {
  push_video(true, 0, 0);
  settle();
  gst_element_set_state(sink.get(), GST_STATE_READY);
  on_reactor([&] { server->fake_outlet->keyframe_wanted(); });
  video.reset();
  audio.reset();
  gst_element_set_bus(sink.get(), nullptr);
  gst_element_set_state(sink.get(), GST_STATE_NULL);
  sink.reset();
  on_reactor([&] { server->fake_outlet->keyframe_wanted(); });
}

TEST_F(SinkTest, EosIsToldWhenAllPadsHaveIt) {
  gst_harness_push_event(video.get(), gst_event_new_eos());
  EXPECT_FALSE(has_message(GST_MESSAGE_EOS));
  GstEvent *last = gst_event_new_eos();
  const guint32 seqnum = gst_event_get_seqnum(last);
  gst_harness_push_event(audio.get(), last);
  const MessageRef message(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_EOS));
  ASSERT_TRUE(message);
  EXPECT_EQ(gst_message_get_seqnum(message.get()), seqnum);
  EXPECT_FALSE(has_message(GST_MESSAGE_EOS));
}

TEST_F(SinkTest, EosWhilePausedIsToldWhenPlaying) {
  gst_element_set_state(sink.get(), GST_STATE_PAUSED);
  gst_harness_push_event(video.get(), gst_event_new_eos());
  gst_harness_push_event(audio.get(), gst_event_new_eos());
  EXPECT_FALSE(has_message(GST_MESSAGE_EOS));
  gst_element_set_state(sink.get(), GST_STATE_PLAYING);
  EXPECT_TRUE(has_message(GST_MESSAGE_EOS));
}

TEST_F(SinkTest, OnASharedServerThePlayersStay) {
  push_audio(0);
  settle();
  gst_element_set_state(sink.get(), GST_STATE_READY);
  settle();
  EXPECT_EQ(server->fake_outlet->told(), "source track frame");
}

TEST_F(SinkTest, AFlushThatResetsTimeBeginsANewSource) {
  push_audio(0);
  gst_harness_push_event(audio.get(), gst_event_new_flush_start());
  gst_harness_push_event(audio.get(), gst_event_new_flush_stop(TRUE));
  settle();
  EXPECT_EQ(server->fake_outlet->told(), "source track frame source");
}

TEST_F(SinkTest, CapsWithoutCodecDataAreRefusedWithWhatToDo) {
  gst_harness_set_src_caps_str(video.get(), "video/x-h264, stream-format=avc, alignment=au");
  const MessageRef message(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR));
  ASSERT_TRUE(message);
  GError *error = nullptr;
  gst_message_parse_error(message.get(), &error, nullptr);
  EXPECT_NE(std::string(error->message).find("h264parse"), std::string::npos) << error->message;
  g_clear_error(&error);
}

TEST_F(SinkTest, IsASinkThatDoesNotPreroll) {
  EXPECT_TRUE(GST_OBJECT_FLAG_IS_SET(sink.get(), GST_ELEMENT_FLAG_SINK));
  gst_element_set_state(sink.get(), GST_STATE_READY);
  EXPECT_EQ(gst_element_set_state(sink.get(), GST_STATE_PAUSED), GST_STATE_CHANGE_SUCCESS);
}

TEST_F(SinkTest, CyclesItsStatesAndKeepsNothing) {
  for (int i = 0; i < 100; ++i) {
    push_audio(i * GST_MSECOND);
    ASSERT_EQ(gst_element_set_state(sink.get(), i % 2 != 0 ? GST_STATE_NULL : GST_STATE_READY),
              GST_STATE_CHANGE_SUCCESS);
    ASSERT_NE(gst_element_set_state(sink.get(), GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
    gst_harness_set_src_caps_str(audio.get(), kAlaw);
  }
  gst_element_set_state(sink.get(), GST_STATE_NULL);
  settle();
  EXPECT_EQ(server->fake_outlet.use_count(), 1);
}

}  // namespace
}  // namespace junctor::test
