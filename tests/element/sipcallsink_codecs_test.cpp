// SPDX-License-Identifier: LGPL-2.1-or-later
// sipcallsink, format by format: what GStreamer's own payloaders make is offered in its name, sent
// as it is with new headers, and what comes back fits GStreamer's own depayloaders.
#include <gst/check/gstharness.h>

#include <regex>

#include "sipcallsink_fixture.h"

namespace junctor::test {
namespace {

struct Row {
  const char *name;
  const char *medium;
  const char *source;  ///< a bin that gives RTP
  const char *map;     ///< of the offer, without its number
  const char *fmtp;    ///< a part of the offer's
  const char *answer;  ///< the peer's map and parameters, for its number 120
  int step;            ///< of timestamps from packet to packet, or from picture to picture
  const char *depay;
  const char *out;  ///< what that gives
};

constexpr const char *kSound = "audiotestsrc is-live=true wave=sine ! ";
constexpr const char *kPicture =
    "videotestsrc is-live=true ! video/x-raw,format=I420,width=352,height=288,framerate=30/1 ! ";

const Row kRows[] = {
    {"Speex16", "audio", "audio/x-raw,rate=16000,channels=1 ! speexenc ! rtpspeexpay",
     "SPEEX/16000", "", "a=rtpmap:120 speex/16000\r\n", 320, "rtpspeexdepay", "audio/x-speex"},
    {"Speex8", "audio", "audio/x-raw,rate=8000,channels=1 ! speexenc ! rtpspeexpay", "SPEEX/8000",
     "", "a=rtpmap:120 SPEEX/8000/1\r\na=fmtp:120 mode=\"any\"\r\n", 160, "rtpspeexdepay",
     "audio/x-speex"},
    {"Mpeg4Generic", "audio",
     "audio/x-raw,rate=44100,channels=1 ! voaacenc bitrate=64000 ! rtpmp4gpay",
     "MPEG4-GENERIC/44100",
     "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1208",
     "a=rtpmap:120 mpeg4-generic/44100\r\na=fmtp:120 streamtype=5;profile-level-id=41;mode=AAC-hbr;"
     "config=1208;sizeLength=13;indexLength=3;indexDeltaLength=3\r\n",
     0, "rtpmp4gdepay", "audio/mpeg"},
    {"Mpeg4GenericStereo48", "audio",
     "audio/x-raw,rate=48000,channels=2 ! voaacenc bitrate=96000 ! rtpmp4gpay",
     "MPEG4-GENERIC/48000/2", "config=1190", "a=rtpmap:120 MPEG4-GENERIC/48000/2\r\n", 0,
     "rtpmp4gdepay", "audio/mpeg"},
    {"Mp4aLatm", "audio", "audio/x-raw,rate=44100,channels=2 ! voaacenc bitrate=64000 ! rtpmp4apay",
     "MP4A-LATM/44100/2", "cpresent=0;config=400024203fc0",
     "a=rtpmap:120 MP4A-LATM/44100/2\r\na=fmtp:120 cpresent=0;config=400024203fc0\r\n", 0,
     "rtpmp4adepay", "audio/mpeg"},
    {"Vp8", "video", "vp8enc deadline=1 cpu-used=8 ! rtpvp8pay picture-id-mode=15-bit", "VP8/90000",
     "max-fr=30;max-fs=3600", "a=rtpmap:120 VP8/90000\r\na=fmtp:120 max-fr=30; max-fs=3600;\r\n",
     3000, "rtpvp8depay", "video/x-vp8"},
    {"H263In2000", "video",
     "avenc_h263 ! rtph263ppay ! capsfilter caps=application/x-rtp,encoding-name=H263-2000",
     "H263-2000/90000", "CIF=1;QCIF=1",
     "a=rtpmap:120 H263-2000/90000\r\na=fmtp:120 profile=0;level=30\r\n", 3000, "rtph263pdepay",
     "video/x-h263"},
    {"H263In1998", "video", "avenc_h263 ! rtph263ppay", "H263-1998/90000", "CIF=1;QCIF=1",
     "a=rtpmap:120 h263-1998/90000\r\na=fmtp:120 CIF=1;QCIF=1\r\n", 3000, "rtph263pdepay",
     "video/x-h263"},
    {"H263", "video", "avenc_h263 ! rtph263pay", "H263/90000", "CIF=1;QCIF=1",
     "a=rtpmap:120 H263/90000\r\na=fmtp:120 CIF=1;QCIF=1\r\n", 3000, "rtph263depay",
     "video/x-h263"},
};

class SipCallSinkCodec : public SipCallSink, public testing::WithParamInterface<Row> {
 protected:
  SipCallSinkCodec() : wire_(std::string(GetParam().medium) == "audio" ? audio_ : video_) {}

  /// Links a source of the row to the element.
  void feed(const Row &row) {
    const std::string line =
        std::string(std::string(row.medium) == "audio" ? kSound : kPicture) + row.source;
    GError *error = nullptr;
    source_ = gst_parse_bin_from_description(line.c_str(), TRUE, &error);
    ASSERT_NE(source_, nullptr) << error->message;
    gst_bin_add(GST_BIN(pipeline_.get()), source_);
    ASSERT_TRUE(gst_element_link_pads(source_, "src", element_, row.medium)) << row.name;
  }
  std::string sdp(const std::string &lines) const {
    const std::string port = std::to_string(wire_.port());
    return "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=" +
           std::string(GetParam().medium) + ' ' + port + " RTP/AVP 120\r\n" + lines +
           "a=rtcp:" + port + "\r\na=rtcp-fb:* nack pli\r\n";
  }
  /// The number that an offer gives to `map`; -1 if it has none.
  static int number_of(const std::string &offer, const std::string &map) {
    std::smatch found;
    const std::regex line("a=rtpmap:(\\d+) " + std::regex_replace(map, std::regex("[-/]"), "\\$&") +
                          "\r\n");
    return std::regex_search(offer, found, line) ? std::stoi(found[1]) : -1;
  }

  Wire &wire_;
  GstElement *source_ = nullptr;
};

TEST_P(SipCallSinkCodec, GoesOutAndComesBackAsGStreamerPacksIt) {
  const Row &row = GetParam();
  feed(row);
  play();
  const Message invite = this->invite();
  const std::string offer = invite.body();
  const int number = number_of(offer, row.map);
  ASSERT_GE(number, 0) << offer;
  // Nothing but what upstream can produce, which is one medium in one format; digits beside sound.
  EXPECT_TRUE(
      std::regex_search(offer, std::regex("RTP/AVP " + std::to_string(number) + "( 101)?\r\n")))
      << offer;
  EXPECT_EQ(offer.find("m=", offer.find("m=") + 1), std::string::npos) << offer;
  if (*row.fmtp != '\0') {
    EXPECT_NE(offer.find(row.fmtp), std::string::npos) << offer;
  }
  peer_.reply(invite, "200 OK", "", sdp(row.answer));
  change("answered");

  // To the callee: in its number, one source, one time line.
  std::vector<Bytes> packets;
  std::vector<std::uint32_t> times;
  std::uint32_t ssrc = 0;
  while (times.size() < 6) {
    packets.push_back(wire_.receive(false));
    const auto packet = rtp::parse_packet(packets.back());
    ASSERT_TRUE(packet) << "after " << packets.size() - 1 << " packets";
    EXPECT_EQ(packet->header.payload_type, 120);
    if (packets.size() == 1) ssrc = packet->header.ssrc;
    EXPECT_EQ(packet->header.ssrc, ssrc);
    EXPECT_FALSE(packet->payload.empty());
    if (times.empty() || times.back() != packet->header.timestamp)
      times.push_back(packet->header.timestamp);
  }
  for (std::size_t i = 1; i < times.size(); ++i) {
    const auto step = static_cast<std::int32_t>(times[i] - times[i - 1]);
    if (row.step == 0)
      EXPECT_EQ(step % 1024, 0) << "AAC has 1024 samples a frame";
    else
      EXPECT_NEAR(step, row.step, row.step / 100 + 1) << row.name;
    EXPECT_GT(step, 0);
  }

  // From the callee, who sends in our number.
  const std::uint16_t to = port_in(offer, row.medium);
  for (Bytes packet : packets) {
    packet[1] = (packet[1] & std::byte{0x80}) | static_cast<std::byte>(number);
    packet[8] ^= std::byte{0xff};
    wire_.send(to, packet);
  }
  const std::string pad = std::string(row.medium) + "_src";
  ASSERT_TRUE(run_until([&] {
    Taker *out = taker(pad);
    return out != nullptr && out->taken().size() == packets.size();
  })) << row.name;
  GstHarness *depay = gst_harness_new(row.depay);
  gst_harness_set_src_caps_str(depay, taker(pad)->caps().c_str());
  for (const Taker::Taken &one : taker(pad)->taken()) {
    GstBuffer *buffer = gst_buffer_new_memdup(one.bytes.data(), one.bytes.size());
    GST_BUFFER_PTS(buffer) = one.pts;
    EXPECT_EQ(gst_harness_push(depay, buffer), GST_FLOW_OK);
  }
  EXPECT_GE(gst_harness_buffers_received(depay), 4U) << taker(pad)->caps();
  const CapsRef given(gst_pad_get_current_caps(depay->sinkpad));
  ASSERT_NE(given, nullptr) << row.depay << " says nothing of " << taker(pad)->caps();
  EXPECT_TRUE(gst_structure_has_name(gst_caps_get_structure(given.get(), 0), row.out));
  gst_harness_teardown(depay);
}

class SipCallSinkPicture : public SipCallSinkCodec {};

TEST_P(SipCallSinkPicture, IsAKeyframeWhenItIsAskedFor) {
  const Row &row = GetParam();
  feed(row);
  // The encoder makes none by itself in all this time.
  GstIterator *elements = gst_bin_iterate_elements(GST_BIN(source_));
  GValue item = G_VALUE_INIT;
  while (gst_iterator_next(elements, &item) == GST_ITERATOR_OK) {
    auto *element = static_cast<GObject *>(g_value_get_object(&item));
    if (g_object_class_find_property(G_OBJECT_GET_CLASS(element), "keyframe-max-dist") != nullptr)
      g_object_set(element, "keyframe-max-dist", 10000, nullptr);
    if (g_object_class_find_property(G_OBJECT_GET_CLASS(element), "gop-size") != nullptr)
      g_object_set(element, "gop-size", 10000, nullptr);
    g_value_reset(&item);
  }
  g_value_unset(&item);
  gst_iterator_free(elements);

  play();
  const Message invite = this->invite();
  peer_.reply(invite, "200 OK", "", sdp(row.answer));
  change("answered");
  // The first byte of each picture tells (RFC 7741 section 4.3, RFC 4629 section 5.1 and H.263
  // section 5.1.3, RFC 2190 section 5.1).
  const auto is_key = [&](ByteSpan payload) {
    const auto bit = [&](std::size_t byte, int mask) {
      return payload.size() > byte && (std::to_integer<int>(payload[byte]) & mask) != 0;
    };
    if (std::string(row.out) == "video/x-vp8") return !bit(4, 0x01);  // X, I, two bytes of picture
    if (std::string(row.name) == "H263") return !bit(1, 0x10);
    // 2 bytes of header, then after 22 bits of start code: TR 8, PTYPE 1 0 split doc freeze, format
    // 3, coding.
    if (bit(4, 0x1c) && (std::to_integer<int>(payload[4]) & 0x1c) == 0x1c)
      return (std::to_integer<int>(payload[7]) & 0x1c) == 0;  // PLUSPTYPE's MPPTYPE after OPPTYPE
    return !bit(4, 0x02);
  };
  std::optional<std::uint32_t> ssrc, at;
  const auto wait_key = [&] {
    for (int n = 0; n < 600; ++n) {
      const Bytes bytes = wire_.receive(false);
      const auto packet = rtp::parse_packet(bytes);
      if (!packet) return false;
      ssrc = packet->header.ssrc;
      const bool first = at != packet->header.timestamp;
      at = packet->header.timestamp;
      if (first && is_key(packet->payload)) return true;
    }
    return false;
  };
  ASSERT_TRUE(wait_key()) << "none for the answer";
  // The callee has lost something.
  Bytes pli;
  rtp::rtcp::append(pli, rtp::rtcp::Pli{99, *ssrc});
  wire_.send(port_in(invite.body(), row.medium), pli);
  EXPECT_TRUE(wait_key()) << "none for its PLI";
}

INSTANTIATE_TEST_SUITE_P(Formats, SipCallSinkCodec, testing::ValuesIn(kRows),
                         [](const auto &info) { return std::string(info.param.name); });

std::vector<Row> pictures() {
  std::vector<Row> rows;
  for (const Row &row : kRows)
    if (std::string(row.medium) == "video") rows.push_back(row);
  return rows;
}
INSTANTIATE_TEST_SUITE_P(Formats, SipCallSinkPicture, testing::ValuesIn(pictures()),
                         [](const auto &info) { return std::string(info.param.name); });

using SipCallSinkNames = SipCallSink;

TEST_F(SipCallSinkNames, CodecsChooseAndOrderWhatIsOffered) {
  Feeder audio(element_, "audio", kAudioCaps), video(element_, "video", kVideoCaps);
  g_object_set(element_, "codecs", "speex/8000, MP4A-LATM, pcma, h263, vp8", nullptr);
  play();
  audio.start();
  video.start();
  const std::string offer = invite().body();
  EXPECT_NE(offer.find(" RTP/AVP 99 102 8 101"), std::string::npos) << offer;
  EXPECT_NE(offer.find(" RTP/AVP 104 105 34 103\r\n"), std::string::npos) << offer;
}

TEST_F(SipCallSinkNames, WhatIsNoNameIsToldWithThoseThatAre) {
  g_object_set(element_, "codecs", "speex/32000", nullptr);
  EXPECT_EQ(gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
  std::string text;
  EXPECT_EQ(error(&text), GST_RESOURCE_ERROR_SETTINGS);
  EXPECT_NE(text.find("\"speex/32000\""), std::string::npos) << text;
  EXPECT_NE(text.find("SPEEX/8000"), std::string::npos) << text;
}

TEST_F(SipCallSinkNames, AacOfAnotherClockRateIsNotSent) {
  Feeder audio(element_, "audio",
               "application/x-rtp,media=audio,clock-rate=48000,encoding-name=MPEG4-GENERIC,"
               "mode=AAC-hbr,streamtype=(string)5,config=(string)1188,payload=96");
  g_object_set(element_, "codecs", "pcma,aac", nullptr);
  play();
  audio.start();
  const Message invite = this->invite();
  // The configuration of what comes, though the codec was chosen by name.
  EXPECT_NE(invite.body().find("MPEG4-GENERIC/48000\r\n"), std::string::npos) << invite.body();
  EXPECT_NE(invite.body().find("MP4A-LATM/44100\r\n"), std::string::npos) << invite.body();
  const std::string port = std::to_string(audio_.port());
  peer_.reply(invite, "200 OK", "",
              "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio " +
                  port + " RTP/AVP 102\r\na=rtpmap:102 MP4A-LATM/44100\r\na=rtcp:" + port + "\r\n");
  const MessageRef warning = message(GST_MESSAGE_WARNING);
  ASSERT_TRUE(warning);
  GError *error = nullptr;
  gst_message_parse_warning(warning.get(), &error, nullptr);
  EXPECT_NE(std::string(error->message).find("MP4A-LATM at 44100 Hz"), std::string::npos)
      << error->message;
  g_clear_error(&error);
  change("answered");
  EXPECT_EQ(audio.push(Feeder::packet(0, {"aac"})), GST_FLOW_OK);
  EXPECT_EQ(dropped("audio"), 1U);
}

TEST_F(SipCallSinkNames, TheTwoNamesOfH263PlusHaveTheSamePackets) {
  Feeder video(element_, "video",
               "application/x-rtp,media=video,clock-rate=90000,encoding-name=H263-1998,payload=96");
  g_object_set(element_, "codecs", "h263", nullptr);
  play();
  video.start();
  const Message invite = this->invite();
  const std::string port = std::to_string(video_.port());
  peer_.reply(invite, "200 OK", "",
              "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video " +
                  port + " RTP/AVP 104\r\na=rtpmap:104 H263-2000/90000\r\na=rtcp:" + port + "\r\n");
  change("answered");
  EXPECT_EQ(video.push(Feeder::packet(0, {"picture"})), GST_FLOW_OK);
  const Bytes sent = video_.receive(false);
  EXPECT_EQ(payload_of(sent), "picture");
  const auto packet = rtp::parse_packet(sent);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->header.payload_type, 104);
  EXPECT_EQ(dropped("video"), 0U);
}

TEST_F(SipCallSinkNames, AnAnswerThatCannotBeDecodedEndsTheCallWithTheReason) {
  Feeder audio(element_, "audio",
               "application/x-rtp,media=audio,clock-rate=44100,encoding-name=MPEG4-GENERIC,"
               "mode=AAC-hbr,streamtype=(string)5,config=(string)1208,payload=96");
  play();
  audio.start();
  const Message invite = this->invite();
  peer_.reply(invite, "200 OK", "",
              "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio " +
                  std::to_string(audio_.port()) +
                  " RTP/AVP 100\r\na=rtpmap:100 MPEG4-GENERIC/44100\r\na=fmtp:100 "
                  "mode=AAC-lbr;config=1208;sizelength=6;indexlength=2;indexdeltalength=2\r\n");
  peer_.request("ACK");
  peer_.reply(bye(), "200 OK");
  std::string text;
  error(&text);
  EXPECT_NE(text.find("its mode is not AAC-hbr"), std::string::npos) << text;
}

}  // namespace
}  // namespace junctor::test
