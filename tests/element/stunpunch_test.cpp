// SPDX-License-Identifier: LGPL-2.1-or-later
// Two ends of a channel in one process, on this machine's own addresses.
#include <gmock/gmock.h>
#include <gst/check/gstharness.h>
#include <gst/gst.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>

#include "environment.h"
#include "rtp/core/packet.h"

namespace junctor::test {
namespace {

using testing::HasSubstr;

constexpr int kPayloadSize = 100;
const char *const kRtpCaps =
    "application/x-rtp,media=(string)audio,clock-rate=(int)8000,encoding-name=(string)PCMA,"
    "payload=(int)8";

GstBuffer *rtp_packet(std::uint16_t sequence, std::uint32_t ssrc = 7) {
  rtp::Header header;
  header.payload_type = 8;
  header.sequence = sequence;
  header.timestamp = sequence * 160U;
  header.ssrc = ssrc;
  const Bytes bytes = rtp::build_packet(header, Bytes(kPayloadSize, std::byte{0x55}));
  return gst_buffer_new_memdup(bytes.data(), bytes.size());
}

/// RFC 3550 section 6.4.2: a receiver report without blocks.
GstBuffer *rtcp_packet() {
  static constexpr guint8 kBytes[] = {0x80, 201, 0, 1, 0, 0, 0, 7};
  return gst_buffer_new_memdup(kBytes, sizeof kBytes);
}

/// One end in a harness, and the way of its strings to the other.
class Side {
 public:
  Side(bool caller, const char *session) : element_(make("stunpunch")), bus_(gst_bus_new()) {
    g_object_set(element(), "caller", caller, "session", session, "timeout", 700U, nullptr);
    gst_element_set_bus(element(), bus_.get());
    g_signal_connect(element(), "local-candidates", G_CALLBACK(on_signal), this);
  }
  ~Side() {
    gst_element_set_state(element(), GST_STATE_NULL);
    gst_element_set_bus(element(), nullptr);
    if (harness_ != nullptr) gst_harness_teardown(harness_);
  }
  GstElement *element() { return element_.get(); }
  GstHarness *harness() { return harness_; }
  /// All that was said and will be goes to `peer`, which takes strings already.
  void tell(Side &peer) {
    const std::lock_guard lock(mutex_);
    peer_ = &peer;
    for (const std::string &each : said_) EXPECT_TRUE(peer.set(each));
  }
  /// A harness plays its element at once.
  void begin() {
    harness_ = gst_harness_new_with_element(element(), "sink", "src");
    gst_harness_use_systemclock(harness_);
    gst_harness_set_src_caps_str(harness_, kRtpCaps);
  }
  gboolean set(const std::string &text) {
    gboolean taken = FALSE;
    g_signal_emit_by_name(element(), "set-remote-candidates", text.c_str(), &taken);
    return taken;
  }
  /// The next message that is `state`, or an error.
  std::string wait(const char *state) {
    for (;;) {
      const MessageRef message(gst_bus_timed_pop_filtered(
          bus_.get(), kPatience,
          static_cast<GstMessageType>(GST_MESSAGE_ELEMENT | GST_MESSAGE_ERROR |
                                      GST_MESSAGE_WARNING)));
      if (!message) return "nothing came";
      GError *error = nullptr;
      if (GST_MESSAGE_TYPE(message.get()) == GST_MESSAGE_ERROR)
        gst_message_parse_error(message.get(), &error, nullptr);
      else if (GST_MESSAGE_TYPE(message.get()) == GST_MESSAGE_WARNING)
        gst_message_parse_warning(message.get(), &error, nullptr);
      if (error != nullptr) {
        const std::string text =
            (GST_MESSAGE_TYPE(message.get()) == GST_MESSAGE_ERROR ? "error: " : "warning: ") +
            std::string(error->message);
        g_error_free(error);
        return text;
      }
      const GstStructure *structure = gst_message_get_structure(message.get());
      if (!gst_structure_has_name(structure, "junctor-channel")) continue;
      for (const char *field : {"rung", "node", "local", "remote", "why"})
        EXPECT_TRUE(gst_structure_has_field_typed(structure, field, G_TYPE_STRING)) << field;
      const std::string is = gst_structure_get_string(structure, "state");
      if (is == state)
        return is + " " + gst_structure_get_string(structure, "rung") + ": " +
               gst_structure_get_string(structure, "why");
    }
  }
  std::string text(const char *property) {
    gchar *value = nullptr;
    g_object_get(element(), property, &value, nullptr);
    const std::string copy = value != nullptr ? value : "";
    g_free(value);
    return copy;
  }
  guint64 stat(const char *name) {
    GstStructure *stats = nullptr;
    g_object_get(element(), "stats", &stats, nullptr);
    guint64 value = 0;
    EXPECT_TRUE(gst_structure_get_uint64(stats, name, &value)) << name;
    gst_structure_free(stats);
    return value;
  }
  /// Waits for its first string.
  bool has_spoken() {
    for (GstClockTime waited = 0; said().empty() && waited < kPatience; waited += GST_MSECOND)
      g_usleep(1000);
    return !said().empty();
  }
  std::vector<std::string> said() {
    const std::lock_guard lock(mutex_);
    return said_;
  }

 private:
  static void on_signal(GstElement *, const gchar *text, Side *self) {
    const std::lock_guard lock(self->mutex_);
    self->said_.push_back(text);
    if (self->peer_ == nullptr) return;
    EXPECT_TRUE(self->peer_->set(text));
  }

  ElementRef element_;
  BusRef bus_;
  GstHarness *harness_ = nullptr;
  Side *peer_ = nullptr;
  std::mutex mutex_;
  std::vector<std::string> said_;
};

void join(Side &caller, Side &callee) {
  caller.begin();
  callee.begin();
  caller.tell(callee);
  callee.tell(caller);
}

TEST(StunPunch, CarriesRtpBothWaysByteForByte) {
  Side caller(true, "call 1"), callee(false, "call 1");
  join(caller, callee);
  EXPECT_THAT(caller.wait("up"), HasSubstr("up p2p"));
  EXPECT_THAT(callee.wait("up"), HasSubstr("up p2p"));
  EXPECT_EQ(caller.text("state"), "up");
  for (auto [one, other] : {std::pair{&caller, &callee}, std::pair{&callee, &caller}}) {
    for (std::uint16_t i = 1; i <= 50; ++i)
      ASSERT_EQ(gst_harness_push(one->harness(), rtp_packet(i)), GST_FLOW_OK);
    for (std::uint16_t i = 1; i <= 50; ++i) {
      const BufferRef buffer(gst_harness_pull(other->harness()));
      ASSERT_TRUE(buffer) << i;
      const BufferRef expected(rtp_packet(i));
      GstMapInfo map;
      gst_buffer_map(expected.get(), &map, GST_MAP_READ);
      ASSERT_EQ(gst_buffer_get_size(buffer.get()), map.size);
      EXPECT_EQ(gst_buffer_memcmp(buffer.get(), 0, map.data, map.size), 0) << i;
      gst_buffer_unmap(expected.get(), &map);
      EXPECT_TRUE(GST_BUFFER_PTS_IS_VALID(buffer.get()));
    }
  }
  EXPECT_EQ(callee.stat("packets-received"), 50U);
  EXPECT_EQ(callee.stat("packets-lost"), 0U);
  EXPECT_EQ(callee.stat("packets-refused"), 0U);
  EXPECT_EQ(caller.stat("packets-sent"), 50U);
}

TEST(StunPunch, AsksForAPictureWhenItIsUp) {
  Side caller(true, "call 1"), callee(false, "call 1");
  join(caller, callee);
  caller.wait("up");
  for (;;) {
    GstEvent *event = gst_harness_pull_upstream_event(caller.harness());
    ASSERT_NE(event, nullptr);
    const bool asked = GST_EVENT_TYPE(event) == GST_EVENT_CUSTOM_UPSTREAM &&
                       gst_event_has_name(event, "GstForceKeyUnit");
    gst_event_unref(event);
    if (asked) break;
  }
}

TEST(StunPunch, CarriesRtcpApart) {
  Side caller(true, "call 1"), callee(false, "call 1");
  join(caller, callee);
  GstHarness *out = gst_harness_new_with_element(caller.element(), "rtcp_sink", nullptr);
  GstHarness *in = gst_harness_new_with_element(callee.element(), nullptr, "rtcp_src");
  gst_harness_set_src_caps_str(out, "application/x-rtcp");
  caller.wait("up");
  callee.wait("up");
  ASSERT_EQ(gst_harness_push(out, rtcp_packet()), GST_FLOW_OK);
  const BufferRef buffer(gst_harness_pull(in));
  ASSERT_TRUE(buffer);
  EXPECT_EQ(gst_buffer_get_size(buffer.get()), 8U);
  EXPECT_EQ(gst_harness_buffers_received(callee.harness()), 0U);
  gst_harness_teardown(out);
  gst_harness_teardown(in);
}

// What dtlssrtpenc and dtlssrtpdec of GStreamer need, as a browser at the other end does.
TEST(StunPunch, CarriesDtlsSrtpWhole) {
  Side caller(true, ""), callee(false, "");
  for (Side *each : {&caller, &callee})
    g_object_set(each->element(), "ice", TRUE, "encrypt", FALSE, nullptr);
  join(caller, callee);
  GstHarness *out = gst_harness_new_with_element(caller.element(), "dtls_sink", nullptr);
  GstHarness *in = gst_harness_new_with_element(callee.element(), nullptr, "dtls_src");
  gst_harness_set_src_caps_str(out, "application/x-dtls");
  // An agent with nothing of the peer's begins with this.
  for (Side *each : {&caller, &callee}) EXPECT_TRUE(each->set(R"({"type":"ice"})"));
  EXPECT_THAT(caller.wait("up"), HasSubstr("up p2p"));
  EXPECT_THAT(callee.wait("up"), HasSubstr("up p2p"));
  static constexpr guint8 kAlert[] = {21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0};
  const BufferRef sent[] = {BufferRef(gst_buffer_new_memdup(kAlert, sizeof kAlert)),
                            BufferRef(rtp_packet(1)), BufferRef(rtcp_packet())};
  for (const BufferRef &each : sent) {
    ASSERT_EQ(gst_harness_push(out, gst_buffer_ref(each.get())), GST_FLOW_OK);
    const BufferRef came(gst_harness_pull(in));
    ASSERT_TRUE(came);
    GstMapInfo map;
    gst_buffer_map(each.get(), &map, GST_MAP_READ);
    ASSERT_EQ(gst_buffer_get_size(came.get()), map.size);
    EXPECT_EQ(gst_buffer_memcmp(came.get(), 0, map.data, map.size), 0);
    gst_buffer_unmap(each.get(), &map);
  }
  EXPECT_EQ(gst_harness_buffers_received(callee.harness()), 0U) << "what has been taken whole";
  EXPECT_EQ(callee.stat("packets-refused"), 0U);
  gst_harness_teardown(out);
  gst_harness_teardown(in);
}

/// Asks for the pad that takes all, out of a push in mid-batch: RTCP goes out at once, RTP with the
/// batch that it came in.
struct PadInMidBatch {
  explicit PadInMidBatch(Side &receiver) : side(receiver) {}

  static GstPadProbeReturn on_rtcp(GstPad *, GstPadProbeInfo *, gpointer data) {
    auto &self = *static_cast<PadInMidBatch *>(data);
    ++self.rtcp;
    const guint64 pushed = gst_harness_buffers_received(self.side.harness());
    if (self.pad || self.side.stat("packets-received") <= pushed + self.rtcp)
      return GST_PAD_PROBE_DROP;
    self.pad.reset(gst_element_request_pad_simple(self.side.element(), "dtls_src"));
    gst_pad_add_probe(
        self.pad.get(),
        static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST),
        on_whole, data, nullptr);
    self.came = true;
    return GST_PAD_PROBE_DROP;
  }
  static GstPadProbeReturn on_whole(GstPad *, GstPadProbeInfo *info, gpointer data) {
    static_cast<PadInMidBatch *>(data)->whole +=
        (info->type & GST_PAD_PROBE_TYPE_BUFFER_LIST) != 0
            ? gst_buffer_list_length(GST_PAD_PROBE_INFO_BUFFER_LIST(info))
            : 1U;
    return GST_PAD_PROBE_DROP;
  }
  guint64 out() const { return gst_harness_buffers_received(side.harness()) + rtcp + whole; }

  Side &side;
  PadRef pad;
  std::atomic<bool> came = false;
  std::atomic<unsigned> rtcp = 0, whole = 0;
};

TEST(StunPunch, LosesNothingOfABatchInWhichTheDtlsPadComes) {
  Side caller(true, ""), callee(false, "");
  for (Side *each : {&caller, &callee})
    g_object_set(each->element(), "ice", TRUE, "encrypt", FALSE, nullptr);
  join(caller, callee);
  GstHarness *out = gst_harness_new_with_element(caller.element(), "rtcp_sink", nullptr);
  gst_harness_set_src_caps_str(out, "application/x-rtcp");
  PadInMidBatch taker(callee);
  const PadRef rtcp(gst_element_request_pad_simple(callee.element(), "rtcp_src"));
  gst_pad_add_probe(
      rtcp.get(),
      static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST),
      &PadInMidBatch::on_rtcp, &taker, nullptr);
  for (Side *each : {&caller, &callee}) EXPECT_TRUE(each->set(R"({"type":"ice"})"));
  EXPECT_THAT(caller.wait("up"), HasSubstr("up p2p"));
  EXPECT_THAT(callee.wait("up"), HasSubstr("up p2p"));
  // Which packets make a batch is for the scheduler to say: until one has RTP before RTCP.
  std::uint16_t sequence = 0;
  const gint64 end = g_get_monotonic_time() + GST_TIME_AS_USECONDS(kPatience);
  while (!taker.came && g_get_monotonic_time() < end)
    for (int i = 0; i < 5; ++i) {
      ASSERT_EQ(gst_harness_push(caller.harness(), rtp_packet(++sequence)), GST_FLOW_OK);
      ASSERT_EQ(gst_harness_push(out, rtcp_packet()), GST_FLOW_OK);
    }
  ASSERT_TRUE(taker.came);
  // What was sent too fast is lost before; what has been received comes out. More may be on its
  // way: that the figures meet once is enough, for what is lost keeps them apart for good.
  bool all_out = false;
  while (!all_out && g_get_monotonic_time() < end) {
    all_out = taker.out() == callee.stat("packets-received");
    g_usleep(1000);
  }
  EXPECT_TRUE(all_out) << taker.out() << " of " << callee.stat("packets-received");
  gst_element_set_state(callee.element(), GST_STATE_NULL);
  gst_element_release_request_pad(callee.element(), taker.pad.get());
  gst_element_release_request_pad(callee.element(), rtcp.get());
  gst_harness_teardown(out);
}

TEST(StunPunch, BothShowTheSameFingerprint) {
  Side caller(true, "call 1"), callee(false, "call 1");
  EXPECT_EQ(caller.text("fingerprint"), "");
  join(caller, callee);
  caller.wait("up");
  callee.wait("up");
  EXPECT_EQ(caller.text("fingerprint").size(), 19U);
  EXPECT_EQ(caller.text("fingerprint"), callee.text("fingerprint"));
}

TEST(StunPunch, StringsOfAnotherCallMakeNoChannel) {
  Side caller(true, "call 1"), callee(false, "call 2");
  join(caller, callee);
  EXPECT_THAT(caller.wait("failed"), HasSubstr("keys of this channel do not fit"));
  EXPECT_THAT(caller.wait("never"), HasSubstr("error: No way to the peer"));
  EXPECT_EQ(caller.text("state"), "failed");
  EXPECT_EQ(caller.text("rung"), "");
}

TEST(StunPunch, TwoCallersMakeNoChannel) {
  Side caller(true, "call 1"), callee(true, "call 1");
  join(caller, callee);
  EXPECT_THAT(caller.wait("failed"), HasSubstr("keys of this channel do not fit"));
}

TEST(StunPunch, SaysWhichStringsAreNone) {
  Side side(true, "call 1");
  EXPECT_FALSE(side.set("{}")) << "there is no channel yet";
  side.begin();
  ASSERT_TRUE(side.has_spoken());
  EXPECT_FALSE(side.set(""));
  EXPECT_FALSE(side.set("{}"));
  EXPECT_FALSE(side.set(R"({"type":"description"})"));
  EXPECT_TRUE(side.set(R"({"type":"up","generation":1})"));
  EXPECT_THAT(side.wait("never"), HasSubstr("warning: the peer's first string"));
  EXPECT_TRUE(side.set(side.said().front()));
  EXPECT_THAT(side.wait("never"), HasSubstr("warning: the peer's key is our own"));
}

TEST(StunPunch, WantsASessionAndServersThatAreServers) {
  for (const auto &[session, server, why] :
       {std::tuple{"", "", "set session"}, std::tuple{"s", "not a host", "not a host"},
        std::tuple{"s", "192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4,192.0.2.5", "at most 4"}}) {
    const ElementRef element = make("stunpunch");
    const BusRef bus(gst_bus_new());
    gst_element_set_bus(element.get(), bus.get());
    g_object_set(element.get(), "session", session, "stun-server", server, nullptr);
    EXPECT_EQ(gst_element_set_state(element.get(), GST_STATE_PAUSED), GST_STATE_CHANGE_FAILURE);
    const MessageRef message(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR));
    ASSERT_TRUE(message) << why;
    GError *error = nullptr;
    gst_message_parse_error(message.get(), &error, nullptr);
    EXPECT_THAT(error->message, HasSubstr(why));
    g_error_free(error);
    gst_element_set_state(element.get(), GST_STATE_NULL);
    gst_element_set_bus(element.get(), nullptr);
  }
}

TEST(StunPunch, WhoEncryptsItselfHasNoUseForDtls) {
  for (const char *pad_name : {"dtls_sink", "dtls_src"}) {
    Side side(true, "call 1");
    const PadRef pad(gst_element_request_pad_simple(side.element(), pad_name));
    ASSERT_TRUE(pad) << pad_name;
    EXPECT_EQ(gst_element_set_state(side.element(), GST_STATE_PAUSED), GST_STATE_CHANGE_FAILURE);
    EXPECT_THAT(side.wait("never"), HasSubstr("encrypt=false"));
    gst_element_release_request_pad(side.element(), pad.get());
  }
}

TEST(StunPunch, CanBeStartedAgainAndAgain) {
  for (int i = 0; i < 3; ++i) {
    Side caller(true, "call 1"), callee(false, "call 1");
    const ElementRef element = make("stunpunch");
    g_object_set(element.get(), "session", "s", nullptr);
    for (const GstState state :
         {GST_STATE_PLAYING, GST_STATE_READY, GST_STATE_PLAYING, GST_STATE_NULL})
      EXPECT_NE(gst_element_set_state(element.get(), state), GST_STATE_CHANGE_FAILURE);
    join(caller, callee);
    caller.wait("up");
  }
}

TEST(StunPunch, EosIsToldAndCloseEndsWhatFlowsOut) {
  Side caller(true, "call 1"), callee(false, "call 1");
  join(caller, callee);
  caller.wait("up");
  callee.wait("up");
  ASSERT_TRUE(gst_harness_push_event(caller.harness(), gst_event_new_eos()));
  const BusRef bus(gst_element_get_bus(caller.element()));
  const MessageRef message(gst_bus_timed_pop_filtered(bus.get(), kPatience, GST_MESSAGE_EOS));
  EXPECT_TRUE(message);
  g_signal_emit_by_name(callee.element(), "close");
  for (;;) {
    GstEvent *event = gst_harness_pull_event(callee.harness());
    ASSERT_NE(event, nullptr);
    const bool eos = GST_EVENT_TYPE(event) == GST_EVENT_EOS;
    gst_event_unref(event);
    if (eos) break;
  }
}

/// Closes the element from its own thread, out of what it tells.
struct Closer {
  std::atomic<bool> asked = false;
  void close(GstElement *element) {
    if (!asked.exchange(true)) g_signal_emit_by_name(element, "close");
  }
};
void close_on_signal(GstElement *element, const gchar *, Closer *closer) { closer->close(element); }
GstBusSyncReply close_on_message(GstBus *, GstMessage *message, gpointer closer) {
  const GstStructure *structure = gst_message_get_structure(message);
  if (structure != nullptr && gst_structure_has_name(structure, "junctor-channel"))
    static_cast<Closer *>(closer)->close(GST_ELEMENT(GST_MESSAGE_SRC(message)));
  return GST_BUS_PASS;
}

TEST(StunPunch, MayBeClosedOutOfWhatItTells) {
  for (const char *by : {"local-candidates", "want", "junctor-channel"}) {
    Closer closer;
    Side caller(true, "call 1"), callee(false, "call 1");
    const bool message = by == std::string("junctor-channel");
    const BusRef bus(gst_element_get_bus(caller.element()));
    if (message)
      gst_bus_set_sync_handler(bus.get(), close_on_message, &closer, nullptr);
    else
      g_signal_connect(caller.element(), by, G_CALLBACK(close_on_signal), &closer);
    if (by == std::string("want")) g_object_set(caller.element(), "rungs", "sfu", nullptr);
    caller.begin();
    callee.begin();
    ASSERT_TRUE(callee.has_spoken()) << by;
    // The first string is before anything that the peer says.
    if (by != std::string("local-candidates")) callee.tell(caller);
    for (;;) {
      GstEvent *event = gst_harness_pull_event(caller.harness());
      ASSERT_NE(event, nullptr) << by;
      const bool eos = GST_EVENT_TYPE(event) == GST_EVENT_EOS;
      gst_event_unref(event);
      if (eos) break;
    }
    EXPECT_TRUE(closer.asked) << by;
    EXPECT_EQ(caller.text("state"), "new") << "there is no channel any more";
    if (message) gst_bus_set_sync_handler(bus.get(), nullptr, nullptr, nullptr);
  }
}

TEST(StunPunch, FlushingDoesNotEndIt) {
  Side caller(true, "call 1"), callee(false, "call 1");
  join(caller, callee);
  caller.wait("up");
  callee.wait("up");
  ASSERT_TRUE(gst_harness_push_event(caller.harness(), gst_event_new_flush_start()));
  ASSERT_TRUE(gst_harness_push_event(caller.harness(), gst_event_new_flush_stop(TRUE)));
  gst_harness_set_src_caps_str(caller.harness(), kRtpCaps);
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  gst_harness_push_event(caller.harness(), gst_event_new_segment(&segment));
  ASSERT_EQ(gst_harness_push(caller.harness(), rtp_packet(1)), GST_FLOW_OK);
  const BufferRef buffer(gst_harness_pull(callee.harness()));
  EXPECT_TRUE(buffer);
}

TEST(StunPunch, HasThreeSecondsForTheDirectWayAndOneForNodes) {
  const auto element = make("stunpunch");
  guint timeout = 0, head_start = 0;
  g_object_get(element.get(), "timeout", &timeout, "head-start", &head_start, nullptr);
  EXPECT_EQ(timeout, 3000U);
  EXPECT_EQ(head_start, 1000U);
  g_object_set(element.get(), "head-start", 0U, nullptr);
  g_object_get(element.get(), "head-start", &head_start, nullptr);
  EXPECT_EQ(head_start, 0U);
}

TEST(StunPunch, IsLiveAndAddsNoLatency) {
  Side side(true, "call 1");
  side.begin();
  GstQuery *query = gst_query_new_latency();
  const PadRef pad(gst_element_get_static_pad(side.element(), "src"));
  ASSERT_TRUE(gst_pad_query(pad.get(), query));
  gboolean live = FALSE;
  GstClockTime least = 1, most = 0;
  gst_query_parse_latency(query, &live, &least, &most);
  EXPECT_TRUE(live);
  EXPECT_EQ(least, 0U);
  EXPECT_EQ(most, GST_CLOCK_TIME_NONE);
  gst_query_unref(query);
}

}  // namespace
}  // namespace junctor::test
