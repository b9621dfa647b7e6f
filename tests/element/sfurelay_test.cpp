// SPDX-License-Identifier: LGPL-2.1-or-later
// sfurelay between sockets and pads.
#include <arpa/inet.h>
#include <gst/check/gstharness.h>
#include <gst/video/video-event.h>
#include <sys/socket.h>

#include <map>

#include "common/endpoint.h"
#include "environment.h"
#include "rtp/core/packet.h"
#include "rtp/core/rtcp.h"

namespace junctor::test {
namespace {

Bytes packet(std::uint16_t sequence, std::uint32_t ssrc = 7, std::uint8_t payload_type = 96) {
  return rtp::build_packet({payload_type, false, sequence, sequence * 3000U, ssrc},
                           Bytes(120, static_cast<std::byte>(sequence)));
}

class Peer {
 public:
  Peer() {
    const timeval patience{20, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr *>(&here), sizeof here), 0);
  }
  std::string address() const { return local_endpoint(fd_.get()).to_string(); }
  void send(guint port, const Bytes &bytes) const {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::sendto(fd_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr *>(&to),
                       sizeof to),
              static_cast<ssize_t>(bytes.size()));
  }
  /// Waits; RTCP is passed over unless it is asked for.
  Bytes receive(bool rtcp = false) const {
    for (;;) {
      Bytes bytes(2000);
      const ssize_t size = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
      if (size < 0) return {};
      bytes.resize(static_cast<std::size_t>(size));
      if (rtp::looks_like_rtcp(bytes) == rtcp) return bytes;
    }
  }

 private:
  UniqueFd fd_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
};

class SfuRelay : public testing::Test {
 protected:
  void SetUp() override { relay = make("sfurelay"); }
  void TearDown() override {
    if (relay) gst_element_set_state(relay.get(), GST_STATE_NULL);
  }
  void start() {
    ASSERT_EQ(gst_element_set_state(relay.get(), GST_STATE_READY), GST_STATE_CHANGE_SUCCESS);
    port = property<guint>(relay.get(), "port");
    ASSERT_NE(port, 0U);
  }
  guint add(const std::string &remote, GstStructure *options = nullptr) {
    guint leg = 0;
    g_signal_emit_by_name(relay.get(), "add-leg", remote.c_str(), options, &leg);
    return leg;
  }
  StructureRef stats(guint leg) {
    GstStructure *found = nullptr;
    g_signal_emit_by_name(relay.get(), "leg-stats", leg, &found);
    return StructureRef(found);
  }
  StructureRef stats() { return StructureRef(property<GstStructure *>(relay.get(), "stats")); }
  static guint64 count(const StructureRef &structure, const char *field) {
    guint64 value = 0;
    EXPECT_TRUE(gst_structure_get_uint64(structure.get(), field, &value)) << field;
    return value;
  }

  ElementRef relay;
  guint port = 0;
  Peer alice, bob, carol;
};

TEST_F(SfuRelay, EachLegReachesAllOthers) {
  const std::string peers = alice.address() + "," + bob.address();
  g_object_set(relay.get(), "peers", peers.c_str(), nullptr);
  start();
  const guint third = add(carol.address());
  ASSERT_NE(third, 0U);
  alice.send(port, packet(1));
  EXPECT_EQ(bob.receive(), packet(1));
  EXPECT_EQ(carol.receive(), packet(1));
  carol.send(port, packet(2, 9));
  EXPECT_EQ(alice.receive(), packet(2, 9));
  EXPECT_EQ(bob.receive(), packet(2, 9));
  EXPECT_EQ(count(stats(), "legs"), 3U);
  EXPECT_EQ(count(stats(), "routes"), 6U);
  const auto of_carol = stats(third);
  EXPECT_EQ(field(of_carol.get(), "remote"), carol.address());
  EXPECT_EQ(count(of_carol, "received-packets"), 1U);
  EXPECT_EQ(count(of_carol, "sent-packets"), 1U);
}

TEST_F(SfuRelay, RoutesAreTheApplicationsWhereItWantsThat) {
  g_object_set(relay.get(), "join", FALSE, nullptr);
  start();
  const guint from = add(alice.address()), to = add(bob.address()), other = add("");
  gboolean done = FALSE;
  g_signal_emit_by_name(relay.get(), "route", from, to, &done);
  EXPECT_TRUE(done);
  g_signal_emit_by_name(relay.get(), "route", from, from, &done);
  EXPECT_FALSE(done);
  g_signal_emit_by_name(relay.get(), "route", from, other, &done);
  EXPECT_TRUE(done);
  alice.send(port, packet(1));
  EXPECT_EQ(bob.receive(), packet(1));
  g_signal_emit_by_name(relay.get(), "unroute", from, to, &done);
  EXPECT_TRUE(done);
  g_signal_emit_by_name(relay.get(), "set-remote", other, carol.address().c_str(), &done);
  EXPECT_TRUE(done);
  alice.send(port, packet(2));
  EXPECT_EQ(carol.receive(), packet(2));
  g_signal_emit_by_name(relay.get(), "remove-leg", other, &done);
  EXPECT_TRUE(done);
  g_signal_emit_by_name(relay.get(), "remove-leg", other, &done);
  EXPECT_FALSE(done);
  EXPECT_EQ(stats(other), nullptr);
  EXPECT_EQ(count(stats(), "routes"), 0U);
}

TEST_F(SfuRelay, RefusesWhatMakesNoLeg) {
  EXPECT_EQ(add(alice.address()), 0U);  // not in READY
  g_object_set(relay.get(), "max-legs", 2, nullptr);
  start();
  EXPECT_EQ(add("somewhere:5"), 0U);
  EXPECT_NE(add(alice.address()), 0U);
  EXPECT_EQ(add(alice.address()), 0U);
  StructureRef options(gst_structure_new(
      "options", "srtcp-suite", G_TYPE_STRING, "AES_CM_128_HMAC_SHA1_80", "srtcp-local-key",
      G_TYPE_STRING, "c2hvcnQ=", "srtcp-remote-key", G_TYPE_STRING, "c2hvcnQ=", nullptr));
  EXPECT_EQ(add(bob.address(), options.get()), 0U);
  gst_structure_remove_field(options.get(), "srtcp-remote-key");
  EXPECT_EQ(add(bob.address(), options.get()), 0U);
  options.reset(gst_structure_new("options", "rid", G_TYPE_UINT, 300, nullptr));
  EXPECT_EQ(add(bob.address(), options.get()), 0U);
  options.reset(gst_structure_new("options", "rid", G_TYPE_UINT, 3, "last-n", G_TYPE_UINT, 2,
                                  "remb", G_TYPE_BOOLEAN, TRUE, nullptr));
  const CapsRef wrong(gst_caps_from_string("application/x-rtp,media=audio,payload=111")),
      right(gst_caps_from_string("application/x-rtp,media=audio,payload=111,clock-rate=48000;"
                                 "application/x-rtp,media=video,payload=96,clock-rate=90000"));
  gst_structure_set(options.get(), "caps", GST_TYPE_CAPS, wrong.get(), nullptr);
  EXPECT_EQ(add(bob.address(), options.get()), 0U);
  gst_structure_set(options.get(), "caps", GST_TYPE_CAPS, right.get(), nullptr);
  EXPECT_NE(add(bob.address(), options.get()), 0U);
  EXPECT_EQ(add(carol.address()), 0U);
}

TEST_F(SfuRelay, PicturesOfTheLoudestAndSoundOfAll) {
  start();
  StructureRef options(gst_structure_new("options", "audio-level", G_TYPE_UINT, 1, nullptr));
  ASSERT_NE(add(alice.address(), options.get()), 0U);
  ASSERT_NE(add(bob.address(), options.get()), 0U);
  options.reset(gst_structure_new("options", "last-n", G_TYPE_UINT, 1, nullptr));
  const guint receiver = add(carol.address(), options.get());
  // A dynamic payload type, as Opus has it.
  const auto sound = [](std::uint16_t sequence, std::uint32_t ssrc, int level) {
    const Bytes extension{std::byte{0x10}, static_cast<std::byte>(level), {}, {}};
    return rtp::build_packet({111, false, sequence, sequence * 960U, ssrc}, Bytes(80),
                             {{}, 0xBEDE, extension, 0});
  };
  std::uint16_t sequence = 0;
  const auto talk = [&] {
    ++sequence;
    alice.send(port, sound(sequence, 1, 60));
    bob.send(port, sound(sequence, 2, 10));
    alice.send(port, packet(sequence, 3));
    bob.send(port, packet(sequence, 4));
  };
  const auto passes = [&] {
    guint pictures = 0;
    gst_structure_get_uint(stats(receiver).get(), "pictures", &pictures);
    return pictures;
  };
  for (int i = 0; i < 500 && passes() != 1; ++i) {
    talk();
    g_usleep(20000);
  }
  ASSERT_EQ(passes(), 1U);
  talk();
  const Bytes last = packet(sequence, 4);
  std::map<std::uint32_t, int> heard;
  for (Bytes bytes = carol.receive(); bytes != last && !bytes.empty(); bytes = carol.receive())
    if (const auto parsed = rtp::parse_packet(bytes); parsed->header.sequence == sequence)
      ++heard[parsed->header.ssrc];
  EXPECT_EQ(heard, (std::map<std::uint32_t, int>{{1, 1}, {2, 1}}));
}

TEST_F(SfuRelay, WhatCannotListenSaysSo) {
  start();
  ElementRef second = make("sfurelay");
  g_object_set(second.get(), "port", port, nullptr);
  EXPECT_EQ(gst_element_set_state(second.get(), GST_STATE_READY), GST_STATE_CHANGE_FAILURE);
  gst_element_set_state(second.get(), GST_STATE_NULL);
}

TEST_F(SfuRelay, ATapSeesAndASinkPadSends) {
  g_object_set(relay.get(), "peers", (alice.address() + "," + bob.address()).c_str(), nullptr);
  GstHarness *harness = gst_harness_new_with_element(relay.get(), "sink_5", "src_5");
  gst_harness_set_src_caps_str(harness, "application/x-rtp");
  port = property<guint>(relay.get(), "port");
  alice.send(port, packet(1));
  EXPECT_EQ(bob.receive(), packet(1));
  GstBuffer *tapped = gst_harness_pull(harness);
  ASSERT_NE(tapped, nullptr);
  const Bytes expected = packet(1);
  EXPECT_EQ(gst_buffer_get_size(tapped), expected.size());
  EXPECT_EQ(gst_buffer_memcmp(tapped, 0, expected.data(), expected.size()), 0);
  gst_buffer_unref(tapped);

  const Bytes injected = packet(2, 9);
  gst_harness_push(harness, gst_buffer_new_memdup(injected.data(), injected.size()));
  EXPECT_EQ(alice.receive(), injected);
  EXPECT_EQ(bob.receive(), injected);
  const PadRef pad(gst_element_get_static_pad(relay.get(), "sink_5"));
  guint leg = 0;
  g_signal_emit_by_name(relay.get(), "leg-of-pad", pad.get(), &leg);
  EXPECT_NE(leg, 0U);
  EXPECT_EQ(count(stats(leg), "received-packets"), 1U);
  gst_harness_teardown(harness);
}

TEST_F(SfuRelay, KeyframeRequestsPassBothWays) {
  g_object_set(relay.get(), "peers", alice.address().c_str(), nullptr);
  GstHarness *harness = gst_harness_new_with_element(relay.get(), "sink_0", "src_0");
  gst_harness_set_src_caps_str(harness, "application/x-rtp");
  port = property<guint>(relay.get(), "port");
  const Bytes injected = packet(2, 9);
  gst_harness_push(harness, gst_buffer_new_memdup(injected.data(), injected.size()));
  EXPECT_EQ(alice.receive(), injected);
  // Of somebody who receives from a pad …
  Bytes compound;
  rtp::rtcp::append(compound, rtp::rtcp::ReceiverReport{3, {}});
  rtp::rtcp::append(compound, rtp::rtcp::Pli{3, 9});
  alice.send(port, compound);
  GstEvent *event = nullptr;
  for (bool asked = false; !asked; gst_event_unref(event)) {
    event = gst_harness_pull_upstream_event(harness);
    ASSERT_NE(event, nullptr);
    asked = gst_video_event_is_force_key_unit(event);
  }
  // … and of a pad that receives from somebody.
  alice.send(port, packet(1));
  gst_buffer_unref(gst_harness_pull(harness));
  gst_harness_push_upstream_event(
      harness, gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, TRUE, 0));
  for (bool asked = false; !asked;) {
    const Bytes answer = alice.receive(true);
    ASSERT_FALSE(answer.empty());
    const auto items = rtp::rtcp::parse(answer);
    ASSERT_TRUE(items);
    for (const auto &item : *items)
      if (const auto *pli = std::get_if<rtp::rtcp::Pli>(&item)) {
        EXPECT_EQ(pli->media, 7U);
        asked = true;
      }
  }
  gst_harness_teardown(harness);
}

TEST_F(SfuRelay, PadsComeAndGoWhileItRuns) {
  start();
  GstElement *element = relay.get();
  for (int round = 0; round < 3; ++round) {
    const PadRef sink(gst_element_request_pad_simple(element, "sink_%u"));
    const PadRef src(gst_element_request_pad_simple(element, "src_%u"));
    ASSERT_NE(sink, nullptr);
    ASSERT_NE(src, nullptr);
    EXPECT_EQ(std::string(GST_PAD_NAME(sink.get())), "sink_0");
    EXPECT_EQ(std::string(GST_PAD_NAME(src.get())), "src_0");
    EXPECT_EQ(count(stats(), "legs"), 1U);
    gst_element_release_request_pad(element, sink.get());
    EXPECT_EQ(count(stats(), "legs"), 1U);
    gst_element_release_request_pad(element, src.get());
    EXPECT_EQ(count(stats(), "legs"), 0U);
  }
}

// One relay's tap into another's sink pad, and a pipeline that ends.
TEST_F(SfuRelay, ALineOfElementsEnds) {
  Pipeline pipeline(
      "audiotestsrc num-buffers=50 samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! "
      "alawenc ! rtppcmapay ! sfurelay name=relay peers=" +
      alice.address());
  pipeline.set_state(GST_STATE_PLAYING);
  pipeline.wait(GST_MESSAGE_EOS);
  for (int i = 0; i < 50; ++i) {
    const auto came = alice.receive();
    ASSERT_EQ(came.size(), 172U);
  }
}

TEST_F(SfuRelay, ATapHasTheCapsThatDownstreamWants) {
  Pipeline pipeline(
      "audiotestsrc is-live=true samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! alawenc "
      "! rtppcmapay ! sfurelay name=relay  relay.src_1 ! rtppcmadepay ! alawdec ! "
      "level ! fakesink");
  pipeline.set_state(GST_STATE_PLAYING);
  pipeline.wait_element("level");
  const PadRef pad(gst_element_get_static_pad(pipeline["relay"].get(), "src_1"));
  const CapsRef caps(gst_pad_get_current_caps(pad.get()));
  const GstStructure *structure = gst_caps_get_structure(caps.get(), 0);
  EXPECT_EQ(field(structure, "media"), "audio");
  gint rate = 0;
  EXPECT_TRUE(gst_structure_get_int(structure, "clock-rate", &rate));
  EXPECT_EQ(rate, 8000);
}

TEST_F(SfuRelay, ATapThatIsPausedHoldsNobodyUp) {
  Pipeline pipeline("sfurelay name=relay  relay.src_7 ! fakesink sync=false");
  relay.reset(GST_ELEMENT(gst_object_ref(pipeline["relay"].get())));
  g_object_set(relay.get(), "peers", (alice.address() + "," + bob.address()).c_str(), nullptr);
  pipeline.set_state(GST_STATE_PAUSED);
  port = property<guint>(relay.get(), "port");
  for (std::uint16_t i = 1; i < 4; ++i) {
    alice.send(port, packet(i));
    EXPECT_EQ(bob.receive(), packet(i));
  }
  EXPECT_EQ(count(stats(), "legs"), 3U);
}

TEST_F(SfuRelay, ATapIsALiveSource) {
  Pipeline pipeline("sfurelay name=relay ! fakesink sync=false");
  EXPECT_EQ(pipeline.set_state(GST_STATE_PAUSED), GST_STATE_CHANGE_NO_PREROLL);
  EXPECT_NE(pipeline.set_state(GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
}

}  // namespace
}  // namespace junctor::test
