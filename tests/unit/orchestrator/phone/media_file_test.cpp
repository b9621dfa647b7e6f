// SPDX-License-Identifier: LGPL-2.1-or-later
// Files that a phone can send from, and those that it cannot.
#include "phone/media_file.h"

#include <gst/gst.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>
#include <vector>

#include "../../temporary_directory.h"
#include "common/gst/refs.h"

namespace junctor::phone {
namespace {

class MediaFile : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { gst_init(nullptr, nullptr); }

  /// What the line writes into this file; its path.
  std::string make(const std::string &name, const std::string &line) {
    const std::string path = directory_.path() + "/" + name;
    const ElementRef pipeline(
        gst_parse_launch((line + " ! filesink location=" + path).c_str(), nullptr));
    gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
    const BusRef bus(gst_element_get_bus(pipeline.get()));
    GstMessage *end = gst_bus_timed_pop_filtered(
        bus.get(), GST_CLOCK_TIME_NONE,
        static_cast<GstMessageType>(GST_MESSAGE_EOS | GST_MESSAGE_ERROR));
    EXPECT_EQ(GST_MESSAGE_TYPE(end), GST_MESSAGE_EOS);
    gst_message_unref(end);
    gst_element_set_state(pipeline.get(), GST_STATE_NULL);
    return path;
  }
  std::string film() {
    return make("film.mp4", "videotestsrc num-buffers=30 ! x264enc ! h264parse ! mp4mux");
  }
  std::string sound() { return make("sound.wav", "audiotestsrc num-buffers=20 ! wavenc"); }

  static std::string refusal(const std::string &option, const std::string &path, Medium medium) {
    const auto checked = check_media_file(option, path, medium);
    if (checked) return "";
    EXPECT_EQ(checked.error().fault, Fault::BadInput);
    return checked.error().detail;
  }

  TemporaryDirectory directory_;
};

TEST_F(MediaFile, ThatIsAGifIsRefusedForItsPicturesWouldComeAtOnce) {
  const std::string path = directory_.path() + "/a.gif";
  std::ofstream(path) << "GIF89a\1" << std::string(64, '\0');
  EXPECT_NE(refusal("--video", path, Medium::Video).find("ffmpeg -i " + path), std::string::npos);
}

TEST_F(MediaFile, WithWhatIsWantedIsTaken) {
  EXPECT_EQ(refusal("--video", film(), Medium::Video), "");
  EXPECT_EQ(refusal("--audio", sound(), Medium::Audio), "");
  EXPECT_EQ(refusal("--video", "/dev/null", Medium::Video), "") << "what is no file";
}

TEST_F(MediaFile, WithoutWhatIsWantedIsNamed) {
  const std::string film = this->film(), sound = this->sound();
  EXPECT_EQ(refusal("--audio", film, Medium::Audio),
            "--audio " + film +
                ": there is no sound in it; name a file that has one, or --audio test, --audio mic "
                "or --audio off");
  EXPECT_EQ(refusal("--video", sound, Medium::Video),
            "--video " + sound +
                ": there is no picture in it; name a file that has one, or --video test or --video "
                "off");
}

TEST_F(MediaFile, ThatIsCutOffIsNamed) {
  const std::string film = this->film();
  // Its index is at the end.
  std::filesystem::resize_file(film, std::filesystem::file_size(film) / 2);
  const std::string said = refusal("--video", film, Medium::Video);
  EXPECT_TRUE(said.starts_with("--video " + film + ": it cannot be played")) << said;
  EXPECT_NE(said.find("name another file"), std::string::npos) << said;
}

TEST_F(MediaFile, ThatIsNoMediaIsNamed) {
  const std::string path = directory_.path() + "/text";
  std::ofstream(path) << "Hello, this is a text.\n";
  EXPECT_NE(refusal("--audio", path, Medium::Audio).find("neither film nor sound"),
            std::string::npos);
}

TEST_F(MediaFile, ThatIsAStillPictureIsNamed) {
  for (const char *kind : {"png", "jpeg"}) {
    const std::string path = make(std::string("pic.") + kind,
                                  std::string("videotestsrc num-buffers=1 ! ") + kind + "enc");
    EXPECT_EQ(refusal("--video", path, Medium::Video),
              "--video " + path +
                  ": its picture is a still one; make a film of it with ffmpeg -loop 1 -i " + path +
                  " -t 60 -vf scale=640:-2 -pix_fmt yuv420p pic.mp4");
  }
  const std::string film =
      make("film.avi", "videotestsrc num-buffers=5 ! jpegenc ! image/jpeg ! avimux");
  EXPECT_EQ(refusal("--video", film, Medium::Video), "") << "of many";
}

/// Is installed, and found by nobody while this lives.
class Hidden {
 public:
  explicit Hidden(const char *caps) {
    GList *all =
        gst_element_factory_list_get_elements(GST_ELEMENT_FACTORY_TYPE_DECODER, GST_RANK_MARGINAL);
    const CapsRef wanted(gst_caps_from_string(caps));
    GList *found = gst_element_factory_list_filter(all, wanted.get(), GST_PAD_SINK, FALSE);
    for (const GList *each = found; each; each = each->next) {
      auto *feature = GST_PLUGIN_FEATURE(gst_object_ref(each->data));
      features_.emplace_back(feature, gst_plugin_feature_get_rank(feature));
      gst_plugin_feature_set_rank(feature, GST_RANK_NONE);
    }
    gst_plugin_feature_list_free(found);
    gst_plugin_feature_list_free(all);
  }
  ~Hidden() {
    for (const auto &[feature, rank] : features_) {
      gst_plugin_feature_set_rank(feature, rank);
      gst_object_unref(feature);
    }
  }
  Hidden(const Hidden &) = delete;
  Hidden &operator=(const Hidden &) = delete;

 private:
  std::vector<std::pair<GstPluginFeature *, guint>> features_;
};

TEST_F(MediaFile, IsRefusedOnlyIfNoneOfItsStreamsCanBeDecoded) {
  const std::string alone =
      make("alone.mka", "audiotestsrc num-buffers=100 ! audioconvert ! vorbisenc ! matroskamux");
  const std::string both =
      make("both.mka",
           "audiotestsrc num-buffers=100 ! audioconvert ! vorbisenc ! matroskamux name=to "
           "audiotestsrc num-buffers=100 ! audioconvert ! audioresample ! opusenc ! to. to.");
  const Hidden hidden("audio/x-vorbis");
  const std::string said = refusal("--audio", alone, Medium::Audio);
  EXPECT_NE(said.find("its sound needs what GStreamer does not have here: "), std::string::npos)
      << said;
  EXPECT_EQ(refusal("--audio", both, Medium::Audio), "");
}

TEST_F(MediaFile, ThatIsReadSlowlyIsTaken) {
  const std::string path = directory_.path() + "/slow";
  std::ofstream(path) << "slowly";
  // It is known at once by its first bytes, and then takes longer than the patience.
  static const std::thread::id here = std::this_thread::get_id();
  const CapsRef caps(gst_caps_new_empty_simple("video/x-slow"));
  gst_type_find_register(
      nullptr, "slow", GST_RANK_PRIMARY + 1,
      [](GstTypeFind *find, gpointer) {
        const guint8 *head = gst_type_find_peek(find, 0, 6);
        if (!head || std::memcmp(head, "slowly", 6) != 0) return;
        if (std::this_thread::get_id() != here)
          std::this_thread::sleep_for(std::chrono::milliseconds(1100));
        gst_type_find_suggest_empty_simple(find, GST_TYPE_FIND_MAXIMUM, "video/x-slow");
      },
      nullptr, caps.get(), nullptr, nullptr);
  const auto checked = check_media_file("--video", path, Medium::Video, std::chrono::seconds(1));
  EXPECT_TRUE(checked) << checked.error().detail;
}

}  // namespace
}  // namespace junctor::phone
