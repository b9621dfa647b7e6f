// SPDX-License-Identifier: LGPL-2.1-or-later
// sipcallsink, given frames instead of packets.
#include "common/avc.h"
#include "sipcallsink_fixture.h"

namespace junctor::test {
namespace {

const std::string kSps("\x67\x42\xc0\x1e\xda", 5), kPps("\x68\xce\x3c", 3);

/// Caps of a stream with the parameter sets above.
std::string avc_caps() {
  const auto config = build_avc_config(std::vector<ByteSpan>{as_bytes(kSps)},
                                       std::vector<ByteSpan>{as_bytes(kPps)});
  std::string hex;
  for (const std::byte each : *config) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", std::to_integer<unsigned>(each));
    hex += digits;
  }
  return "video/x-h264,stream-format=avc,alignment=au,codec_data=(buffer)" + hex;
}
constexpr const char *kAlawCaps = "audio/x-alaw,rate=8000,channels=1";

/// A frame in one memory or several.
GstBuffer *frame(const std::vector<std::string> &parts, GstClockTime pts) {
  GstBuffer *buffer = gst_buffer_new();
  for (const std::string &part : parts) {
    gpointer data = g_memdup2(part.data(), part.size());
    gst_buffer_append_memory(
        buffer, gst_memory_new_wrapped(static_cast<GstMemoryFlags>(0), data, part.size(), 0,
                                       part.size(), data, g_free));
  }
  GST_BUFFER_PTS(buffer) = pts;
  return buffer;
}
/// A NAL unit behind its length.
std::string prefixed(const std::string &unit) {
  const auto size = static_cast<std::uint32_t>(unit.size());
  return {static_cast<char>(size >> 24), static_cast<char>(size >> 16),
          static_cast<char>(size >> 8), static_cast<char>(size)};
}
std::string with_length(const std::string &unit) { return prefixed(unit) + unit; }

TEST_F(SipCallSink, PacksFrames) {
  Feeder audio(element_, "audio", kAlawCaps), video(element_, "video", avc_caps());
  play();
  audio.start();
  video.start();
  const Message invite = this->invite();
  EXPECT_NE(invite.body().find("PCMA/8000"), std::string::npos);
  EXPECT_EQ(invite.body().find("PCMU/8000"), std::string::npos);
  // Of the configuration.
  EXPECT_NE(invite.body().find("profile-level-id=42c01e"), std::string::npos) << invite.body();
  peer_.reply(invite, "200 OK", "", answer());
  change("answered");
  peer_.request("ACK");

  EXPECT_EQ(video.push(frame({with_length("\x65"
                                          "first"),
                              with_length("\x65"
                                          "second")},
                             0)),
            GST_FLOW_OK);
  const std::string keyframe = payload_of(video_.receive(false));
  std::string expected = "\x78";  // STAP-A
  for (const std::string &unit : {kSps, kPps,
                                  std::string("\x65"
                                              "first"),
                                  std::string("\x65"
                                              "second")})
    expected += prefixed(unit).substr(2) + unit;
  EXPECT_EQ(keyframe, expected);

  EXPECT_EQ(video.push(frame({with_length("\x41" + std::string(2000, 'x'))}, 40 * GST_MSECOND)),
            GST_FLOW_OK);
  const Bytes one = video_.receive(false), two = video_.receive(false);
  EXPECT_EQ(payload_of(one).substr(0, 2), "\x5c\x81");
  EXPECT_EQ(payload_of(two).substr(0, 2), "\x5c\x41");
  EXPECT_EQ(payload_of(one).size() + payload_of(two).size(), 2 * 2 + 2000U);
  const auto first = rtp::parse_packet(one), second = rtp::parse_packet(two);
  EXPECT_FALSE(first->header.marker);
  EXPECT_TRUE(second->header.marker);
  EXPECT_EQ(first->header.timestamp, second->header.timestamp);

  // 30 ms, then 10: two packets of 20.
  EXPECT_EQ(audio.push(frame({std::string(240, 'a')}, 0)), GST_FLOW_OK);
  EXPECT_EQ(payload_of(audio_.receive(false)), std::string(160, 'a'));
  EXPECT_EQ(audio.push(frame({std::string(80, 'b')}, 30 * GST_MSECOND)), GST_FLOW_OK);
  EXPECT_EQ(payload_of(audio_.receive(false)), std::string(80, 'a') + std::string(80, 'b'));
}

TEST_F(SipCallSink, SendsOneNalUnitAPacketWhereTheCalleeKnowsNoMore) {
  Feeder video(element_, "video", avc_caps());
  const Message invite = invite_with(video);
  std::string sdp = answer();
  const auto mode = sdp.find("packetization-mode=1");
  peer_.reply(invite, "200 OK", "", sdp.replace(mode, 20, "packetization-mode=0"));
  change("answered");
  EXPECT_EQ(video.push(frame({with_length("\x65"
                                          "a")},
                             0)),
            GST_FLOW_OK);
  for (const std::string &unit : {kSps, kPps,
                                  std::string("\x65"
                                              "a")})
    EXPECT_EQ(payload_of(video_.receive(false)), unit);
}

TEST_F(SipCallSink, ABrokenFrameIsLeftOutAndCounted) {
  Feeder video(element_, "video", avc_caps());
  const Message invite = invite_with(video);
  peer_.reply(invite, "200 OK", "", answer());
  change("answered");
  EXPECT_EQ(video.push(frame({std::string("\0\0\1\0short", 9)}, 0)), GST_FLOW_OK);
  EXPECT_EQ(video.push(frame({with_length("\x41good")}, 40 * GST_MSECOND)), GST_FLOW_OK);
  EXPECT_EQ(payload_of(video_.receive(false)), "\x41good");
  EXPECT_EQ(dropped("video"), 1U);
}

TEST_F(SipCallSink, AfterAHoldItsFirstPictureStandsAlone) {
  Feeder video(element_, "video", avc_caps());
  const Message invite = invite_with(video);
  peer_.reply(invite, "200 OK", "", answer());
  change("answered");
  GstClockTime time = 0;
  const auto push = [&](const std::string &unit) {
    GstBuffer *buffer = frame({with_length(unit)}, time += 40 * GST_MSECOND);
    if (unit[0] == '\x41') GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
    EXPECT_EQ(video.push(buffer), GST_FLOW_OK);
  };
  int number = 0;
  for (const char *direction : {"a=inactive\r\n", "a=sendrecv\r\n"}) {
    peer_.send(
        peer_.in_dialog(invite, "INVITE", ++number, "", "application/sdp", answer(true, direction)),
        agent_of(invite));
    change("media-changed");
    peer_.send(peer_.in_dialog(invite, "ACK", number), agent_of(invite));
    push("\x41left out");
  }
  push("\x65whole");
  push("\x41part");
  EXPECT_EQ(payload_of(video_.receive(false)).front(), '\x78') << "parameter sets and the picture";
  EXPECT_EQ(payload_of(video_.receive(false)), "\x41part");
  EXPECT_EQ(dropped("video"), 2U);
}

TEST_F(SipCallSink, FramesWithoutAConfigurationAreRefusedInWords) {
  Feeder video(element_, "video", "video/x-h264,stream-format=avc,alignment=au");
  g_object_set(element_, "codecs", "pcma,h264", nullptr);
  play();
  video.start();
  const MessageRef warning = message(GST_MESSAGE_WARNING);
  ASSERT_TRUE(warning);
  GError *error = nullptr;
  gst_message_parse_warning(warning.get(), &error, nullptr);
  EXPECT_EQ(error->domain, GST_STREAM_ERROR);
  EXPECT_NE(std::string(error->message).find("AVC configuration"), std::string::npos)
      << error->message;
  g_clear_error(&error);
  // Not taken for RTP packets either, once there is an answer.
  const Message invite = this->invite();
  peer_.reply(invite, "200 OK", "", answer());
  change("answered");
  EXPECT_EQ(video.push(frame({std::string("\x80\x60") + std::string(20, 'x')}, 0)), GST_FLOW_OK);
  EXPECT_EQ(video.push(frame({std::string("\x80\x60") + std::string(20, 'y')}, 0)), GST_FLOW_OK);
  EXPECT_EQ(dropped("video"), 2U);
}

// A source whose pads come by themselves: the second pad of the call is requested when it comes.
TEST_F(SipCallSink, WaitsForASecondPadOfASourceThatMakesPads) {
  Feeder audio(element_, "audio", kAlawCaps, GST_PAD_SOMETIMES);
  play();
  audio.start();
  Feeder video(element_, "video", avc_caps(), GST_PAD_SOMETIMES);
  video.start();
  const Message invite = this->invite();
  EXPECT_NE(port_in(invite.body(), "audio"), 0);
  EXPECT_NE(port_in(invite.body(), "video"), 0);
}

}  // namespace
}  // namespace junctor::test
