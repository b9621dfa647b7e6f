// SPDX-License-Identifier: LGPL-2.1-or-later
// rtmpauthsrc on a fake server: pads, caps, timestamps, ends.
#include <gst/check/gsttestclock.h>

#include <algorithm>
#include <thread>

#include "fake_server.h"

namespace junctor::test {
namespace {

/// A buffer as a sink got it.
struct Got {
  GstClockTime pts = 0, dts = 0;
  bool key = false, discont = false, droppable = false, header = false;
  const void *data = nullptr;
};

/// The element with a recording pad behind each of its pads, on a clock that only the test moves.
class SourceTest : public FakeServerTest {
 protected:
  void SetUp() override {
    FakeServerTest::SetUp();
    source = make("rtmpauthsrc", "source");
    ASSERT_TRUE(source);
    pipeline.reset(GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new(nullptr))));
    bus.reset(gst_element_get_bus(pipeline.get()));
    gst_bin_add(GST_BIN(pipeline.get()), GST_ELEMENT(gst_object_ref(source.get())));
    clock.reset(gst_test_clock_new());
    gst_pipeline_use_clock(GST_PIPELINE(pipeline.get()), clock.get());
    g_object_set(source.get(), "stream", "alice", nullptr);
    give_server(pipeline.get());
    g_signal_connect_swapped(source.get(), "pad-added",
                             G_CALLBACK(+[](SourceTest *self, GstPad *pad) { self->on_pad(pad); }),
                             this);
    g_signal_connect_swapped(source.get(), "no-more-pads",
                             G_CALLBACK(+[](SourceTest *self) { ++self->no_more_pads; }), this);
  }
  void TearDown() override {
    if (pipeline) gst_element_set_state(pipeline.get(), GST_STATE_NULL);
    server.reset();
  }

  void play() {
    ASSERT_EQ(gst_element_set_state(pipeline.get(), GST_STATE_PAUSED), GST_STATE_CHANGE_NO_PREROLL);
    ASSERT_EQ(gst_element_set_state(pipeline.get(), GST_STATE_PLAYING), GST_STATE_CHANGE_SUCCESS);
    settle();
  }
  /// Sets the running time.
  void at(GstClockTime time) { gst_test_clock_set_time(GST_TEST_CLOCK(clock.get()), time); }

  void publish(const std::function<void(rtmp::PublishListener &)> &what) {
    on_reactor([&] {
      const auto listener = server->listener();
      ASSERT_TRUE(listener);
      what(*listener);
    });
  }
  void frame(const rtmp::Frame &frame) {
    publish([&](rtmp::PublishListener &listener) { listener.on_frame(frame); });
  }
  void begin() {
    publish([](rtmp::PublishListener &listener) {
      listener.on_publisher();
      listener.on_track(h264_track());
      listener.on_track(aac_track());
    });
  }

  void on_pad(GstPad *pad) {
    const std::string name = GST_PAD_NAME(pad);
    pads.push_back(name);
    const CapsRef caps(gst_pad_get_current_caps(pad));
    first_caps[name] = text_of(caps.get());
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_DATA_DOWNSTREAM, on_data, this, nullptr);
    if (!link) return;
    GstElement *sink = gst_element_factory_make("fakesink", (name + "-sink").c_str());
    g_object_set(sink, "sync", FALSE, "async", FALSE, nullptr);
    gst_bin_add(GST_BIN(pipeline.get()), sink);
    gst_element_sync_state_with_parent(sink);
    const PadRef peer(gst_element_get_static_pad(sink, "sink"));
    gst_pad_link(pad, peer.get());
  }
  static GstPadProbeReturn on_data(GstPad *pad, GstPadProbeInfo *info, gpointer data) {
    auto *self = static_cast<SourceTest *>(data);
    const std::string name = GST_PAD_NAME(pad);
    if (GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
        (GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_BUFFER) != 0) {
      GstMapInfo map;
      gst_buffer_map(buffer, &map, GST_MAP_READ);
      self->got[name].push_back({GST_BUFFER_PTS(buffer), GST_BUFFER_DTS(buffer),
                                 !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT),
                                 bool(GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DISCONT)),
                                 bool(GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DROPPABLE)),
                                 bool(GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_HEADER)),
                                 map.data});
      gst_buffer_unmap(buffer, &map);
    } else if (GstEvent *event = GST_PAD_PROBE_INFO_EVENT(info)) {
      self->events[name] += std::string(GST_EVENT_TYPE_NAME(event)) + " ";
    }
    return GST_PAD_PROBE_OK;
  }

  bool link = true;
  ElementRef source, pipeline;
  BusRef bus;
  ClockRef clock;
  // Written on the reactor, read when it is settled.
  std::vector<std::string> pads;
  int no_more_pads = 0;
  std::map<std::string, std::string> first_caps, events;
  std::map<std::string, std::vector<Got>> got;
};

TEST_F(SourceTest, PadsComeWithTheirTracksAndCaps) {
  play();
  EXPECT_EQ(server->names, std::vector<std::string>{"alice"});
  EXPECT_TRUE(pads.empty());
  begin();
  EXPECT_EQ(pads, (std::vector<std::string>{"video", "audio"}));
  EXPECT_EQ(no_more_pads, 1);

  const CapsRef video(gst_caps_from_string(first_caps["video"].c_str()));
  const GstStructure *structure = gst_caps_get_structure(video.get(), 0);
  EXPECT_TRUE(gst_structure_has_name(structure, "video/x-h264"));
  EXPECT_EQ(field(structure, "stream-format"), "avc");
  EXPECT_EQ(field(structure, "alignment"), "au");
  EXPECT_EQ(field(structure, "profile"), "constrained-baseline");
  EXPECT_EQ(field(structure, "level"), "3.1");
  int width = 0, height = 0;
  EXPECT_TRUE(gst_structure_get_int(structure, "width", &width));
  EXPECT_TRUE(gst_structure_get_int(structure, "height", &height));
  EXPECT_EQ(width, 640);
  EXPECT_EQ(height, 360);
  const GValue *config = gst_structure_get_value(structure, "codec_data");
  ASSERT_NE(config, nullptr);
  const SharedBytes expected = avc_config();
  EXPECT_EQ(gst_buffer_memcmp(gst_value_get_buffer(config), 0, expected.view.data(),
                              expected.view.size()),
            0);

  const CapsRef audio(gst_caps_from_string(first_caps["audio"].c_str()));
  const CapsRef wanted(
      gst_caps_from_string("audio/mpeg, mpegversion=4, stream-format=raw, framed=true, rate=44100, "
                           "channels=2, base-profile=lc, profile=lc, codec_data=(buffer)1210"));
  EXPECT_TRUE(gst_caps_is_equal(audio.get(), wanted.get())) << first_caps["audio"];
}

TEST_F(SourceTest, WhatThePublisherSendsInVainIsWarnedOf) {
  play();
  publish([](rtmp::PublishListener &listener) {
    listener.on_publisher();
    listener.on_track(h264_track());
    listener.on_left_out(Medium::Audio, "MP3 is not supported.");
  });
  EXPECT_EQ(source->numpads, 1);
  const MessageRef message(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_WARNING));
  ASSERT_TRUE(message);
  GError *warning = nullptr;
  gst_message_parse_warning(message.get(), &warning, nullptr);
  EXPECT_TRUE(g_error_matches(warning, GST_STREAM_ERROR, GST_STREAM_ERROR_WRONG_TYPE));
  EXPECT_STREQ(warning->message, "The audio of \"alice\" is left out. MP3 is not supported.");
  g_clear_error(&warning);
}

TEST_F(SourceTest, WhatThePadsCarryFitsTheirTemplates) {
  play();
  begin();
  for (const char *name : {"video", "audio"}) {
    const PadRef pad(gst_element_get_static_pad(source.get(), name));
    const CapsRef its(gst_caps_from_string(first_caps[name].c_str()));
    const CapsRef promised(gst_pad_get_pad_template_caps(pad.get()));
    EXPECT_TRUE(gst_caps_is_subset(its.get(), promised.get())) << first_caps[name];
  }
}

TEST_F(SourceTest, G711HasCapsWithoutCodecData) {
  play();
  publish([](rtmp::PublishListener &listener) {
    rtmp::Track track;
    track.codec = Codec::Pcma;
    track.rate = 8000;
    track.channels = 1;
    listener.on_publisher();
    listener.on_track(track);
  });
  EXPECT_EQ(first_caps["audio"], "audio/x-alaw, rate=(int)8000, channels=(int)1");
}

struct CodecRow {
  Codec codec;
  const char *pad, *caps;
};

class SourceOfCodec : public SourceTest, public testing::WithParamInterface<CodecRow> {};

/// The caps are what decoders and payloaders of that codec take.
TEST_P(SourceOfCodec, HasCapsThatDecodersTake) {
  play();
  rtmp::Track track;
  track.codec = GetParam().codec;
  track.rate = track.codec == Codec::Speex ? 16000 : 8000;
  track.channels = 1;
  track.width = 352;
  track.height = 288;
  publish([&](rtmp::PublishListener &listener) {
    listener.on_publisher();
    listener.on_track(track);
  });
  const std::string pad = GetParam().pad;
  ASSERT_EQ(pads, std::vector<std::string>{pad});
  const CapsRef caps(gst_caps_from_string(first_caps[pad].c_str()));
  const CapsRef wanted(gst_caps_from_string(GetParam().caps));
  EXPECT_TRUE(gst_caps_is_equal(caps.get(), wanted.get())) << first_caps[pad];
  const PadRef its(gst_element_get_static_pad(source.get(), pad.c_str()));
  const CapsRef promised(gst_pad_get_pad_template_caps(its.get()));
  EXPECT_TRUE(gst_caps_is_subset(caps.get(), promised.get())) << first_caps[pad];
}

INSTANTIATE_TEST_SUITE_P(
    All, SourceOfCodec,
    testing::Values(
        CodecRow{Codec::Pcma, "audio", "audio/x-alaw, rate=8000, channels=1"},
        CodecRow{Codec::Pcmu, "audio", "audio/x-mulaw, rate=8000, channels=1"},
        CodecRow{Codec::Speex, "audio",
                 "audio/x-speex, rate=16000, channels=1, streamheader=(buffer)< "
                 "5370656578202020312e322e3100000000000000000000000000000001000000"
                 "50000000803e0000010000000400000001000000ffffffff4001000000000000"
                 "01000000000000000000000000000000, 070000004a756e63746f720000000001 >"},
        CodecRow{Codec::H263, "video",
                 "video/x-h263, variant=itu, h263version=h263, annex-f=false, annex-i=false, "
                 "annex-j=false, annex-t=false, width=352, height=288"},
        CodecRow{Codec::Sorenson, "video",
                 "video/x-flash-video, flvversion=1, width=352, height=288"},
        CodecRow{Codec::Vp8, "video", "video/x-vp8, width=352, height=288"}),
    [](const auto &info) { return std::string(to_string(info.param.codec)); });

TEST_F(SourceTest, SpeexBeginsWithItsTwoHeaders) {
  play();
  rtmp::Track track;
  track.codec = Codec::Speex;
  track.rate = 16000;
  track.channels = 1;
  publish([&](rtmp::PublishListener &listener) {
    listener.on_publisher();
    listener.on_track(track);
  });
  EXPECT_TRUE(got["audio"].empty()) << "not before there is sound";
  frame(audio_frame(0));
  frame(audio_frame(20));
  ASSERT_EQ(got["audio"].size(), 4u);
  EXPECT_TRUE(got["audio"][0].header);
  EXPECT_TRUE(got["audio"][1].header);
  EXPECT_FALSE(got["audio"][2].header);
  EXPECT_TRUE(got["audio"][2].discont);
  EXPECT_FALSE(got["audio"][3].header);
  // The next publisher's stream is the same to a decoder.
  publish([&](rtmp::PublishListener &listener) {
    listener.on_publisher_gone(false);
    listener.on_publisher();
    listener.on_track(track);
    listener.on_frame(audio_frame(0));
  });
  EXPECT_EQ(got["audio"].size(), 5u);
}

TEST_F(SourceTest, TheFirstFrameIsNowAndTheOthersFollowItsClock) {
  play();
  begin();
  at(3 * GST_SECOND);
  frame(video_frame(70000, true));
  at(4 * GST_SECOND);  // arrival does not move what follows
  frame(video_frame(70040, false, 80));
  frame(audio_frame(70010));
  ASSERT_EQ(got["video"].size(), 2u);
  ASSERT_EQ(got["audio"].size(), 1u);
  EXPECT_EQ(got["video"][0].pts, 3 * GST_SECOND);
  EXPECT_EQ(got["video"][0].dts, 3 * GST_SECOND);
  EXPECT_EQ(got["video"][1].dts, 3 * GST_SECOND + 40 * GST_MSECOND);
  EXPECT_EQ(got["video"][1].pts, 3 * GST_SECOND + 120 * GST_MSECOND);
  EXPECT_EQ(got["audio"][0].pts, 3 * GST_SECOND + 10 * GST_MSECOND);
  EXPECT_TRUE(got["video"][0].key);
  EXPECT_FALSE(got["video"][1].key);
  EXPECT_TRUE(got["video"][0].discont);
  EXPECT_FALSE(got["video"][1].discont);
  EXPECT_TRUE(got["audio"][0].discont);
  EXPECT_EQ(events["video"], "stream-start caps segment ");
}

TEST_F(SourceTest, BuffersAreThePublishersBytesNotACopy) {
  play();
  begin();
  rtmp::Frame sent = video_frame(0, true);
  sent.droppable = true;
  frame(sent);
  ASSERT_EQ(got["video"].size(), 1u);
  EXPECT_EQ(got["video"][0].data, sent.data.view.data());
  EXPECT_TRUE(got["video"][0].droppable);
  // Nobody keeps them: the sink's last-sample and then nothing.
  const ElementRef sink(gst_bin_get_by_name(GST_BIN(pipeline.get()), "video-sink"));
  g_object_set(sink.get(), "enable-last-sample", FALSE, nullptr);
  EXPECT_EQ(sent.data.owner.use_count(), 1);
}

TEST_F(SourceTest, ThePastGoesByAtOnceAndWithoutItsSound) {
  server->on_listen = [](rtmp::PublishListener &listener) {
    listener.on_publisher();
    listener.on_track(h264_track());
    listener.on_track(aac_track());
    listener.on_frame(video_frame(1000, true));
    listener.on_frame(audio_frame(1010));
    listener.on_frame(video_frame(3000, false));
    listener.on_frame(video_frame(5000, false, 60));
  };
  at(0);
  play();
  ASSERT_EQ(got["video"].size(), 3u);
  EXPECT_TRUE(got["audio"].empty());
  frame(video_frame(5040, false));
  frame(audio_frame(5050));
  const auto &video = got["video"];
  ASSERT_EQ(video.size(), 4u);
  EXPECT_EQ(video[0].dts, 0u);
  EXPECT_EQ(video[1].dts, 20 * GST_MSECOND);
  EXPECT_EQ(video[2].dts, 40 * GST_MSECOND);
  EXPECT_EQ(video[2].pts, 100 * GST_MSECOND);  // still after the picture that comes next
  EXPECT_EQ(video[3].pts, 80 * GST_MSECOND);
  EXPECT_EQ(got["audio"][0].pts, 90 * GST_MSECOND);
}

TEST_F(SourceTest, ATakeOverGoesOnRisingWithDiscont) {
  play();
  begin();
  at(GST_SECOND);
  frame(video_frame(900000, true));
  frame(video_frame(900500, false));  // ahead of the clock
  at(GST_SECOND + 100 * GST_MSECOND);
  publish([](rtmp::PublishListener &listener) { listener.on_publisher_gone(false); });
  begin();
  frame(video_frame(12, true));
  frame(audio_frame(5));
  ASSERT_EQ(got["video"].size(), 3u);
  EXPECT_GT(got["video"][2].dts, got["video"][1].dts);
  EXPECT_LE(got["video"][2].dts, got["video"][1].dts + GST_MSECOND);
  EXPECT_TRUE(got["video"][2].discont);
  EXPECT_TRUE(got["audio"][0].discont);
  EXPECT_GE(got["audio"][0].dts, got["video"][1].dts);
  EXPECT_EQ(pads.size(), 2u);
  EXPECT_EQ(events["video"], "stream-start caps segment ");  // the same caps are not sent again
}

TEST_F(SourceTest, APublisherThatSetsItsClockAnewIsPlacedAnew) {
  play();
  begin();
  frame(video_frame(1'000'000, true));
  at(2 * GST_SECOND);
  frame(video_frame(0, true));
  at(3 * GST_SECOND);
  frame(video_frame(50'000'000, true));
  ASSERT_EQ(got["video"].size(), 3u);
  EXPECT_EQ(got["video"][1].dts, 2 * GST_SECOND);
  EXPECT_EQ(got["video"][2].dts, 3 * GST_SECOND);
  EXPECT_TRUE(got["video"][2].discont);
}

TEST_F(SourceTest, ChangedTracksChangeTheCapsOnTheSamePad) {
  play();
  begin();
  frame(audio_frame(0));
  publish([](rtmp::PublishListener &listener) {
    rtmp::Track track;
    track.codec = Codec::Pcmu;
    track.rate = 8000;
    track.channels = 1;
    listener.on_track(track);
  });
  frame(audio_frame(20));
  EXPECT_EQ(pads.size(), 2u);
  EXPECT_EQ(events["audio"], "stream-start caps segment caps ");
}

TEST_F(SourceTest, AFinishedPublisherEndsTheStreamsOnceForAll) {
  play();
  begin();
  frame(video_frame(0, true));
  publish([](rtmp::PublishListener &listener) { listener.on_publisher_gone(true); });
  EXPECT_EQ(events["video"], "stream-start caps segment eos ");
  EXPECT_EQ(events["audio"], "stream-start caps segment eos ");
  begin();
  frame(video_frame(0, true));
  EXPECT_EQ(got["video"].size(), 1u);
}

TEST_F(SourceTest, ALostPublisherIsOnlySilence) {
  play();
  begin();
  frame(video_frame(0, true));
  publish([](rtmp::PublishListener &listener) { listener.on_publisher_gone(false); });
  EXPECT_EQ(events["video"], "stream-start caps segment ");
}

TEST_F(SourceTest, WithoutEosOnFinishTheNextPublisherGoesOn) {
  g_object_set(source.get(), "eos-on-finish", FALSE, nullptr);
  play();
  begin();
  frame(video_frame(0, true));
  publish([](rtmp::PublishListener &listener) { listener.on_publisher_gone(true); });
  begin();
  frame(video_frame(0, true));
  EXPECT_EQ(got["video"].size(), 2u);
  EXPECT_EQ(events["video"], "stream-start caps segment ");
}

TEST_F(SourceTest, AnEosSentToThePipelineEndsTheStreams) {
  play();
  begin();
  gst_element_send_event(pipeline.get(), gst_event_new_eos());
  settle();
  EXPECT_EQ(events["video"], "stream-start caps segment eos ");
}

TEST_F(SourceTest, AnUnlinkedPadDoesNotStopTheOther) {
  play();
  publish([](rtmp::PublishListener &listener) {
    listener.on_publisher();
    listener.on_track(h264_track());
  });
  link = false;
  publish([](rtmp::PublishListener &listener) { listener.on_track(aac_track()); });
  for (int i = 0; i < 10; ++i) {
    frame(audio_frame(i * 20));
    frame(video_frame(i * 20, i == 0));
  }
  EXPECT_EQ(got["video"].size(), 10u);
  EXPECT_EQ(MessageRef(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR)), nullptr);
}

TEST_F(SourceTest, AFlowErrorIsToldOnceAndEndsTheStreams) {
  play();
  begin();
  const ElementRef sink(gst_bin_get_by_name(GST_BIN(pipeline.get()), "video-sink"));
  const PadRef pad(gst_element_get_static_pad(sink.get(), "sink"));
  gst_pad_set_chain_function(pad.get(), [](GstPad *, GstObject *, GstBuffer *buffer) {
    gst_buffer_unref(buffer);
    return GST_FLOW_ERROR;
  });
  frame(video_frame(0, true));
  frame(video_frame(40, false));
  EXPECT_EQ(got["video"].size(), 1u);
  EXPECT_EQ(events["audio"], "stream-start caps segment eos ");
  EXPECT_NE(MessageRef(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR)), nullptr);
  EXPECT_EQ(MessageRef(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR)), nullptr);
}

TEST_F(SourceTest, ATrackThatCannotBeDescribedIsLeftOutWithAWarning) {
  play();
  publish([](rtmp::PublishListener &listener) {
    rtmp::Track track;  // H.264 without its configuration
    listener.on_publisher();
    listener.on_track(track);
    listener.on_track(aac_track());
    listener.on_frame(video_frame(0, true));
    listener.on_frame(audio_frame(0));
  });
  EXPECT_EQ(pads, std::vector<std::string>{"audio"});
  EXPECT_EQ(got["audio"].size(), 1u);
  const MessageRef message(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_WARNING));
  ASSERT_TRUE(message);
  GError *warning = nullptr;
  gst_message_parse_warning(message.get(), &warning, nullptr);
  EXPECT_NE(std::string(warning->message).find("left out"), std::string::npos) << warning->message;
  g_clear_error(&warning);
}

TEST_F(SourceTest, NoMorePadsIsToldWhenNoSecondTrackComes) {
  play();
  publish([](rtmp::PublishListener &listener) {
    listener.on_publisher();
    listener.on_track(aac_track());
  });
  frame(audio_frame(100));
  frame(audio_frame(1099));
  EXPECT_EQ(no_more_pads, 0);
  frame(audio_frame(1100));
  EXPECT_EQ(no_more_pads, 1);
  publish([](rtmp::PublishListener &listener) { listener.on_track(h264_track()); });
  EXPECT_EQ(pads, (std::vector<std::string>{"audio", "video"}));  // late, but not left out
  EXPECT_EQ(no_more_pads, 1);
}

TEST_F(SourceTest, IsLiveWithTheLatencyThatIsSet) {
  g_object_set(source.get(), "latency", 150u, nullptr);
  play();
  begin();
  const PadRef pad(gst_element_get_static_pad(source.get(), "video"));
  GstQuery *query = gst_query_new_latency();
  ASSERT_TRUE(gst_pad_query(pad.get(), query));
  gboolean live = FALSE;
  GstClockTime least = 0, most = 0;
  gst_query_parse_latency(query, &live, &least, &most);
  gst_query_unref(query);
  EXPECT_TRUE(live);
  EXPECT_EQ(least, 150 * GST_MSECOND);
  EXPECT_EQ(most, GST_CLOCK_TIME_NONE);
}

TEST_F(SourceTest, PausedItDropsAndPlayingAgainItBeginsAnew) {
  play();
  begin();
  frame(video_frame(0, true));
  gst_element_set_state(pipeline.get(), GST_STATE_PAUSED);
  settle();
  EXPECT_FALSE(server->listener());
  gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
  settle();
  begin();
  frame(video_frame(5000, true));
  ASSERT_EQ(got["video"].size(), 2u);
  EXPECT_TRUE(got["video"][1].discont);
  EXPECT_GT(got["video"][1].dts, got["video"][0].dts);
}

TEST_F(SourceTest, DownToReadyItHasNoPadsAndListensNoMore) {
  play();
  begin();
  gst_element_set_state(pipeline.get(), GST_STATE_READY);
  settle();
  EXPECT_EQ(source->numpads, 0);
  EXPECT_FALSE(server->listener());
}

TEST_F(SourceTest, GoesDownWhileAPadIsBlocked) {
  play();
  begin();
  const PadRef pad(gst_element_get_static_pad(source.get(), "video"));
  std::atomic<bool> blocked = false;
  gst_pad_add_probe(
      pad.get(), GST_PAD_PROBE_TYPE_BLOCK_DOWNSTREAM,
      [](GstPad *, GstPadProbeInfo *, gpointer flag) {
        *static_cast<std::atomic<bool> *>(flag) = true;
        static_cast<std::atomic<bool> *>(flag)->notify_all();
        return GST_PAD_PROBE_OK;  // stays blocked
      },
      &blocked, nullptr);
  thread->reactor()->post([this] {
    if (const auto listener = server->listener()) listener->on_frame(video_frame(0, true));
  });
  blocked.wait(false);
  EXPECT_EQ(gst_element_set_state(pipeline.get(), GST_STATE_NULL), GST_STATE_CHANGE_SUCCESS);
}

TEST_F(SourceTest, GoesDownWhileTheSinkWaitsForTheClock) {
  play();
  begin();
  const ElementRef sink(gst_bin_get_by_name(GST_BIN(pipeline.get()), "video-sink"));
  g_object_set(sink.get(), "sync", TRUE, nullptr);
  thread->reactor()->post([this] {
    if (const auto listener = server->listener()) listener->on_frame(video_frame(0, true));
  });
  gst_test_clock_wait_for_next_pending_id(GST_TEST_CLOCK(clock.get()), nullptr);
  EXPECT_EQ(gst_element_set_state(pipeline.get(), GST_STATE_NULL), GST_STATE_CHANGE_SUCCESS);
}

TEST_F(SourceTest, ASharedServerNeedsAStream) {
  g_object_set(source.get(), "stream", nullptr, nullptr);
  EXPECT_EQ(gst_element_set_state(pipeline.get(), GST_STATE_READY), GST_STATE_CHANGE_FAILURE);
  const MessageRef message(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR));
  ASSERT_TRUE(message);
  GError *error = nullptr;
  gst_message_parse_error(message.get(), &error, nullptr);
  EXPECT_NE(std::string(error->message).find("`stream`"), std::string::npos);
  g_clear_error(&error);
}

TEST_F(SourceTest, CyclesItsStatesAndKeepsNothing) {
  server->on_listen = [](rtmp::PublishListener &listener) {
    listener.on_publisher();
    listener.on_track(h264_track());
    listener.on_frame(video_frame(1000, true));
  };
  for (int i = 0; i < 100; ++i) {
    ASSERT_NE(gst_element_set_state(pipeline.get(), GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
    if (i % 3 == 0) settle();
    ASSERT_EQ(gst_element_set_state(pipeline.get(), i % 2 != 0 ? GST_STATE_NULL : GST_STATE_READY),
              GST_STATE_CHANGE_SUCCESS);
    const ElementRef sink(gst_bin_get_by_name(GST_BIN(pipeline.get()), "video-sink"));
    if (!sink) continue;
    gst_element_set_state(sink.get(), GST_STATE_NULL);
    gst_bin_remove(GST_BIN(pipeline.get()), sink.get());
  }
  settle();
  EXPECT_FALSE(server->listener());
}

}  // namespace
}  // namespace junctor::test
