// SPDX-License-Identifier: LGPL-2.1-or-later
// The launch line of a phone's media, for each kind of source.
#include "phone/media_line.h"

#include <gst/gst.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <initializer_list>

#include "../../temporary_directory.h"
#include "common/gst/refs.h"
#include "common/handle.h"

namespace junctor::phone {
namespace {

/// Which element has this name; empty: none.
std::string factory_of(GstElement *pipeline, const char *name) {
  const ElementRef found(gst_bin_get_by_name(GST_BIN(pipeline), name));
  return found ? GST_OBJECT_NAME(gst_element_get_factory(found.get())) : "";
}

TEST(MediaLine, OfEachSourceIsOneThatGStreamerMakes) {
  gst_init(nullptr, nullptr);
  const TemporaryDirectory folder;
  const std::string file = folder.path() + "/film";
  std::ofstream(file) << "x";
  struct Row {
    std::string video, audio;
    const char *picture, *sound;
  };
  for (const Row &row :
       std::initializer_list<Row>{{"/dev/video0", "mic", "v4l2src", "autoaudiosrc"},
                                  {"/dev/video12", "off", "v4l2src", ""},
                                  {"off", "mic", "", "autoaudiosrc"},
                                  {file, file, "filesrc", "filesrc"},
                                  {"test:snow", "test:440", "", ""},
                                  {"off", "off", "", ""}})
    for (const char *codec : {"h264", "vp8"}) {
      MediaOptions options;
      options.video = row.video;
      options.audio = row.audio;
      options.codec = codec;
      const auto line = media_line(options);
      ASSERT_TRUE(line) << line.error().detail;
      GError *raw = nullptr;
      const ElementRef pipeline(gst_parse_launch(line->c_str(), &raw));
      const std::unique_ptr<GError, Releaser<g_error_free>> error(raw);
      ASSERT_FALSE(error) << *line << "\n" << error->message;
      EXPECT_EQ(factory_of(pipeline.get(), "picture-file"), row.picture) << *line;
      EXPECT_EQ(factory_of(pipeline.get(), "sound-file"), row.sound) << *line;
      EXPECT_EQ(factory_of(pipeline.get(), "channel"), "stunpunch");
    }
}

TEST(MediaLine, HasNothingInItThatAUserTyped) {
  MediaOptions options;
  options.video = "/dev/video0 ! filesink location=x";
  const auto line = media_line(options);
  ASSERT_TRUE(line);
  EXPECT_EQ(line->find("filesink"), std::string::npos) << *line;
  options.video = "test:ball ! filesink location=x";
  EXPECT_FALSE(media_line(options));
  options.video = "test";
  for (const char *wrong : {"test:440 ! filesink", "test:19", "test:1e3", "/none"}) {
    options.audio = wrong;
    EXPECT_FALSE(media_line(options)) << wrong;
  }
}

/// A stream whose codec is not what was expected never shows a picture; sound goes on beside it.
TEST(MediaLine, NoSinkWaitsForItsFirstBuffer) {
  const auto base = media_line({});
  ASSERT_TRUE(base);
  for (const std::string &line : {*base, picture_sink_line("h264"), picture_sink_line("vp8"),
                                  sound_sink_line(false), "fakesrc ! " + sound_sink_line(true)}) {
    GError *raw = nullptr;
    const ElementRef bin(gst_parse_bin_from_description(line.c_str(), FALSE, &raw));
    const std::unique_ptr<GError, Releaser<g_error_free>> error(raw);
    ASSERT_TRUE(bin) << line;
    GstIterator *sinks = gst_bin_iterate_sinks(GST_BIN(bin.get()));
    GValue item = G_VALUE_INIT;
    unsigned count = 0;
    while (gst_iterator_next(sinks, &item) == GST_ITERATOR_OK) {
      auto *sink = GST_ELEMENT(g_value_get_object(&item));
      if (g_object_class_find_property(G_OBJECT_GET_CLASS(sink), "async")) {
        gboolean async = TRUE;
        g_object_get(sink, "async", &async, nullptr);
        EXPECT_FALSE(async) << GST_ELEMENT_NAME(sink) << " in " << line;
        ++count;
      }
      g_value_reset(&item);
    }
    g_value_unset(&item);
    gst_iterator_free(sinks);
    EXPECT_GT(count, 0U) << line;
  }
}

TEST(MediaLine, SendsPicturesThatSayNotHowLongTheyLast) {
  gst_init(nullptr, nullptr);
  const TemporaryDirectory folder;
  MediaOptions options;
  options.video = folder.path() + "/film";
  options.audio = "off";
  const auto run = [](const std::string &line, const std::function<void(GstElement *)> &prepare) {
    const ElementRef pipeline(gst_parse_launch(line.c_str(), nullptr));
    ASSERT_TRUE(pipeline) << line;
    prepare(pipeline.get());
    gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
    const BusRef bus(gst_element_get_bus(pipeline.get()));
    GstMessage *end = gst_bus_timed_pop_filtered(
        bus.get(), 20 * GST_SECOND,
        static_cast<GstMessageType>(GST_MESSAGE_EOS | GST_MESSAGE_ERROR));
    ASSERT_TRUE(end) << line;
    EXPECT_EQ(GST_MESSAGE_TYPE(end), GST_MESSAGE_EOS) << line;
    gst_message_unref(end);
    gst_element_set_state(pipeline.get(), GST_STATE_NULL);
  };
  // Such pictures, one after the other, have neither a rate nor durations.
  run("videotestsrc num-buffers=5 ! jpegenc ! filesink location=" + options.video,
      [](GstElement *) {});
  const auto line = media_line(options);
  ASSERT_TRUE(line) << line.error().detail;
  const auto begin = line->find("filesrc"), end = line->find(" ! funnel.sink_0");
  ASSERT_LT(begin, end);
  run(line->substr(begin, end - begin) + " ! fakesink", [&](GstElement *pipeline) {
    const ElementRef file(gst_bin_get_by_name(GST_BIN(pipeline), "picture-file"));
    g_object_set(file.get(), "location", options.video.c_str(), nullptr);
    give_durations(pipeline);
  });
}

}  // namespace
}  // namespace junctor::phone
