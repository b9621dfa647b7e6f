// SPDX-License-Identifier: LGPL-2.1-or-later
// With libav's encoders: what they leave open is filled in.
#include "calls/picture_numbers.h"

#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

#include "calls/elements_of.h"
#include "common/gst/refs.h"
#include "common/temporal_reference.h"

namespace junctor::calls {
namespace {

/// The temporal references of what `line` sends to its `appsink name=out`, -1 for none.
std::vector<int> references(const std::string &line) {
  gst_init(nullptr, nullptr);
  const ElementRef pipeline(
      GST_ELEMENT(gst_object_ref_sink(gst_parse_launch(line.c_str(), nullptr))));
  if (!pipeline) return {};
  number_pictures(pipeline.get());
  gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
  const ElementRef out(gst_bin_get_by_name(GST_BIN(pipeline.get()), "out"));
  std::vector<int> found;
  while (const SampleRef sample{gst_app_sink_pull_sample(GST_APP_SINK(out.get()))}) {
    GstMapInfo map;
    GstBuffer *buffer = gst_sample_get_buffer(sample.get());
    if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) break;
    const auto reference = temporal_reference(std::as_bytes(std::span(map.data, map.size)));
    found.push_back(reference ? *reference : -1);
    gst_buffer_unmap(buffer, &map);
  }
  gst_element_set_state(pipeline.get(), GST_STATE_NULL);
  return found;
}

std::string encoded_with(const std::string &encoder, const std::string &rate) {
  return "videotestsrc num-buffers=5 ! video/x-raw,format=I420,width=176,height=144,framerate=" +
         rate + " ! " + encoder + " ! appsink name=out sync=false";
}

TEST(PictureNumbers, AreOfThePresentationTimes) {
  const std::vector thirty{0, 1, 2, 3, 4}, ten{0, 3, 6, 9, 12};
  EXPECT_EQ(references(encoded_with("avenc_h263", "30/1")), thirty);
  EXPECT_EQ(references(encoded_with("avenc_h263", "10/1")), ten);
  EXPECT_EQ(references(encoded_with("avenc_flv", "30/1")), thirty);
  EXPECT_EQ(references(encoded_with("avenc_flv", "10/1")), ten);
}

TEST(PictureNumbers, OtherCodecsAreLeftAlone) {
  EXPECT_EQ(references(encoded_with("vp8enc deadline=1 cpu-used=8", "10/1")),
            (std::vector{-1, -1, -1, -1, -1}));
}

}  // namespace
}  // namespace junctor::calls
