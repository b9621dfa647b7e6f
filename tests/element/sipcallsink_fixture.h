// SPDX-License-Identifier: LGPL-2.1-or-later
// A sipcallsink in a pipeline, against a SIP peer that follows a script.
#pragma once

#include <gst/video/video-event.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "../unit/sip/scripted_peer.h"
#include "common/gst/context.h"
#include "environment.h"
#include "rtp/core/packet.h"
#include "rtp/core/rtcp.h"
#include "rtp/core/session.h"
#include "sip/core/agent.h"

namespace junctor::test {

using namespace std::chrono_literals;
using sip::test::Message;
using sip::test::run_until;
using sip::test::ScriptedPeer;

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
inline std::uint16_t port_in(const std::string &text, const std::string &medium) {
  const auto at = text.find("\r\nm=" + medium + ' ');
  return at == std::string::npos
             ? 0
             : static_cast<std::uint16_t>(std::stoi(text.substr(at + 5 + medium.size())));
}

/// A pad of the test's own that feeds the element.
class Feeder {
 public:
  /// `presence`: how the pad came to be in its element.
  Feeder(GstElement *element, const char *name, const std::string &caps,
         GstPadPresence presence = GST_PAD_ALWAYS) {
    GstPadTemplate *made_from = gst_pad_template_new("src", GST_PAD_SRC, presence, GST_CAPS_ANY);
    pad_.reset(GST_PAD(gst_object_ref_sink(gst_pad_new_from_template(made_from, "src"))));
    gst_object_unref(made_from);
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
    caps_ = caps;
  }
  void start() {
    gst_pad_push_event(pad_.get(), gst_event_new_stream_start("feeder"));
    const CapsRef caps(gst_caps_from_string(caps_.c_str()));
    EXPECT_TRUE(gst_pad_push_event(pad_.get(), gst_event_new_caps(caps.get())));
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
  std::string caps_;
};

/// What comes out of a source pad.
class Taker {
 public:
  struct Taken {
    std::string bytes;
    GstClockTime pts;
    bool discont;
    bool delta;  ///< leans on those before it
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
                                GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DISCONT) != 0,
                                GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT) != 0});
      }
      gst_buffer_unmap(buffer, &map);
      gst_buffer_unref(buffer);
      g_main_context_wakeup(nullptr);
      return self->result.load();
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
              self->caps_ = text_of(caps);
            }
          }
          gst_event_unref(event);
          g_main_context_wakeup(nullptr);
          return TRUE;
        });
    gst_pad_set_active(pad_.get(), TRUE);
    EXPECT_EQ(gst_pad_link(source, pad_.get()), GST_PAD_LINK_OK);
  }
  std::atomic<GstFlowReturn> result = GST_FLOW_OK;  ///< of each push

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

inline constexpr const char *kAudioCaps =
    "application/x-rtp,media=audio,clock-rate=8000,encoding-name=PCMA,payload=8";
inline constexpr const char *kVideoCaps =
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
    // Left to itself, the element waits for the callee's word on the BYE.
    if (up_) {
      g_signal_emit_by_name(element_, "hangup");
      peer_.reply(bye(), "200 OK");
    }
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
    const bool late = self->late_caps_ && GST_PAD_NAME(pad) == std::string("video_src");
    EXPECT_EQ(sticky, late ? "stream-start " : "stream-start caps segment ");
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
    peer_.set_agent(agent_of(invite));
    return invite;
  }
  /// Plays with PCMA and H.264 offered, these pictures started.
  Message invite_with(Feeder &video) {
    g_object_set(element_, "codecs", "pcma,h264", nullptr);
    play();
    video.start();
    return invite();
  }
  static Endpoint agent_of(const Message &invite) {
    const std::string via = invite.header("Via");
    const auto at = via.find(' ') + 1;
    return *Endpoint::parse(via.substr(at, via.find_first_of("; ", at) - at));
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
          field(structure, "state") == state) {
        up_ = state == "answered" || (up_ && state != "ended");
        return found;
      }
    }
  }
  /// The element hangs up by itself.
  Message bye() {
    up_ = false;
    return peer_.request("BYE");
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

  /// What `stats` says was given to a pad and not sent.
  guint64 dropped(const char *medium) {
    GstStructure *stats = nullptr, *one = nullptr;
    g_object_get(element_, "stats", &stats, nullptr);
    guint64 count = G_MAXUINT64;
    if (stats == nullptr || !gst_structure_get(stats, medium, GST_TYPE_STRUCTURE, &one, nullptr) ||
        !gst_structure_get_uint64(one, "dropped", &count))
      ADD_FAILURE() << "no count of dropped " << medium;
    g_clear_pointer(&one, gst_structure_free);
    g_clear_pointer(&stats, gst_structure_free);
    return count;
  }

  ScriptedPeer peer_;
  Wire audio_, video_;
  ElementRef pipeline_;
  BusRef bus_;
  std::optional<sip::test::Wake> bus_wake_;
  bool up_ = false;         ///< answered, and nobody has hung up
  bool late_caps_ = false;  ///< the picture is told by its packets only
  GstElement *element_ = nullptr;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Taker>> takers_;
};

inline std::string payload_of(const Bytes &datagram) {
  const auto view = rtp::parse_packet(datagram);
  if (!view) return "not RTP";
  return {reinterpret_cast<const char *>(view->payload.data()), view->payload.size()};
}

}  // namespace junctor::test
