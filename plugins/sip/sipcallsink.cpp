// SPDX-License-Identifier: LGPL-2.1-or-later
/**
 * SECTION:element-sipcallsink
 *
 * A SIP call: what flows into `audio` and `video` is sent to the callee, what the callee sends
 * flows out of `audio_src` and `video_src`. Frames of H264 and G.711 are packed here; any other
 * payloader's packets are sent as they come. Frames of sound can be taken out of their packets
 * here.
 *
 * Threads: sink pads hand packets over to the reactor of the call's sessions (at once if they are
 * on it already); source pads push from there. Signals and messages come from the SIP agent's
 * thread. Neither handler may change the element's state; see State for locks.
 */
#include "sip/sipcallsink.h"

#include <gst/video/video-event.h>

#include <algorithm>
#include <iterator>

#include "common/gst/context.h"
#include "common/gst/queries.h"
#include "sip/sipcall_state.h"

GST_DEBUG_CATEGORY(junctor_sip_call_sink_debug);
#define GST_CAT_DEFAULT junctor_sip_call_sink_debug

using namespace junctor;
using namespace junctor::sipcall;

struct _JunctorSipCallSink {
  GstElement parent;
  State *state;
};

G_DEFINE_TYPE_WITH_CODE(JunctorSipCallSink, junctor_sip_call_sink, GST_TYPE_ELEMENT,
                        GST_DEBUG_CATEGORY_INIT(junctor_sip_call_sink_debug, "sipcallsink", 0,
                                                "a SIP call"))
GST_ELEMENT_REGISTER_DEFINE(sipcallsink, "sipcallsink", GST_RANK_NONE, JUNCTOR_TYPE_SIP_CALL_SINK)

namespace {

enum Property : guint {
  kPropNone,
  kPropUri,
  kPropFrom,
  kPropProxy,
  kPropUser,
  kPropPassword,
  kPropTransport,
  kPropSrtp,
  kPropCodecs,
  kPropDepayload,
  kPropCall,
  kPropAddress,
  kPropPort,
  kPropAnswerTimeout,
  kPropTlsCertificate,
  kPropTlsKey,
  kPropTlsCa,
  kPropTlsVerify,
  kPropStats,
};

constexpr const char *kTransports[] = {"", "tcp", "tls"};  // by value of the property

GType transport_type() {
  static const GEnumValue kValues[] = {{0, "UDP, or what the uri says", "udp"},
                                       {1, "TCP", "tcp"},
                                       {2, "TLS", "tls"},
                                       {0, nullptr, nullptr}};
  static const GType type = g_enum_register_static("JunctorSipTransport", kValues);
  return type;
}

GType srtp_type() {
  static const GEnumValue kValues[] = {
      {static_cast<gint>(rtp::SrtpPolicy::Off), "Plain RTP", "off"},
      {static_cast<gint>(rtp::SrtpPolicy::Prefer), "SRTP over TLS, with who can", "prefer"},
      {static_cast<gint>(rtp::SrtpPolicy::Require), "SRTP over TLS, or no call", "require"},
      {0, nullptr, nullptr}};
  static const GType type = g_enum_register_static("JunctorSipSrtp", kValues);
  return type;
}

State &state_of(void *object) { return *reinterpret_cast<JunctorSipCallSink *>(object)->state; }

/// Never null and as long-lived as the pad, which keeps it.
Inlet &inlet_of(GstPad *pad) { return *static_cast<Inlet *>(gst_pad_get_element_private(pad)); }

// ---- Sink pads ----

GstFlowReturn chain(GstPad *pad, GstObject *, GstBuffer *buffer) {
  return inlet_of(pad).push(buffer);
}

GstFlowReturn chain_list(GstPad *pad, GstObject *, GstBufferList *list) {
  return inlet_of(pad).push(list);
}

gboolean sink_event(GstPad *pad, GstObject *parent, GstEvent *event) {
  Inlet &inlet = inlet_of(pad);
  switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_CAPS: {
      GstCaps *caps = nullptr;
      gst_event_parse_caps(event, &caps);
      if (const auto taken = inlet.set_caps(caps); !taken) {
        GST_ELEMENT_WARNING(GST_ELEMENT(parent), STREAM, FORMAT,
                            ("Pad %s: %s", GST_PAD_NAME(pad), taken.error().detail.c_str()),
                            ("nothing of it is sent; put a parser in front of the pad"));
      }
      state_of(parent).on_caps();
      break;
    }
    case GST_EVENT_SEGMENT: {
      const GstSegment *segment = nullptr;
      gst_event_parse_segment(event, &segment);
      inlet.set_segment(*segment);
      break;
    }
    case GST_EVENT_STREAM_START:
    case GST_EVENT_FLUSH_STOP:
      inlet.begin_source();
      inlet.eos = false;
      break;
    case GST_EVENT_EOS:
      inlet.eos = true;
      state_of(parent).on_eos(gst_event_get_seqnum(event));
      break;
    default:
      break;
  }
  gst_event_unref(event);
  return TRUE;
}

gboolean sink_query(GstPad *pad, GstObject *parent, GstQuery *query) {
  switch (GST_QUERY_TYPE(query)) {
    case GST_QUERY_CAPS:
      return junctor::answer_caps(query, inlet_of(pad).welcome());
    case GST_QUERY_ACCEPT_CAPS:
      return gst_pad_query_default(pad, parent, query);
    case GST_QUERY_CONTEXT:
      return gst::answer_context_query(GST_ELEMENT(parent), query);
    default:
      return FALSE;
  }
}

/// Sound and picture, in and out, have nothing to do with each other's caps, events and queries.
GstIterator *no_internal_links(GstPad *, GstObject *) { return nullptr; }

void set_up_sink(GstPad *pad) {
  gst_pad_set_chain_function(pad, chain);
  gst_pad_set_chain_list_function(pad, chain_list);
  gst_pad_set_event_function(pad, sink_event);
  gst_pad_set_query_function(pad, sink_query);
  gst_pad_set_iterate_internal_links_function(pad, no_internal_links);
}

// ---- Source pads ----

gboolean src_event(GstPad *pad, GstObject *parent, GstEvent *event) {
  gboolean handled = FALSE;
  if (gst_video_event_is_force_key_unit(event)) {
    if (const auto outlet = state_of(parent).outlet_of(pad)) {
      outlet->request_keyframe();
      handled = TRUE;
    }
  } else {
    const GstEventType type = GST_EVENT_TYPE(event);
    handled = type == GST_EVENT_LATENCY || type == GST_EVENT_QOS || type == GST_EVENT_RECONFIGURE;
  }
  gst_event_unref(event);
  return handled;
}

gboolean src_query(GstPad *pad, GstObject *parent, GstQuery *query) {
  switch (GST_QUERY_TYPE(query)) {
    case GST_QUERY_LATENCY:
      // A packet leaves at once, or when the gap before it has waited long enough.
      gst_query_set_latency(query, TRUE,
                            static_cast<GstClockTime>(state_of(parent).latency().count()),
                            GST_CLOCK_TIME_NONE);
      return TRUE;
    case GST_QUERY_CONTEXT:
      return gst::answer_context_query(GST_ELEMENT(parent), query);
    default:
      return gst_pad_query_default(pad, parent, query);
  }
}

void set_up_src(GstPad *pad) {
  gst_pad_set_event_function(pad, src_event);
  gst_pad_set_query_function(pad, src_query);
  gst_pad_set_iterate_internal_links_function(pad, no_internal_links);
  gst_pad_use_fixed_caps(pad);
}

}  // namespace

// ---- The element ----

static GstPad *junctor_sip_call_sink_request_new_pad(GstElement *element,
                                                     GstPadTemplate *pad_template, const gchar *,
                                                     const GstCaps *) {
  const std::string name = GST_PAD_TEMPLATE_NAME_TEMPLATE(pad_template);
  const Medium medium = name == "audio" ? Medium::Audio : Medium::Video;
  GstPad *pad = state_of(element).add_inlet(pad_template, medium);
  if (pad == nullptr)
    GST_WARNING_OBJECT(element, "a call has one pad %s, and it is there already", name.c_str());
  return pad;
}

static void junctor_sip_call_sink_release_pad(GstElement *element, GstPad *pad) {
  state_of(element).remove_inlet(pad);
}

static GstStateChangeReturn junctor_sip_call_sink_change_state(GstElement *element,
                                                               GstStateChange transition) {
  State &state = state_of(element);
  if (transition == GST_STATE_CHANGE_NULL_TO_READY && !state.open())
    return GST_STATE_CHANGE_FAILURE;
  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED && !state.start())
    return GST_STATE_CHANGE_FAILURE;
  if (transition == GST_STATE_CHANGE_PLAYING_TO_PAUSED) state.pause();

  const GstStateChangeReturn result =
      GST_ELEMENT_CLASS(junctor_sip_call_sink_parent_class)->change_state(element, transition);
  // Half a step is taken back, and a step down is never refused.
  if (result == GST_STATE_CHANGE_FAILURE) {
    if (transition == GST_STATE_CHANGE_READY_TO_PAUSED ||
        transition == GST_STATE_CHANGE_PAUSED_TO_READY)
      state.stop();
    if (transition == GST_STATE_CHANGE_NULL_TO_READY ||
        transition == GST_STATE_CHANGE_READY_TO_NULL)
      state.close();
    return result;
  }

  switch (transition) {
    case GST_STATE_CHANGE_READY_TO_PAUSED:
    case GST_STATE_CHANGE_PLAYING_TO_PAUSED:
      return GST_STATE_CHANGE_NO_PREROLL;  // live, as a source and as a sink
    case GST_STATE_CHANGE_PAUSED_TO_PLAYING:
      state.play();
      break;
    case GST_STATE_CHANGE_PAUSED_TO_READY:
      state.stop();
      break;
    case GST_STATE_CHANGE_READY_TO_NULL:
      state.close();
      break;
    default:
      break;
  }
  return result;
}

/// The digit that an event of the form of rtpdtmfsrc asks for, "dtmf-event"; where it begins, for
/// here it has a length of its own.
static bool parse_dtmf_event(GstEvent *event, char &digit) {
  const GstStructure *structure = gst_event_get_structure(event);
  gint number = -1, type = 1;
  gboolean start = FALSE;
  if (structure == nullptr || !gst_structure_has_name(structure, "dtmf-event") ||
      !gst_structure_get_int(structure, "number", &number) ||
      !gst_structure_get_boolean(structure, "start", &start))
    return false;
  gst_structure_get_int(structure, "type", &type);
  if (!start || type != 1 || number < 0 || number >= static_cast<gint>(rtp::kDigits.size()))
    return false;
  digit = rtp::kDigits[static_cast<std::size_t>(number)];
  return true;
}

static gboolean junctor_sip_call_sink_send_event(GstElement *element, GstEvent *event) {
  const GstEventType type = GST_EVENT_TYPE(event);
  char digit[2] = {'\0', '\0'};
  if (type == GST_EVENT_EOS) state_of(element).end(gst_event_get_seqnum(event));
  const bool dtmf = type == GST_EVENT_CUSTOM_UPSTREAM && parse_dtmf_event(event, digit[0]);
  if (dtmf) state_of(element).send_dtmf(digit);
  gst_event_unref(event);
  return type == GST_EVENT_EOS || type == GST_EVENT_LATENCY || dtmf;
}

static gboolean junctor_sip_call_sink_query(GstElement *element, GstQuery *query) {
  if (GST_QUERY_TYPE(query) != GST_QUERY_LATENCY)
    return GST_ELEMENT_CLASS(junctor_sip_call_sink_parent_class)->query(element, query);
  // As a sink it sends what comes at once: the latency is upstream's.
  GstClockTime longest = 0, limit = GST_CLOCK_TIME_NONE;
  for (const auto &inlet : state_of(element).inlets()) {
    const PadRef pad = inlet->pad();
    if (!pad) continue;
    GstQuery *upstream = gst_query_new_latency();
    gboolean live = FALSE;
    GstClockTime least = 0, most = GST_CLOCK_TIME_NONE;
    if (gst_pad_peer_query(pad.get(), upstream))
      gst_query_parse_latency(upstream, &live, &least, &most);
    gst_query_unref(upstream);
    if (!live) continue;
    longest = MAX(longest, least);
    if (GST_CLOCK_TIME_IS_VALID(most)) limit = MIN(limit, most);
  }
  gst_query_set_latency(query, TRUE, longest, limit);
  return TRUE;
}

static void junctor_sip_call_sink_set_property(GObject *object, guint id, const GValue *value,
                                               GParamSpec *pspec) {
  const auto text = [&] {
    const char *content = g_value_get_string(value);
    return std::string(content != nullptr ? content : "");
  };
  state_of(object).change_settings([&](Settings &settings) {
    switch (id) {
      case kPropUri:
        settings.uri = text();
        break;
      case kPropFrom:
        settings.from = text();
        break;
      case kPropProxy:
        settings.proxy = text();
        break;
      case kPropUser:
        settings.user = text();
        break;
      case kPropPassword:
        settings.password = text();
        break;
      case kPropTransport:
        settings.transport = kTransports[g_value_get_enum(value)];
        break;
      case kPropSrtp:
        settings.srtp = static_cast<rtp::SrtpPolicy>(g_value_get_enum(value));
        break;
      case kPropCodecs:
        settings.codecs = text();
        break;
      case kPropDepayload:
        settings.depayload = g_value_get_boolean(value) != FALSE;
        break;
      case kPropCall:
        settings.call = text();
        break;
      case kPropAddress:
        settings.address = text();
        break;
      case kPropPort:
        settings.port = g_value_get_uint(value);
        break;
      case kPropAnswerTimeout:
        settings.answer_timeout = g_value_get_uint(value);
        break;
      case kPropTlsCertificate:
        settings.tls_certificate = text();
        break;
      case kPropTlsKey:
        settings.tls_key = text();
        break;
      case kPropTlsCa:
        settings.tls_ca = text();
        break;
      case kPropTlsVerify:
        settings.tls_verify = g_value_get_boolean(value) != FALSE;
        break;
      default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
  });
}

static void junctor_sip_call_sink_get_property(GObject *object, guint id, GValue *value,
                                               GParamSpec *pspec) {
  const State &state = state_of(object);
  const Settings settings = state.settings();
  switch (id) {
    case kPropUri:
      g_value_set_string(value, settings.uri.c_str());
      break;
    case kPropFrom:
      g_value_set_string(value, settings.from.c_str());
      break;
    case kPropProxy:
      g_value_set_string(value, settings.proxy.c_str());
      break;
    case kPropUser:
      g_value_set_string(value, settings.user.c_str());
      break;
    case kPropTransport:
      g_value_set_enum(value, static_cast<gint>(std::ranges::find(kTransports, settings.transport) -
                                                std::begin(kTransports)));
      break;
    case kPropSrtp:
      g_value_set_enum(value, static_cast<gint>(settings.srtp));
      break;
    case kPropCodecs:
      g_value_set_string(value, settings.codecs.c_str());
      break;
    case kPropDepayload:
      g_value_set_boolean(value, settings.depayload ? TRUE : FALSE);
      break;
    case kPropCall: {
      // Of a call of its own as well, once it has been made.
      const std::string id_now = settings.call.empty() ? state.call_id() : settings.call;
      g_value_set_string(value, id_now.c_str());
      break;
    }
    case kPropAddress:
      g_value_set_string(value, settings.address.c_str());
      break;
    case kPropPort:
      g_value_set_uint(value, settings.port);
      break;
    case kPropAnswerTimeout:
      g_value_set_uint(value, settings.answer_timeout);
      break;
    case kPropTlsCertificate:
      g_value_set_string(value, settings.tls_certificate.c_str());
      break;
    case kPropTlsKey:
      g_value_set_string(value, settings.tls_key.c_str());
      break;
    case kPropTlsCa:
      g_value_set_string(value, settings.tls_ca.c_str());
      break;
    case kPropTlsVerify:
      g_value_set_boolean(value, settings.tls_verify ? TRUE : FALSE);
      break;
    case kPropStats:
      g_value_take_boxed(value, state.stats());
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void junctor_sip_call_sink_finalize(GObject *object) {
  delete reinterpret_cast<JunctorSipCallSink *>(object)->state;
  G_OBJECT_CLASS(junctor_sip_call_sink_parent_class)->finalize(object);
}

static void install_properties(GObjectClass *object_class) {
  constexpr auto kFlags = static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
                                                   GST_PARAM_MUTABLE_READY);
  const auto text = [&](guint id, const char *name, const char *nick, const char *blurb,
                        const char *standard) {
    g_object_class_install_property(object_class, id,
                                    g_param_spec_string(name, nick, blurb, standard, kFlags));
  };
  text(kPropUri, "uri", "URI", "Who is called, for example sip:bob@192.0.2.1:5060", nullptr);
  text(kPropFrom, "from", "From",
       "Who calls: a user name, or a name to show and the user as in \"Alice A.\" <alice>",
       nullptr);
  text(kPropProxy, "proxy", "Proxy", "Outbound proxy, for example sip:192.0.2.2; none if unset",
       nullptr);
  text(kPropUser, "user", "User", "User name that answers to 401 and 407", nullptr);
  g_object_class_install_property(
      object_class, kPropPassword,
      g_param_spec_string("password", "Password", "Password that answers to 401 and 407", nullptr,
                          static_cast<GParamFlags>(G_PARAM_WRITABLE | G_PARAM_STATIC_STRINGS |
                                                   GST_PARAM_MUTABLE_READY)));
  g_object_class_install_property(
      object_class, kPropTransport,
      g_param_spec_enum("transport", "Transport",
                        "Carries SIP, unless the uri has a transport parameter", transport_type(),
                        0, kFlags));
  g_object_class_install_property(
      object_class, kPropSrtp,
      g_param_spec_enum("srtp", "SRTP", "Encryption of media, whose keys are told over TLS only",
                        srtp_type(), static_cast<gint>(rtp::SrtpPolicy::Off), kFlags));
  text(kPropCodecs, "codecs", "Codecs",
       "What is offered, in order of preference: codecs or encoding names, for example "
       "h264,speex/16000,pcma; unset: what upstream can produce",
       nullptr);
  g_object_class_install_property(
      object_class, kPropDepayload,
      g_param_spec_boolean("depayload", "Depayload",
                           "Whether frames come out, ready to be decoded, instead of RTP packets: "
                           "of all formats but "
                           "MP4A-LATM and H263 (RFC 2190)",
                           FALSE, kFlags));
  text(kPropCall, "call", "Call",
       "Call-ID of a call that the shared SIP agent holds: its media is attached, its life is left "
       "to its owner. Read: the Call-ID of the element's own call",
       nullptr);
  text(kPropAddress, "address", "Address",
       "Local IP address for SIP and media; the default takes the one that leads to the callee",
       "0.0.0.0");
  g_object_class_install_property(
      object_class, kPropPort,
      g_param_spec_uint("port", "Port", "Local SIP port; 0 takes a free one", 0, 65535, 0, kFlags));
  g_object_class_install_property(
      object_class, kPropAnswerTimeout,
      g_param_spec_uint("answer-timeout", "Answer timeout",
                        "Seconds until an unanswered call is given up", 1, 3600, 60, kFlags));
  text(
      kPropTlsCertificate, "tls-certificate", "TLS certificate",
      "PEM file of the certificate shown over TLS, then of those between it and the root; null for "
      "one of the moment, which is enough to call. Not used with a shared agent",
      nullptr);
  text(kPropTlsKey, "tls-key", "TLS key", "PEM file of the certificate's key, without a passphrase",
       nullptr);
  text(
      kPropTlsCa, "tls-ca", "TLS authorities",
      "PEM file of whom to believe about servers that are called: authorities, or the servers' own "
      "certificates; null for the system's authorities",
      nullptr);
  g_object_class_install_property(
      object_class, kPropTlsVerify,
      g_param_spec_boolean("tls-verify", "TLS verify",
                           "Whether a server that is called must show a certificate that is "
                           "believed and has its name; without, anybody on the way can listen",
                           TRUE, kFlags));
  g_object_class_install_property(
      object_class, kPropStats,
      g_param_spec_boxed("stats", "Statistics",
                         "A structure for each medium: packets, losses, jitter and round trip "
                         "(both in milliseconds)",
                         GST_TYPE_STRUCTURE,
                         static_cast<GParamFlags>(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)));
}

static State::Signals signal_ids;

static void install_signals(GType type) {
  const auto event = [&](const char *name) {
    return g_signal_new(name, type, G_SIGNAL_RUN_LAST, 0, nullptr, nullptr, nullptr, G_TYPE_NONE,
                        0);
  };
  signal_ids.ringing = event("ringing");
  signal_ids.early_media = event("early-media");
  signal_ids.answered = event("answered");
  signal_ids.ended = g_signal_new("ended", type, G_SIGNAL_RUN_LAST, 0, nullptr, nullptr, nullptr,
                                  G_TYPE_NONE, 2, G_TYPE_INT, G_TYPE_STRING);
  constexpr auto kAction = static_cast<GSignalFlags>(G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION);
  const auto hangup = +[](GstElement *element) { state_of(element).hangup(); };
  g_signal_new_class_handler("hangup", type, kAction, G_CALLBACK(hangup), nullptr, nullptr, nullptr,
                             G_TYPE_NONE, 0);
  const auto dtmf =
      +[](GstElement *element, const gchar *digits) { state_of(element).send_dtmf(digits); };
  g_signal_new_class_handler("dtmf", type, kAction, G_CALLBACK(dtmf), nullptr, nullptr, nullptr,
                             G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void junctor_sip_call_sink_class_init(JunctorSipCallSinkClass *klass) {
  auto *object_class = G_OBJECT_CLASS(klass);
  auto *element_class = GST_ELEMENT_CLASS(klass);
  object_class->set_property = junctor_sip_call_sink_set_property;
  object_class->get_property = junctor_sip_call_sink_get_property;
  object_class->finalize = junctor_sip_call_sink_finalize;
  element_class->change_state = junctor_sip_call_sink_change_state;
  element_class->request_new_pad = junctor_sip_call_sink_request_new_pad;
  element_class->release_pad = junctor_sip_call_sink_release_pad;
  element_class->send_event = junctor_sip_call_sink_send_event;
  element_class->query = junctor_sip_call_sink_query;
  install_properties(object_class);
  install_signals(G_TYPE_FROM_CLASS(klass));

  for (const Medium medium : {Medium::Audio, Medium::Video}) {
    const std::string name(to_string(medium));
    const CapsRef caps = caps_of(medium), sent = sent_caps_of(medium);
    gst_element_class_add_pad_template(
        element_class,
        gst_pad_template_new(name.c_str(), GST_PAD_SINK, GST_PAD_REQUEST, sent.get()));
    gst_element_class_add_pad_template(
        element_class,
        gst_pad_template_new((name + "_src").c_str(), GST_PAD_SRC, GST_PAD_SOMETIMES, caps.get()));
  }
  gst_element_class_set_static_metadata(
      element_class, "SIP call", "Sink/Source/Network",
      "Calls somebody over SIP: sends what flows in, puts out what the callee sends", "Junctor");
  gst_type_mark_as_plugin_api(transport_type(), static_cast<GstPluginAPIFlags>(0));
  gst_type_mark_as_plugin_api(srtp_type(), static_cast<GstPluginAPIFlags>(0));
}

static void junctor_sip_call_sink_init(JunctorSipCallSink *self) {
  auto *element = GST_ELEMENT(self);
  self->state = new State(element, junctor_sip_call_sink_debug);
  self->state->set_signals(signal_ids);
  self->state->set_pad_functions({set_up_sink, set_up_src});
  self->state->change_settings([](Settings &settings) { settings.address = "0.0.0.0"; });
  GST_OBJECT_FLAG_SET(element, GST_ELEMENT_FLAG_SINK);
  GST_OBJECT_FLAG_SET(element, GST_ELEMENT_FLAG_SOURCE);
}
