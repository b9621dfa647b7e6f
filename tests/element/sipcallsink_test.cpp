// SPDX-License-Identifier: LGPL-2.1-or-later
// sipcallsink against a SIP peer that follows a script.
#include <gst/video/video-event.h>

#include <atomic>

#include "../unit/sip/scripted_peer.h"
#include "common/gst/context.h"
#include "environment.h"
#include "rtp/core/packet.h"
#include "rtp/core/rtcp.h"
#include "rtp/core/session.h"
#include "sip/core/agent.h"

using namespace junctor;
using namespace junctor::test;
using namespace std::chrono_literals;
using sip::test::Message;
using sip::test::run_until;
using sip::test::ScriptedPeer;

namespace {

/// One UDP socket of the callee's media.
class Wire {
 public:
  Wire() : fd_(*bind_udp({"127.0.0.1", 0})), wake_(fd_.get()) {}
  std::uint16_t port() const { return local_endpoint(fd_.get()).port; }
  void send(std::uint16_t to, ByteSpan bytes) {
    const auto address = *Endpoint{"127.0.0.1", to}.to_sockaddr();
    ASSERT_GT(::sendto(fd_.get(), bytes.data(), bytes.size(), 0,
                       reinterpret_cast<const sockaddr *>(&address), sockaddr_length(address)),
              0);
  }
  /// The next datagram that is RTP, or that is RTCP; empty if none came in time.
  Bytes receive(bool rtcp) {
    Bytes found;
    run_until([&] {
      while (found.empty()) {
        Bytes buffer(2048);
        const auto size = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (size <= 0) return false;
        buffer.resize(static_cast<std::size_t>(size));
        if (rtp::looks_like_rtcp(buffer) == rtcp) found = std::move(buffer);
      }
      return true;
    });
    return found;
  }

 private:
  UniqueFd fd_;
  sip::test::Wake wake_;
};

/// Where the SDP in `text` wants a medium; 0 if the medium is not in it.
std::uint16_t port_in(const std::string &text, const std::string &medium) {
  const auto at = text.find("\r\nm=" + medium + ' ');
  return at == std::string::npos
             ? 0
             : static_cast<std::uint16_t>(std::stoi(text.substr(at + 5 + medium.size())));
}

/// A pad of the test's own that feeds the element.
class Feeder {
 public:
  Feeder(GstElement *element, const char *name, const std::string &caps) {
    pad_.reset(GST_PAD(gst_object_ref_sink(gst_pad_new(nullptr, GST_PAD_SRC))));
    gst_pad_set_element_private(pad_.get(), this);
    gst_pad_set_event_function(
        pad_.get(), [](GstPad *pad, GstObject *, GstEvent *event) -> gboolean {
          auto *self = static_cast<Feeder *>(gst_pad_get_element_private(pad));
          if (gst_video_event_is_force_key_unit(event)) ++self->keyframe_requests;
          g_main_context_wakeup(nullptr);
          gst_event_unref(event);
          return TRUE;
        });
    gst_pad_set_active(pad_.get(), TRUE);
    sink_.reset(gst_element_request_pad_simple(element, name));
    EXPECT_NE(sink_, nullptr);
    EXPECT_EQ(gst_pad_link(pad_.get(), sink_.get()), GST_PAD_LINK_OK);
    caps_ = CapsRef(gst_caps_from_string(caps.c_str()));
  }
  void start() {
    gst_pad_push_event(pad_.get(), gst_event_new_stream_start("feeder"));
    EXPECT_TRUE(gst_pad_push_event(pad_.get(), gst_event_new_caps(caps_.get())));
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_pad_push_event(pad_.get(), gst_event_new_segment(&segment));
  }
  /// A packet whose payload lies in `parts`, each a memory of its own.
  static GstBuffer *packet(std::uint32_t timestamp, const std::vector<std::string> &parts,
                           bool marker = true) {
    const auto head = rtp::build_header({96, marker, 7, timestamp, 0x1234});
    std::string first(reinterpret_cast<const char *>(head.data()), head.size());
    GstBuffer *buffer = gst_buffer_new();
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::string content = (i == 0 ? first : std::string()) + parts[i];
      gpointer data = g_memdup2(content.data(), content.size());
      gst_buffer_append_memory(
          buffer, gst_memory_new_wrapped(static_cast<GstMemoryFlags>(0), data, content.size(), 0,
                                         content.size(), data, g_free));
    }
    return buffer;
  }
  GstFlowReturn push(GstBuffer *buffer) { return gst_pad_push(pad_.get(), buffer); }
  GstFlowReturn push(GstBufferList *list) { return gst_pad_push_list(pad_.get(), list); }
  /// Number of the EOS event.
  guint32 end() {
    GstEvent *event = gst_event_new_eos();
    const guint32 seqnum = gst_event_get_seqnum(event);
    gst_pad_push_event(pad_.get(), event);
    return seqnum;
  }

  std::atomic<int> keyframe_requests = 0;

 private:
  PadRef pad_, sink_;
  CapsRef caps_;
};

/// What comes out of a source pad.
class Taker {
 public:
  struct Taken {
    std::string bytes;
    GstClockTime pts;
    bool discont;
  };
  explicit Taker(GstPad *source) {
    pad_.reset(GST_PAD(gst_object_ref_sink(gst_pad_new(nullptr, GST_PAD_SINK))));
    gst_pad_set_element_private(pad_.get(), this);
    gst_pad_set_chain_function(pad_.get(), [](GstPad *pad, GstObject *, GstBuffer *buffer) {
      auto *self = static_cast<Taker *>(gst_pad_get_element_private(pad));
      GstMapInfo map;
      gst_buffer_map(buffer, &map, GST_MAP_READ);
      {
        const std::lock_guard lock(self->mutex_);
        self->taken_.push_back({std::string(reinterpret_cast<char *>(map.data), map.size),
                                GST_BUFFER_PTS(buffer),
                                GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DISCONT) != 0});
      }
      gst_buffer_unmap(buffer, &map);
      gst_buffer_unref(buffer);
      g_main_context_wakeup(nullptr);
      return GST_FLOW_OK;
    });
    gst_pad_set_event_function(
        pad_.get(), [](GstPad *pad, GstObject *, GstEvent *event) -> gboolean {
          auto *self = static_cast<Taker *>(gst_pad_get_element_private(pad));
          {
            const std::lock_guard lock(self->mutex_);
            self->events_ += std::string(GST_EVENT_TYPE_NAME(event)) + ' ';
            if (GST_EVENT_TYPE(event) == GST_EVENT_CAPS) {
              GstCaps *caps = nullptr;
              gst_event_parse_caps(event, &caps);
              gchar *text = gst_caps_to_string(caps);
              self->caps_ = text;
              g_free(text);
            }
          }
          gst_event_unref(event);
          g_main_context_wakeup(nullptr);
          return TRUE;
        });
    gst_pad_set_active(pad_.get(), TRUE);
    EXPECT_EQ(gst_pad_link(source, pad_.get()), GST_PAD_LINK_OK);
  }
  ~Taker() { gst_pad_set_active(pad_.get(), FALSE); }
  std::vector<Taken> taken() const {
    const std::lock_guard lock(mutex_);
    return taken_;
  }
  std::string caps() const {
    const std::lock_guard lock(mutex_);
    return caps_;
  }
  std::string events() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }

 private:
  PadRef pad_;
  mutable std::mutex mutex_;
  std::vector<Taken> taken_;
  std::string caps_, events_;
};

constexpr const char *kAudioCaps =
    "application/x-rtp,media=audio,clock-rate=8000,encoding-name=PCMA,payload=8";
constexpr const char *kVideoCaps =
    "application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96,"
    "packetization-mode=(string)1,profile-level-id=(string)42c01e";

class SipCallSink : public testing::Test {
 protected:
  SipCallSink() {
    pipeline_.reset(GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new(nullptr))));
    bus_.reset(gst_element_get_bus(pipeline_.get()));
    GPollFD poll{};
    gst_bus_get_pollfd(bus_.get(), &poll);
    bus_wake_.emplace(poll.fd);
    element_ = gst_element_factory_make("sipcallsink", "call");
    EXPECT_NE(element_, nullptr);
    g_object_set(element_, "uri", peer_.uri().c_str(), "address", "127.0.0.1", nullptr);
    gst_bin_add(GST_BIN(pipeline_.get()), element_);
    g_signal_connect(element_, "pad-added", G_CALLBACK(on_pad), this);
  }
  ~SipCallSink() override {
    gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
    gst_bus_set_flushing(bus_.get(), TRUE);
  }

  static void on_pad(GstElement *, GstPad *pad, SipCallSink *self) {
    if (GST_PAD_DIRECTION(pad) != GST_PAD_SRC) return;
    std::string sticky;
    gst_pad_sticky_events_foreach(
        pad,
        [](GstPad *, GstEvent **event, gpointer data) -> gboolean {
          *static_cast<std::string *>(data) += std::string(GST_EVENT_TYPE_NAME(*event)) + ' ';
          return TRUE;
        },
        &sticky);
    // Whoever links in this signal sees what comes.
    EXPECT_EQ(sticky, "stream-start caps segment ");
    auto taker = std::make_unique<Taker>(pad);
    const std::lock_guard lock(self->mutex_);
    self->takers_[GST_PAD_NAME(pad)] = std::move(taker);
  }
  Taker *taker(const std::string &name) {
    const std::lock_guard lock(mutex_);
    const auto found = takers_.find(name);
    return found == takers_.end() ? nullptr : found->second.get();
  }

  void play() {
    EXPECT_NE(gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
  }
  /// The INVITE, after which the peer knows where to answer.
  Message invite() {
    const Message invite = peer_.request("INVITE");
    const std::string via = invite.header("Via");
    const auto at = via.find(' ') + 1;
    peer_.set_agent(*Endpoint::parse(via.substr(at, via.find_first_of("; ", at) - at)));
    return invite;
  }
  std::string answer(bool video = true, const std::string &more = "") const {
    std::string sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";
    sdp += "m=audio " + std::to_string(audio_.port()) +
           " RTP/AVP 8\r\na=rtcp:" + std::to_string(audio_.port()) + "\r\n";
    if (video)
      sdp += "m=video " + std::to_string(video_.port()) +
             " RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
             "a=fmtp:96 packetization-mode=1;profile-level-id=42e01f;"
             "sprop-parameter-sets=Z0LAHtk=,aMuPIA==\r\na=rtcp-fb:* nack pli\r\na=rtcp:" +
             std::to_string(video_.port()) + "\r\n";
    return sdp + more;
  }
  /// The next bus message of `types`, the peer's context turning meanwhile.
  MessageRef message(GstMessageType types) {
    MessageRef found;
    run_until([&] {
      if (!found) found.reset(gst_bus_pop_filtered(bus_.get(), types));
      return found != nullptr;
    });
    EXPECT_TRUE(found) << "no " << gst_message_type_get_name(types);
    return found;
  }
  /// The element's message about a state; errors on the way fail.
  MessageRef change(const std::string &state) {
    for (;;) {
      MessageRef found =
          message(static_cast<GstMessageType>(GST_MESSAGE_ELEMENT | GST_MESSAGE_ERROR));
      if (!found) return nullptr;
      if (GST_MESSAGE_TYPE(found.get()) == GST_MESSAGE_ERROR) {
        ADD_FAILURE() << "an error came before state " << state;
        return nullptr;
      }
      const GstStructure *structure = gst_message_get_structure(found.get());
      if (gst_structure_has_name(structure, "junctor-sip-call") &&
          field(structure, "state") == state)
        return found;
    }
  }
  static std::string in(const MessageRef &message, const char *name) {
    return message ? field(gst_message_get_structure(message.get()), name) : "";
  }
  /// Code of the error message that comes, which must be of the resource domain.
  int error(std::string *text = nullptr) {
    const MessageRef found = message(GST_MESSAGE_ERROR);
    if (!found) return -1;
    GError *error = nullptr;
    gst_message_parse_error(found.get(), &error, nullptr);
    EXPECT_EQ(error->domain, GST_RESOURCE_ERROR);
    if (text != nullptr) *text = error->message;
    const int code = error->code;
    g_clear_error(&error);
    return code;
  }

  ScriptedPeer peer_;
  Wire audio_, video_;
  ElementRef pipeline_;
  BusRef bus_;
  std::optional<sip::test::Wake> bus_wake_;
  GstElement *element_ = nullptr;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Taker>> takers_;
};

std::string payload_of(const Bytes &datagram) {
  const auto view = rtp::parse_packet(datagram);
  if (!view) return "not RTP";
  return {reinterpret_cast<const char *>(view->payload.data()), view->payload.size()};
}

}  // namespace

TEST_F(SipCallSink, TemplatesNameWhatIsReallyTaken) {
  for (const auto &[name, encodings] :
       std::map<std::string, std::vector<std::string>>{{"audio", {"PCMA", "PCMU"}},
                                                       {"video", {"H264"}},
                                                       {"audio_src", {"PCMA", "PCMU"}},
                                                       {"video_src", {"H264"}}}) {
    GstPadTemplate *found = gst_element_get_pad_template(element_, name.c_str());
    ASSERT_NE(found, nullptr) << name;
    const CapsRef caps(gst_pad_template_get_caps(found));
    ASSERT_EQ(gst_caps_get_size(caps.get()), encodings.size());
    for (std::size_t i = 0; i < encodings.size(); ++i)
      EXPECT_EQ(field(gst_caps_get_structure(caps.get(), static_cast<guint>(i)), "encoding-name"),
                encodings[i]);
  }
}

TEST_F(SipCallSink, ReleasedSinkPadsCanBeHadAgain) {
  const PadRef first(gst_element_request_pad_simple(element_, "audio"));
  ASSERT_NE(first, nullptr);
  gst_element_release_request_pad(element_, first.get());
  const PadRef again(gst_element_request_pad_simple(element_, "audio"));
  EXPECT_NE(again, nullptr);
}

TEST_F(SipCallSink, ThePasswordCannotBeRead) {
  GParamSpec *spec = g_object_class_find_property(G_OBJECT_GET_CLASS(element_), "password");
  ASSERT_NE(spec, nullptr);
  EXPECT_EQ(spec->flags & G_PARAM_READABLE, 0);
}

TEST_F(SipCallSink, WrongSettingsAreNamed) {
  std::string text;
  g_object_set(element_, "uri", "", nullptr);
  EXPECT_EQ(gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
  EXPECT_EQ(error(&text), GST_RESOURCE_ERROR_SETTINGS);
  EXPECT_NE(text.find("uri"), std::string::npos);
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);

  g_object_set(element_, "uri", peer_.uri().c_str(), "codecs", "pcma,opus", nullptr);
  EXPECT_EQ(gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
  EXPECT_EQ(error(&text), GST_RESOURCE_ERROR_SETTINGS);
  EXPECT_NE(text.find("opus"), std::string::npos);
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);

  g_object_set(element_, "codecs", "", "call", "no-such-call", nullptr);
  EXPECT_EQ(gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
  EXPECT_EQ(error(&text), GST_RESOURCE_ERROR_NOT_FOUND);
}

TEST_F(SipCallSink, CallsWhenItKnowsWhatUpstreamSends) {
  Feeder audio(element_, "audio", kAudioCaps), video(element_, "video", kVideoCaps);
  play();
  audio.start();
  video.start();
  const Message invite = this->invite();
  EXPECT_NE(port_in(invite.body(), "audio"), 0);
  EXPECT_NE(port_in(invite.body(), "video"), 0);
  EXPECT_NE(invite.body().find("PCMA/8000"), std::string::npos);
  EXPECT_EQ(invite.body().find("PCMU/8000"), std::string::npos);  // upstream has none
  EXPECT_NE(invite.body().find("profile-level-id=42c01e"), std::string::npos);
}

TEST_F(SipCallSink, OneMediumDoesNotWaitForTheOtherForEver) {
  Feeder audio(element_, "audio", kAudioCaps), video(element_, "video", kVideoCaps);
  play();
  audio.start();
  EXPECT_NE(port_in(invite().body(), "audio"), 0);
}

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

  GstStructure *stats = nullptr;
  g_object_get(element_, "stats", &stats, nullptr);
  ASSERT_NE(stats, nullptr);
  GstStructure *of_audio = nullptr;
  guint64 dropped = 0;
  ASSERT_TRUE(gst_structure_get(stats, "audio", GST_TYPE_STRUCTURE, &of_audio, nullptr));
  gst_structure_get_uint64(of_audio, "dropped", &dropped);
  EXPECT_EQ(dropped, 1U);
  gst_structure_free(of_audio);
  gst_structure_free(stats);

  // The callee hangs up: EOS everywhere.
  peer_.send(peer_.in_dialog(invite, "BYE", 1), *Endpoint::parse([&] {
               const std::string via = invite.header("Via");
               const auto at = via.find(' ') + 1;
               return via.substr(at, via.find_first_of("; ", at) - at);
             }()));
  EXPECT_EQ(in(change("ended"), "reason"), "callee-hangup");
  EXPECT_TRUE(message(GST_MESSAGE_EOS));
  EXPECT_EQ(audio.push(Feeder::packet(320, {"late"})), GST_FLOW_EOS);
  EXPECT_TRUE(
      run_until([&] { return taker("audio_src")->events().find("eos") != std::string::npos; }));
}

TEST_F(SipCallSink, CapsOfThePeersVideoHaveItsParameterSets) {
  Feeder video(element_, "video", kVideoCaps);
  g_object_set(element_, "codecs", "pcma,h264", nullptr);
  play();
  video.start();
  const Message invite = this->invite();
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
  g_object_set(element_, "codecs", "pcma,h264", nullptr);
  play();
  video.start();
  const Message invite = this->invite();
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

TEST_F(SipCallSink, EndOfInputHangsUp) {
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  const Message invite = this->invite();
  peer_.reply(invite, "200 OK", "", answer(false));
  change("answered");
  peer_.request("ACK");
  GstBus *inner = gst_bus_new();  // the pipeline makes a number of its own
  gst_element_set_bus(element_, inner);
  const guint32 seqnum = audio.end();
  peer_.reply(peer_.request("BYE"), "200 OK");
  MessageRef eos;
  EXPECT_TRUE(run_until([&] {
    if (!eos) eos.reset(gst_bus_pop_filtered(inner, GST_MESSAGE_EOS));
    return eos != nullptr;
  }));
  EXPECT_EQ(eos ? gst_message_get_seqnum(eos.get()) : 0, seqnum);
  gst_bus_set_flushing(inner, TRUE);
  gst_object_unref(inner);
}

TEST_F(SipCallSink, EndOfInputEndsThePipeline) {
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  const Message invite = this->invite();
  peer_.reply(invite, "200 OK", "", answer(false));
  change("answered");
  peer_.request("ACK");
  audio.end();
  peer_.reply(peer_.request("BYE"), "200 OK");
  EXPECT_EQ(in(change("ended"), "reason"), "caller-hangup");
  EXPECT_TRUE(message(GST_MESSAGE_EOS));
}

TEST_F(SipCallSink, ActionsHangUpAndSendDtmf) {
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  const Message invite = this->invite();
  peer_.reply(invite, "200 OK", "", answer(false));
  change("answered");
  peer_.request("ACK");
  g_signal_emit_by_name(element_, "dtmf", "5");
  const Message info = peer_.request("INFO");
  EXPECT_NE(info.body().find("Signal=5"), std::string::npos) << info.text;
  peer_.reply(info, "200 OK");
  g_signal_emit_by_name(element_, "hangup");
  peer_.reply(peer_.request("BYE"), "200 OK");
  EXPECT_EQ(in(change("ended"), "reason"), "caller-hangup");
}

TEST_F(SipCallSink, StoppingThePipelineHangsUp) {
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  const Message invite = this->invite();
  peer_.reply(invite, "200 OK", "", answer(false));
  change("answered");
  peer_.request("ACK");
  gst_element_set_state(pipeline_.get(), GST_STATE_READY);
  peer_.reply(peer_.request("BYE"), "200 OK");
  // And it can call again.
  play();
  audio.start();
  const Message second = this->invite();
  EXPECT_NE(second.header("Call-ID"), invite.header("Call-ID"));
}

namespace {
struct Failure {
  const char *status;
  int code;
  const char *reason;
};
class SipCallFailure : public SipCallSink, public testing::WithParamInterface<Failure> {};
}  // namespace

TEST_P(SipCallFailure, IsAnErrorOfItsKind) {
  std::atomic<int> signalled = 0;
  std::string reason;
  g_signal_connect_data(element_, "ended",
                        G_CALLBACK(+[](GstElement *, int code, const char *, gpointer data) {
                          *static_cast<std::atomic<int> *>(data) = code;
                        }),
                        &signalled, nullptr, static_cast<GConnectFlags>(0));
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  const Message invite = this->invite();
  peer_.reply(invite, GetParam().status);
  const MessageRef ended = change("ended");
  EXPECT_EQ(in(ended, "reason"), GetParam().reason);
  std::string text;
  EXPECT_EQ(error(&text), GetParam().code);
  EXPECT_FALSE(text.empty());
  EXPECT_EQ(signalled, std::stoi(GetParam().status));
}

INSTANTIATE_TEST_SUITE_P(
    Statuses, SipCallFailure,
    testing::Values(Failure{"486 Busy Here", GST_RESOURCE_ERROR_BUSY, "busy"},
                    Failure{"603 Decline", GST_RESOURCE_ERROR_NOT_AUTHORIZED, "declined"},
                    Failure{"404 Not Found", GST_RESOURCE_ERROR_NOT_FOUND, "unreachable"},
                    Failure{"488 Not Acceptable Here", GST_RESOURCE_ERROR_SETTINGS,
                            "not-acceptable"}));

// A call that the application holds: the element joins its media and leaves its life alone.
TEST_F(SipCallSink, AttachesToACallOfTheSharedAgent) {
  auto thread = ReactorThread::start("shared");
  ASSERT_TRUE(thread);
  const auto reactor = (*thread)->reactor();
  sip::AgentOptions agent_options;
  agent_options.listen = {"127.0.0.1", 0};
  agent_options.media_address = "127.0.0.1";
  auto agent = sip::Agent::create(nullptr, agent_options);
  ASSERT_TRUE(agent) << agent.error().detail;
  sip::InviteOptions options;
  options.uri = peer_.uri();
  options.reactor = reactor;
  auto call = (*agent)->invite(options, {});
  ASSERT_TRUE(call) << call.error().detail;
  const Message invite = this->invite();
  peer_.reply(invite, "200 OK", "", answer());
  peer_.request("ACK");
  ASSERT_TRUE(run_until([&] { return (*call)->state() == sip::CallState::Answered; }));

  GstContext *shared = gst::make_context(kSipAgentContext, *agent, true);
  gst_element_set_context(pipeline_.get(), shared);
  gst_context_unref(shared);
  shared = gst::make_context(kReactorContext, reactor, true);
  gst_element_set_context(pipeline_.get(), shared);
  gst_context_unref(shared);
  g_object_set(element_, "uri", "", "call", (*call)->id().c_str(), nullptr);
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  ASSERT_NE(taker("audio_src"), nullptr);  // at once: the answer is known
  ASSERT_NE(taker("video_src"), nullptr);
  audio.start();
  // On the reactor itself, as a source that shares it does.
  reactor->invoke([&] { audio.push(Feeder::packet(160, {"sound"})); });
  EXPECT_EQ(payload_of(audio_.receive(false)), "sound");
  audio_.send(port_in(invite.body(), "audio"),
              rtp::build_packet({8, true, 1, 1, 5}, as_bytes("voice")));
  EXPECT_TRUE(run_until([&] { return taker("audio_src")->taken().size() == 1; }));

  // Gone without a BYE; the call and its media live on, and another element can take them over.
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
  EXPECT_EQ((*call)->state(), sip::CallState::Answered);
  play();
  audio.start();
  audio.push(Feeder::packet(320, {"again"}));
  EXPECT_EQ(payload_of(audio_.receive(false)), "again");
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
  EXPECT_FALSE(peer_.has_request("BYE"));

  // A start that fails half way leaves nothing behind.
  const PadRef sink(gst_element_get_static_pad(element_, "audio"));
  gst_pad_set_active(sink.get(), FALSE);
  gst_pad_set_activate_function(sink.get(),
                                [](GstPad *, GstObject *) -> gboolean { return FALSE; });
  EXPECT_EQ(gst_element_set_state(element_, GST_STATE_PAUSED), GST_STATE_CHANGE_FAILURE);
  EXPECT_EQ(PadRef(gst_element_get_static_pad(element_, "audio_src")), nullptr);
  gst_element_set_state(element_, GST_STATE_NULL);

  (*agent)->shutdown(EndReason::Shutdown, 0s);
  call->reset();
  agent->reset();
}

// The agent is the application's, the reactor the element's own: it serves until the call is over.
TEST_F(SipCallSink, StoppedWhileRingingItLeavesNoSocketOpen) {
  sip::AgentOptions agent_options;
  agent_options.listen = {"127.0.0.1", 0};
  agent_options.media_address = "127.0.0.1";
  auto agent = sip::Agent::create(nullptr, agent_options);
  ASSERT_TRUE(agent) << agent.error().detail;
  GstContext *shared = gst::make_context(kSipAgentContext, *agent, true);
  gst_element_set_context(pipeline_.get(), shared);
  gst_context_unref(shared);
  {
    Feeder audio(element_, "audio", kAudioCaps), video(element_, "video", kVideoCaps);
    play();
    audio.start();
    video.start();
    const Message invite = this->invite();
    const auto port = [&](const char *medium) { return port_in(invite.body(), medium); };
    const auto free = [&](std::uint16_t number) -> bool {
      return bind_udp({"127.0.0.1", number}) && bind_udp({"127.0.0.1", ++number});
    };
    peer_.reply(invite, "180 Ringing");
    change("ringing");
    EXPECT_FALSE(free(port("audio")));
    gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
    peer_.reply(peer_.request("CANCEL"), "200 OK");
    peer_.reply(invite, "487 Request Terminated");
    EXPECT_TRUE(run_until([&] { return free(port("audio")) && free(port("video")); }));
  }
  (*agent)->shutdown(EndReason::Shutdown, 0s);
  agent->reset();
}
