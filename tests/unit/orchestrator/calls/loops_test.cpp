// SPDX-License-Identifier: LGPL-2.1-or-later
// Ring media, really encoded.
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "calls/loop_cache.h"
#include "common/speex.h"
#include "rtp/core/formats.h"

namespace junctor::calls {
namespace {

class Loops : public testing::Test {
 protected:
  void SetUp() override {
    gst_init(nullptr, nullptr);
    const char *directory = std::getenv("JUNCTOR_PIPELINES");
    auto loaded = Templates::load(directory ? directory : "pipelines");
    ASSERT_TRUE(loaded) << loaded.error().detail;
    templates_ = *std::move(loaded);
    context_ = g_main_context_new();
    cache_ = std::make_unique<LoopCache>(context_, templates_,
                                         [this](LogLevel, std::string_view text) { log_ += text; });
  }
  void TearDown() override {
    cache_.reset();
    while (g_main_context_iteration(context_, FALSE)) {
    }
    g_main_context_unref(context_);
  }

  /// Iterates until `count` answers came.
  void wait_for(std::size_t count) {
    while (answers_.size() < count) g_main_context_iteration(context_, TRUE);
  }
  LoopCache::Ready ready() {
    return [this](std::shared_ptr<const Loop> loop) { answers_.push_back(std::move(loop)); };
  }
  std::shared_ptr<const Loop> picture(const std::string &name, Card card = Card::Ringing) {
    const std::size_t before = answers_.size();
    cache_->picture(card, name, Codec::H264, ready());
    wait_for(before + 1);
    return answers_.back();
  }
  std::shared_ptr<const Loop> tone(Tone tone, Codec codec) {
    const std::size_t before = answers_.size();
    cache_->tone(tone, codec, ready());
    wait_for(before + 1);
    return answers_.back();
  }

  GMainContext *context_ = nullptr;
  Templates templates_;
  std::unique_ptr<LoopCache> cache_;
  std::vector<std::shared_ptr<const Loop>> answers_;
  std::string log_;
};

/// Decodes a loop's packets with GStreamer; all raw bytes of the first `most` buffers.
std::vector<Bytes> decode(const Loop &loop, const std::string &caps, const std::string &decoder,
                          std::size_t most) {
  GError *error = nullptr;
  GstElement *pipeline = gst_parse_launch(
      ("appsrc name=in format=time ! " + decoder + " ! appsink name=out sync=false").c_str(),
      &error);
  EXPECT_EQ(error, nullptr) << error->message;
  g_clear_error(&error);
  GstElement *in = gst_bin_get_by_name(GST_BIN(pipeline), "in");
  GstElement *out = gst_bin_get_by_name(GST_BIN(pipeline), "out");
  GstCaps *of_input = gst_caps_from_string(caps.c_str());
  if (!loop.track.config.view.empty()) {
    GstBuffer *config =
        gst_buffer_new_memdup(loop.track.config.view.data(), loop.track.config.view.size());
    gst_caps_set_simple(of_input, "codec_data", GST_TYPE_BUFFER, config, nullptr);
    gst_buffer_unref(config);
  }
  gst_app_src_set_caps(GST_APP_SRC(in), of_input);
  gst_caps_unref(of_input);
  gst_element_set_state(pipeline, GST_STATE_PLAYING);
  for (std::size_t i = 0; i < loop.packets.size(); ++i) {
    const ByteSpan data = loop.packets[i].data.view;
    GstBuffer *buffer = gst_buffer_new_memdup(data.data(), data.size());
    GST_BUFFER_PTS(buffer) = GST_BUFFER_DTS(buffer) =
        static_cast<GstClockTime>(std::chrono::nanoseconds(loop.due(i)).count());
    gst_app_src_push_buffer(GST_APP_SRC(in), buffer);
  }
  gst_app_src_end_of_stream(GST_APP_SRC(in));
  std::vector<Bytes> buffers;
  while (GstSample *sample = gst_app_sink_pull_sample(GST_APP_SINK(out))) {
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    Bytes bytes(gst_buffer_get_size(buffer));
    gst_buffer_extract(buffer, 0, bytes.data(), bytes.size());
    if (buffers.size() < most) buffers.push_back(std::move(bytes));
    gst_sample_unref(sample);
  }
  gst_element_set_state(pipeline, GST_STATE_NULL);
  gst_object_unref(in);
  gst_object_unref(out);
  gst_object_unref(pipeline);
  return buffers;
}

TEST_F(Loops, PictureIsConstrainedBaselineWithOneKeyframe) {
  const auto loop = picture("bob");
  ASSERT_NE(loop, nullptr) << log_;
  ASSERT_EQ(loop->packets.size(), 25u);
  EXPECT_TRUE(loop->packets[0].key);
  for (std::size_t i = 1; i < loop->packets.size(); ++i) EXPECT_FALSE(loop->packets[i].key) << i;
  EXPECT_EQ(loop->track.width, 640);
  EXPECT_EQ(loop->track.height, 360);
  const auto profile = rtp::H264Profile::from_avcc(loop->track.config.view);
  ASSERT_TRUE(profile);
  EXPECT_EQ(profile->profile_idc, 66);
  EXPECT_EQ(loop->due(25), std::chrono::seconds(1));
  EXPECT_EQ(loop->due(75), std::chrono::seconds(3)) << "counted on over the end";
  EXPECT_TRUE(loop->packet(50).key);
}

TEST_F(Loops, PictureShowsTheName) {
  const auto decoded = [&](const std::string &name) {
    const auto loop = picture(name);
    EXPECT_NE(loop, nullptr) << log_;
    auto frames = decode(*loop, "video/x-h264,stream-format=avc,alignment=au",
                         "h264parse ! avdec_h264 ! videoconvert ! video/x-raw,format=GRAY8", 1);
    EXPECT_EQ(frames.size(), 1u);
    return frames.empty() ? Bytes{} : frames[0];
  };
  const Bytes none = decoded(""), one = decoded("bob"), other = decoded("carol");
  ASSERT_EQ(none.size(), 640u * 360u);
  // The name's line is between 215 and 260; elsewhere, but for the initial, nothing differs.
  const auto differing = [](const Bytes &a, const Bytes &b, int from, int to) {
    int count = 0;
    for (int i = from * 640; i < to * 640; ++i)
      count += std::abs(std::to_integer<int>(a[i]) - std::to_integer<int>(b[i])) > 60;
    return count;
  };
  EXPECT_GT(differing(none, one, 129, 262), 200);
  EXPECT_GT(differing(one, other, 129, 262), 200);
  EXPECT_LT(differing(one, other, 275, 360), 20) << "the caption is the same";
}

TEST_F(Loops, TakesAnybodysTextForAName) {
  for (const std::string &name : std::initializer_list<std::string>{
           "</text><script>", "a&b", "\xff\xfe\x01", "Ж 中文", std::string(5000, 'x')}) {
    const auto loop = picture(name);
    EXPECT_NE(loop, nullptr) << name.substr(0, 20) << ": " << log_;
  }
  EXPECT_EQ(escaped_for_xml("<&\x02>", 10), "&lt;&amp;&gt;");
  EXPECT_EQ(escaped_for_xml("abcdef", 3), "abc…");
}

/// Power of `hertz` in samples of 16 bits, by Goertzel's algorithm, against all power.
double share_of_tone(const std::vector<Bytes> &buffers, double hertz, double rate, std::size_t from,
                     std::size_t count) {
  std::vector<double> samples;
  for (const Bytes &bytes : buffers)
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
      std::int16_t value;
      std::memcpy(&value, &bytes[i], 2);
      samples.push_back(value);
    }
  if (samples.size() < from + count) return -1;
  const double w = 2 * std::acos(-1.0) * hertz / rate;
  double s1 = 0, s2 = 0, all = 1;
  for (std::size_t i = from; i < from + count; ++i) {
    const double s = samples[i] + 2 * std::cos(w) * s1 - s2;
    s2 = s1;
    s1 = s;
    all += samples[i] * samples[i];
  }
  const double power = s1 * s1 + s2 * s2 - 2 * std::cos(w) * s1 * s2;
  return power / (all * static_cast<double>(count) / 2);
}

struct Sounding {
  Codec codec;
  std::string caps;
  const char *decoder;
  std::size_t packets;
  int rate;
};

/// As in Ogg: without its headers no decoder knows the rate.
std::string speex_caps() {
  std::string headers;
  for (const Bytes &header : {speex_header(16000, 1), speex_comment()}) {
    if (!headers.empty()) headers += ',';
    for (const std::byte byte : header) {
      char digits[3];
      std::snprintf(digits, sizeof digits, "%02x", std::to_integer<unsigned>(byte));
      headers += digits;
    }
  }
  return "audio/x-speex,rate=16000,channels=1,streamheader=(buffer)<" + headers + '>';
}

class ToneLoops : public Loops, public testing::WithParamInterface<Sounding> {};

TEST_P(ToneLoops, SoundASecondAndRestFour) {
  const Sounding &row = GetParam();
  const auto ring = tone(Tone::Ringback, row.codec);
  ASSERT_NE(ring, nullptr) << log_;
  EXPECT_EQ(ring->packets.size(), row.packets);
  EXPECT_EQ(ring->track.rate, row.rate);
  EXPECT_EQ(ring->track.channels, 1);
  const auto sound = decode(*ring, row.caps, row.decoder, 100000);
  const auto second = static_cast<std::size_t>(row.rate);
  EXPECT_GT(share_of_tone(sound, 425, row.rate, second / 4, second / 2), 0.9);
  EXPECT_LT(share_of_tone(sound, 425, row.rate, second + second / 2, second), 0.1);

  const auto silence = tone(Tone::Silence, row.codec);
  ASSERT_NE(silence, nullptr) << log_;
  EXPECT_EQ(silence->packets.size(),
            3 * second / static_cast<std::size_t>(silence->units_per_packet))
      << "three seconds, in whole packets";
  EXPECT_TRUE(std::ranges::equal(silence->track.config.view, ring->track.config.view))
      << "a player must see one configuration";
  EXPECT_LT(share_of_tone(decode(*silence, row.caps, row.decoder, 100000), 425, row.rate,
                          second / 4, second / 2),
            0.1);
}

INSTANTIATE_TEST_SUITE_P(
    All, ToneLoops,
    testing::Values(
        Sounding{Codec::Aac, "audio/mpeg,mpegversion=4,stream-format=raw",
                 "aacparse ! avdec_aac ! audioconvert ! audio/x-raw,format=S16LE", 215, 44100},
        Sounding{Codec::Pcma, "audio/x-alaw,rate=8000,channels=1", "alawdec", 250, 8000},
        Sounding{Codec::Pcmu, "audio/x-mulaw,rate=8000,channels=1", "mulawdec", 250, 8000},
        Sounding{Codec::Speex, speex_caps(), "speexdec", 250, 16000}));

TEST_F(Loops, AreMadeOnceForAllWhoAsk) {
  for (int i = 0; i < 50; ++i) cache_->picture(Card::Ringing, "bob", Codec::H264, ready());
  wait_for(50);
  EXPECT_EQ(cache_->made(), 1u);
  for (const auto &loop : answers_) EXPECT_EQ(loop, answers_[0]);
  picture("bob");
  EXPECT_EQ(cache_->made(), 1u);
  picture("bob", Card::AudioOnly);
  EXPECT_EQ(cache_->made(), 2u);
}

TEST_F(Loops, KeepABoundedNumber) {
  tone(Tone::Ringback, Codec::Pcma);
  for (int i = 0; i < 70; ++i) {
    picture("name " + std::to_string(i));
    tone(Tone::Ringback, Codec::Pcma);  // used all along, so it stays
  }
  EXPECT_EQ(cache_->kept(), 64u);
  EXPECT_EQ(cache_->made(), 71u);
}

TEST_F(Loops, ShowAndSoundWhatIsTheOperatorsOwn) {
  StateMedia media;
  media.pictures[Card::Busy] = Bytes(std::size_t{kCardWidth} * kCardHeight * 4, std::byte{255});
  std::vector<std::int16_t> &own = media.tones[Tone::Busy][8000];
  for (int i = 0; i < 1000; ++i)
    own.push_back(static_cast<std::int16_t>(9000 * std::sin(2 * std::acos(-1.0) * 700 * i / 8000)));
  cache_ = std::make_unique<LoopCache>(
      context_, templates_, [this](LogLevel, std::string_view text) { log_ += text; }, media);
  const auto sound = tone(Tone::Busy, Codec::Pcma);
  ASSERT_NE(sound, nullptr) << log_;
  EXPECT_EQ(sound->packets.size(), 7u) << "1000 samples and silence up to a whole packet";
  EXPECT_GT(share_of_tone(decode(*sound, "audio/x-alaw,rate=8000,channels=1", "alawdec", 100), 700,
                          8000, 100, 800),
            0.9);
  const auto shown = picture("bob", Card::Busy);
  ASSERT_NE(shown, nullptr) << log_;
  EXPECT_EQ(shown->packets.size(), 25u);
  const auto frames = decode(*shown, "video/x-h264,stream-format=avc,alignment=au",
                             "h264parse ! avdec_h264 ! videoconvert ! video/x-raw,format=GRAY8", 1);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_GT(std::to_integer<int>(frames[0][180 * 640 + 320]), 230) << "white, and no drawing";
}

TEST_F(Loops, SayWhyNothingWasMade) {
  auto broken = LaunchTemplate::parse("broken", "nosuchelement ! appsink name=out");
  ASSERT_TRUE(broken);
  templates_.loop_picture = *broken;
  EXPECT_EQ(picture("bob"), nullptr);
  EXPECT_NE(log_.find("nosuchelement"), std::string::npos) << log_;
}

}  // namespace
}  // namespace junctor::calls
