// SPDX-License-Identifier: LGPL-2.1-or-later
// sipcallsink, which takes frames out of their packets itself.
#include <gst/check/gstharness.h>

#include "common/gst/buffer_bytes.h"
#include "sipcallsink_fixture.h"

namespace junctor::test {
namespace {

struct Row {
  const char *name;
  const char *codec;    ///< as `codecs` names it
  const char *answer;   ///< the peer's map and parameters, for its number 120
  const char *source;   ///< eight packets of it, as GStreamer makes them
  const char *packets;  ///< caps for GStreamer's depayloader
  const char *depay;
  const char *frames;  ///< how the caps of what comes out begin
  const char *decoder;
  int clock_rate;
};

const Row kRows[] = {
    {"Pcma", "pcma", "a=rtpmap:120 PCMA/8000\r\n",
     "audiotestsrc num-buffers=8 samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! alawenc "
     "! rtppcmapay max-ptime=20000000 min-ptime=20000000",
     "application/x-rtp,media=audio,clock-rate=8000,encoding-name=PCMA", "rtppcmadepay",
     "audio/x-alaw, rate=(int)8000, channels=(int)1", "alawdec", 8000},
    {"Pcmu", "pcmu", "a=rtpmap:120 PCMU/8000\r\n",
     "audiotestsrc num-buffers=8 samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! "
     "mulawenc "
     "! rtppcmupay max-ptime=20000000 min-ptime=20000000",
     "application/x-rtp,media=audio,clock-rate=8000,encoding-name=PCMU", "rtppcmudepay",
     "audio/x-mulaw, rate=(int)8000, channels=(int)1", "mulawdec", 8000},
    {"Speex16", "speex/16000", "a=rtpmap:120 speex/16000\r\n",
     "audiotestsrc num-buffers=8 samplesperbuffer=320 ! audio/x-raw,rate=16000,channels=1 ! "
     "speexenc ! rtpspeexpay",
     "application/x-rtp,media=audio,clock-rate=16000,encoding-name=SPEEX,encoding-params=(string)1",
     "rtpspeexdepay", "audio/x-speex, rate=(int)16000, channels=(int)1", "speexdec", 16000},
    {"Speex8", "speex/8000", "a=rtpmap:120 SPEEX/8000\r\n",
     "audiotestsrc num-buffers=8 samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! "
     "speexenc ! rtpspeexpay",
     "application/x-rtp,media=audio,clock-rate=8000,encoding-name=SPEEX,encoding-params=(string)1",
     "rtpspeexdepay", "audio/x-speex, rate=(int)8000, channels=(int)1", "speexdec", 8000},
    {"Mpeg4Generic", "mpeg4-generic",
     "a=rtpmap:120 mpeg4-generic/44100\r\na=fmtp:120 mode=AAC-hbr;config=1208;sizeLength=13;"
     "indexLength=3;indexDeltaLength=3\r\n",
     "audiotestsrc num-buffers=8 samplesperbuffer=1024 ! audio/x-raw,rate=44100,channels=1 ! "
     "voaacenc bitrate=64000 ! rtpmp4gpay",
     "application/x-rtp,media=audio,clock-rate=44100,encoding-name=MPEG4-GENERIC,"
     "streamtype=(string)5,mode=(string)AAC-hbr,config=(string)1208,sizelength=(string)13,"
     "indexlength=(string)3,indexdeltalength=(string)3",
     "rtpmp4gdepay", "audio/mpeg, mpegversion=(int)4, stream-format=(string)raw", "avdec_aac",
     44100},
};

using Texts = std::vector<std::string>;

std::string text_of(GstBuffer *buffer) {
  const Bytes bytes = copy_of(buffer);
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

double timestamp_of(const std::string &packet) {
  return rtp::parse_packet(as_bytes(packet))->header.timestamp;
}

/// All that a line without inputs gives out.
Texts all_of(const std::string &line) {
  GError *error = nullptr;
  const ElementRef pipeline(GST_ELEMENT(gst_object_ref_sink(
      gst_parse_launch((line + " ! fakesink name=out signal-handoffs=true").c_str(), &error))));
  EXPECT_EQ(error, nullptr) << error->message;
  Texts all;
  const ElementRef out(gst_bin_get_by_name(GST_BIN(pipeline.get()), "out"));
  g_signal_connect(out.get(), "handoff",
                   G_CALLBACK(+[](GstElement *, GstBuffer *buffer, GstPad *, Texts *texts) {
                     texts->push_back(text_of(buffer));
                   }),
                   &all);
  gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
  const BusRef bus(gst_element_get_bus(pipeline.get()));
  const MessageRef end(
      gst_bus_timed_pop_filtered(bus.get(), 10 * GST_SECOND,
                                 static_cast<GstMessageType>(GST_MESSAGE_EOS | GST_MESSAGE_ERROR)));
  EXPECT_TRUE(end && GST_MESSAGE_TYPE(end.get()) == GST_MESSAGE_EOS) << line;
  gst_element_set_state(pipeline.get(), GST_STATE_NULL);
  return all;
}

class SipCallSinkDepayload : public SipCallSink, public testing::WithParamInterface<Row> {
 protected:
  /// A call in the row's format, whose packets there are then.
  void call() {
    const Row &row = GetParam();
    g_object_set(element_, "codecs", row.codec, "depayload", TRUE, nullptr);
    play();
    const Message invite = this->invite();
    const std::string port = std::to_string(audio_.port());
    peer_.reply(
        invite, "200 OK", "",
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio " + port +
            " RTP/AVP 120\r\n" + row.answer + "a=rtcp:" + port + "\r\n");
    change("answered");
    const std::string offer = invite.body();
    to_ = port_in(offer, "audio");
    const auto number = static_cast<char>(
        std::stoi(offer.substr(offer.find(" RTP/AVP ") + std::strlen(" RTP/AVP "))));
    packets_ = all_of(row.source);
    ASSERT_GE(packets_.size(), 8U);
    for (std::string &packet : packets_)
      packet[1] = static_cast<char>((packet[1] & '\x80') | number);
  }
  /// What comes out when the packets come, of which so many make no frame.
  std::vector<Taker::Taken> frames(std::size_t without = 0) {
    for (const std::string &packet : packets_) {
      const ByteSpan bytes = as_bytes(packet);
      audio_.send(to_, Bytes(bytes.begin(), bytes.end()));
    }
    EXPECT_TRUE(run_until([&] {
      out_ = taker("audio_src");
      return out_ != nullptr && out_->taken().size() == packets_.size() - without;
    }));
    return out_ != nullptr ? out_->taken() : std::vector<Taker::Taken>();
  }

  Texts packets_;
  std::uint16_t to_ = 0;
  Taker *out_ = nullptr;
};

TEST_P(SipCallSinkDepayload, GivesTheFramesThatGStreamersDepayloaderGives) {
  const Row &row = GetParam();
  ASSERT_NO_FATAL_FAILURE(call());
  const auto taken = frames();
  ASSERT_EQ(taken.size(), packets_.size());
  EXPECT_TRUE(out_->caps().starts_with(row.frames)) << out_->caps();

  GstHarness *depay = gst_harness_new(row.depay);
  gst_harness_set_src_caps_str(depay, row.packets);
  GstHarness *decoder = gst_harness_new(row.decoder);
  gst_harness_set_src_caps_str(decoder, out_->caps().c_str());
  for (const std::string &packet : packets_)
    EXPECT_EQ(gst_harness_push(depay, gst_buffer_new_memdup(packet.data(), packet.size())),
              GST_FLOW_OK);
  Texts theirs;
  while (GstBuffer *buffer = gst_harness_try_pull(depay)) {
    theirs.push_back(text_of(buffer));
    gst_buffer_unref(buffer);
  }
  // What Speex streams begin with in Ogg is in our caps.
  if (std::string(row.depay) == "rtpspeexdepay") theirs.erase(theirs.begin(), theirs.begin() + 2);
  ASSERT_EQ(theirs.size(), taken.size());
  for (std::size_t i = 0; i < taken.size(); ++i) {
    EXPECT_EQ(taken[i].bytes, theirs[i]) << i;
    EXPECT_EQ(taken[i].discont, i == 0) << i;
    if (i > 0) {
      const double rtp_units = timestamp_of(packets_[i]) - timestamp_of(packets_[i - 1]);
      EXPECT_NEAR(static_cast<double>(taken[i].pts - taken[i - 1].pts),
                  rtp_units * GST_SECOND / row.clock_rate, GST_MSECOND)
          << i;
    }
    GstBuffer *buffer = gst_buffer_new_memdup(taken[i].bytes.data(), taken[i].bytes.size());
    GST_BUFFER_PTS(buffer) = taken[i].pts;
    EXPECT_EQ(gst_harness_push(decoder, buffer), GST_FLOW_OK) << i;
  }
  EXPECT_GE(gst_harness_buffers_received(decoder), taken.size() - 1) << "decoded";
  gst_harness_teardown(decoder);
  gst_harness_teardown(depay);
}

TEST_P(SipCallSinkDepayload, TellsOfAGap) {
  ASSERT_NO_FATAL_FAILURE(call());
  packets_.erase(packets_.begin() + 3);
  const auto taken = frames();
  ASSERT_EQ(taken.size(), packets_.size());
  for (std::size_t i = 0; i < taken.size(); ++i) EXPECT_EQ(taken[i].discont, i == 0 || i == 3) << i;
}

INSTANTIATE_TEST_SUITE_P(Formats, SipCallSinkDepayload, testing::ValuesIn(kRows),
                         [](const auto &info) { return std::string(info.param.name); });

class SipCallSinkAac : public SipCallSinkDepayload {};

TEST_P(SipCallSinkAac, ThatCannotBeReadIsMissedAndToldOfOnce) {
  ASSERT_NO_FATAL_FAILURE(call());
  // An AU header section of 65,535 bits.
  for (const std::size_t broken : {2, 3}) packets_[broken].replace(12, 2, "\xff\xff");
  const auto taken = frames(2);
  ASSERT_EQ(taken.size(), packets_.size() - 2);
  for (std::size_t i = 0; i < taken.size(); ++i) EXPECT_EQ(taken[i].discont, i == 0 || i == 2) << i;
  const MessageRef warning = message(GST_MESSAGE_WARNING);
  ASSERT_NE(warning, nullptr);
  GError *error = nullptr;
  gst_message_parse_warning(warning.get(), &error, nullptr);
  EXPECT_TRUE(g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE));
  EXPECT_NE(std::string(error->message).find("AU header section"), std::string::npos)
      << error->message;
  g_clear_error(&error);
  EXPECT_EQ(gst_bus_pop_filtered(bus_.get(), GST_MESSAGE_WARNING), nullptr);
}

TEST_P(SipCallSinkAac, ComesInItsTimeWhereSeveralFramesShareAPacket) {
  ASSERT_NO_FATAL_FAILURE(call());
  // Each packet takes the next one's frame as well: behind the header one AU header more.
  Texts shared;
  for (std::size_t i = 0; i + 1 < packets_.size(); i += 2) {
    const std::string &one = packets_[i], &two = packets_[i + 1];
    shared.push_back(one.substr(0, 12) + std::string("\0\x20", 2) + one.substr(14, 2) +
                     two.substr(14, 2) + one.substr(16) + two.substr(16));
    const auto sequence = static_cast<std::uint16_t>(100 + i / 2);
    shared.back()[2] = static_cast<char>(sequence >> 8);
    shared.back()[3] = static_cast<char>(sequence);
  }
  const std::size_t count = 2 * shared.size();
  packets_ = shared;
  for (const std::string &packet : packets_) {
    const ByteSpan bytes = as_bytes(packet);
    audio_.send(to_, Bytes(bytes.begin(), bytes.end()));
  }
  ASSERT_TRUE(run_until([&] {
    out_ = taker("audio_src");
    return out_ != nullptr && out_->taken().size() == count;
  }));
  const auto taken = out_->taken();
  for (std::size_t i = 1; i < count; ++i) {
    EXPECT_NEAR(static_cast<double>(taken[i].pts - taken[i - 1].pts),
                1024.0 * GST_SECOND / GetParam().clock_rate, GST_MSECOND)
        << i;
    EXPECT_FALSE(taken[i].discont) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, SipCallSinkAac, testing::Values(kRows[4]),
                         [](const auto &info) { return std::string(info.param.name); });

/// Pictures of H.264, with and without a word on them in the answer.
class SipCallSinkH264 : public SipCallSink, public testing::WithParamInterface<bool> {
 protected:
  static constexpr const char *kSource =
      "videotestsrc num-buffers=8 pattern=ball ! "
      "video/x-raw,format=I420,width=128,height=96,framerate=25/1 ! "
      "x264enc tune=zerolatency key-int-max=4 threads=1 ! rtph264pay mtu=120 seqnum-offset=1";

  void call() {
    late_caps_ = !GetParam();
    g_object_set(element_, "depayload", TRUE, nullptr);
    const Message invite = invite_with(feeder_);
    packets_ = all_of(std::string(kSource) + " config-interval=" + (GetParam() ? "0" : "-1"));
    ASSERT_GT(packets_.size(), 16U) << "pictures in several packets";
    ASSERT_LT(packets_.size(), 80U) << "no more than a socket keeps";
    std::string answer = this->answer();
    const std::string sets = "Z0LAHtk=,aMuPIA==";
    const auto at = answer.find(sets);
    if (GetParam())
      answer.replace(at, sets.size(), sets_of_source());
    else
      answer.erase(at - std::strlen(";sprop-parameter-sets="),
                   std::strlen(";sprop-parameter-sets=") + sets.size());
    peer_.reply(invite, "200 OK", "", answer);
    change("answered");
    to_ = port_in(invite.body(), "video");
    for (std::string &packet : packets_) packet[1] = static_cast<char>((packet[1] & '\x80') | 96);
  }
  /// As its payloader says them.
  static std::string sets_of_source() {
    Pipeline pipeline(std::string(kSource) + " ! fakesink name=out");
    pipeline.set_state(GST_STATE_PLAYING);
    pipeline.wait(GST_MESSAGE_EOS);
    const PadRef pad(gst_element_get_static_pad(pipeline["out"].get(), "sink"));
    const CapsRef caps(gst_pad_get_current_caps(pad.get()));
    return field(gst_caps_get_structure(caps.get(), 0), "sprop-parameter-sets");
  }
  void send() {
    for (const std::string &packet : packets_) {
      const ByteSpan bytes = as_bytes(packet);
      video_.send(to_, Bytes(bytes.begin(), bytes.end()));
    }
  }
  std::vector<Taker::Taken> taken(std::size_t count) {
    EXPECT_TRUE(run_until([&] {
      out_ = taker("video_src");
      return out_ != nullptr && out_->taken().size() >= count;
    }));
    return out_ != nullptr ? out_->taken() : std::vector<Taker::Taken>();
  }

  Feeder feeder_{element_, "video", kVideoCaps};
  Texts packets_;
  std::uint16_t to_ = 0;
  Taker *out_ = nullptr;
};

TEST_P(SipCallSinkH264, GivesThePicturesThatGStreamersDepayloaderGives) {
  ASSERT_NO_FATAL_FAILURE(call());
  send();
  const auto taken = this->taken(8);
  ASSERT_EQ(taken.size(), 8U);

  GstHarness *depay = gst_harness_new("rtph264depay");
  gst_harness_set_sink_caps_str(depay, "video/x-h264,stream-format=avc,alignment=au");
  std::string caps = "application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96";
  if (GetParam()) caps += ",sprop-parameter-sets=(string)\"" + sets_of_source() + '"';
  gst_harness_set_src_caps_str(depay, caps.c_str());
  for (const std::string &packet : packets_)
    EXPECT_EQ(gst_harness_push(depay, gst_buffer_new_memdup(packet.data(), packet.size())),
              GST_FLOW_OK);
  for (std::size_t i = 0; i < taken.size(); ++i) {
    const BufferRef theirs(gst_harness_try_pull(depay));
    ASSERT_TRUE(theirs) << i;
    // It leaves out what comes in front of the first parameter sets.
    const bool whole = i > 0 || GetParam();
    const std::string bytes = text_of(theirs.get());
    EXPECT_TRUE(whole ? taken[i].bytes == bytes : taken[i].bytes.ends_with(bytes)) << i;
    EXPECT_EQ(taken[i].delta, GST_BUFFER_FLAG_IS_SET(theirs.get(), GST_BUFFER_FLAG_DELTA_UNIT) != 0)
        << i;
    EXPECT_EQ(taken[i].delta, i % 4 != 0) << i;
    EXPECT_EQ(taken[i].discont, i == 0) << i;
    if (i > 0) {
      EXPECT_NEAR(static_cast<double>(taken[i].pts - taken[i - 1].pts), 40.0 * GST_MSECOND,
                  GST_MSECOND)
          << i;
    }
  }
  EXPECT_TRUE(out_->caps().starts_with("video/x-h264")) << out_->caps();
  const CapsRef ours(gst_caps_from_string(out_->caps().c_str())),
      theirs(gst_pad_get_current_caps(depay->sinkpad));
  const auto config = [](const CapsRef &caps) {
    return text_of(codec_data_of(gst_caps_get_structure(caps.get(), 0)));
  };
  // GStreamer's has four bytes more where the profile has chroma formats.
  EXPECT_TRUE(config(theirs).starts_with(config(ours)));
  gst_harness_teardown(depay);
}

TEST_P(SipCallSinkH264, OfALossItTellsAndAsksForAKeyframe) {
  ASSERT_NO_FATAL_FAILURE(call());
  // In the midst of a picture that is no keyframe.
  std::size_t lost = 0;
  while ((packets_[lost][12] & 0x1f) != 28 || (packets_[lost][13] & 0xdf) != 1) ++lost;
  packets_.erase(packets_.begin() + static_cast<std::ptrdiff_t>(lost));
  send();
  const auto taken = this->taken(7);
  std::size_t gaps = 0;
  for (std::size_t i = 1; i < taken.size(); ++i) gaps += taken[i].discont ? 1 : 0;
  EXPECT_EQ(gaps, 1U);
  bool asked = false;
  while (!asked) {
    const Bytes datagram = video_.receive(true);
    ASSERT_FALSE(datagram.empty());
    const auto items = rtp::rtcp::parse(datagram);
    ASSERT_TRUE(items);
    for (const auto &item : *items) asked |= std::holds_alternative<rtp::rtcp::Pli>(item);
  }
}

INSTANTIATE_TEST_SUITE_P(Answers, SipCallSinkH264, testing::Bool(), [](const auto &info) {
  return std::string(info.param ? "WithParameterSets" : "WithoutParameterSets");
});

TEST_F(SipCallSink, PicturesOfRfc2190StayInTheirPackets) {
  gboolean depayload = TRUE;
  g_object_get(element_, "depayload", &depayload, nullptr);
  EXPECT_FALSE(depayload) << "unless asked for";
  g_object_set(element_, "depayload", TRUE, "codecs", "pcma,h263/90000", nullptr);
  g_object_get(element_, "depayload", &depayload, nullptr);
  EXPECT_TRUE(depayload);
  play();
  const Message invite = this->invite();
  const std::string port = std::to_string(video_.port());
  peer_.reply(invite, "200 OK", "",
              answer(false, "m=video " + port + " RTP/AVP 34\r\na=rtcp:" + port + "\r\n"));
  change("answered");
  for (const auto &[pad, type] :
       {std::pair("video_src", "application/x-rtp"), std::pair("audio_src", "audio/x-alaw")}) {
    const PadRef out(gst_element_get_static_pad(element_, pad));
    ASSERT_TRUE(out) << pad;
    const CapsRef caps(gst_pad_get_current_caps(out.get()));
    EXPECT_STREQ(gst_structure_get_name(gst_caps_get_structure(caps.get(), 0)), type);
  }
}

}  // namespace
}  // namespace junctor::test
