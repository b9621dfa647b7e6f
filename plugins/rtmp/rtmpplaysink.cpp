// SPDX-License-Identifier: LGPL-2.1-or-later
/**
 * SECTION:element-rtmpplaysink
 *
 * An RTMP server that gives what flows in to every player that connects. Live: it neither prerolls
 * nor waits for the clock; a source that is faster than real time needs a clocksync before it.
 * Players that lag skip pictures, and never slow the others or the pipeline.
 *
 * Threads: frames go to the reactor that serves the sockets; directly if they are pushed on it.
 * Nothing here waits for the reactor but READY→NULL.
 */
#include "rtmp/rtmpplaysink.h"

#include <gst/video/video-event.h>

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/avc.h"
#include "common/gst/refs.h"
#include "rtmp/core/picture.h"
#include "rtmp/playfeed.h"
#include "rtmp/serverside.h"
#include "rtmp/trackcaps.h"

GST_DEBUG_CATEGORY_STATIC(junctor_rtmp_play_sink_debug);
#define GST_CAT_DEFAULT junctor_rtmp_play_sink_debug

namespace {

using junctor::Medium;
using junctor::rtmp::ElementKeeper;
using junctor::rtmp::Frame;
using junctor::rtmp::PlayFeed;
using junctor::rtmp::Role;
using junctor::rtmp::ServerSettings;
using junctor::rtmp::ServerUse;
using junctor::rtmp::Track;

constexpr guint kDefaultMaxLag = 500;  // ms
constexpr const char *kDefaultStream = "stream";

enum Property : guint {
  kPropMaxLag = junctor::rtmp::kFirstOwnProperty,
  kPropStats,
};

/// One medium's pad. Of its streaming thread, but for `pad` and `ended`.
struct Lane {
  Medium medium = Medium::Audio;
  GstPad *pad = nullptr;  // the element's; guarded by State::mutex
  bool ended = false;     // had EOS; guarded by State::mutex
  std::optional<Track> track;
  bool track_due = false;  // not yet written
  int nal_length_size = 4;
  bool saw_delta = false;  // upstream marks pictures that are no keyframes
  GstSegment segment;
};

struct State {
  std::mutex mutex;  // guards settings, plain values, the pointer of the feed, pads and EOS
  ServerSettings settings;
  std::uint16_t bound = 0;         // the port, from READY on
  std::shared_ptr<PlayFeed> feed;  // from PAUSED to READY
  bool playing = false;
  bool eos_told = false;
  guint32 eos_seqnum = GST_SEQNUM_INVALID;  // of the last pad's EOS
  guint keyframes_asked = 0;
  std::array<Lane, 2> lanes;

  // Of the state-changing thread:
  ServerUse server;
  std::shared_ptr<ElementKeeper> keeper;
};

Lane &lane_of(GstPad *pad) { return *static_cast<Lane *>(gst_pad_get_element_private(pad)); }

}  // namespace

struct _JunctorRtmpPlaySink {
  GstElement parent;
  State *state;
};

G_DEFINE_TYPE_WITH_CODE(JunctorRtmpPlaySink, junctor_rtmp_play_sink, GST_TYPE_ELEMENT,
                        GST_DEBUG_CATEGORY_INIT(junctor_rtmp_play_sink_debug, "rtmpplaysink", 0,
                                                "RTMP server sink"))
GST_ELEMENT_REGISTER_DEFINE(rtmpplaysink, "rtmpplaysink", GST_RANK_NONE,
                            JUNCTOR_TYPE_RTMP_PLAY_SINK)

static guint authenticate_signal;

static GstStaticPadTemplate audio_template = GST_STATIC_PAD_TEMPLATE(
    "audio", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS(JUNCTOR_RTMP_AUDIO_CAPS));
static GstStaticPadTemplate video_template = GST_STATIC_PAD_TEMPLATE(
    "video", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS(JUNCTOR_RTMP_VIDEO_CAPS));

namespace {

std::shared_ptr<PlayFeed> feed_of(State &state) {
  const std::lock_guard lock(state.mutex);
  return state.feed;
}

/// Milliseconds of running time; nothing for no time.
std::optional<std::int64_t> running_ms(const GstSegment &segment, GstClockTime time) {
  if (!GST_CLOCK_TIME_IS_VALID(time) || segment.format != GST_FORMAT_TIME) return std::nullopt;
  guint64 running = 0;
  const int sign = gst_segment_to_running_time_full(&segment, GST_FORMAT_TIME, time, &running);
  if (sign == 0) return std::nullopt;
  const auto ms = static_cast<std::int64_t>((running + GST_MSECOND / 2) / GST_MSECOND);
  return sign > 0 ? ms : -ms;
}

/// What the picture is; false if it is none of the track.
bool describe_picture(Lane &lane, GstBuffer *buffer, Frame &frame) {
  if (lane.track->codec != junctor::Codec::H264) {
    const auto told = junctor::rtmp::parse_picture(lane.track->codec, frame.data.view);
    if (!told && lane.track->codec == junctor::Codec::Vp8) return false;
    frame.key = told ? told->key : !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
    frame.droppable =
        told ? told->droppable : GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DROPPABLE);
    return true;
  }
  const auto picture = junctor::inspect_access_unit(frame.data.view, lane.nal_length_size);
  if (!picture) return false;
  const bool delta = GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  lane.saw_delta |= delta;
  // A recovery point without an IDR slice is known by the flag alone, if upstream sets flags.
  frame.key = picture->idr || (!delta && lane.saw_delta && picture->slices);
  frame.droppable = picture->slices && !picture->reference;
  return true;
}

GstFlowReturn chain(GstPad *pad, GstObject *parent, GstBuffer *taken) {
  auto *self = JUNCTOR_RTMP_PLAY_SINK(parent);
  const junctor::BufferRef buffer(taken);
  const auto feed = feed_of(*self->state);
  if (!feed) return GST_FLOW_FLUSHING;
  Lane &lane = lane_of(pad);
  if (!lane.track) return GST_FLOW_NOT_NEGOTIATED;

  Frame frame;
  frame.medium = lane.medium;
  // FLV has no place for what Speex streams begin with in Ogg.
  if (lane.track->codec == junctor::Codec::Speex &&
      GST_BUFFER_FLAG_IS_SET(buffer.get(), GST_BUFFER_FLAG_HEADER))
    return GST_FLOW_OK;
  frame.data = junctor::rtmp::unwrap(buffer.get());
  if (lane.track->codec == junctor::Codec::H263)
    frame.data.view = frame.data.view.first(frame.data.view.size() -
                                            junctor::rtmp::h263_padding(frame.data.view));
  if (frame.data.view.empty()) return GST_FLOW_OK;
  if (frame.medium == Medium::Video && !describe_picture(lane, buffer.get(), frame)) {
    GST_WARNING_OBJECT(pad, "not a picture of its caps: %" GST_PTR_FORMAT, buffer.get());
    return GST_FLOW_OK;
  }

  auto pts = running_ms(lane.segment, GST_BUFFER_PTS(buffer.get()));
  auto dts = running_ms(lane.segment, GST_BUFFER_DTS(buffer.get()));
  if (!pts) pts = dts;
  if (!dts) dts = pts;
  if (!dts) {
    const GstClockTime now = gst_element_get_current_running_time(GST_ELEMENT(self));
    pts = dts = GST_CLOCK_TIME_IS_VALID(now) ? static_cast<std::int64_t>(now / GST_MSECOND) : 0;
  }
  frame.dts = *dts;
  frame.composition = static_cast<std::int32_t>(std::max<std::int64_t>(*pts - *dts, 0));

  if (std::exchange(lane.track_due, false)) feed->set_track(*lane.track);
  feed->write(frame);
  return GST_FLOW_OK;
}

bool take_caps(JunctorRtmpPlaySink *self, GstPad *pad, GstCaps *caps) {
  Lane &lane = lane_of(pad);
  auto track = junctor::rtmp::track_of(caps);
  if (!track) {
    GST_ELEMENT_ERROR(self, STREAM, FORMAT,
                      ("Players cannot be served: %s.", track.error().detail.c_str()), (nullptr));
    return false;
  }
  if (track->codec == junctor::Codec::H264)
    lane.nal_length_size = junctor::parse_avc_config(track->config.view)->nal_length_size;
  lane.track = std::move(*track);
  lane.track_due = true;
  return true;
}

/// Posts EOS once all pads have ended, as a sink does; while PAUSED it is kept.
void tell_eos(JunctorRtmpPlaySink *self) {
  State &state = *self->state;
  guint32 seqnum = GST_SEQNUM_INVALID;
  {
    const std::lock_guard lock(state.mutex);
    if (!state.playing || state.eos_told) return;
    bool any = false;
    for (const Lane &lane : state.lanes) {
      if (lane.pad == nullptr) continue;
      any = true;
      if (!lane.ended) return;
    }
    if (!any) return;
    state.eos_told = true;
    seqnum = state.eos_seqnum;
  }
  GstMessage *message = gst_message_new_eos(GST_OBJECT(self));
  if (seqnum != GST_SEQNUM_INVALID) gst_message_set_seqnum(message, seqnum);
  gst_element_post_message(GST_ELEMENT(self), message);
}

void set_flowing(JunctorRtmpPlaySink *self, GstPad *pad) {
  State &state = *self->state;
  const std::lock_guard lock(state.mutex);
  lane_of(pad).ended = false;
  state.eos_told = false;
}

void set_ended(JunctorRtmpPlaySink *self, GstPad *pad, guint32 seqnum) {
  State &state = *self->state;
  const std::lock_guard lock(state.mutex);
  lane_of(pad).ended = true;
  state.eos_seqnum = seqnum;
}

gboolean sink_event(GstPad *pad, GstObject *parent, GstEvent *event) {
  auto *self = JUNCTOR_RTMP_PLAY_SINK(parent);
  gboolean handled = TRUE;
  switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_STREAM_START:
      set_flowing(self, pad);
      break;
    case GST_EVENT_CAPS: {
      GstCaps *caps = nullptr;
      gst_event_parse_caps(event, &caps);
      handled = take_caps(self, pad, caps);
      break;
    }
    case GST_EVENT_SEGMENT:
      gst_event_copy_segment(event, &lane_of(pad).segment);
      break;
    case GST_EVENT_FLUSH_STOP: {
      gboolean reset_time = FALSE;
      gst_event_parse_flush_stop(event, &reset_time);
      set_flowing(self, pad);
      gst_segment_init(&lane_of(pad).segment, GST_FORMAT_UNDEFINED);
      const auto feed = feed_of(*self->state);
      if (feed && reset_time) feed->begin_source();
      break;
    }
    case GST_EVENT_EOS:
      set_ended(self, pad, gst_event_get_seqnum(event));
      tell_eos(self);
      break;
    default:
      break;  // a sink: nothing to pass on to
  }
  gst_event_unref(event);
  return handled;
}

gboolean sink_query(GstPad *pad, GstObject *parent, GstQuery *query) {
  if (GST_QUERY_TYPE(query) == GST_QUERY_CONTEXT)
    return junctor::gst::answer_context_query(GST_ELEMENT(parent), query);
  return gst_pad_query_default(pad, parent, query);
}

/// On the reactor: a player waits for a keyframe.
void ask_for_keyframe(JunctorRtmpPlaySink *self) {
  State &state = *self->state;
  GstPad *pad = nullptr;
  guint count;
  {
    const std::lock_guard lock(state.mutex);
    GstPad *video = state.lanes[static_cast<std::size_t>(Medium::Video)].pad;
    if (video != nullptr) pad = GST_PAD(gst_object_ref(video));
    count = state.keyframes_asked++;
  }
  if (pad == nullptr) return;
  GST_DEBUG_OBJECT(self, "a player waits for a keyframe");
  gst_pad_push_event(pad,
                     gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, TRUE, count));
  gst_object_unref(pad);
}

std::function<void()> keyframe_wish(JunctorRtmpPlaySink *self) {
  auto weak = std::shared_ptr<GWeakRef>(new GWeakRef, [](GWeakRef *reference) {
    g_weak_ref_clear(reference);
    delete reference;
  });
  g_weak_ref_init(weak.get(), self);
  return [weak] {
    auto *element = g_weak_ref_get(weak.get());
    if (element == nullptr) return;
    ask_for_keyframe(JUNCTOR_RTMP_PLAY_SINK(element));
    g_object_unref(element);
  };
}

ServerSettings settings_of(State &state) {
  const std::lock_guard lock(state.mutex);
  return state.settings;
}

bool open_server(JunctorRtmpPlaySink *self) {
  State &state = *self->state;
  const ServerSettings settings = settings_of(state);
  auto *element = GST_ELEMENT(self);
  state.keeper =
      std::make_shared<ElementKeeper>(element, authenticate_signal, Role::Pull, settings);
  state.server = ServerUse::begin_or_tell(element, settings, state.keeper, GST_CAT_DEFAULT,
                                          GST_RESOURCE_ERROR_OPEN_WRITE);
  if (!state.server) return false;
  const junctor::Endpoint local = state.server.server()->local();
  {
    const std::lock_guard lock(state.mutex);
    state.bound = local.port;
  }
  GST_INFO_OBJECT(self, "serving players of \"%s\" on %s%s", settings.stream.c_str(),
                  local.to_string().c_str(), state.server.foreign() ? " (a shared server)" : "");
  g_object_notify(G_OBJECT(self), "port");
  return true;
}

void close_server(JunctorRtmpPlaySink *self) {
  State &state = *self->state;
  state.server.end();
  state.keeper.reset();
  const std::lock_guard lock(state.mutex);
  state.bound = 0;
}

void open_feed(JunctorRtmpPlaySink *self) {
  State &state = *self->state;
  const std::string stream = settings_of(state).stream;
  auto feed = std::make_shared<PlayFeed>(state.server.server(), stream, keyframe_wish(self));
  const std::lock_guard lock(state.mutex);
  state.feed = std::move(feed);
  state.eos_told = false;
}

/// The pads are inactive: their streaming threads are gone.
void close_feed(JunctorRtmpPlaySink *self) {
  State &state = *self->state;
  std::shared_ptr<PlayFeed> feed;
  {
    const std::lock_guard lock(state.mutex);
    feed = std::exchange(state.feed, nullptr);
    for (Lane &lane : state.lanes) lane.ended = false;
  }
  for (Lane &lane : state.lanes) {
    lane.track.reset();
    lane.saw_delta = false;
    gst_segment_init(&lane.segment, GST_FORMAT_UNDEFINED);
  }
  // On a shared server somebody else may go on with this name.
  if (feed) feed->close(!state.server.foreign());
}

GstStructure *stats_of(const PlayFeed *feed) {
  const junctor::rtmp::Outlet::Stats stats =
      feed != nullptr ? feed->stats() : junctor::rtmp::Outlet::Stats();
  return gst_structure_new(
      "junctor-rtmp-play-sink", "players", G_TYPE_UINT64, static_cast<guint64>(stats.players),
      "frames", G_TYPE_UINT64, static_cast<guint64>(stats.frames), "bytes", G_TYPE_UINT64,
      static_cast<guint64>(stats.bytes), "dropped", G_TYPE_UINT64,
      static_cast<guint64>(stats.dropped + (feed != nullptr ? feed->dropped() : 0)), nullptr);
}

}  // namespace

static GstPad *junctor_rtmp_play_sink_request_new_pad(GstElement *element,
                                                      GstPadTemplate *pad_template, const gchar *,
                                                      const GstCaps *) {
  auto *self = JUNCTOR_RTMP_PLAY_SINK(element);
  State &state = *self->state;
  const std::string name = GST_PAD_TEMPLATE_NAME_TEMPLATE(pad_template);
  const Medium medium = name == "audio" ? Medium::Audio : Medium::Video;
  Lane &lane = state.lanes[static_cast<std::size_t>(medium)];
  GstPad *pad = gst_pad_new_from_template(pad_template, name.c_str());
  gst_pad_set_element_private(pad, &lane);
  gst_pad_set_chain_function(pad, chain);
  gst_pad_set_event_function(pad, sink_event);
  gst_pad_set_query_function(pad, sink_query);
  {
    const std::lock_guard lock(state.mutex);
    if (lane.pad != nullptr) {
      GST_WARNING_OBJECT(self, "pad %s is in use already", name.c_str());
      gst_object_unref(gst_object_ref_sink(pad));
      return nullptr;
    }
    lane.pad = pad;
    lane.ended = false;
  }
  lane.track.reset();
  gst_segment_init(&lane.segment, GST_FORMAT_UNDEFINED);
  gst_element_add_pad(element, pad);
  return pad;
}

static void junctor_rtmp_play_sink_release_pad(GstElement *element, GstPad *pad) {
  auto *self = JUNCTOR_RTMP_PLAY_SINK(element);
  gst_pad_set_active(pad, FALSE);
  {
    const std::lock_guard lock(self->state->mutex);
    lane_of(pad).pad = nullptr;
  }
  gst_element_remove_pad(element, pad);
  tell_eos(self);  // the others may have ended long ago
}

static GstStateChangeReturn junctor_rtmp_play_sink_change_state(GstElement *element,
                                                                GstStateChange transition) {
  auto *self = JUNCTOR_RTMP_PLAY_SINK(element);
  State &state = *self->state;
  const auto set_playing = [&](bool playing) {
    const std::lock_guard lock(state.mutex);
    state.playing = playing;
  };
  switch (transition) {
    case GST_STATE_CHANGE_NULL_TO_READY:
      if (!open_server(self)) return GST_STATE_CHANGE_FAILURE;
      break;
    case GST_STATE_CHANGE_READY_TO_PAUSED:
      open_feed(self);
      break;
    case GST_STATE_CHANGE_PLAYING_TO_PAUSED:
      set_playing(false);
      break;
    default:
      break;
  }
  const GstStateChangeReturn result =
      GST_ELEMENT_CLASS(junctor_rtmp_play_sink_parent_class)->change_state(element, transition);
  if (result == GST_STATE_CHANGE_FAILURE) return result;
  switch (transition) {
    case GST_STATE_CHANGE_PAUSED_TO_PLAYING:
      set_playing(true);
      tell_eos(self);
      break;
    case GST_STATE_CHANGE_PAUSED_TO_READY:
      close_feed(self);
      break;
    case GST_STATE_CHANGE_READY_TO_NULL:
      close_server(self);
      break;
    default:
      break;
  }
  return result;
}

static void junctor_rtmp_play_sink_set_property(GObject *object, guint id, const GValue *value,
                                                GParamSpec *pspec) {
  State &state = *JUNCTOR_RTMP_PLAY_SINK(object)->state;
  const std::lock_guard lock(state.mutex);
  if (set_server_property(state.settings, id, value)) {
    if (state.settings.stream.empty()) state.settings.stream = kDefaultStream;
    return;
  }
  if (id == kPropMaxLag) {
    // Droppable pictures go first, at the same share of the limit as by default.
    auto &limits = state.settings.limits;
    limits.lag_jump_ms = static_cast<int>(g_value_get_uint(value));
    limits.lag_skip_ms = limits.lag_jump_ms * 2 / 5;
    return;
  }
  G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

static void junctor_rtmp_play_sink_get_property(GObject *object, guint id, GValue *value,
                                                GParamSpec *pspec) {
  State &state = *JUNCTOR_RTMP_PLAY_SINK(object)->state;
  const std::lock_guard lock(state.mutex);
  if (get_server_property(state.settings, state.bound, id, value)) return;
  switch (id) {
    case kPropMaxLag:
      g_value_set_uint(value, static_cast<guint>(state.settings.limits.lag_jump_ms));
      break;
    case kPropStats:
      g_value_take_boxed(value, stats_of(state.feed.get()));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void junctor_rtmp_play_sink_finalize(GObject *object) {
  delete JUNCTOR_RTMP_PLAY_SINK(object)->state;
  G_OBJECT_CLASS(junctor_rtmp_play_sink_parent_class)->finalize(object);
}

static void junctor_rtmp_play_sink_class_init(JunctorRtmpPlaySinkClass *klass) {
  auto *object_class = G_OBJECT_CLASS(klass);
  auto *element_class = GST_ELEMENT_CLASS(klass);
  object_class->set_property = junctor_rtmp_play_sink_set_property;
  object_class->get_property = junctor_rtmp_play_sink_get_property;
  object_class->finalize = junctor_rtmp_play_sink_finalize;
  element_class->change_state = junctor_rtmp_play_sink_change_state;
  element_class->request_new_pad = junctor_rtmp_play_sink_request_new_pad;
  element_class->release_pad = junctor_rtmp_play_sink_release_pad;

  authenticate_signal = junctor::rtmp::set_up_class(
      element_class,
      {.role = Role::Pull,
       .stats_property = kPropStats,
       .stats_blurb = "players (now), and of this stream so far: frames, bytes, dropped "
                      "(64 bit each)",
       .audio = &audio_template,
       .video = &video_template,
       .name = "RTMP server sink",
       .kind = "Sink/Network",
       .description = "Checks RTMP players that connect, and gives them sound and picture"});
  g_object_class_install_property(
      object_class, kPropMaxLag,
      g_param_spec_uint("max-lag", "Maximum lag",
                        "Milliseconds that a player may lag until it jumps to the newest keyframe; "
                        "from two fifths of it on, pictures that no other needs are skipped. Of "
                        "the element that opens the port",
                        1, 60 * 1000, kDefaultMaxLag, junctor::rtmp::kSettable));
}

static void junctor_rtmp_play_sink_init(JunctorRtmpPlaySink *self) {
  self->state = new State;
  self->state->settings.stream = kDefaultStream;
  for (const Medium medium : {Medium::Audio, Medium::Video}) {
    Lane &lane = self->state->lanes[static_cast<std::size_t>(medium)];
    lane.medium = medium;
    gst_segment_init(&lane.segment, GST_FORMAT_UNDEFINED);
  }
  GST_OBJECT_FLAG_SET(self, GST_ELEMENT_FLAG_SINK);
}
