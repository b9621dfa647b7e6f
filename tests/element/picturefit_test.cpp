// SPDX-License-Identifier: LGPL-2.1-or-later
// picturefit: caps, pictures and rates.
#include <gst/check/gstharness.h>

#include <memory>
#include <string>

#include "environment.h"

namespace junctor::test {
namespace {

using HarnessRef = std::unique_ptr<GstHarness, Releaser<gst_harness_teardown>>;

class PictureFit : public testing::Test {
 protected:
  void start(const std::string &in, const std::string &wanted, int max_rate = 0) {
    element_ = make("picturefit");
    ASSERT_TRUE(element_);
    g_object_set(element_.get(), "max-rate", max_rate, nullptr);
    harness_.reset(gst_harness_new_with_element(element_.get(), "sink", "src"));
    gst_harness_set_sink_caps_str(harness_.get(), wanted.c_str());
    gst_harness_set_src_caps_str(harness_.get(), in.c_str());
  }
  GstFlowReturn push(std::size_t size, int fill, int at_ms = 0) {
    GstBuffer *buffer = gst_harness_create_buffer(harness_.get(), size);
    gst_buffer_memset(buffer, 0, static_cast<guint8>(fill), size);
    GST_BUFFER_PTS(buffer) = static_cast<GstClockTime>(at_ms) * GST_MSECOND;
    pushed_ = buffer;
    return gst_harness_push(harness_.get(), buffer);
  }
  BufferRef pull() { return BufferRef(gst_harness_try_pull(harness_.get())); }
  /// Caps of what comes out.
  std::string field(const char *name) {
    const PadRef pad(gst_element_get_static_pad(element_.get(), "src"));
    const CapsRef caps(gst_pad_get_current_caps(pad.get()));
    if (!caps) return "no caps";
    const GValue *value = gst_structure_get_value(gst_caps_get_structure(caps.get(), 0), name);
    if (!value) return "none";
    gchar *text = gst_value_serialize(value);
    const std::string copy(text);
    g_free(text);
    return copy;
  }
  static int byte_at(GstBuffer *buffer, std::size_t offset) {
    guint8 byte = 0;
    gst_buffer_extract(buffer, offset, &byte, 1);
    return byte;
  }

  ElementRef element_;
  HarnessRef harness_;
  const GstBuffer *pushed_ = nullptr;
};

TEST_F(PictureFit, IntoASizeOfH263WithBordersAndSamplesOfItsShape) {
  start("video/x-raw,format=I420,width=640,height=360,framerate=25/1",
        "video/x-raw,format=I420,width=352,height=288,pixel-aspect-ratio=12/11");
  ASSERT_EQ(push(640 * 360 * 3 / 2, 100), GST_FLOW_OK);
  const BufferRef out = pull();
  ASSERT_TRUE(out);
  ASSERT_EQ(gst_buffer_get_size(out.get()), 352u * 288 * 3 / 2);
  EXPECT_EQ(byte_at(out.get(), 352 * 35 + 176), 16);
  EXPECT_NEAR(byte_at(out.get(), 352 * 37 + 176), 100, 1);
  EXPECT_EQ(field("width") + 'x' + field("height"), "352x288");
  EXPECT_EQ(field("framerate"), "25/1");
}

TEST_F(PictureFit, IntoBoundsWithSquareSamples) {
  start("video/x-raw,format=I420,width=352,height=288,pixel-aspect-ratio=12/11,framerate=25/1",
        "video/x-raw,format=I420,width=[16,1280,2],height=[16,720,2],pixel-aspect-ratio=1/1");
  ASSERT_EQ(push(352 * 288 * 3 / 2, 100), GST_FLOW_OK);
  EXPECT_EQ(field("width") + 'x' + field("height"), "384x288");
}

TEST_F(PictureFit, WhatFitsPassesUntouched) {
  start("video/x-raw,format=I420,width=640,height=360,framerate=0/1",
        "video/x-raw,format=I420,width=[16,1280,2],height=[16,720,2],pixel-aspect-ratio=1/1", 30);
  ASSERT_EQ(push(640 * 360 * 3 / 2, 7), GST_FLOW_OK);
  const BufferRef out = pull();
  EXPECT_EQ(out.get(), pushed_);
  EXPECT_EQ(field("framerate"), "30/1");
}

TEST_F(PictureFit, OtherFormatsBecomeI420) {
  const std::pair<const char *, std::size_t> formats[] = {
      {"Y444", 64 * 64 * 3},      {"Y42B", 64 * 64 * 2},     {"GRAY8", 64 * 64},
      {"I420_10LE", 64 * 64 * 3}, {"NV12", 64 * 64 * 3 / 2}, {"BGRx", 64 * 64 * 4},
      {"YV12", 64 * 64 * 3 / 2},
  };
  for (const auto &[format, size] : formats) {
    start("video/x-raw,framerate=25/1,width=64,height=64,format=" + std::string(format),
          "video/x-raw,format=I420");
    ASSERT_EQ(push(size, 0), GST_FLOW_OK) << format;
    const BufferRef out = pull();
    ASSERT_TRUE(out) << format;
    EXPECT_EQ(gst_buffer_get_size(out.get()), 64u * 64 * 3 / 2) << format;
  }
}

TEST_F(PictureFit, ChromaOfYV12IsNotSwapped) {
  start("video/x-raw,framerate=25/1,width=64,height=64,format=YV12", "video/x-raw,format=I420");
  GstBuffer *buffer = gst_harness_create_buffer(harness_.get(), 64 * 64 * 3 / 2);
  gst_buffer_memset(buffer, 0, 100, 64 * 64);
  gst_buffer_memset(buffer, 64 * 64, 200, 32 * 32);           // V
  gst_buffer_memset(buffer, 64 * 64 + 32 * 32, 50, 32 * 32);  // U
  ASSERT_EQ(gst_harness_push(harness_.get(), buffer), GST_FLOW_OK);
  const BufferRef out = pull();
  ASSERT_TRUE(out);
  EXPECT_NEAR(byte_at(out.get(), 64 * 64 + 100), 50, 1);
  EXPECT_NEAR(byte_at(out.get(), 64 * 64 + 32 * 32 + 100), 200, 1);
}

TEST_F(PictureFit, FullRangeIsNotPassedOnAsLimited) {
  start("video/x-raw,framerate=25/1,width=64,height=64,format=I420,colorimetry=1:4:0:0",
        "video/x-raw,format=I420");
  ASSERT_EQ(push(64 * 64 * 3 / 2, 255), GST_FLOW_OK);
  const BufferRef out = pull();
  ASSERT_TRUE(out);
  EXPECT_NEAR(byte_at(out.get(), 64 * 32 + 32), 235, 1);
  EXPECT_EQ(field("colorimetry"), "2:4:0:0");
}

TEST_F(PictureFit, NoMorePicturesThanWanted) {
  start("video/x-raw,format=I420,width=64,height=64,framerate=0/1", "video/x-raw,format=I420", 15);
  int count = 0;
  for (int n = 0; n < 60; ++n) {
    ASSERT_EQ(push(64 * 64 * 3 / 2, 0, n * 1000 / 30), GST_FLOW_OK);
    count += pull() != nullptr;
  }
  EXPECT_EQ(count, 30);
  EXPECT_EQ(field("framerate"), "15/1");
}

TEST_F(PictureFit, ANewSizeInMidStreamIsFitted) {
  start("video/x-raw,format=I420,width=640,height=360,framerate=25/1",
        "video/x-raw,format=I420,width=352,height=288,pixel-aspect-ratio=12/11");
  ASSERT_EQ(push(640 * 360 * 3 / 2, 100), GST_FLOW_OK);
  pull();
  gst_harness_set_src_caps_str(harness_.get(),
                               "video/x-raw,format=I420,width=288,height=360,framerate=25/1");
  ASSERT_EQ(push(288 * 360 * 3 / 2, 100, 40), GST_FLOW_OK);
  const BufferRef out = pull();
  ASSERT_TRUE(out);
  EXPECT_EQ(byte_at(out.get(), 352 * 144 + 2), 16);  // beside it now
  EXPECT_NEAR(byte_at(out.get(), 352 * 2 + 176), 100, 1);
}

TEST_F(PictureFit, ACodedPictureIsRefused) {
  start("video/x-h264,stream-format=avc,alignment=au", "video/x-raw,format=I420");
  EXPECT_NE(push(100, 0), GST_FLOW_OK);
}

}  // namespace
}  // namespace junctor::test
