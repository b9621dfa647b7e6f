// SPDX-License-Identifier: LGPL-2.1-or-later
// sipcallsink: what flows in and out.
#include "sipcallsink_fixture.h"

namespace junctor::test {
namespace {

TEST_F(SipCallSink, MediaFlowsBothWays) {
  Feeder audio(element_, "audio", kAudioCaps), video(element_, "video", kVideoCaps);
  play();
  audio.start();
  video.start();
  const Message invite = this->invite();
  // Before the answer: dropped, not blocked.
  EXPECT_EQ(audio.push(Feeder::packet(0, {"early"})), GST_FLOW_OK);
  peer_.reply(invite, "180 Ringing");
  change("ringing");
  peer_.reply(invite, "200 OK", "", answer());
  const MessageRef answered = change("answered");
  EXPECT_EQ(in(answered, "audio"), "pcma");
  EXPECT_EQ(in(answered, "video"), "h264");
  EXPECT_EQ(in(answered, "audio-direction"), "sendrecv");
  peer_.request("ACK");
  // The callee's first picture must be a whole one.
  EXPECT_TRUE(run_until([&] { return video.keyframe_requests == 1; }));

  // To the callee: one memory, two as payloaders make fragments, and three.
  EXPECT_EQ(audio.push(Feeder::packet(160, {"sound"})), GST_FLOW_OK);
  EXPECT_EQ(payload_of(audio_.receive(false)), "sound");
  GstBufferList *list = gst_buffer_list_new();
  gst_buffer_list_add(list, Feeder::packet(3000, {"\x7c\x85", "slice"}, false));
  gst_buffer_list_add(list, Feeder::packet(3000, {"a", "long", "one"}, true));
  EXPECT_EQ(video.push(list), GST_FLOW_OK);
  const Bytes first = video_.receive(false), second = video_.receive(false);
  EXPECT_EQ(payload_of(first), "\x7c\x85slice");
  EXPECT_EQ(payload_of(second), "alongone");
  const auto one = rtp::parse_packet(first), two = rtp::parse_packet(second);
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->header.payload_type, 96);
  EXPECT_FALSE(one->header.marker);
  EXPECT_TRUE(two->header.marker);
  EXPECT_EQ(one->header.timestamp, two->header.timestamp);
  EXPECT_EQ(static_cast<std::uint16_t>(two->header.sequence - one->header.sequence), 1);

  // From the callee: in order, timed by the RTP timestamps.
  const std::uint16_t to = port_in(invite.body(), "audio");
  for (const std::uint16_t n : {0, 2, 1, 3})
    audio_.send(
        to, rtp::build_packet({8, false, static_cast<std::uint16_t>(500 + n), 8000U + 160U * n, 77},
                              as_bytes(std::string(1, static_cast<char>('a' + n)))));
  ASSERT_TRUE(run_until([&] {
    Taker *out = taker("audio_src");
    return out != nullptr && out->taken().size() == 4;
  }));
  const auto taken = taker("audio_src")->taken();
  EXPECT_EQ(taker("audio_src")->events().find("stream-start caps segment"), 0U);
  EXPECT_NE(taker("audio_src")->caps().find("encoding-name=(string)PCMA"), std::string::npos);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(taken[i].bytes.back(), static_cast<char>('a' + i));
    EXPECT_NEAR(static_cast<double>(taken[i].pts - taken[0].pts),
                static_cast<double>(i * 20 * GST_MSECOND), static_cast<double>(2 * GST_MSECOND));
    EXPECT_EQ(taken[i].discont, i == 0);
  }
  const MessageRef media = change("media");
  EXPECT_EQ(in(media, "medium"), "audio");

  EXPECT_EQ(dropped("audio"), 1U);

  // The callee hangs up: EOS everywhere.
  peer_.send(peer_.in_dialog(invite, "BYE", 1), agent_of(invite));
  EXPECT_EQ(in(change("ended"), "reason"), "callee-hangup");
  EXPECT_TRUE(message(GST_MESSAGE_EOS));
  EXPECT_EQ(audio.push(Feeder::packet(320, {"late"})), GST_FLOW_EOS);
  EXPECT_TRUE(
      run_until([&] { return taker("audio_src")->events().find("eos") != std::string::npos; }));
}

TEST_F(SipCallSink, CapsOfThePeersVideoHaveItsParameterSets) {
  Feeder video(element_, "video", kVideoCaps);
  const Message invite = invite_with(video);
  peer_.reply(invite, "200 OK", "", answer());
  change("answered");
  video_.send(port_in(invite.body(), "video"),
              rtp::build_packet({96, true, 1, 1, 5}, as_bytes("\x65picture")));
  ASSERT_TRUE(run_until([&] {
    Taker *out = taker("video_src");
    return out != nullptr && !out->taken().empty();
  }));
  EXPECT_NE(
      taker("video_src")->caps().find("sprop-parameter-sets=(string)\"Z0LAHtk\\=\\,aMuPIA\\=\\=\""),
      std::string::npos)
      << taker("video_src")->caps();
}

// The numbers of the two directions may differ (RFC 3264 section 5.1): what comes has ours.
TEST_F(SipCallSink, CapsHaveThePayloadTypeThatThePeerSends) {
  Feeder video(element_, "video", kVideoCaps);
  const Message invite = invite_with(video);
  const auto at = invite.body().find("a=rtpmap:");
  const auto h264 = invite.body().find(" H264/90000", at);
  const auto number = invite.body().rfind(':', h264) + 1;
  const std::string ours = invite.body().substr(number, h264 - number);
  ASSERT_NE(ours, "109");
  std::string sdp = answer();
  for (const std::string before : {" 96\r\n", ":96 "})
    for (auto found = sdp.find(before); found != std::string::npos; found = sdp.find(before))
      sdp.replace(found + 1, 2, "109");
  peer_.reply(invite, "200 OK", "", sdp);
  change("answered");
  const PadRef out(gst_element_get_static_pad(element_, "video_src"));
  ASSERT_NE(out, nullptr);
  const CapsRef caps(gst_pad_get_current_caps(out.get()));
  ASSERT_NE(caps, nullptr);
  int payload = 0;
  gst_structure_get_int(gst_caps_get_structure(caps.get(), 0), "payload", &payload);
  EXPECT_EQ(std::to_string(payload), ours);
}

TEST_F(SipCallSink, KeyframeRequestsPassBothWays) {
  Feeder audio(element_, "audio", kAudioCaps), video(element_, "video", kVideoCaps);
  play();
  audio.start();
  video.start();
  const Message invite = this->invite();
  peer_.reply(invite, "200 OK", "", answer());
  change("answered");
  ASSERT_TRUE(run_until([&] { return video.keyframe_requests == 1; }));
  // The callee's PLI goes upstream.
  video.push(Feeder::packet(0, {"picture"}));
  const auto sent = rtp::parse_packet(video_.receive(false));
  ASSERT_TRUE(sent);
  const std::uint16_t to = port_in(invite.body(), "video");
  Bytes pli;
  rtp::rtcp::append(pli, rtp::rtcp::Pli{5, sent->header.ssrc});
  video_.send(to, pli);
  EXPECT_TRUE(run_until([&] { return video.keyframe_requests == 2; }));
  // A request from downstream becomes a PLI for the callee.
  video_.send(to, rtp::build_packet({96, true, 1, 1, 5}, as_bytes("\x65")));
  ASSERT_TRUE(
      run_until([&] { return taker("video_src") && !taker("video_src")->taken().empty(); }));
  const PadRef out(gst_element_get_static_pad(element_, "video_src"));
  EXPECT_TRUE(gst_pad_send_event(
      out.get(), gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, TRUE, 1)));
  bool asked = false;
  while (!asked) {
    const Bytes datagram = video_.receive(true);
    ASSERT_FALSE(datagram.empty());
    const auto items = rtp::rtcp::parse(datagram);
    ASSERT_TRUE(items);
    for (const auto &item : *items)
      if (const auto *found = std::get_if<rtp::rtcp::Pli>(&item)) asked = found->media == 5;
  }
}

TEST_F(SipCallSink, EarlyMediaComesOutBeforeTheAnswer) {
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  const Message invite = this->invite();
  peer_.reply(invite, "183 Session Progress", "", answer(false));
  EXPECT_EQ(in(change("early-media"), "audio"), "pcma");
  audio_.send(port_in(invite.body(), "audio"),
              rtp::build_packet({8, true, 1, 1, 5}, as_bytes("ring")));
  EXPECT_TRUE(
      run_until([&] { return taker("audio_src") && taker("audio_src")->taken().size() == 1; }));
}

TEST_F(SipCallSink, LatencyIsTheReorderWindow) {
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  const Message invite = this->invite();
  peer_.reply(invite, "200 OK", "", answer(false));
  change("answered");
  const PadRef out(gst_element_get_static_pad(element_, "audio_src"));
  ASSERT_NE(out, nullptr);
  GstQuery *query = gst_query_new_latency();
  EXPECT_TRUE(gst_pad_query(out.get(), query));
  gboolean live = FALSE;
  GstClockTime least = 0, most = 0;
  gst_query_parse_latency(query, &live, &least, &most);
  gst_query_unref(query);
  EXPECT_TRUE(live);
  EXPECT_EQ(least, 40 * GST_MSECOND);
  EXPECT_EQ(most, GST_CLOCK_TIME_NONE);
}

// RFC 3264 section 6.1: the callee may send whatever of our offer its answer lists, and change at
// any time. Downstream was set up for the first one and must not notice.
TEST_F(SipCallSink, ACalleeThatChangesAmongItsCodecsIsStillHeard) {
  Feeder audio(element_, "audio", kAudioCaps);
  g_object_set(element_, "codecs", "pcma,pcmu", nullptr);
  play();
  audio.start();
  const Message invite = this->invite();
  std::string sdp = answer(false);
  sdp.replace(sdp.find("RTP/AVP 8"), 9, "RTP/AVP 8 0");
  peer_.reply(invite, "200 OK", "", sdp);
  change("answered");
  const std::uint16_t to = port_in(invite.body(), "audio");
  // A loud tone's two ends and silence, in A-law and in µ-law.
  const std::string alaw = "\xaa\x2a\xd5", ulaw = std::string("\x80\x00\xff", 3);
  std::uint16_t sequence = 0;
  const auto send = [&](std::uint8_t type, const std::string &payload) {
    ++sequence;
    audio_.send(to,
                rtp::build_packet({type, false, sequence, sequence * 160U, 77}, as_bytes(payload)));
  };
  send(8, alaw);
  send(0, ulaw);
  send(0, ulaw);
  send(8, alaw);
  ASSERT_TRUE(run_until([&] {
    Taker *out = taker("audio_src");
    return out != nullptr && out->taken().size() == 4;
  }));
  const Taker &out = *taker("audio_src");
  for (const Taker::Taken &each : out.taken()) {
    EXPECT_EQ(each.bytes[1] & 0x7f, 8);
    EXPECT_EQ(each.bytes.substr(12), alaw);
  }
  EXPECT_EQ(out.events().find("caps"), out.events().rfind("caps")) << out.events();
  EXPECT_NE(out.caps().find("encoding-name=(string)PCMA"), std::string::npos);
}

/// What downstream may say of a packet.
class SipCallFlow : public SipCallSink, public testing::WithParamInterface<GstFlowReturn> {
 protected:
  /// Answered; what the callee sends is taken so from now on.
  void answer_to(const Message &invite, GstFlowReturn flow) {
    peer_.reply(invite, "200 OK", "", answer(false));
    change("answered");
    ASSERT_TRUE(run_until([&] { return taker("audio_src") != nullptr; }));
    taker("audio_src")->result = flow;
    to_ = port_in(invite.body(), "audio");
  }
  void send() {
    ++sequence_;
    audio_.send(to_,
                rtp::build_packet({8, false, sequence_, sequence_ * 160U, 77}, as_bytes("sound")));
  }
  bool took(std::size_t packets) {
    return run_until([&] { return taker("audio_src")->taken().size() == packets; });
  }
  std::uint16_t to_ = 0, sequence_ = 0;
};

TEST_F(SipCallFlow, WhatIsDownstreamsBusinessLeavesTheCallAsItIs) {
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  answer_to(this->invite(), GST_FLOW_OK);
  std::size_t packets = 0;
  for (const GstFlowReturn flow : {GST_FLOW_NOT_LINKED, GST_FLOW_FLUSHING, GST_FLOW_EOS}) {
    taker("audio_src")->result = flow;
    for (int i = 0; i < 2; ++i) {
      send();
      ASSERT_TRUE(took(++packets)) << gst_flow_get_name(flow);
    }
  }
  EXPECT_EQ(audio.push(Feeder::packet(160, {"sound"})), GST_FLOW_OK);
  EXPECT_EQ(payload_of(audio_.receive(false)), "sound");
  const MessageRef error(gst_bus_pop_filtered(bus_.get(), GST_MESSAGE_ERROR));
  EXPECT_EQ(error, nullptr);
}

TEST_P(SipCallFlow, WhatNobodyCanHealIsAnErrorOnce) {
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  answer_to(this->invite(), GetParam());
  send();
  ASSERT_TRUE(took(1));
  const MessageRef found = message(GST_MESSAGE_ERROR);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(GST_MESSAGE_SRC(found.get()), GST_OBJECT(element_));
  GError *error = nullptr;
  gst_message_parse_error(found.get(), &error, nullptr);
  EXPECT_TRUE(g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED));
  g_clear_error(&error);
  gint flow = 0;
  const GstStructure *details = nullptr;
  gst_message_parse_error_details(found.get(), &details);
  ASSERT_NE(details, nullptr);
  EXPECT_TRUE(gst_structure_get_int(details, "flow-return", &flow));
  EXPECT_EQ(flow, GetParam());
  // Nothing more is pushed there; the other direction goes on until somebody decides.
  send();
  send();
  EXPECT_EQ(audio.push(Feeder::packet(160, {"sound"})), GST_FLOW_OK);
  EXPECT_EQ(payload_of(audio_.receive(false)), "sound");
  EXPECT_EQ(taker("audio_src")->taken().size(), 1U);
  const MessageRef second(gst_bus_pop_filtered(bus_.get(), GST_MESSAGE_ERROR));
  EXPECT_EQ(second, nullptr);
}

INSTANTIATE_TEST_SUITE_P(Rows, SipCallFlow,
                         testing::Values(GST_FLOW_NOT_NEGOTIATED, GST_FLOW_ERROR,
                                         GST_FLOW_NOT_SUPPORTED));

}  // namespace
}  // namespace junctor::test
