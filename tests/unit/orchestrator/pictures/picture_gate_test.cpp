// SPDX-License-Identifier: LGPL-2.1-or-later
// What reaches the decoders of real streams.
#include "pictures/picture_gate.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "common/gst/refs.h"
#include "phone/media_line.h"

namespace junctor::pictures {
namespace {

constexpr int kPictures = 3;

struct Seen {
  int coded = 0, decoded = 0;
  std::vector<std::string> told;
};

void count(GstElement *element, const char *pad, int &counter) {
  const PadRef counted(gst_element_get_static_pad(element, pad));
  gst_pad_add_probe(
      counted.get(), GST_PAD_PROBE_TYPE_BUFFER,
      [](GstPad *, GstPadProbeInfo *, gpointer data) {
        ++*static_cast<int *>(data);
        return GST_PAD_PROBE_OK;
      },
      &counter, nullptr);
}

/// What `junctor phone` makes of pictures of this size, from an encoder that is not ours.
Seen show(const std::string &codec, int width, int height) {
  const std::string coder = codec == "vp8" ? "vp8enc deadline=1 ! rtpvp8pay"
                                           : "x264enc tune=zerolatency speed-preset=ultrafast ! "
                                             "rtph264pay config-interval=-1";
  const std::string line = "videotestsrc num-buffers=" + std::to_string(kPictures) +
                           " ! video/x-raw,format=I420,width=" + std::to_string(width) +
                           ",height=" + std::to_string(height) + " ! " + coder + " ! " +
                           phone::picture_sink_line(codec);
  Seen seen;
  const ElementRef pipeline(gst_parse_launch(line.c_str(), nullptr));
  if (!pipeline) return seen;
  const ElementRef depay(gst_bin_get_by_name(GST_BIN(pipeline.get()), "depay")),
      decoder(gst_bin_get_by_name(GST_BIN(pipeline.get()), "decoder")),
      pictures(gst_bin_get_by_name(GST_BIN(pipeline.get()), "pictures"));
  g_object_set(pictures.get(), "wait-on-eos", FALSE, nullptr);
  const PadRef sink(gst_element_get_static_pad(decoder.get(), "sink"));
  count(depay.get(), "src", seen.coded);
  count(decoder.get(), "src", seen.decoded);
  bound_pictures(sink.get(), [&seen](const std::string &size) { seen.told.push_back(size); });
  gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
  const BusRef bus(gst_element_get_bus(pipeline.get()));
  const MessageRef end(
      gst_bus_timed_pop_filtered(bus.get(), 60 * GST_SECOND,
                                 static_cast<GstMessageType>(GST_MESSAGE_EOS | GST_MESSAGE_ERROR)));
  EXPECT_TRUE(end);  // one that got nothing may call it an error
  gst_element_set_state(pipeline.get(), GST_STATE_NULL);
  return seen;
}

class PictureGate : public testing::TestWithParam<const char *> {
 protected:
  static void SetUpTestSuite() { gst_init(nullptr, nullptr); }
};

TEST_P(PictureGate, LetsPassWhatMayBeDecoded) {
  const Seen seen = show(GetParam(), 640, 64);
  EXPECT_EQ(seen.coded, kPictures);
  EXPECT_EQ(seen.decoded, kPictures);
  EXPECT_TRUE(seen.told.empty());
}

TEST_P(PictureGate, LeavesOutWhatIsTooLargeAndTellsItOnce) {
  const Seen seen = show(GetParam(), 8704, 16);
  EXPECT_EQ(seen.coded, kPictures);
  EXPECT_EQ(seen.decoded, 0);
  EXPECT_EQ(seen.told, std::vector<std::string>{"8704x16"});
}

INSTANTIATE_TEST_SUITE_P(Codecs, PictureGate, testing::Values("h264", "vp8"));

}  // namespace
}  // namespace junctor::pictures
