// SPDX-License-Identifier: LGPL-2.1-or-later
// Files that a phone can send from, and those that it cannot.
#include "phone/media_file.h"

#include <gst/gst.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

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

}  // namespace
}  // namespace junctor::phone
