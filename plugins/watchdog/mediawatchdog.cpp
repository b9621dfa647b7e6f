// SPDX-License-Identifier: LGPL-2.1-or-later
/**
 * SECTION:element-mediawatchdog
 *
 * Passes any number of streams through and applies the M × N rule to all of them together: each
 * `interval` milliseconds it checks whether a buffer has come on any pad; after `tries` silent
 * checks in a row it posts that the media is lost. One silent stream of several is not silence.
 *
 * Threads: buffers pass in their streaming threads at the price of one atomic load. Checks run in
 * the asynchronous thread of the element's clock, with one timer for each. Lock order: none is
 * taken under State::mutex but the clock's.
 */
#include "watchdog/mediawatchdog.h"

#include <atomic>
#include <charconv>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "watchdog/core/rule.h"

GST_DEBUG_CATEGORY_STATIC(junctor_media_watchdog_debug);
#define GST_CAT_DEFAULT junctor_media_watchdog_debug

namespace {

using junctor::Duration;
using junctor::Time;
using junctor::watchdog::MediaState;
using junctor::watchdog::Report;
using junctor::watchdog::Rule;
using junctor::watchdog::Settings;

constexpr guint kDefaultInterval = 1000;  // ms
constexpr guint kDefaultTries = 30;
constexpr guint kMaxInterval = 24 * 60 * 60 * 1000;  // ms: a day

enum Property : guint { kPropNone, kPropInterval, kPropTries, kPropArmed, kPropState };

Time to_time(GstClockTime time) { return Time(std::chrono::nanoseconds(time)); }

/// The two pads of one stream; hung onto both. Lives as long as the pads are in the element.
struct Stream {
  GstPad *sink;
  GstPad *src;
};

Stream *stream_of(GstPad *pad) { return static_cast<Stream *>(gst_pad_get_element_private(pad)); }

struct State {
  /// Media was noted since the last check, or nothing is to be noted. The one thing that each
  /// buffer looks at.
  std::atomic<bool> noted = true;

  std::mutex mutex;  // guards all below
  Rule rule;
  bool armed = true;
  bool playing = false;
  GstClock *clock = nullptr;   // owned while playing
  GstClockID timer = nullptr;  // owned while a check is due
  guint next_pad = 0;
};

}  // namespace

struct _JunctorMediaWatchdog {
  GstElement parent;
  State *state;
};

G_DEFINE_TYPE_WITH_CODE(JunctorMediaWatchdog, junctor_media_watchdog, GST_TYPE_ELEMENT,
                        GST_DEBUG_CATEGORY_INIT(junctor_media_watchdog_debug, "mediawatchdog", 0,
                                                "silence of all streams"))
GST_ELEMENT_REGISTER_DEFINE(mediawatchdog, "mediawatchdog", GST_RANK_NONE,
                            JUNCTOR_TYPE_MEDIA_WATCHDOG)

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink_%u", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS_ANY);
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src_%u", GST_PAD_SRC, GST_PAD_SOMETIMES, GST_STATIC_CAPS_ANY);

namespace {

void post(JunctorMediaWatchdog *self, const std::optional<Report> &report) {
  if (!report) return;
  const std::string name(to_string(report->state));
  const auto silent =
      std::chrono::duration_cast<std::chrono::nanoseconds>(report->silent_for).count();
  GST_INFO_OBJECT(self, "%s after %" GST_TIME_FORMAT " of silence, %u silent checks", name.c_str(),
                  GST_TIME_ARGS(static_cast<GstClockTime>(silent)), report->tries);
  GstStructure *structure = gst_structure_new(
      "junctor-media", "state", G_TYPE_STRING, name.c_str(), "silent-for", G_TYPE_UINT64,
      static_cast<guint64>(silent), "tries", G_TYPE_UINT, report->tries, nullptr);
  gst_element_post_message(GST_ELEMENT(self), gst_message_new_element(GST_OBJECT(self), structure));
  g_object_notify(G_OBJECT(self), "state");
}

void stop_timer(State &state) {
  if (state.timer == nullptr) return;
  gst_clock_id_unschedule(state.timer);
  gst_clock_id_unref(state.timer);
  state.timer = nullptr;
}

gboolean on_timer(GstClock *clock, GstClockTime time, GstClockID id, gpointer data);

/// A timer for the next check, if there is to be one; in place of the one that was.
void start_timer(JunctorMediaWatchdog *self, State &state) {
  stop_timer(state);
  const auto due = state.rule.next_check();
  if (!due) return;
  const auto time = std::chrono::nanoseconds(due->time_since_epoch()).count();
  state.timer = gst_clock_new_single_shot_id(state.clock, static_cast<GstClockTime>(time));
  // The reference keeps the element from going away under a timer that fires right now.
  if (gst_clock_id_wait_async(state.timer, on_timer, gst_object_ref(self), gst_object_unref) !=
      GST_CLOCK_OK)
    GST_WARNING_OBJECT(self, "clock %" GST_PTR_FORMAT " takes no timer; nothing will be counted",
                       state.clock);
}

gboolean on_timer(GstClock *clock, GstClockTime, GstClockID id, gpointer data) {
  auto *self = JUNCTOR_MEDIA_WATCHDOG(data);
  State &state = *self->state;
  std::optional<Report> report;
  {
    const std::lock_guard lock(state.mutex);
    // An unscheduled timer may be on its way here still.
    if (id != state.timer) return TRUE;
    // The present, not when the timer was due: after a stall (a stopped process, a paused machine)
    // all that was missed counts once, and sockets are read before the next check.
    report = state.rule.check(to_time(gst_clock_get_time(clock)));
    start_timer(self, state);
    state.noted = false;
    GST_LOG_OBJECT(self, "%s, %u silent checks", to_string(state.rule.state()).data(),
                   state.rule.tries());
  }
  post(self, report);
  return TRUE;
}

/// Counts anew if armed and playing. Takes the lock.
void arm(JunctorMediaWatchdog *self) {
  State &state = *self->state;
  std::optional<Report> report;
  {
    const std::lock_guard lock(state.mutex);
    if (!state.armed || !state.playing) return;
    report = state.rule.arm(to_time(gst_clock_get_time(state.clock)));
    start_timer(self, state);
    state.noted = false;
  }
  post(self, report);
}

/// Stops counting; with `playing` false until it plays again, even if somebody arms it as soon as
/// he hears of that. Takes the lock.
void disarm(JunctorMediaWatchdog *self, bool playing) {
  State &state = *self->state;
  {
    const std::lock_guard lock(state.mutex);
    state.rule.disarm();
    stop_timer(state);
    state.noted = true;
    if (!playing) {
      state.playing = false;
      gst_clear_object(&state.clock);
    }
  }
  g_object_notify(G_OBJECT(self), "state");
}

/// Streaming thread, for the first buffer after each check.
void note(JunctorMediaWatchdog *self) {
  State &state = *self->state;
  std::optional<Report> report;
  {
    const std::lock_guard lock(state.mutex);
    if (state.noted.exchange(true) || state.clock == nullptr) return;
    const bool was_lost = state.rule.state() == MediaState::Lost;
    report = state.rule.media(to_time(gst_clock_get_time(state.clock)));
    if (was_lost) start_timer(self, state);
  }
  post(self, report);
}

inline void on_media(GstObject *parent) {
  auto *self = reinterpret_cast<JunctorMediaWatchdog *>(parent);
  if (!self->state->noted.load(std::memory_order_relaxed)) note(self);
}

GstFlowReturn chain(GstPad *pad, GstObject *parent, GstBuffer *buffer) {
  on_media(parent);
  return gst_pad_push(stream_of(pad)->src, buffer);
}

GstFlowReturn chain_list(GstPad *pad, GstObject *parent, GstBufferList *list) {
  on_media(parent);
  return gst_pad_push_list(stream_of(pad)->src, list);
}

GstIterator *iterate_internal_links(GstPad *pad, GstObject *parent) {
  if (parent == nullptr) return nullptr;
  const std::lock_guard lock(reinterpret_cast<JunctorMediaWatchdog *>(parent)->state->mutex);
  const Stream *stream = stream_of(pad);
  if (stream == nullptr) return nullptr;
  GValue value = G_VALUE_INIT;
  g_value_init(&value, GST_TYPE_PAD);
  g_value_set_object(&value, pad == stream->sink ? stream->src : stream->sink);
  GstIterator *iterator = gst_iterator_new_single(GST_TYPE_PAD, &value);
  g_value_unset(&value);
  return iterator;
}

void drop_stream(JunctorMediaWatchdog *self, Stream *stream) {
  {
    const std::lock_guard lock(self->state->mutex);
    gst_pad_set_element_private(stream->sink, nullptr);
    gst_pad_set_element_private(stream->src, nullptr);
  }
  delete stream;
}

GstPad *make_pad(GstStaticPadTemplate *pad_template, const std::string &name) {
  GstPad *pad = gst_pad_new_from_static_template(pad_template, name.c_str());
  gst_pad_set_iterate_internal_links_function(pad, iterate_internal_links);
  GST_PAD_SET_PROXY_CAPS(pad);
  GST_PAD_SET_PROXY_ALLOCATION(pad);
  GST_PAD_SET_PROXY_SCHEDULING(pad);
  return pad;
}

/// The number in "sink_NUMBER"; nothing if `name` is null or reads otherwise.
std::optional<guint> number_in(const gchar *name) {
  constexpr std::string_view kPrefix = "sink_";
  const std::string_view text = name != nullptr ? name : "";
  if (text.substr(0, kPrefix.size()) != kPrefix) return std::nullopt;
  guint number = 0;
  const char *end = text.data() + text.size();
  const auto read = std::from_chars(text.data() + kPrefix.size(), end, number);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return number;
}

bool has_pad(GstElement *element, const std::string &name) {
  GstPad *pad = gst_element_get_static_pad(element, name.c_str());
  if (pad != nullptr) gst_object_unref(pad);
  return pad != nullptr;
}

}  // namespace

static GstPad *junctor_media_watchdog_request_new_pad(GstElement *element, GstPadTemplate *,
                                                      const gchar *wanted, const GstCaps *) {
  auto *self = JUNCTOR_MEDIA_WATCHDOG(element);
  guint number = 0;
  if (const auto asked = number_in(wanted)) {
    number = *asked;
  } else {
    const std::lock_guard lock(self->state->mutex);
    number = self->state->next_pad;
    while (has_pad(element, "sink_" + std::to_string(number))) ++number;
    self->state->next_pad = number + 1;
  }
  const std::string suffix = std::to_string(number);
  if (has_pad(element, "sink_" + suffix)) {
    GST_WARNING_OBJECT(self, "pad sink_%s is there already; ask for another number",
                       suffix.c_str());
    return nullptr;
  }

  GstPad *sink = make_pad(&sink_template, "sink_" + suffix);
  GstPad *src = make_pad(&src_template, "src_" + suffix);
  auto *stream = new Stream{sink, src};
  gst_pad_set_element_private(sink, stream);
  gst_pad_set_element_private(src, stream);
  gst_pad_set_chain_function(sink, chain);
  gst_pad_set_chain_list_function(sink, chain_list);

  gst_pad_set_active(src, TRUE);
  gst_pad_set_active(sink, TRUE);
  gst_element_add_pad(element, src);
  gst_element_add_pad(element, sink);
  return sink;
}

static void junctor_media_watchdog_release_pad(GstElement *element, GstPad *sink) {
  Stream *stream = stream_of(sink);
  if (stream == nullptr) return;
  // Source first: it wakes a push that blocks downstream's probes, so that the sink's streaming
  // lock can be had.
  gst_pad_set_active(stream->src, FALSE);
  gst_pad_set_active(sink, FALSE);
  GstPad *src = stream->src;
  drop_stream(JUNCTOR_MEDIA_WATCHDOG(element), stream);
  gst_element_remove_pad(element, src);
  gst_element_remove_pad(element, sink);
}

static GstStateChangeReturn junctor_media_watchdog_change_state(GstElement *element,
                                                                GstStateChange transition) {
  auto *self = JUNCTOR_MEDIA_WATCHDOG(element);
  State &state = *self->state;

  if (transition == GST_STATE_CHANGE_PAUSED_TO_PLAYING) {
    {
      const std::lock_guard lock(state.mutex);
      state.clock = gst_element_get_clock(element);
      if (state.clock == nullptr) state.clock = gst_system_clock_obtain();
      state.playing = true;
    }
    arm(self);
  }

  const GstStateChangeReturn result =
      GST_ELEMENT_CLASS(junctor_media_watchdog_parent_class)->change_state(element, transition);

  if (transition == GST_STATE_CHANGE_PLAYING_TO_PAUSED) disarm(self, false);
  return result;
}

static void junctor_media_watchdog_set_property(GObject *object, guint id, const GValue *value,
                                                GParamSpec *pspec) {
  auto *self = JUNCTOR_MEDIA_WATCHDOG(object);
  State &state = *self->state;
  switch (id) {
    case kPropInterval: {
      const std::lock_guard lock(state.mutex);
      Settings settings = state.rule.settings();
      settings.interval = std::chrono::milliseconds(g_value_get_uint(value));
      state.rule.configure(settings);
      if (state.timer != nullptr) start_timer(self, state);
      break;
    }
    case kPropTries: {
      const std::lock_guard lock(state.mutex);
      Settings settings = state.rule.settings();
      settings.tries = g_value_get_uint(value);
      state.rule.configure(settings);
      break;
    }
    case kPropArmed: {
      const bool armed = g_value_get_boolean(value);
      {
        const std::lock_guard lock(state.mutex);
        state.armed = armed;
      }
      if (armed)
        arm(self);
      else
        disarm(self, true);
      break;
    }
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void junctor_media_watchdog_get_property(GObject *object, guint id, GValue *value,
                                                GParamSpec *pspec) {
  State &state = *JUNCTOR_MEDIA_WATCHDOG(object)->state;
  const std::lock_guard lock(state.mutex);
  switch (id) {
    case kPropInterval:
      g_value_set_uint(value,
                       static_cast<guint>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                              state.rule.settings().interval)
                                              .count()));
      break;
    case kPropTries:
      g_value_set_uint(value, state.rule.settings().tries);
      break;
    case kPropArmed:
      g_value_set_boolean(value, state.armed);
      break;
    case kPropState:
      g_value_set_string(value, to_string(state.rule.state()).data());
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void junctor_media_watchdog_finalize(GObject *object) {
  delete JUNCTOR_MEDIA_WATCHDOG(object)->state;
  G_OBJECT_CLASS(junctor_media_watchdog_parent_class)->finalize(object);
}

static void junctor_media_watchdog_pad_removed(GstElement *element, GstPad *pad) {
  // Reached with a stream still hung on only when the whole element goes: then both pads of a
  // stream are removed one after the other and nothing flows.
  Stream *stream = stream_of(pad);
  if (stream != nullptr) drop_stream(JUNCTOR_MEDIA_WATCHDOG(element), stream);
}

static void junctor_media_watchdog_class_init(JunctorMediaWatchdogClass *klass) {
  auto *object_class = G_OBJECT_CLASS(klass);
  auto *element_class = GST_ELEMENT_CLASS(klass);

  object_class->set_property = junctor_media_watchdog_set_property;
  object_class->get_property = junctor_media_watchdog_get_property;
  object_class->finalize = junctor_media_watchdog_finalize;
  element_class->change_state = junctor_media_watchdog_change_state;
  element_class->request_new_pad = junctor_media_watchdog_request_new_pad;
  element_class->release_pad = junctor_media_watchdog_release_pad;
  element_class->pad_removed = junctor_media_watchdog_pad_removed;

  constexpr auto kFlags = static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
                                                   GST_PARAM_MUTABLE_PLAYING);
  g_object_class_install_property(
      object_class, kPropInterval,
      g_param_spec_uint("interval", "Interval",
                        "Milliseconds between two checks whether a buffer has come on any pad; a "
                        "change counts from the next check on",
                        1, kMaxInterval, kDefaultInterval, kFlags));
  g_object_class_install_property(
      object_class, kPropTries,
      g_param_spec_uint("tries", "Tries",
                        "How many checks in a row must find no buffer on any pad until the media "
                        "is lost",
                        1, G_MAXUINT, kDefaultTries, kFlags));
  g_object_class_install_property(
      object_class, kPropArmed,
      g_param_spec_boolean("armed", "Armed",
                           "Whether silence is counted while PLAYING; setting it to true, even "
                           "again, starts the count anew",
                           TRUE, kFlags));
  g_object_class_install_property(
      object_class, kPropState,
      g_param_spec_string("state", "State",
                          "idle (not armed or not PLAYING), waiting (silent, being counted), "
                          "flowing or lost",
                          "idle",
                          static_cast<GParamFlags>(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)));

  gst_element_class_add_static_pad_template(element_class, &sink_template);
  gst_element_class_add_static_pad_template(element_class, &src_template);
  gst_element_class_set_static_metadata(
      element_class, "Media watchdog", "Generic",
      "Passes streams through; posts junctor-media when all of them fall silent or flow again",
      "The Junctor authors");
}

static void junctor_media_watchdog_init(JunctorMediaWatchdog *self) { self->state = new State; }
