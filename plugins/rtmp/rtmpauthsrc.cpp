// SPDX-License-Identifier: LGPL-2.1-or-later
/**
 * SECTION:element-rtmpauthsrc
 *
 * An RTMP server that waits for a publisher and gives its sound and picture as elementary streams.
 * Live: nothing prerolls, timestamps are the running time of arrival. Media is pushed straight from
 * the reactor that serves the socket; put a queue behind each pad if what follows may block.
 *
 * Life: NULL→READY opens the port (or finds a shared server), PAUSED→PLAYING begins to listen,
 * PLAYING→PAUSED stops pushing, PAUSED→READY removes the pads, READY→NULL closes the port.
 */
#include "rtmp/rtmpauthsrc.h"

#include <memory>
#include <mutex>
#include <string>

#include "rtmp/publishfeed.h"
#include "rtmp/serverside.h"
#include "rtmp/trackcaps.h"

GST_DEBUG_CATEGORY(junctor_rtmp_auth_src_debug);
#define GST_CAT_DEFAULT junctor_rtmp_auth_src_debug

namespace {

using junctor::rtmp::ElementKeeper;
using junctor::rtmp::PublishFeed;
using junctor::rtmp::Request;
using junctor::rtmp::Role;
using junctor::rtmp::ServerSettings;
using junctor::rtmp::ServerUse;

constexpr guint kMaxLatency = 60 * 1000;  // ms

enum Property : guint {
  kPropEosOnFinish = junctor::rtmp::kFirstOwnProperty,
  kPropLatency,
  kPropStats,
};

/// Stands at the door for one rtmpauthsrc, and tells its feed which name to listen to when none was
/// given. On the reactor.
class SourceKeeper final : public ElementKeeper {
 public:
  SourceKeeper(GstElement *element, guint authenticate, const ServerSettings &settings,
               std::weak_ptr<PublishFeed> feed)
      : ElementKeeper(element, authenticate, Role::Push, settings),
        any_(settings.stream.empty()),
        feed_(std::move(feed)) {}

  void publish_started(const Request &request) override {
    if (!any_) return;
    if (publishers_ > 0 && request.stream != name_) return;  // accepted before the first began
    ++publishers_;
    name_ = request.stream;
    claim(name_);
    if (const auto feed = feed_.lock()) feed->listen_to(name_);
  }
  void publish_ended(const Request &request) override {
    if (!any_ || request.stream != name_ || publishers_ == 0) return;
    if (--publishers_ == 0) claim("");
  }

 private:
  const bool any_;
  const std::weak_ptr<PublishFeed> feed_;
  std::string name_;
  int publishers_ = 0;  // two for a moment when one takes over from another
};

struct State {
  std::mutex mutex;  // guards settings and the plain values
  ServerSettings settings;
  bool eos_on_finish = true;
  guint latency = 0;        // ms
  std::uint16_t bound = 0;  // the port, from READY on

  // Of the state-changing thread:
  ServerUse server;
  std::shared_ptr<PublishFeed> feed;  // lives as long as the element
  std::shared_ptr<SourceKeeper> keeper;
};

}  // namespace

struct _JunctorRtmpAuthSrc {
  GstElement parent;
  State *state;
};

G_DEFINE_TYPE_WITH_CODE(JunctorRtmpAuthSrc, junctor_rtmp_auth_src, GST_TYPE_ELEMENT,
                        GST_DEBUG_CATEGORY_INIT(junctor_rtmp_auth_src_debug, "rtmpauthsrc", 0,
                                                "RTMP server source"))
GST_ELEMENT_REGISTER_DEFINE(rtmpauthsrc, "rtmpauthsrc", GST_RANK_NONE, JUNCTOR_TYPE_RTMP_AUTH_SRC)

static guint authenticate_signal;

static GstStaticPadTemplate audio_template = GST_STATIC_PAD_TEMPLATE(
    "audio", GST_PAD_SRC, GST_PAD_SOMETIMES, GST_STATIC_CAPS(JUNCTOR_RTMP_AUDIO_CAPS));
static GstStaticPadTemplate video_template = GST_STATIC_PAD_TEMPLATE(
    "video", GST_PAD_SRC, GST_PAD_SOMETIMES, GST_STATIC_CAPS(JUNCTOR_RTMP_VIDEO_CAPS));

namespace {

gboolean pad_query(GstPad *pad, GstObject *parent, GstQuery *query) {
  switch (GST_QUERY_TYPE(query)) {
    case GST_QUERY_LATENCY: {
      State &state = *JUNCTOR_RTMP_AUTH_SRC(parent)->state;
      const std::lock_guard lock(state.mutex);
      gst_query_set_latency(query, TRUE, state.latency * GST_MSECOND, GST_CLOCK_TIME_NONE);
      return TRUE;
    }
    case GST_QUERY_SCHEDULING:
      gst_query_set_scheduling(query, GST_SCHEDULING_FLAG_SEQUENTIAL, 1, -1, 0);
      gst_query_add_scheduling_mode(query, GST_PAD_MODE_PUSH);
      return TRUE;
    case GST_QUERY_CONTEXT:
      return junctor::gst::answer_context_query(GST_ELEMENT(parent), query);
    default:
      return gst_pad_query_default(pad, parent, query);
  }
}

gboolean pad_event(GstPad *pad, GstObject *parent, GstEvent *event) {
  // An RTMP publisher cannot be asked for a keyframe: whoever did learns that nobody will answer.
  GST_LOG_OBJECT(pad, "%" GST_PTR_FORMAT, event);
  return gst_pad_event_default(pad, parent, event);
}

void prepare_pad(GstPad *pad) {
  gst_pad_set_query_function(pad, pad_query);
  gst_pad_set_event_function(pad, pad_event);
}

bool open_server(JunctorRtmpAuthSrc *self) {
  State &state = *self->state;
  ServerSettings settings;
  {
    const std::lock_guard lock(state.mutex);
    settings = state.settings;
  }
  auto *element = GST_ELEMENT(self);
  state.keeper = std::make_shared<SourceKeeper>(element, authenticate_signal, settings, state.feed);
  state.server = ServerUse::begin_or_tell(element, settings, state.keeper, GST_CAT_DEFAULT,
                                          GST_RESOURCE_ERROR_OPEN_READ);
  if (!state.server) return false;
  if (state.server.foreign() && settings.stream.empty()) {
    state.server.end();
    GST_ELEMENT_ERROR(self, RESOURCE, SETTINGS,
                      ("No stream is named: set `stream` to the name that is published on the "
                       "shared RTMP server."),
                      (nullptr));
    return false;
  }
  const junctor::Endpoint local = state.server.server()->local();
  {
    const std::lock_guard lock(state.mutex);
    state.bound = local.port;
  }
  GST_INFO_OBJECT(self, "waiting for a publisher on %s%s", local.to_string().c_str(),
                  state.server.foreign() ? " (a shared server)" : "");
  g_object_notify(G_OBJECT(self), "port");
  return true;
}

void close_server(JunctorRtmpAuthSrc *self) {
  State &state = *self->state;
  state.server.end();
  state.keeper.reset();
  const std::lock_guard lock(state.mutex);
  state.bound = 0;
}

void open_feed(JunctorRtmpAuthSrc *self) {
  State &state = *self->state;
  state.keeper->shut("");
  std::string stream;
  bool eos_on_finish;
  {
    const std::lock_guard lock(state.mutex);
    stream = state.settings.stream;
    eos_on_finish = state.eos_on_finish;
  }
  state.feed->open(state.server.server(), stream, eos_on_finish,
                   [keeper = state.keeper] { keeper->shut("The receiver has ended."); });
}

GstStructure *stats_of(State &state) {
  const PublishFeed::Counts counts = state.feed->counts();
  return gst_structure_new("junctor-rtmp-auth-src", "publishing", G_TYPE_BOOLEAN,
                           static_cast<gboolean>(counts.publishing), "frames", G_TYPE_UINT64,
                           static_cast<guint64>(counts.frames), "bytes", G_TYPE_UINT64,
                           static_cast<guint64>(counts.bytes), nullptr);
}

}  // namespace

static GstStateChangeReturn junctor_rtmp_auth_src_change_state(GstElement *element,
                                                               GstStateChange transition) {
  auto *self = JUNCTOR_RTMP_AUTH_SRC(element);
  State &state = *self->state;
  switch (transition) {
    case GST_STATE_CHANGE_NULL_TO_READY:
      if (!open_server(self)) return GST_STATE_CHANGE_FAILURE;
      break;
    case GST_STATE_CHANGE_READY_TO_PAUSED:
      open_feed(self);
      break;
    case GST_STATE_CHANGE_PLAYING_TO_PAUSED:
      state.feed->pause();
      break;
    default:
      break;
  }

  // PAUSED→READY makes the pads inactive here, which wakes a push that they block.
  const GstStateChangeReturn result =
      GST_ELEMENT_CLASS(junctor_rtmp_auth_src_parent_class)->change_state(element, transition);
  if (result == GST_STATE_CHANGE_FAILURE) return result;

  switch (transition) {
    case GST_STATE_CHANGE_READY_TO_PAUSED:
    case GST_STATE_CHANGE_PLAYING_TO_PAUSED:
      return GST_STATE_CHANGE_NO_PREROLL;
    case GST_STATE_CHANGE_PAUSED_TO_PLAYING:
      state.feed->play();
      break;
    case GST_STATE_CHANGE_PAUSED_TO_READY:
      state.feed->close();
      break;
    case GST_STATE_CHANGE_READY_TO_NULL:
      close_server(self);
      break;
    default:
      break;
  }
  return result;
}

static gboolean junctor_rtmp_auth_src_send_event(GstElement *element, GstEvent *event) {
  if (GST_EVENT_TYPE(event) == GST_EVENT_EOS) {
    JUNCTOR_RTMP_AUTH_SRC(element)->state->feed->end_of_stream();
    gst_event_unref(event);
    return TRUE;
  }
  return GST_ELEMENT_CLASS(junctor_rtmp_auth_src_parent_class)->send_event(element, event);
}

static void junctor_rtmp_auth_src_set_property(GObject *object, guint id, const GValue *value,
                                               GParamSpec *pspec) {
  State &state = *JUNCTOR_RTMP_AUTH_SRC(object)->state;
  const std::lock_guard lock(state.mutex);
  if (set_server_property(state.settings, id, value)) return;
  switch (id) {
    case kPropEosOnFinish:
      state.eos_on_finish = g_value_get_boolean(value);
      break;
    case kPropLatency:
      state.latency = g_value_get_uint(value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void junctor_rtmp_auth_src_get_property(GObject *object, guint id, GValue *value,
                                               GParamSpec *pspec) {
  State &state = *JUNCTOR_RTMP_AUTH_SRC(object)->state;
  const std::lock_guard lock(state.mutex);
  if (get_server_property(state.settings, state.bound, id, value)) return;
  switch (id) {
    case kPropEosOnFinish:
      g_value_set_boolean(value, state.eos_on_finish);
      break;
    case kPropLatency:
      g_value_set_uint(value, state.latency);
      break;
    case kPropStats:
      g_value_take_boxed(value, stats_of(state));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void junctor_rtmp_auth_src_finalize(GObject *object) {
  delete JUNCTOR_RTMP_AUTH_SRC(object)->state;
  G_OBJECT_CLASS(junctor_rtmp_auth_src_parent_class)->finalize(object);
}

static void junctor_rtmp_auth_src_class_init(JunctorRtmpAuthSrcClass *klass) {
  auto *object_class = G_OBJECT_CLASS(klass);
  auto *element_class = GST_ELEMENT_CLASS(klass);
  object_class->set_property = junctor_rtmp_auth_src_set_property;
  object_class->get_property = junctor_rtmp_auth_src_get_property;
  object_class->finalize = junctor_rtmp_auth_src_finalize;
  element_class->change_state = junctor_rtmp_auth_src_change_state;
  element_class->send_event = junctor_rtmp_auth_src_send_event;

  authenticate_signal = junctor::rtmp::set_up_class(
      element_class,
      {.role = Role::Push,
       .stats_property = kPropStats,
       .stats_blurb = "What was pushed so far: publishing (boolean), frames, bytes (64 bit)",
       .audio = &audio_template,
       .video = &video_template,
       .name = "RTMP server source",
       .kind = "Source/Network",
       .description = "Waits for an RTMP publisher, checks it, and gives its sound and picture"});
  g_object_class_install_property(
      object_class, kPropEosOnFinish,
      g_param_spec_boolean("eos-on-finish", "End of stream on finish",
                           "Whether a publisher that finishes ends the streams; false waits for "
                           "the next one, as a lost connection always does",
                           TRUE, junctor::rtmp::kSettable));
  g_object_class_install_property(
      object_class, kPropLatency,
      g_param_spec_uint("latency", "Latency",
                        "Milliseconds that the network may delay a frame more than the first one; "
                        "synchronising sinks wait as much",
                        0, kMaxLatency, 0, junctor::rtmp::kSettable));
}

static void junctor_rtmp_auth_src_init(JunctorRtmpAuthSrc *self) {
  self->state = new State;
  auto *element_class = GST_ELEMENT_GET_CLASS(self);
  self->state->feed = std::make_shared<PublishFeed>(
      GST_ELEMENT(self),
      PublishFeed::Pads{gst_element_class_get_pad_template(element_class, "audio"),
                        gst_element_class_get_pad_template(element_class, "video"), prepare_pad});
  GST_OBJECT_FLAG_SET(self, GST_ELEMENT_FLAG_SOURCE);
}
