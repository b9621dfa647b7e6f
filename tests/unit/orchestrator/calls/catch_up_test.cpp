// SPDX-License-Identifier: LGPL-2.1-or-later
// With a real decoder, and an "encoder" that is as slow as the test wants.
#include "calls/catch_up.h"

#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "calls/elements_of.h"
#include "common/gst/refs.h"
#include "common/handle.h"

namespace junctor::calls {
namespace {

class CatchUp : public testing::Test {
 protected:
  void SetUp() override { gst_init(nullptr, nullptr); }
  void TearDown() override {
    if (pipeline_) gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
  }

  /// Pictures as avenc_flv codes them, whose times are their numbers in milliseconds.
  void start(const std::string &way) {
    const std::string line =
        "appsrc name=in format=time caps=video/x-flash-video,flvversion=1,width=64,height=64,"
        "framerate=30/1 ! " +
        way + " ! fakesink name=out sync=false signal-handoffs=true";
    // What is missing is an error, not left out.
    GError *raw = nullptr;
    GstElement *pipeline =
        gst_parse_launch_full(line.c_str(), nullptr, GST_PARSE_FLAG_FATAL_ERRORS, &raw);
    const std::unique_ptr<GError, Releaser<g_error_free>> error(raw);
    ASSERT_TRUE(pipeline) << error->message;
    pipeline_.reset(GST_ELEMENT(gst_object_ref_sink(pipeline)));
    let_decoders_catch_up(pipeline_.get());
    const ElementRef out(gst_bin_get_by_name(GST_BIN(pipeline_.get()), "out"));
    g_signal_connect(out.get(), "handoff", G_CALLBACK(on_picture), this);
    if (const ElementRef decoder{gst_bin_get_by_name(GST_BIN(pipeline_.get()), "decoder")}) {
      const PadRef source(gst_element_get_static_pad(decoder.get(), "src"));
      gst_pad_add_probe(source.get(), GST_PAD_PROBE_TYPE_BUFFER, on_decoded, this, nullptr);
    }
    in_.reset(gst_bin_get_by_name(GST_BIN(pipeline_.get()), "in"));
    gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING);
  }

  void push(int number) {
    // A picture of 64x64 with nothing new in it, from ffmpeg: the first is coded by itself.
    GstBuffer *buffer = gst_buffer_copy(picture(number == 0));
    GST_BUFFER_PTS(buffer) = GST_BUFFER_DTS(buffer) = number * GST_MSECOND;
    gst_app_src_push_buffer(GST_APP_SRC(in_.get()), buffer);
  }

  /// Until a picture of this number is out.
  void wait(int number) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(30),
                                  [&] { return !seen_.empty() && seen_.back() >= number; }));
  }

  /// Until `decoder` has given the picture of this number.
  void wait_decoded(int number) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(30), [&] { return decoded_ >= number; }));
  }

  std::vector<int> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  static int number_of(GstBuffer *buffer) {
    return static_cast<int>(GST_BUFFER_PTS(buffer) / GST_MSECOND);
  }
  static GstPadProbeReturn on_decoded(GstPad *, GstPadProbeInfo *info, gpointer data) {
    auto &self = *static_cast<CatchUp *>(data);
    const std::lock_guard lock(self.mutex_);
    self.decoded_ = number_of(GST_PAD_PROBE_INFO_BUFFER(info));
    self.changed_.notify_all();
    return GST_PAD_PROBE_OK;
  }
  static void on_picture(GstElement *, GstBuffer *buffer, GstPad *, gpointer data) {
    auto &self = *static_cast<CatchUp *>(data);
    const std::lock_guard lock(self.mutex_);
    self.seen_.push_back(number_of(buffer));
    self.changed_.notify_all();
  }

  GstBuffer *picture(bool first) {
    if (coded_.empty()) encode();
    return coded_.at(first ? 0 : 1).get();
  }

  void encode() {
    const ElementRef encoding(GST_ELEMENT(gst_object_ref_sink(gst_parse_launch(
        "videotestsrc pattern=black num-buffers=2 ! video/x-raw,format=I420,width=64,height=64,"
        "framerate=30/1 ! avenc_flv ! appsink name=out sync=false",
        nullptr))));
    gst_element_set_state(encoding.get(), GST_STATE_PLAYING);
    const ElementRef out(gst_bin_get_by_name(GST_BIN(encoding.get()), "out"));
    for (int i = 0; i < 2; ++i) {
      GstSample *sample = nullptr;
      g_signal_emit_by_name(out.get(), "pull-sample", &sample);
      coded_.emplace_back(gst_buffer_ref(gst_sample_get_buffer(sample)));
      gst_sample_unref(sample);
    }
    gst_element_set_state(encoding.get(), GST_STATE_NULL);
  }

  std::vector<BufferRef> coded_;
  ElementRef pipeline_, in_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int> seen_;  // guarded by mutex_, as is what follows
  int decoded_ = -1;
};

TEST_F(CatchUp, NothingIsLeftOutWhileNothingWaits) {
  ASSERT_NO_FATAL_FAILURE(
      start("queue max-size-buffers=600 ! picturedec ! identity sleep-time=1000"));
  std::vector<int> all;
  for (int i = 0; i < 40; ++i) {
    push(i);
    ASSERT_NO_FATAL_FAILURE(wait(i));
    all.push_back(i);
  }
  EXPECT_EQ(seen(), all);
}

TEST_F(CatchUp, WhatAnEncoderCannotTakeIsLeftOut) {
  ASSERT_NO_FATAL_FAILURE(
      start("queue name=q max-size-buffers=600 ! picturedec ! identity sleep-time=20000"));
  for (int i = 0; i < 300; ++i) push(i);
  ASSERT_NO_FATAL_FAILURE(wait(299));
  const auto pictures = seen();
  EXPECT_LT(pictures.size(), 60u);  // 6 s of encoding otherwise
  EXPECT_EQ(pictures.back(), 299);  // the newest is not left out
  EXPECT_TRUE(std::ranges::is_sorted(pictures));
  // And where it has caught up all come again.
  for (int i = 300; i < 310; ++i) {
    push(i);
    ASSERT_NO_FATAL_FAILURE(wait(i));
  }
  EXPECT_EQ(seen().size(), pictures.size() + 10);
}

// As in the template: what is left out is not made up for by more pictures than the rate allows.
TEST_F(CatchUp, TheRateIsKept) {
  ASSERT_NO_FATAL_FAILURE(start(
      "queue max-size-buffers=600 ! picturedec name=decoder ! picturefit max-rate=100 ! identity "
      "sleep-time=5000"));
  for (int i = 0; i < 300; ++i) push(i);
  for (int i = 300; i < 400; ++i) {
    push(i);
    ASSERT_NO_FATAL_FAILURE(wait_decoded(i));
  }
  ASSERT_NO_FATAL_FAILURE(wait(380));
  const auto pictures = seen();
  for (std::size_t i = 1; i < pictures.size(); ++i)
    EXPECT_GE(pictures[i] - pictures[i - 1], 7) << pictures[i];
  for (std::size_t i = 10; i < pictures.size(); ++i)
    EXPECT_GE(pictures[i] - pictures[i - 10], 97) << pictures[i];
}

// A decoder that is too slow itself: not all may be left out.
TEST_F(CatchUp, SomethingIsAlwaysSeen) {
  ASSERT_NO_FATAL_FAILURE(
      start("queue max-size-buffers=600 ! identity sleep-time=20000 ! picturedec"));
  for (int i = 0; i < 100; ++i) push(i);
  ASSERT_NO_FATAL_FAILURE(wait(99));
  EXPECT_GE(seen().size(), 5u);  // in 2 s and more
  EXPECT_LT(seen().size(), 20u);
}

}  // namespace
}  // namespace junctor::calls
