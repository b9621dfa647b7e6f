// SPDX-License-Identifier: LGPL-2.1-or-later
// soundfit: caps, samples and times.
#include <gst/audio/audio.h>
#include <gst/check/gstharness.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "environment.h"

namespace junctor::test {
namespace {

using HarnessRef = std::unique_ptr<GstHarness, Releaser<gst_harness_teardown>>;
constexpr const char *kAac = "audio/x-raw,format=F32LE,layout=interleaved,rate=44100,channels=1";
constexpr const char *kLinear = "audio/x-raw,format=S16LE,layout=interleaved,rate=8000,channels=1";

class SoundFit : public testing::Test {
 protected:
  void start(const std::string &in, const std::string &property,
             const std::string &wanted = "ANY") {
    harness_.reset();
    element_ = make("soundfit");
    ASSERT_TRUE(element_);
    if (!property.empty())
      gst_util_set_object_arg(G_OBJECT(element_.get()), "caps", property.c_str());
    harness_.reset(gst_harness_new_with_element(element_.get(), "sink", "src"));
    gst_harness_set_sink_caps_str(harness_.get(), wanted.c_str());
    gst_harness_set_src_caps_str(harness_.get(), in.c_str());
  }
  /// Zeros, or `bytes`.
  GstFlowReturn push(std::size_t size, GstClockTime at, const std::vector<guint8> &bytes = {}) {
    GstBuffer *buffer = gst_harness_create_buffer(harness_.get(), size);
    gst_buffer_memset(buffer, 0, 0, size);
    if (!bytes.empty()) gst_buffer_fill(buffer, 0, bytes.data(), bytes.size());
    GST_BUFFER_PTS(buffer) = at;
    if (discont_) GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT);
    pushed_ = buffer;
    return gst_harness_push(harness_.get(), buffer);
  }
  BufferRef pull() { return BufferRef(gst_harness_try_pull(harness_.get())); }
  std::vector<guint8> bytes_of(const BufferRef &buffer) {
    if (!buffer) return {};
    std::vector<guint8> bytes(gst_buffer_get_size(buffer.get()));
    gst_buffer_extract(buffer.get(), 0, bytes.data(), bytes.size());
    return bytes;
  }
  std::string caps() {
    const PadRef pad(gst_element_get_static_pad(element_.get(), "src"));
    const CapsRef caps(gst_pad_get_current_caps(pad.get()));
    return caps ? text_of(caps.get()) : "none";
  }

  ElementRef element_;
  HarnessRef harness_;
  const GstBuffer *pushed_ = nullptr;
  bool discont_ = false;
};

TEST_F(SoundFit, DecodedAacBecomesALaw) {
  start(kAac, "audio/x-alaw,rate=8000,channels=1");
  std::size_t samples = 0;
  GstClockTime next = 3 * GST_SECOND;
  for (guint64 n = 0; n < 100; ++n) {
    ASSERT_EQ(push(1024 * 4, 3 * GST_SECOND + n * 1024 * GST_SECOND / 44100), GST_FLOW_OK);
    while (const BufferRef out = pull()) {
      EXPECT_EQ(GST_BUFFER_PTS(out.get()), next);
      next += GST_BUFFER_DURATION(out.get());
      samples += gst_buffer_get_size(out.get());
      EXPECT_EQ(bytes_of(out).front(), 0xd5);
    }
  }
  EXPECT_NEAR(static_cast<double>(samples), 102400 * 80 / 441.0, 20);
  EXPECT_NE(caps().find("audio/x-alaw"), std::string::npos) << caps();
  EXPECT_NE(caps().find("rate=(int)8000"), std::string::npos) << caps();
}

/// What an encoder makes of three seconds of a tone, and its caps.
struct Coded {
  std::string caps;
  std::vector<BufferRef> buffers;
};

Coded encoded(const std::string &encoder) {
  Coded coded;
  const HarnessRef harness(gst_harness_new_parse(encoder.c_str()));
  gst_harness_set_src_caps_str(harness.get(),
                               "audio/x-raw,format=S16LE,layout=interleaved,rate=16000,channels=1");
  for (guint64 n = 0; n < 150; ++n) {
    std::vector<std::int16_t> samples(320);
    for (std::size_t i = 0; i < samples.size(); ++i)
      samples[i] = static_cast<std::int16_t>((n * 320 + i) % 40 * 400);
    GstBuffer *buffer = gst_buffer_new_memdup(samples.data(), samples.size() * 2);
    GST_BUFFER_PTS(buffer) = GST_SECOND + n * 20 * GST_MSECOND;
    GST_BUFFER_DURATION(buffer) = 20 * GST_MSECOND;
    EXPECT_EQ(gst_harness_push(harness.get(), buffer), GST_FLOW_OK);
  }
  while (GstBuffer *buffer = gst_harness_try_pull(harness.get()))
    coded.buffers.emplace_back(buffer);
  const CapsRef caps(gst_pad_get_current_caps(harness->sinkpad));
  coded.caps = text_of(caps.get());
  return coded;
}

constexpr const char *kEncodeAac = "voaacenc ! capsfilter caps=audio/mpeg,stream-format=raw";

TEST_F(SoundFit, CodedSoundIsAsBehindADecoder) {
  const std::pair<const char *, const char *> codings[] = {{kEncodeAac, "avdec_aac"},
                                                           {"speexenc", "speexdec"}};
  const std::string fit = "soundfit caps=audio/x-alaw,rate=8000,channels=1";
  for (const auto &[encoder, decoder] : codings) {
    const Coded coded = encoded(encoder);
    ASSERT_GT(coded.buffers.size(), 40u) << encoder;
    std::array<std::vector<std::vector<guint8>>, 2> bytes;
    std::array<std::vector<GstClockTime>, 2> times;
    const std::array lines{fit, std::string(decoder) + " ! " + fit};
    for (const std::size_t n : {0u, 1u}) {
      harness_.reset(gst_harness_new_parse(lines[n].c_str()));
      gst_harness_set_src_caps_str(harness_.get(), coded.caps.c_str());
      for (std::size_t at = 0; at < coded.buffers.size(); ++at) {
        if (at == 20 || at == 21) continue;
        GstBuffer *buffer = gst_buffer_copy(coded.buffers[at].get());
        if (at == 22) GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT);
        ASSERT_EQ(gst_harness_push(harness_.get(), buffer), GST_FLOW_OK);
      }
      while (const BufferRef out = pull()) {
        bytes[n].push_back(bytes_of(out));
        times[n].push_back(GST_BUFFER_PTS(out.get()));
      }
    }
    EXPECT_GT(bytes[0].size(), 40u) << encoder;
    EXPECT_EQ(bytes[0], bytes[1]) << encoder;
    EXPECT_EQ(times[0], times[1]) << encoder;
  }
}

TEST_F(SoundFit, WhatCapsGoBeforeWaitsForThem) {
  const Coded coded = encoded(kEncodeAac);
  start(coded.caps, "audio/x-alaw,rate=8000,channels=1");
  const auto told = [this] {
    std::string types;
    while (GstEvent *event = gst_harness_try_pull_event(harness_.get())) {
      types += std::string(GST_EVENT_TYPE_NAME(event)) + " ";
      gst_event_unref(event);
    }
    return types;
  };
  for (const GstTagScope scope :
       {GST_TAG_SCOPE_STREAM, GST_TAG_SCOPE_GLOBAL, GST_TAG_SCOPE_GLOBAL}) {
    GstTagList *tags = gst_tag_list_new(GST_TAG_TITLE, "a call", nullptr);
    gst_tag_list_set_scope(tags, scope);
    ASSERT_TRUE(gst_harness_push_event(harness_.get(), gst_event_new_tag(tags)));
  }
  EXPECT_EQ(told(), "stream-start ");
  ASSERT_EQ(gst_harness_push(harness_.get(), gst_buffer_ref(coded.buffers[0].get())), GST_FLOW_OK);
  EXPECT_EQ(told(), "caps segment tag tag ");

  start(coded.caps, "audio/x-alaw,rate=8000,channels=1");
  ASSERT_TRUE(gst_harness_push_event(
      harness_.get(), gst_event_new_tag(gst_tag_list_new(GST_TAG_TITLE, "a call", nullptr))));
  ASSERT_TRUE(gst_harness_push_event(harness_.get(), gst_event_new_flush_start()));
  ASSERT_TRUE(gst_harness_push_event(harness_.get(), gst_event_new_flush_stop(TRUE)));
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  ASSERT_TRUE(gst_harness_push_event(harness_.get(), gst_event_new_segment(&segment)));
  ASSERT_EQ(gst_harness_push(harness_.get(), gst_buffer_ref(coded.buffers[0].get())), GST_FLOW_OK);
  EXPECT_EQ(told(), "stream-start flush-start flush-stop caps tag segment ");

  start(coded.caps, "audio/x-alaw,rate=8000,channels=1");
  ASSERT_TRUE(gst_harness_push_event(harness_.get(), gst_event_new_eos()));
  EXPECT_EQ(told(), "stream-start segment eos ") << "of nothing there are no caps";
}

TEST_F(SoundFit, APacketThatCannotBeDecodedIsLeftOut) {
  const Coded coded = encoded(kEncodeAac);
  start(coded.caps, "audio/x-raw,rate=16000,channels=1");
  ASSERT_EQ(gst_harness_push(harness_.get(), gst_buffer_ref(coded.buffers[0].get())), GST_FLOW_OK);
  EXPECT_EQ(bytes_of(pull()).size(), 2048u);
  const GstClockTime second = GST_BUFFER_PTS(coded.buffers[1].get());
  EXPECT_EQ(push(40, second, std::vector<guint8>(40, 0xa5)), GST_FLOW_OK);
  EXPECT_EQ(push(0, second), GST_FLOW_OK);
  EXPECT_FALSE(pull());
  ASSERT_EQ(gst_harness_push(harness_.get(), gst_buffer_ref(coded.buffers[2].get())), GST_FLOW_OK);
  const BufferRef out = pull();
  ASSERT_EQ(bytes_of(out).size(), 2048u);
  // 64 ms of nothing are a gap.
  EXPECT_EQ(GST_BUFFER_PTS(out.get()), GST_BUFFER_PTS(coded.buffers[2].get()));
  EXPECT_TRUE(GST_BUFFER_IS_DISCONT(out.get()));
}

TEST_F(SoundFit, CodedSoundChangesItsRate) {
  start(encoded(kEncodeAac).caps, "audio/x-mulaw,rate=8000");
  const std::array<std::string, 2> rates{"16000", "32000"};
  std::size_t samples = 0;
  double expected = 0;
  for (const std::string &rate : rates) {
    const Coded coded = encoded(std::string("audioresample ! capsfilter caps=audio/x-raw,rate=") +
                                rate + " ! " + kEncodeAac);
    gst_harness_set_src_caps_str(harness_.get(), coded.caps.c_str());
    for (const BufferRef &buffer : coded.buffers) {
      ASSERT_EQ(gst_harness_push(harness_.get(), gst_buffer_ref(buffer.get())), GST_FLOW_OK);
      while (const BufferRef out = pull()) samples += gst_buffer_get_size(out.get());
    }
    if (rate == rates.back()) {
      ASSERT_TRUE(gst_harness_push_event(harness_.get(), gst_event_new_eos()));
    }
    while (const BufferRef out = pull()) samples += gst_buffer_get_size(out.get());
    expected += static_cast<double>(coded.buffers.size()) * 1024 * 8000 / std::stod(rate);
  }
  EXPECT_NEAR(static_cast<double>(samples), expected, 4);
}

TEST_F(SoundFit, SaysWhatCodedSoundLacks) {
  const std::pair<const char *, const char *> lacking[] = {
      {"audio/mpeg,mpegversion=4,stream-format=raw", "the caps of AAC have no codec_data"},
      {"audio/mpeg,mpegversion=4,stream-format=raw,codec_data=(buffer)ffff",
       "this is no setup of AAC"},
      {"audio/x-speex,rate=16000,channels=1", "the caps of Speex have no streamheader"}};
  for (const auto &[caps, why] : lacking) {
    harness_.reset();
    element_ = make("soundfit");
    const BusRef bus(gst_bus_new());
    gst_element_set_bus(element_.get(), bus.get());
    harness_.reset(gst_harness_new_with_element(element_.get(), "sink", "src"));
    gst_harness_set_sink_caps_str(harness_.get(), "ANY");
    gst_harness_set_src_caps_str(harness_.get(), caps);
    const MessageRef message(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR));
    ASSERT_TRUE(message) << caps;
    GError *error = nullptr;
    gst_message_parse_error(message.get(), &error, nullptr);
    EXPECT_TRUE(g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE));
    EXPECT_NE(std::string(error->message).find(why), std::string::npos) << error->message;
    g_clear_error(&error);
    EXPECT_EQ(push(10, 0), GST_FLOW_NOT_NEGOTIATED) << caps;
    gst_element_set_bus(element_.get(), nullptr);
  }
}

TEST_F(SoundFit, OneLawBecomesTheOther) {
  start("audio/x-alaw,rate=8000,channels=1", "audio/x-mulaw,rate=8000,channels=1");
  ASSERT_EQ(push(3, 0, {0xd5, 0xaa, 0x2a}), GST_FLOW_OK);
  const BufferRef out = pull();
  EXPECT_EQ(bytes_of(out), (std::vector<guint8>{0xfe, 0x80, 0x00}));
  ASSERT_EQ(push(160, 3 * GST_SECOND / 8000), GST_FLOW_OK);
  EXPECT_EQ(GST_BUFFER_PTS(pull().get()), 3 * GST_SECOND / 8000);
}

TEST_F(SoundFit, G711BecomesWhatAnEncoderTakes) {
  start("audio/x-mulaw,rate=8000,channels=2", "",
        "audio/x-raw,format=S16LE,rate={16000,48000},channels=1,layout=interleaved");
  ASSERT_EQ(push(1600, 0, std::vector<guint8>(1600, 0x80)), GST_FLOW_OK);
  const auto bytes = bytes_of(pull());
  EXPECT_NEAR(static_cast<double>(bytes.size()), 800 * 2 * 2, 100);
  EXPECT_NE(caps().find("rate=(int)16000"), std::string::npos) << "the nearest: " << caps();
  ASSERT_GT(bytes.size(), 1001u);
  EXPECT_NEAR(static_cast<std::int16_t>(bytes[1000] | bytes[1001] << 8), 32124, 100);
}

TEST_F(SoundFit, WhatFitsPassesUntouched) {
  for (const char *form : {kLinear, "audio/x-alaw,rate=8000,channels=1"}) {
    start(form, "");
    ASSERT_EQ(push(320, GST_SECOND), GST_FLOW_OK);
    EXPECT_EQ(pull().get(), pushed_) << form;
  }
}

TEST_F(SoundFit, EveryFormOfADecoder) {
  const std::pair<const char *, std::size_t> forms[] = {
      {"S16LE", 2}, {"F32LE", 4}, {"S32LE", 4}, {"F64LE", 8}, {"U8", 1}};
  for (const auto &[format, size] : forms) {
    start("audio/x-raw,layout=interleaved,rate=8000,channels=2,channel-mask=(bitmask)3,format=" +
              std::string(format),
          kLinear);
    ASSERT_EQ(push(160 * 2 * size, 0), GST_FLOW_OK) << format;
    EXPECT_EQ(gst_buffer_get_size(pull().get()), 320u) << format;
  }
}

TEST_F(SoundFit, PlanesOfEachChannelAreMixed) {
  const char *planar =
      "audio/x-raw,format=F32LE,layout=non-interleaved,rate=8000,channels=2,"
      "channel-mask=(bitmask)3";
  start(planar, kLinear);
  GstAudioInfo info;
  const CapsRef caps(gst_caps_from_string(planar));
  ASSERT_TRUE(gst_audio_info_from_caps(&info, caps.get()));
  std::vector<float> samples(320, 0.5f);
  std::fill(samples.begin() + 160, samples.end(), -0.25f);
  GstBuffer *buffer = gst_buffer_new_memdup(samples.data(), samples.size() * sizeof(float));
  gst_buffer_add_audio_meta(buffer, &info, 160, nullptr);
  GST_BUFFER_PTS(buffer) = 0;
  ASSERT_EQ(gst_harness_push(harness_.get(), buffer), GST_FLOW_OK);
  const auto bytes = bytes_of(pull());
  ASSERT_EQ(bytes.size(), 320u);
  EXPECT_NEAR(static_cast<std::int16_t>(bytes[100] | bytes[101] << 8), 4096, 2);
}

TEST_F(SoundFit, AGapIsKept) {
  start(kAac, kLinear);
  ASSERT_EQ(push(44100 * 4, 0), GST_FLOW_OK);
  ASSERT_EQ(push(44100 * 4, 2 * GST_SECOND), GST_FLOW_OK);
  GstClockTime end = 0;
  std::size_t before = 0;
  for (BufferRef out = pull(); out; out = pull()) {
    if (GST_BUFFER_PTS(out.get()) == 2 * GST_SECOND) {
      EXPECT_TRUE(GST_BUFFER_IS_DISCONT(out.get()));
      EXPECT_NEAR(static_cast<double>(before), 16000, 4) << "the end of the filter came too";
      return;
    }
    EXPECT_EQ(GST_BUFFER_PTS(out.get()), end);
    end += GST_BUFFER_DURATION(out.get());
    before += gst_buffer_get_size(out.get());
  }
  FAIL() << "nothing at 2 s";
}

TEST_F(SoundFit, WhatUpstreamCallsAGapIsOne) {
  start(kAac, kLinear);
  ASSERT_EQ(push(4410 * 4, 0), GST_FLOW_OK);
  discont_ = true;
  ASSERT_EQ(push(4410 * 4, 110 * GST_MSECOND), GST_FLOW_OK);
  BufferRef last;
  for (BufferRef out = pull(); out; out = pull()) last = std::move(out);
  ASSERT_TRUE(last);
  EXPECT_EQ(GST_BUFFER_PTS(last.get()), 110 * GST_MSECOND);
}

TEST_F(SoundFit, TheEndOfTheFilterComesAtTheEnd) {
  start(kAac, kLinear);
  ASSERT_EQ(push(44100 * 4, 0), GST_FLOW_OK);
  gst_harness_push_event(harness_.get(), gst_event_new_eos());
  std::size_t bytes = 0;
  for (BufferRef out = pull(); out; out = pull()) bytes += gst_buffer_get_size(out.get());
  EXPECT_NEAR(static_cast<double>(bytes), 16000, 4);
}

TEST_F(SoundFit, AFlushForgets) {
  start(kAac, kLinear);
  ASSERT_EQ(push(44100 * 4, 0), GST_FLOW_OK);
  while (pull()) {
  }
  gst_harness_push_event(harness_.get(), gst_event_new_flush_start());
  gst_harness_push_event(harness_.get(), gst_event_new_flush_stop(TRUE));
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  gst_harness_push_event(harness_.get(), gst_event_new_segment(&segment));
  ASSERT_EQ(push(44100 * 4, 7 * GST_SECOND), GST_FLOW_OK);
  EXPECT_EQ(GST_BUFFER_PTS(pull().get()), 7 * GST_SECOND);
}

TEST_F(SoundFit, AnotherRateInMidStream) {
  start(kAac, kLinear);
  ASSERT_EQ(push(44100 * 4, 0), GST_FLOW_OK);
  while (pull()) {
  }
  gst_harness_set_src_caps_str(harness_.get(),
                               "audio/x-raw,format=F32LE,layout=interleaved,rate=16000,channels=2,"
                               "channel-mask=(bitmask)3");
  ASSERT_EQ(push(16000 * 8, GST_SECOND), GST_FLOW_OK);
  std::size_t bytes = 0;
  for (BufferRef out = pull(); out; out = pull()) bytes += gst_buffer_get_size(out.get());
  EXPECT_NEAR(static_cast<double>(bytes), 16000, 100);
}

TEST_F(SoundFit, TellsItsDelay) {
  start(kAac, kLinear);
  EXPECT_EQ(gst_harness_query_latency(harness_.get()), 2 * GST_MSECOND);
}

TEST_F(SoundFit, WhatNothingCanBeMadeOfIsRefused) {
  start("audio/mpeg,mpegversion=4,stream-format=raw", "");
  EXPECT_NE(push(100, 0), GST_FLOW_OK);
  start(kAac, "audio/x-alaw,rate=8000,channels=1", "audio/x-mulaw");
  EXPECT_EQ(push(4096, 0), GST_FLOW_NOT_NEGOTIATED);
}

}  // namespace
}  // namespace junctor::test
