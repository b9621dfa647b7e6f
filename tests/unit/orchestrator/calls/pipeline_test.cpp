// SPDX-License-Identifier: LGPL-2.1-or-later
// Pipelines of calls, with elements that every GStreamer has.
#include "calls/pipeline.h"

#include <gst/gst.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace junctor::calls {
namespace {

/// An element that takes `audio` and `video`, as the one that calls does.
struct TestCallee {
  GstElement parent;
};
struct TestCalleeClass {
  GstElementClass parent_class;
};
G_DEFINE_TYPE(TestCallee, test_callee, GST_TYPE_ELEMENT)

GstPad *request_pad(GstElement *element, GstPadTemplate *made_from, const gchar *,
                    const GstCaps *) {
  GstPad *pad = gst_pad_new_from_template(made_from, GST_PAD_TEMPLATE_NAME_TEMPLATE(made_from));
  gst_pad_set_chain_function(pad, [](GstPad *, GstObject *, GstBuffer *buffer) {
    gst_buffer_unref(buffer);
    return GST_FLOW_OK;
  });
  gst_pad_set_chain_list_function(pad, [](GstPad *, GstObject *, GstBufferList *list) {
    gst_buffer_list_unref(list);
    return GST_FLOW_OK;
  });
  gst_pad_set_active(pad, TRUE);
  gst_element_add_pad(element, pad);
  return pad;
}

void test_callee_class_init(TestCalleeClass *klass) {
  auto *element_class = reinterpret_cast<GstElementClass *>(klass);
  element_class->request_new_pad = request_pad;
  for (const char *name : {"audio", "video"})
    gst_element_class_add_pad_template(
        element_class, gst_pad_template_new(name, GST_PAD_SINK, GST_PAD_REQUEST, GST_CAPS_ANY));
  gst_element_class_set_static_metadata(element_class, "Callee", "Sink", "takes two media", "test");
}
void test_callee_init(TestCallee *self) { GST_OBJECT_FLAG_SET(self, GST_ELEMENT_FLAG_SINK); }

class PipelineTest : public testing::Test {
 protected:
  void SetUp() override {
    gst_init(nullptr, nullptr);
    gst_element_register(nullptr, "testcallee", GST_RANK_NONE, test_callee_get_type());
    context_ = g_main_context_new();
  }
  void TearDown() override { g_main_context_unref(context_); }

  Result<std::unique_ptr<MediaPath>> make(const std::string &text,
                                          std::vector<Setting> settings = {}, bool sending = true) {
    auto parsed = LaunchTemplate::parse("test", text);
    EXPECT_TRUE(parsed);
    auto line = parsed->fill({});
    EXPECT_TRUE(line);
    PathSpec spec;
    spec.line = *line;
    spec.sending = sending;
    spec.settings = std::move(settings);
    PathEvents events;
    events.first_packet = [this](Side, Medium medium, Time) { first_.push_back(medium); };
    events.too_large = [this](Side to, const std::string &size) {
      too_large_.push_back(std::string(to_string(to)) + " " + size);
    };
    events.failed = [this](const std::string &element, const std::string &message) {
      failures_.push_back(element + ": " + message);
    };
    return make_pipeline(context_, spec, std::move(events));
  }
  template <class Condition>
  void iterate_until(Condition condition) {
    while (!condition()) g_main_context_iteration(context_, TRUE);
  }

  GMainContext *context_ = nullptr;
  std::vector<Medium> first_;
  std::vector<std::string> failures_;
  std::vector<std::string> too_large_;
};

TEST_F(PipelineTest, TellsTheFirstPacketOfEachMediumOnce) {
  auto path = make(
      "testcallee name=callee audiotestsrc num-buffers=20 ! alawenc ! callee.audio "
      "videotestsrc num-buffers=3 ! callee.video");
  ASSERT_TRUE(path) << path.error().detail;
  iterate_until([&] { return first_.size() >= 2; });
  path->reset();
  while (g_main_context_iteration(context_, FALSE)) {
  }
  EXPECT_EQ(first_.size(), 2u);
  EXPECT_TRUE(failures_.empty());
}

TEST_F(PipelineTest, TellsTheFirstPacketOfAPadThatComesLater) {
  // The parser makes its pads by itself, and the callee's are asked for only then.
  auto path = make(
      "testcallee name=callee videotestsrc num-buffers=3 ! x264enc ! matroskamux ! "
      "matroskademux name=caller caller.video_0 ! callee.video");
  ASSERT_TRUE(path) << path.error().detail;
  iterate_until([&] { return !first_.empty() || !failures_.empty(); });
  EXPECT_EQ(first_, std::vector{Medium::Video});
  EXPECT_TRUE(failures_.empty());
}

/// Pictures of that size that are decoded. Lines and columns are cheap, however long.
std::string decoded(const std::string &caps, const std::string &encode, const std::string &decode) {
  return "videotestsrc num-buffers=3 ! video/x-raw,format=I420," + caps + " ! " + encode +
         " ! identity name=caller ! " + decode + " ! callee.video ";
}

TEST_F(PipelineTest, DecodesNoPicturesThatAreTooLarge) {
  const std::vector<std::pair<std::string, std::string>> codecs = {
      {"vp8enc deadline=1", "picturedec"},
      {"x264enc tune=zerolatency speed-preset=ultrafast ! video/x-h264,stream-format=avc",
       "picturedec"},
      {"avenc_flv", "picturedec"},
  };
  for (const auto &[encode, decode] : codecs) {
    first_.clear();
    too_large_.clear();
    auto large = make("testcallee name=callee " + decoded("width=8704,height=16", encode, decode));
    ASSERT_TRUE(large) << large.error().detail;
    iterate_until([&] { return !too_large_.empty() || !first_.empty() || !failures_.empty(); });
    EXPECT_EQ(too_large_, std::vector<std::string>{"callee 8704x16"}) << decode;
    EXPECT_TRUE(first_.empty()) << decode;
    large->reset();
    auto fits = make("testcallee name=callee " + decoded("width=8688,height=16", encode, decode));
    ASSERT_TRUE(fits) << fits.error().detail;
    iterate_until([&] { return too_large_.size() > 1 || !first_.empty() || !failures_.empty(); });
    EXPECT_EQ(first_, std::vector{Medium::Video}) << decode;
    EXPECT_EQ(too_large_.size(), 1u) << decode;
  }
}

TEST_F(PipelineTest, DecodesNoMoreWhenPicturesBecomeTooLarge) {
  auto path = make(
      "testcallee name=callee concat name=both ! identity name=caller ! picturedec ! callee.video "
      "videotestsrc num-buffers=3 ! video/x-raw,width=64,height=64 ! vp8enc deadline=1 ! both. "
      "videotestsrc num-buffers=3 ! video/x-raw,width=16,height=8704 ! vp8enc deadline=1 ! both. ");
  ASSERT_TRUE(path) << path.error().detail;
  iterate_until([&] { return !too_large_.empty() || !failures_.empty(); });
  EXPECT_EQ(too_large_, std::vector<std::string>{"callee 16x8704"});
  EXPECT_EQ(first_, std::vector{Medium::Video});
  EXPECT_TRUE(failures_.empty());
}

TEST_F(PipelineTest, HoldsTheCallerBackUntilItIsToSend) {
  auto path = make(
      "testcallee name=callee audiotestsrc is-live=true name=caller ! alawenc ! callee.audio "
      "videotestsrc is-live=true ! callee.video",
      {}, false);
  ASSERT_TRUE(path) << path.error().detail;
  iterate_until([&] { return !first_.empty(); });
  for (int i = 0; i < 20; ++i) g_main_context_iteration(context_, FALSE);
  EXPECT_EQ(first_, std::vector{Medium::Video});
  (*path)->begin_sending();
  iterate_until([&] { return first_.size() >= 2; });
  EXPECT_EQ(first_.back(), Medium::Audio);
}

/// Sound that comes as fast as it can be made, and is transcoded.
std::string sound_at_once(int packets, int samples,
                          const char *transcoder =
                              "alawdec ! audioconvert ! audioresample ! "
                              "mulawenc") {
  return "testcallee name=callee audiotestsrc num-buffers=" + std::to_string(packets) +
         " samplesperbuffer=" + std::to_string(samples) +
         " ! audio/x-raw,rate=8000,channels=1 ! alawenc ! identity name=caller ! " + transcoder +
         " ! callee.audio";
}

TEST_F(PipelineTest, TranscodesSoundAsFastAsItIsHeardAndASecondMore) {
  auto path = make(sound_at_once(500, 160));
  ASSERT_TRUE(path) << path.error().detail;
  iterate_until([&] { return !first_.empty(); });
  // Ten seconds came at once.
  while ((*path)->surplus_sound() < 300) g_thread_yield();
  EXPECT_LT((*path)->surplus_sound(), 460u);
  EXPECT_TRUE(failures_.empty());
}

TEST_F(PipelineTest, CountsSoundThatNoDecoderReads) {
  auto path = make(sound_at_once(500, 160, "soundfit caps=audio/x-mulaw,rate=8000,channels=1"));
  ASSERT_TRUE(path) << path.error().detail;
  iterate_until([&] { return !first_.empty(); });
  while ((*path)->surplus_sound() < 300) g_thread_yield();
  EXPECT_LT((*path)->surplus_sound(), 460u);
  EXPECT_TRUE(failures_.empty());
  const CodingLatency latency = (*path)->coding_latency();
  const auto &steps = latency.to[index_of(Side::Callee)][static_cast<std::size_t>(Medium::Audio)];
  EXPECT_GT(steps.decode.count, 0u);
  EXPECT_GT(steps.encode.count, 0u);
}

TEST_F(PipelineTest, MeasuresPicturesHoweverTheyCome) {
  // The one adds a thousand hours to all times, behind the other packets come in lists.
  for (const char *encode : {"x264enc tune=zerolatency speed-preset=ultrafast threads=1 ! ",
                             "vp8enc deadline=1 ! rtpvp8pay mtu=100 ! "}) {
    auto path =
        make(std::string(
                 "testcallee name=callee videotestsrc is-live=true "
                 "pattern=snow ! video/x-raw,format=I420,width=64,height=48 ! vp8enc deadline=1 ! "
                 "identity name=caller ! picturedec ! ") +
             encode + "callee.video");
    ASSERT_TRUE(path) << path.error().detail;
    const Time until = Clock::now() + std::chrono::seconds(10);
    CodingLatency::Steps steps;
    while ((steps.decode.count == 0 || steps.encode.count == 0) && Clock::now() < until) {
      g_main_context_iteration(context_, FALSE);
      steps = (*path)->coding_latency().to[index_of(Side::Callee)]
                                          [static_cast<std::size_t>(Medium::Video)];
    }
    EXPECT_GT(steps.decode.count, 0u);
    EXPECT_GT(steps.encode.count, 0u) << encode;
  }
}

TEST_F(PipelineTest, DoesNotBeginAPacketOfManySeconds) {
  auto path = make(sound_at_once(3, 80000));
  ASSERT_TRUE(path) << path.error().detail;
  while ((*path)->surplus_sound() < 3) g_thread_yield();
  EXPECT_TRUE(first_.empty());
}

TEST_F(PipelineTest, NamesTheElementThatFails) {
  auto path = make("fakesrc ! identity name=breaks error-after=2 ! fakesink");
  ASSERT_TRUE(path) << path.error().detail;
  iterate_until([&] { return !failures_.empty(); });
  EXPECT_EQ(failures_[0].rfind("breaks: ", 0), 0u) << failures_[0];
}

TEST_F(PipelineTest, SaysWhyALineIsNoPipeline) {
  const auto path = make("fakesrc ! nosuchelement ! fakesink");
  ASSERT_FALSE(path);
  EXPECT_NE(path.error().detail.find("nosuchelement"), std::string::npos);
}

TEST_F(PipelineTest, SaysWhichElementDoesNotStart) {
  const auto path =
      make("filesrc name=reads ! fakesink", {{"reads", "location", "/no such file; really"}});
  ASSERT_FALSE(path);
  EXPECT_NE(path.error().detail.find("/no such file; really"), std::string::npos)
      << path.error().detail;
}

TEST_F(PipelineTest, RefusesASettingThatTheElementHasNot) {
  const auto path = make("fakesrc name=source ! fakesink", {{"source", "uri", "x"}});
  ASSERT_FALSE(path);
  EXPECT_NE(path.error().detail.find("source.uri"), std::string::npos);
}

TEST_F(PipelineTest, IsSilentOnceItIsGone) {
  auto path = make("fakesrc ! identity name=breaks error-after=1 ! fakesink");
  ASSERT_TRUE(path);
  // Not iterated in between: the event has been posted or will never be.
  path->reset();
  while (g_main_context_iteration(context_, FALSE)) {
  }
  EXPECT_TRUE(failures_.empty());
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto &entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

TEST_F(PipelineTest, LeavesNoDescriptorBehindAndItsBusNeedsNone) {
  { auto warm = make("fakesrc ! fakesink"); }
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 50; ++i) {
    auto path = make("fakesrc num-buffers=1 ! fakesink");
    ASSERT_TRUE(path);
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace junctor::calls
