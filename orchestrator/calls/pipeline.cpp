// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/pipeline.h"

#include <gst/gst.h>
#include <gst/video/video.h>

#include <mutex>

#include "calls/catch_up.h"
#include "calls/coding_probes.h"
#include "calls/elements_of.h"
#include "calls/picture_numbers.h"
#include "calls/sound_gate.h"
#include "common/gst/refs.h"
#include "common/handle.h"
#include "common/main_context.h"
#include "common/shared_box.h"
#include "pictures/picture_gate.h"

namespace junctor::calls {

namespace {

using ContextRef = std::unique_ptr<GstContext, Releaser<gst_context_unref>>;

constexpr const char *kMediaMessage = "junctor-media";

std::string watchdog_of(Side side) { return std::string(to_string(side)) + "_watchdog"; }

template <class T>
void give(GstElement *element, const char *name, const std::shared_ptr<T> &object) {
  if (!object) return;
  const ContextRef context(gst_context_new(name, TRUE));
  GValue value = G_VALUE_INIT;
  shared_box_set(&value, object);
  gst_structure_take_value(gst_context_writable_structure(context.get()), kContextField, &value);
  gst_element_set_context(element, context.get());
}

/// Where messages of a pipeline go, from any thread. Outlives the pipeline while they fly.
class Mailbox : public std::enable_shared_from_this<Mailbox> {
 public:
  Mailbox(GMainContext *context, PathEvents events)
      : context_(context), events_(std::move(events)) {}

  /// Any thread; the function runs on the context unless close() came first.
  void post(std::function<void(const PathEvents &)> function) {
    post_to(context_, [self = shared_from_this(), function = std::move(function)] {
      if (self->open_) function(self->events_);
    });
  }
  /// On the context's thread.
  void close() { open_ = false; }

  void fail(const std::string &element, const std::string &message) {
    {
      const std::lock_guard lock(mutex_);
      if (failure_.empty()) failure_ = element + ": " + message;
    }
    post([element, message](const PathEvents &events) {
      if (events.failed) events.failed(element, message);
    });
  }
  std::string failure() {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  GMainContext *context_;
  PathEvents events_;
  bool open_ = true;
  std::mutex mutex_;
  std::string failure_;  // guarded by mutex_
};

using Held = std::shared_ptr<Mailbox>;
void release_held(gpointer data) { delete static_cast<Held *>(data); }

GstBusSyncReply on_message(GstBus *, GstMessage *message, gpointer data) {
  Mailbox &mailbox = **static_cast<Held *>(data);
  const std::string source(GST_MESSAGE_SRC_NAME(message));
  if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
    GError *error = nullptr;
    gchar *debug = nullptr;
    gst_message_parse_error(message, &error, &debug);
    mailbox.fail(source,
                 std::string(error->message) + (debug ? std::string(" (") + debug + ")" : ""));
    g_clear_error(&error);
    g_free(debug);
  } else if (gst_message_has_name(message, kMediaMessage)) {
    const char *state = gst_structure_get_string(gst_message_get_structure(message), "state");
    for (const Side side : kSides)
      if (state && source == watchdog_of(side))
        mailbox.post([side, state = std::string(state)](const PathEvents &events) {
          if (events.media) events.media(side, state);
        });
  }
  gst_message_unref(message);
  return GST_BUS_DROP;
}

/// Where packets to a phone are watched.
struct Watched {
  Held mailbox;
  Side side;
};

struct FirstPacket {
  Watched watched;
  Medium medium;
};

GstPadProbeReturn on_first_packet(GstPad *, GstPadProbeInfo *, gpointer data) {
  const auto &first = *static_cast<FirstPacket *>(data);
  first.watched.mailbox->post([side = first.watched.side, medium = first.medium,
                               now = Clock::now()](const PathEvents &events) {
    if (events.first_packet) events.first_packet(side, medium, now);
  });
  return GST_PAD_PROBE_REMOVE;
}

void watch_first_packet(GstPad *pad, Medium medium, const Watched &watched) {
  gst_pad_add_probe(
      pad, static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST),
      on_first_packet, new FirstPacket{watched, medium},
      [](gpointer data) { delete static_cast<FirstPacket *>(data); });
}

void on_pad_added(GstElement *, GstPad *pad, gpointer data) {
  for (const Medium medium : {Medium::Audio, Medium::Video})
    if (GST_PAD_IS_SINK(pad) && to_string(medium) == GST_PAD_NAME(pad))
      watch_first_packet(pad, medium, *static_cast<Watched *>(data));
}

Result<ElementRef> parse(const Fragment &line) {
  GError *error = nullptr;
  GstElement *parsed =
      gst_parse_launch_full(line.text().c_str(), nullptr, GST_PARSE_FLAG_FATAL_ERRORS, &error);
  const std::string problem = error ? error->message : "";
  g_clear_error(&error);
  if (!parsed) return internal_error("the launch line does not parse: " + problem);
  gst_object_ref_sink(parsed);
  return ElementRef(parsed);
}

class Pipeline : public MediaPath {
 public:
  explicit Pipeline(Held mailbox) : mailbox_(std::move(mailbox)) {}

  ~Pipeline() override {
    mailbox_->close();
    if (!pipeline_) return;
    gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
    const BusRef bus(gst_element_get_bus(pipeline_.get()));
    gst_bus_set_sync_handler(bus.get(), nullptr, nullptr, nullptr);
  }

  Result<void> start(const PathSpec &spec) {
    auto made = parse(spec.line);
    if (!made) return made.error();
    pipeline_ = *std::move(made);
    GstElement *const parsed = pipeline_.get();
    // A bus that is never polled needs no descriptors.
    const BusRef bus(
        GST_BUS(gst_object_ref_sink(g_object_new(GST_TYPE_BUS, "enable-async", FALSE, nullptr))));
    gst_element_set_bus(parsed, bus.get());
    gst_bus_set_sync_handler(bus.get(), on_message, new Held(mailbox_), release_held);

    give(parsed, kReactorContext, spec.reactor);
    give(parsed, kRtmpServerContext, spec.server);
    give(parsed, kSipAgentContext, spec.agent);
    for (const Setting &setting : spec.settings) {
      const ElementRef element(find(setting.element));
      if (!element) continue;
      if (auto set = set_property(element.get(), setting.property, setting.value); !set) return set;
    }
    watch_first_packets();
    const auto routes = coding_routes(parsed);
    sound_.attach(routes);
    coding_.attach(routes);
    bound_pictures(routes);
    let_decoders_catch_up(parsed);
    number_pictures(parsed);
    if (!spec.sending) hold_back();
    if (gst_element_set_state(parsed, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE)
      return internal_error("the media pipeline does not start: " + mailbox_->failure());
    return {};
  }

  void begin_sending() override {
    const ElementRef watchdog(find(watchdog_of(Side::Caller))), caller(find("caller"));
    if (watchdog) g_object_set(watchdog.get(), "armed", TRUE, nullptr);
    if (!caller) return;
    gst_element_set_locked_state(caller.get(), FALSE);
    gst_element_sync_state_with_parent(caller.get());
  }

  CodingLatency coding_latency() const override { return coding_.figures(); }
  std::uint64_t surplus_sound() const override { return sound_.left_out(); }

  void set_watchdog_tries(Side side, unsigned tries) override {
    const ElementRef watchdog(find(watchdog_of(side)));
    if (watchdog) g_object_set(watchdog.get(), "tries", tries, nullptr);
  }

  void force_keyframe(Side side) override {
    const ElementRef phone(find(std::string(to_string(side))));
    if (!phone) return;
    const PadRef pad(gst_element_get_static_pad(phone.get(), "video"));
    if (!pad || !GST_PAD_IS_SINK(pad.get())) return;
    gst_pad_push_event(pad.get(),
                       gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, FALSE, 0));
  }

 private:
  void bound_pictures(const std::vector<CodingRoute> &routes) {
    for (const CodingRoute &route : routes) {
      if (route.medium != Medium::Video) continue;
      const ElementRef decoder(gst_pad_get_parent_element(route.decoded.get()));
      const PadRef sink(decoder ? gst_element_get_static_pad(decoder.get(), "sink") : nullptr);
      if (!sink) continue;
      const auto tell = [mailbox = mailbox_, to = route.taker](const std::string &size) {
        mailbox->post([to, size](const PathEvents &events) {
          if (events.too_large) events.too_large(to, size);
        });
      };
      pictures::bound_pictures(sink.get(), tell);
    }
  }

  /// The source stays where it is while the rest runs; so that it begins, when it does, with a
  /// picture that can be decoded.
  void hold_back() {
    const ElementRef watchdog(find(watchdog_of(Side::Caller))), caller(find("caller"));
    if (watchdog) g_object_set(watchdog.get(), "armed", FALSE, nullptr);
    if (caller) gst_element_set_locked_state(caller.get(), TRUE);
  }

  ElementRef find(const std::string &name) const {
    return ElementRef(gst_bin_get_by_name(GST_BIN(pipeline_.get()), name.c_str()));
  }

  /// Of what goes to phones. Their pads may come as late as the other side's tracks.
  void watch_first_packets() {
    for (const Side side : kSides) {
      const ElementRef phone(find(std::string(to_string(side))));
      if (!phone) continue;
      const Watched watched{mailbox_, side};
      g_signal_connect_data(
          phone.get(), "pad-added", G_CALLBACK(on_pad_added), new Watched(watched),
          [](gpointer data, GClosure *) { delete static_cast<Watched *>(data); },
          static_cast<GConnectFlags>(0));
      for (const Medium medium : {Medium::Audio, Medium::Video}) {
        const PadRef pad(
            gst_element_get_static_pad(phone.get(), std::string(to_string(medium)).c_str()));
        if (pad && GST_PAD_IS_SINK(pad.get())) watch_first_packet(pad.get(), medium, watched);
      }
    }
  }

  Held mailbox_;
  ElementRef pipeline_;
  SoundGate sound_;
  CodingProbes coding_;
};

}  // namespace

Result<void> try_line(const Fragment &line) {
  const auto parsed = parse(line);
  return parsed ? Result<void>() : Result<void>(parsed.error());
}

Result<void> set_property(void *element, const std::string &property, const std::string &value) {
  GObject *object = G_OBJECT(element);
  const GParamSpec *spec =
      g_object_class_find_property(G_OBJECT_GET_CLASS(object), property.c_str());
  const std::string what = std::string(GST_OBJECT_NAME(object)) + "." + property;
  if (!spec) return internal_error(what + ": the element has no such property");
  if (spec->value_type == G_TYPE_STRING) {
    // Not through the text form of GValues, which would give some characters a meaning.
    g_object_set(object, property.c_str(), value.c_str(), nullptr);
    return {};
  }
  GValue converted = G_VALUE_INIT;
  g_value_init(&converted, spec->value_type);
  const bool fits = gst_value_deserialize(&converted, value.c_str());
  if (fits) g_object_set_property(object, property.c_str(), &converted);
  g_value_unset(&converted);
  if (!fits)
    return internal_error(what + " cannot be set to '" + value + "', it is of type " +
                          g_type_name(spec->value_type));
  return {};
}

Result<std::unique_ptr<MediaPath>> make_pipeline(GMainContext *context, const PathSpec &spec,
                                                 PathEvents events) {
  auto pipeline = std::make_unique<Pipeline>(std::make_shared<Mailbox>(context, std::move(events)));
  if (auto started = pipeline->start(spec); !started) return started.error();
  return std::unique_ptr<MediaPath>(std::move(pipeline));
}

}  // namespace junctor::calls
