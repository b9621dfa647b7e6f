// SPDX-License-Identifier: LGPL-2.1-or-later
// The operator's own pictures and tones, read from files.
#include "calls/state_media.h"

#include <gst/gst.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "../../temporary_directory.h"

namespace junctor::calls {
namespace {

namespace fs = std::filesystem;

class StateFiles : public testing::Test {
 protected:
  void SetUp() override { gst_init(nullptr, nullptr); }

  void write(const std::string &name, const std::string &text) const {
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }
  /// A 16-bit WAV of one channel at 16 kHz (RIFF, WAVE_FORMAT_PCM).
  void write_tone(const std::string &name, double seconds) const {
    const auto little = [](std::uint32_t value, int bytes) {
      std::string out;
      for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 255);
      return out;
    };
    std::string samples;
    for (int i = 0; i < seconds * 16000; ++i)
      samples += little(static_cast<std::uint16_t>(std::lround(9000 * std::sin(i * 0.3))), 2);
    const auto size = static_cast<std::uint32_t>(samples.size());
    write(name, "RIFF" + little(36 + size, 4) + "WAVEfmt " + little(16, 4) + little(1, 2) +
                    little(1, 2) + little(16000, 4) + little(32000, 4) + little(2, 2) +
                    little(16, 2) + "data" + little(size, 4) + samples);
  }
  static std::string svg(const std::string &colour) {
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"320\" height=\"180\">"
           "<rect width=\"320\" height=\"180\" fill=\"" +
           colour + "\"/></svg>";
  }
  std::string refused_tones() const {
    const auto loaded = load_state_media("itu", "", directory_);
    return loaded ? "" : loaded.error().detail;
  }
  std::string refused_pictures() const {
    const auto loaded = load_state_media("itu", directory_, "");
    return loaded ? "" : loaded.error().detail;
  }

  TemporaryDirectory made_;
  const fs::path directory_ = made_.path();
};

TEST_F(StateFiles, NoneAreNeeded) {
  const auto loaded = load_state_media("de", "", "");
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->country->country, "de");
  EXPECT_TRUE(loaded->pictures.empty());
  EXPECT_TRUE(loaded->tones.empty());
  EXPECT_FALSE(load_state_media("atlantis", "", ""));
}

TEST_F(StateFiles, AllThatIsWrongIsNamed) {
  write("busy.png", "no picture");
  write("bussy.png", "");
  write("declined.svg", svg("#ff0000"));
  write("on-hold.png", "no picture either");
  const auto problems = state_media_problems("itu", directory_, directory_ / "absent");
  EXPECT_EQ(problems.size(), 4U);
  const std::string told = refused_pictures();
  for (const char *name : {"/busy.png: ", "/bussy.png: ", "/on-hold.png: "})
    EXPECT_NE(told.find(name), std::string::npos) << told;
  EXPECT_EQ(told.find("/declined.svg"), std::string::npos) << told;
}

TEST_F(StateFiles, APictureIsShownInItsSize) {
  write("busy.svg", svg("#ff0000"));
  write(".hidden", "");
  const auto loaded = load_state_media("itu", directory_, "");
  ASSERT_TRUE(loaded) << loaded.error().detail;
  const Bytes &picture = loaded->pictures.at(Card::Busy);
  ASSERT_EQ(picture.size(), 640u * 360u * 4u);
  const std::byte *middle = &picture[(180 * 640 + 320) * 4];
  EXPECT_EQ(std::to_integer<int>(middle[0]), 0) << "blue";
  EXPECT_EQ(std::to_integer<int>(middle[2]), 255) << "red";
}

TEST_F(StateFiles, ASoundIsHeardAtEveryRate) {
  write_tone("on-hold.wav", 1.5);
  const auto loaded = load_state_media("itu", "", directory_);
  ASSERT_TRUE(loaded) << loaded.error().detail;
  const auto &rates = loaded->tones.at(Tone::Hold);
  for (const int rate : {8000, 16000, 44100}) {
    ASSERT_TRUE(rates.contains(rate));
    EXPECT_NEAR(static_cast<double>(rates.at(rate).size()) / rate, 1.5, 0.01);
  }
}

TEST_F(StateFiles, NamesAreChecked) {
  write("buzy.svg", svg("red"));
  EXPECT_NE(refused_pictures().find("no state is called 'buzy'"), std::string::npos);
  EXPECT_NE(refused_pictures().find("on-hold"), std::string::npos) << "what there is";
  fs::remove(directory_ / "buzy.svg");
  write("busy.svg", svg("red"));
  write("busy.png", "x");
  EXPECT_NE(refused_pictures().find("another file for 'busy'"), std::string::npos);
}

TEST_F(StateFiles, WhatCannotBeDecodedIsNamed) {
  write("busy.png", "this is no picture");
  EXPECT_NE(refused_pictures().find("busy.png: is no picture"), std::string::npos)
      << refused_pictures();
  write("ringback.wav", "RIFF and nothing more");
  fs::remove(directory_ / "busy.png");
  EXPECT_NE(refused_tones().find("ringback.wav: is no sound"), std::string::npos)
      << refused_tones();
}

TEST_F(StateFiles, AreBounded) {
  write_tone("busy.wav", kLongestStateSound + 1);
  EXPECT_NE(refused_tones().find("is longer than 60 s"), std::string::npos) << refused_tones();
  fs::resize_file(directory_ / "busy.wav", kLargestStateFile + 1);
  EXPECT_NE(refused_tones().find("16 MiB"), std::string::npos) << refused_tones();
  fs::remove(directory_ / "busy.wav");
  fs::create_directory(directory_ / "busy.wav");
  EXPECT_NE(refused_tones().find("must be a file"), std::string::npos) << refused_tones();
  fs::remove_all(directory_);
  EXPECT_NE(refused_tones().find("cannot be read"), std::string::npos) << refused_tones();
}

}  // namespace
}  // namespace junctor::calls
