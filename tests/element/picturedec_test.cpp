// SPDX-License-Identifier: LGPL-2.1-or-later
// picturedec: pictures, caps, memory and events.
#include <gst/check/gstharness.h>
#include <gst/video/video.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "environment.h"

namespace junctor::test {
namespace {

using HarnessRef = std::unique_ptr<GstHarness, Releaser<gst_harness_teardown>>;

/// What an encoder makes of moving pictures, and its caps.
struct Coded {
  std::string caps;
  std::vector<BufferRef> buffers;
};

Coded encoded(const std::string &encoder, int width = 352, int height = 288) {
  Coded coded;
  Pipeline pipeline(
      "videotestsrc pattern=smpte75 animation-mode=frames horizontal-speed=3 "
      "num-buffers=30 ! video/x-raw,format=I420,framerate=25/1,width=" +
      std::to_string(width) + ",height=" + std::to_string(height) + " ! " + encoder +
      " ! fakesink name=out signal-handoffs=true sync=false");
  const ElementRef out = pipeline["out"];
  g_signal_connect(out.get(), "handoff",
                   G_CALLBACK(+[](GstElement *, GstBuffer *buffer, GstPad *pad, Coded *into) {
                     const CapsRef caps(gst_pad_get_current_caps(pad));
                     into->caps = text_of(caps.get());
                     into->buffers.emplace_back(gst_buffer_copy(buffer));
                   }),
                   &coded);
  pipeline.set_state(GST_STATE_PLAYING);
  pipeline.wait(GST_MESSAGE_EOS);
  return coded;
}

constexpr const char *kFlv = "avenc_flv bitrate=500000";
constexpr const char *kAvc = "x264enc tune=zerolatency ! video/x-h264,stream-format=avc";

std::vector<guint8> bytes_of(GstBuffer *buffer) {
  std::vector<guint8> bytes(gst_buffer_get_size(buffer));
  gst_buffer_extract(buffer, 0, bytes.data(), bytes.size());
  return bytes;
}

class PictureDec : public testing::Test {
 protected:
  void start(const std::string &line, const std::string &caps) {
    harness_.reset(gst_harness_new_parse(line.c_str()));
    ASSERT_TRUE(harness_);
    gst_harness_set_src_caps_str(harness_.get(), caps.c_str());
  }
  GstFlowReturn push(const BufferRef &buffer) {
    return gst_harness_push(harness_.get(), gst_buffer_copy(buffer.get()));
  }
  void push_all(const Coded &coded) {
    for (const BufferRef &buffer : coded.buffers) ASSERT_EQ(push(buffer), GST_FLOW_OK);
  }
  void begin_segment() {
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    ASSERT_TRUE(gst_harness_push_event(harness_.get(), gst_event_new_segment(&segment)));
  }
  void end() { ASSERT_TRUE(gst_harness_push_event(harness_.get(), gst_event_new_eos())); }
  BufferRef pull() { return BufferRef(gst_harness_try_pull(harness_.get())); }
  std::size_t pull_all() {
    std::size_t count = 0;
    while (pull()) ++count;
    return count;
  }
  std::string caps() {
    const CapsRef caps(gst_pad_get_current_caps(harness_->sinkpad));
    return caps ? text_of(caps.get()) : "none";
  }
  std::string told() {
    std::string types;
    while (GstEvent *event = gst_harness_try_pull_event(harness_.get())) {
      types += std::string(GST_EVENT_TYPE_NAME(event)) + " ";
      gst_event_unref(event);
    }
    return types;
  }

  HarnessRef harness_;
};

/// A picture as it came out.
struct Shown {
  GstClockTime at, duration;
  bool corrupted;
  std::vector<guint8> bytes;
  bool operator==(const Shown &) const = default;
};

class AsGStreamersDecoder
    : public PictureDec,
      public testing::WithParamInterface<std::pair<const char *, const char *>> {
 protected:
  void SetUp() override {
    coded_ = encoded(GetParam().first);
    ASSERT_EQ(coded_.buffers.size(), 30u);
  }
  std::vector<Shown> through(const std::string &line) {
    std::vector<Shown> shown;
    start(line, coded_.caps);
    push_all(coded_);
    end();
    while (const BufferRef out = pull())
      shown.push_back(
          {GST_BUFFER_PTS(out.get()), GST_BUFFER_DURATION(out.get()),
           static_cast<bool>(GST_BUFFER_FLAG_IS_SET(out.get(), GST_BUFFER_FLAG_CORRUPTED)),
           bytes_of(out.get())});
    return shown;
  }
  Coded coded_;
};

TEST_P(AsGStreamersDecoder, PicturesAreTheSame) {
  const auto ours = through("picturedec"), theirs = through(GetParam().second);
  EXPECT_EQ(ours.size(), 30u);
  EXPECT_TRUE(ours == theirs);
}

TEST_P(AsGStreamersDecoder, DamageEndsWithTheNextKeyframe) {
  const GstClockTime second_half = GST_BUFFER_PTS(coded_.buffers[15].get());
  auto &buffers = coded_.buffers;
  buffers[12].reset(gst_buffer_copy_region(buffers[12].get(), GST_BUFFER_COPY_ALL, 0,
                                           gst_buffer_get_size(buffers[12].get()) * 2 / 3));
  buffers.erase(buffers.begin() + 5, buffers.begin() + 7);
  buffers.erase(buffers.begin());
  const auto whole_of = [&](std::vector<Shown> shown) {
    std::erase_if(shown, [&](const Shown &each) { return each.at < second_half; });
    return shown;
  };
  const auto ours = whole_of(through("picturedec"));
  EXPECT_EQ(ours.size(), 15u);
  EXPECT_TRUE(ours == whole_of(through(GetParam().second)));
}

INSTANTIATE_TEST_SUITE_P(
    All, AsGStreamersDecoder,
    testing::Values(
        std::pair("x264enc tune=zerolatency key-int-max=15 ! video/x-h264,stream-format=avc",
                  "avdec_h264"),
        std::pair("x264enc tune=zerolatency key-int-max=15 ! "
                  "video/x-h264,stream-format=byte-stream,alignment=au",
                  "avdec_h264"),
        std::pair("x264enc key-int-max=15 bframes=3 b-adapt=false ! "
                  "video/x-h264,stream-format=avc,profile=high",
                  "avdec_h264"),
        std::pair("avenc_h263 gop-size=15", "avdec_h263"),
        std::pair("avenc_flv gop-size=15", "avdec_flv"),
        std::pair("vp8enc deadline=1 keyframe-max-dist=15", "avdec_vp8")));

TEST_F(PictureDec, OfSizesThatAreNoWholeMacroblocks) {
  const std::pair<const char *, const char *> codings[] = {
      {kAvc, "avdec_h264"}, {kFlv, "avdec_flv"}, {"vp8enc deadline=1", "avdec_vp8"}};
  for (const auto &[encoder, decoder] : codings) {
    const Coded coded = encoded(encoder, 130, 74);
    std::array<std::vector<std::vector<guint8>>, 2> bytes;
    for (const std::size_t n : {0u, 1u}) {
      start(n == 0 ? "picturedec" : decoder, coded.caps);
      push_all(coded);
      while (const BufferRef out = pull()) bytes[n].push_back(bytes_of(out.get()));
    }
    EXPECT_EQ(bytes[0].size(), 30u) << encoder;
    EXPECT_TRUE(bytes[0] == bytes[1]) << encoder;
  }
}

TEST_F(PictureDec, PicturesStayWhereTheyWereDecoded) {
  const Coded coded = encoded(kFlv);
  harness_.reset(gst_harness_new("picturedec"));
  gst_harness_add_propose_allocation_meta(harness_.get(), GST_VIDEO_META_API_TYPE, nullptr);
  gst_harness_set_src_caps_str(harness_.get(), coded.caps.c_str());
  ASSERT_EQ(push(coded.buffers[0]), GST_FLOW_OK);
  const BufferRef out = pull();
  ASSERT_TRUE(out);
  ASSERT_NE(gst_buffer_get_video_meta(out.get()), nullptr);
  EXPECT_EQ(gst_buffer_n_memory(out.get()), 3u);
  for (guint n = 0; n < gst_buffer_n_memory(out.get()); ++n)
    EXPECT_TRUE(GST_MEMORY_IS_READONLY(gst_buffer_peek_memory(out.get(), n))) << n;
  // It outlives what gave it, and has what a copy has.
  start("picturedec", coded.caps);
  ASSERT_EQ(push(coded.buffers[0]), GST_FLOW_OK);
  const BufferRef copy = pull();
  ASSERT_TRUE(copy);
  EXPECT_EQ(gst_buffer_get_video_meta(copy.get()), nullptr);
  GstVideoInfo info;
  const CapsRef wanted(gst_pad_get_current_caps(harness_->sinkpad));
  ASSERT_TRUE(gst_video_info_from_caps(&info, wanted.get()));
  EXPECT_EQ(gst_buffer_get_size(copy.get()), info.size);
  GstVideoFrame one, other;
  ASSERT_TRUE(gst_video_frame_map(&one, &info, out.get(), GST_MAP_READ));
  ASSERT_TRUE(gst_video_frame_map(&other, &info, copy.get(), GST_MAP_READ));
  for (guint plane = 0; plane < 3; ++plane)
    for (gint row = 0; row < GST_VIDEO_FRAME_COMP_HEIGHT(&one, plane); ++row) {
      const auto at = [&](GstVideoFrame &frame) {
        return static_cast<guint8 *>(GST_VIDEO_FRAME_PLANE_DATA(&frame, plane)) +
               row * GST_VIDEO_FRAME_PLANE_STRIDE(&frame, plane);
      };
      ASSERT_EQ(memcmp(at(one), at(other),
                       static_cast<std::size_t>(GST_VIDEO_FRAME_COMP_WIDTH(&one, plane))),
                0)
          << plane << ", " << row;
    }
  gst_video_frame_unmap(&one);
  gst_video_frame_unmap(&other);
}

TEST_F(PictureDec, CapsSayWhatThePictureIs) {
  const Coded h263 = encoded("avenc_h263");
  start("picturedec", h263.caps);
  ASSERT_EQ(push(h263.buffers[0]), GST_FLOW_OK);
  for (const char *part : {"format=(string)I420", "width=(int)352", "height=(int)288",
                           "framerate=(fraction)25/1", "pixel-aspect-ratio=(fraction)12/11"})
    EXPECT_NE(caps().find(part), std::string::npos) << part << " in " << caps();

  // Where the picture does not tell the shape of its samples, what it came with does.
  start("picturedec", "video/x-flash-video,flvversion=1,pixel-aspect-ratio=4/3,framerate=10/1");
  ASSERT_EQ(push(encoded(kFlv).buffers[0]), GST_FLOW_OK);
  EXPECT_NE(caps().find("pixel-aspect-ratio=(fraction)4/3"), std::string::npos) << caps();
  EXPECT_NE(caps().find("framerate=(fraction)10/1"), std::string::npos) << caps();

  const Coded full = encoded(
      "capssetter caps=video/x-raw,colorimetry=1:3:5:1 ! x264enc tune=zerolatency ! "
      "video/x-h264,stream-format=avc");
  start("picturedec", full.caps);
  ASSERT_EQ(push(full.buffers[0]), GST_FLOW_OK);
  GstVideoInfo info;
  const CapsRef told(gst_pad_get_current_caps(harness_->sinkpad));
  ASSERT_TRUE(gst_video_info_from_caps(&info, told.get()));
  EXPECT_EQ(info.colorimetry.range, GST_VIDEO_COLOR_RANGE_0_255) << caps();
  EXPECT_EQ(info.colorimetry.matrix, GST_VIDEO_COLOR_MATRIX_BT709) << caps();
}

TEST_F(PictureDec, FormsOfHigherProfiles) {
  const std::pair<const char *, const char *> forms[] = {
      {"Y444", "(string)Y444"}, {"Y42B", "(string)Y42B"}, {"I420_10LE", "(string)I420_10LE"}};
  for (const auto &[form, told] : forms) {
    const Coded coded = encoded("videoconvert ! video/x-raw,format=" + std::string(form) + " ! " +
                                std::string(kAvc));
    start("picturedec", coded.caps);
    ASSERT_EQ(push(coded.buffers[0]), GST_FLOW_OK) << form;
    EXPECT_NE(caps().find(told), std::string::npos) << caps();
  }
}

TEST_F(PictureDec, APictureThatCannotBeDecodedIsLeftOut) {
  const Coded coded = encoded(kFlv);
  start("picturedec", coded.caps);
  ASSERT_EQ(push(coded.buffers[0]), GST_FLOW_OK);
  EXPECT_TRUE(pull());
  const BufferRef bad(gst_buffer_new_allocate(nullptr, 50, nullptr));
  gst_buffer_memset(bad.get(), 0, 0xa5, 50);
  EXPECT_EQ(push(bad), GST_FLOW_OK);
  EXPECT_EQ(push(BufferRef(gst_buffer_new())), GST_FLOW_OK);
  EXPECT_FALSE(pull());
  EXPECT_EQ(push(coded.buffers[1]), GST_FLOW_OK);
  EXPECT_TRUE(pull());
}

TEST_F(PictureDec, WhatCapsGoBeforeWaitsForThem) {
  const Coded coded = encoded(kFlv);
  start("picturedec", coded.caps);
  ASSERT_TRUE(gst_harness_push_event(
      harness_.get(), gst_event_new_tag(gst_tag_list_new(GST_TAG_TITLE, "a call", nullptr))));
  EXPECT_EQ(told(), "stream-start ");
  ASSERT_EQ(push(coded.buffers[0]), GST_FLOW_OK);
  EXPECT_EQ(told(), "caps segment tag ");
  EXPECT_TRUE(GST_BUFFER_IS_DISCONT(pull().get()));

  start("picturedec", coded.caps);
  end();
  EXPECT_EQ(told(), "stream-start segment eos ") << "of nothing there are no caps";
}

TEST_F(PictureDec, OfTheSameSegmentOnceMoreNothingBreaks) {
  const Coded coded = encoded(kFlv);
  start("picturedec", coded.caps);
  ASSERT_EQ(push(coded.buffers[0]), GST_FLOW_OK);
  begin_segment();
  gst_harness_set_src_caps_str(harness_.get(), coded.caps.c_str());
  for (std::size_t n = 1; n < 5; ++n) ASSERT_EQ(push(coded.buffers[n]), GST_FLOW_OK);
  EXPECT_EQ(pull_all(), 5u);
  EXPECT_EQ(told(), "stream-start caps segment segment segment ")
      << "what is the same is not told again";
}

TEST_F(PictureDec, AnotherSizeGetsOtherCaps) {
  start("picturedec", encoded(kFlv).caps);
  ASSERT_EQ(push(encoded(kFlv).buffers[0]), GST_FLOW_OK);
  EXPECT_NE(caps().find("width=(int)352"), std::string::npos) << caps();
  const Coded wide = encoded(kFlv, 640, 360);
  // Once without a word before it, once with caps.
  ASSERT_EQ(push(wide.buffers[0]), GST_FLOW_OK);
  EXPECT_NE(caps().find("width=(int)640"), std::string::npos) << caps();
  const Coded other = encoded(kAvc, 176, 144);
  gst_harness_set_src_caps_str(harness_.get(), other.caps.c_str());
  ASSERT_EQ(push(other.buffers[0]), GST_FLOW_OK);
  EXPECT_NE(caps().find("width=(int)176"), std::string::npos) << caps();
  EXPECT_EQ(pull_all(), 3u);
}

TEST_F(PictureDec, WhatIsHeldBackComesAtTheEndOrNotAtAll) {
  const Coded coded =
      encoded("x264enc bframes=3 b-adapt=false ! video/x-h264,stream-format=avc,profile=high");
  start("picturedec", coded.caps);
  push_all(coded);
  const std::size_t before = pull_all();
  EXPECT_LT(before, coded.buffers.size());
  const GstClockTime latency = gst_harness_query_latency(harness_.get());
  EXPECT_EQ(latency, (coded.buffers.size() - before) * 40 * GST_MSECOND);
  end();
  EXPECT_EQ(before + pull_all(), coded.buffers.size());

  start("picturedec", coded.caps);
  push_all(coded);
  EXPECT_EQ(pull_all(), before);
  ASSERT_TRUE(gst_harness_push_event(harness_.get(), gst_event_new_flush_start()));
  ASSERT_TRUE(gst_harness_push_event(harness_.get(), gst_event_new_flush_stop(TRUE)));
  begin_segment();
  EXPECT_EQ(pull_all(), 0u);
  push_all(coded);
  const BufferRef first = pull();
  ASSERT_TRUE(first);
  EXPECT_TRUE(GST_BUFFER_IS_DISCONT(first.get()));
  EXPECT_EQ(pull_all() + 1, before);
}

TEST_F(PictureDec, AnotherStreamBeginsAnew) {
  const Coded coded =
      encoded("x264enc bframes=3 b-adapt=false ! video/x-h264,stream-format=avc,profile=high");
  start("picturedec", coded.caps);
  push_all(coded);
  const std::size_t before = pull_all();
  ASSERT_LT(before, coded.buffers.size());
  ASSERT_TRUE(gst_harness_push_event(harness_.get(), gst_event_new_stream_start("another")));
  EXPECT_EQ(before + pull_all(), coded.buffers.size());
}

TEST_F(PictureDec, CanBeStartedAgain) {
  const Coded coded = encoded(kFlv);
  start("picturedec", coded.caps);
  ASSERT_EQ(push(coded.buffers[0]), GST_FLOW_OK);
  const ElementRef element(gst_harness_find_element(harness_.get(), "picturedec"));
  ASSERT_TRUE(element);
  gst_element_set_state(element.get(), GST_STATE_READY);
  gst_element_set_state(element.get(), GST_STATE_PLAYING);
  pull_all();
  ASSERT_EQ(push(coded.buffers[0]), GST_FLOW_OK);
  const BufferRef out = pull();
  ASSERT_TRUE(out);
  EXPECT_TRUE(GST_BUFFER_IS_DISCONT(out.get()));
}

TEST_F(PictureDec, SaysWhatH264Lacks) {
  const std::pair<const char *, const char *> lacking[] = {
      {"video/x-h264,stream-format=avc,alignment=au",
       "the caps of H.264 have no codec_data; put h264parse in front"},
      {"video/x-h264,stream-format=avc,alignment=au,codec_data=(buffer)ffff",
       "this is no setup of h264"}};
  for (const auto &[caps, why] : lacking) {
    const ElementRef element = make("picturedec");
    const BusRef bus(gst_bus_new());
    gst_element_set_bus(element.get(), bus.get());
    harness_.reset(gst_harness_new_with_element(element.get(), "sink", "src"));
    gst_harness_set_src_caps_str(harness_.get(), caps);
    const MessageRef message(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR));
    ASSERT_TRUE(message) << caps;
    GError *error = nullptr;
    gst_message_parse_error(message.get(), &error, nullptr);
    EXPECT_TRUE(g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE));
    EXPECT_TRUE(std::string(error->message).starts_with(why)) << error->message;
    g_clear_error(&error);
    EXPECT_EQ(push(BufferRef(gst_buffer_new_allocate(nullptr, 10, nullptr))),
              GST_FLOW_NOT_NEGOTIATED);
    gst_element_set_bus(element.get(), nullptr);
    harness_.reset();
  }
}

TEST_F(PictureDec, AnswersQueriesOnItsPads) {
  start("picturedec", encoded(kFlv).caps);
  const CapsRef all(gst_pad_peer_query_caps(harness_->srcpad, nullptr));
  EXPECT_NE(text_of(all.get()).find("video/x-vp8"), std::string::npos);
  const CapsRef filter(gst_caps_from_string("video/x-h263; audio/x-alaw"));
  const CapsRef some(gst_pad_peer_query_caps(harness_->srcpad, filter.get()));
  EXPECT_EQ(text_of(some.get()), "video/x-h263");
  GstQuery *allocation = gst_query_new_allocation(filter.get(), TRUE);
  EXPECT_FALSE(gst_pad_peer_query(harness_->srcpad, allocation));
  gst_query_unref(allocation);
}

}  // namespace
}  // namespace junctor::test
