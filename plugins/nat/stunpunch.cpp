// SPDX-License-Identifier: LGPL-2.1-or-later
/**
 * SECTION:element-stunpunch
 *
 * One end of a UDP channel to a peer: RTP that flows in is sent to the peer as SRTP, what the peer
 * sends flows out. Both ends give each other strings, over whatever the application has: each that
 * `local-candidates` emits goes to the other's `set-remote-candidates`, in order.
 *
 * Threads: sink pads hand packets over to the reactor; source pads push from there, signals and
 * messages come from there. Lock order: none is taken under State::mutex.
 */
#include "nat/stunpunch.h"

#include <string>
#include <string_view>

#include "common/gst/context.h"
#include "nat/stunpunch_state.h"

GST_DEBUG_CATEGORY(junctor_stun_punch_debug);
#define GST_CAT_DEFAULT junctor_stun_punch_debug

using namespace junctor;
using namespace junctor::stunpunch;

namespace {

enum Property : guint {
  kPropNone,
  kPropSession,
  kPropCaller,
  kPropStunServer,
  kPropTimeout,
  kPropTurnServer,
  kPropRungs,
  kPropLadder,
  kPropHeadStart,
  kPropIce,
  kPropEncrypt,
  kPropPrediction,
  kPropManySockets,
  kPropCaps,
  kPropState,
  kPropRung,
  kPropFingerprint,
  kPropStats,
};
}  // namespace

G_DEFINE_TYPE_WITH_CODE(JunctorStunPunch, junctor_stun_punch, GST_TYPE_ELEMENT,
                        GST_DEBUG_CATEGORY_INIT(junctor_stun_punch_debug, "stunpunch", 0,
                                                "a channel through NATs"))
GST_ELEMENT_REGISTER_DEFINE(stunpunch, "stunpunch", GST_RANK_NONE, JUNCTOR_TYPE_STUN_PUNCH)

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE(
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS("application/x-rtp"));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE(
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS("application/x-rtp"));
static GstStaticPadTemplate rtcp_sink_template = GST_STATIC_PAD_TEMPLATE(
    "rtcp_sink", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS("application/x-rtcp"));
static GstStaticPadTemplate rtcp_src_template = GST_STATIC_PAD_TEMPLATE(
    "rtcp_src", GST_PAD_SRC, GST_PAD_REQUEST, GST_STATIC_CAPS("application/x-rtcp"));
static GstStaticPadTemplate dtls_sink_template =
    GST_STATIC_PAD_TEMPLATE("dtls_sink", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS_ANY);
static GstStaticPadTemplate dtls_src_template =
    GST_STATIC_PAD_TEMPLATE("dtls_src", GST_PAD_SRC, GST_PAD_REQUEST, GST_STATIC_CAPS_ANY);

namespace {

GType ladder_type() {
  static const GEnumValue kValues[] = {
      {static_cast<gint>(nat::LadderOrder::Parallel), "the next way is prepared meanwhile",
       "parallel"},
      {static_cast<gint>(nat::LadderOrder::Strict), "one way after the other", "strict"},
      {0, nullptr, nullptr}};
  static const GType type = g_enum_register_static("JunctorLadderOrder", kValues);
  return type;
}

State &state_of(void *object) { return *reinterpret_cast<JunctorStunPunch *>(object)->state; }

// ---- Pads ----

bool is_rtcp(GstPad *pad) { return std::string_view(GST_PAD_NAME(pad)) == "rtcp_sink"; }

GstFlowReturn chain(GstPad *pad, GstObject *parent, GstBuffer *buffer) {
  state_of(parent).inlet->push(buffer, is_rtcp(pad));
  return GST_FLOW_OK;
}

GstFlowReturn chain_list(GstPad *pad, GstObject *parent, GstBufferList *list) {
  const BufferListRef owner(list);
  const bool rtcp = is_rtcp(pad);
  for (guint i = 0; i < gst_buffer_list_length(list); ++i)
    state_of(parent).inlet->push(gst_buffer_ref(gst_buffer_list_get(list, i)), rtcp);
  return GST_FLOW_OK;
}

gboolean sink_event(GstPad *pad, GstObject *parent, GstEvent *event) {
  // What is sent has all been sent; nobody downstream of here would say so.
  if (GST_EVENT_TYPE(event) == GST_EVENT_EOS && !is_rtcp(pad)) {
    GstMessage *message = gst_message_new_eos(parent);
    gst_message_set_seqnum(message, gst_event_get_seqnum(event));
    gst_element_post_message(GST_ELEMENT(parent), message);
  }
  gst_event_unref(event);
  return TRUE;
}

gboolean pad_query(GstPad *pad, GstObject *parent, GstQuery *query) {
  switch (GST_QUERY_TYPE(query)) {
    case GST_QUERY_CONTEXT:
      return gst::answer_context_query(GST_ELEMENT(parent), query);
    case GST_QUERY_LATENCY:
      if (GST_PAD_IS_SINK(pad)) return FALSE;
      // Each packet leaves when it comes.
      gst_query_set_latency(query, TRUE, 0, GST_CLOCK_TIME_NONE);
      return TRUE;
    default:
      return gst_pad_query_default(pad, parent, query);
  }
}

gboolean src_event(GstPad *, GstObject *, GstEvent *event) {
  const GstEventType type = GST_EVENT_TYPE(event);
  gst_event_unref(event);
  return type == GST_EVENT_LATENCY || type == GST_EVENT_QOS || type == GST_EVENT_RECONFIGURE;
}

/// What comes in and what goes out have nothing to do with each other's caps and events.
GstIterator *no_internal_links(GstPad *, GstObject *) { return nullptr; }

GstPad *add_pad(JunctorStunPunch *self, GstStaticPadTemplate *pad_template) {
  GstPad *pad = gst_pad_new_from_static_template(pad_template, pad_template->name_template);
  gst_pad_set_iterate_internal_links_function(pad, no_internal_links);
  gst_pad_set_query_function(pad, pad_query);
  if (GST_PAD_IS_SINK(pad)) {
    gst_pad_set_chain_function(pad, chain);
    gst_pad_set_chain_list_function(pad, chain_list);
    gst_pad_set_event_function(pad, sink_event);
  } else {
    gst_pad_set_event_function(pad, src_event);
    gst_pad_use_fixed_caps(pad);
  }
  gst_element_add_pad(GST_ELEMENT(self), pad);
  return pad;
}

}  // namespace

static void junctor_stun_punch_set_property(GObject *object, guint id, const GValue *value,
                                            GParamSpec *pspec) {
  State &state = state_of(object);
  const std::lock_guard lock(state.mutex);
  const auto text = [value] {
    const gchar *held = g_value_get_string(value);
    return std::string(held != nullptr ? held : "");
  };
  switch (id) {
    case kPropSession:
      state.settings.session = text();
      break;
    case kPropCaller:
      state.settings.caller = g_value_get_boolean(value);
      break;
    case kPropStunServer:
      state.settings.stun_server = text();
      break;
    case kPropTimeout:
      state.settings.timeout = g_value_get_uint(value);
      break;
    case kPropHeadStart:
      state.settings.head_start = g_value_get_uint(value);
      break;
    case kPropTurnServer:
      state.settings.turn_server = text();
      break;
    case kPropRungs:
      state.settings.rungs = text();
      break;
    case kPropLadder:
      state.settings.order = static_cast<nat::LadderOrder>(g_value_get_enum(value));
      break;
    case kPropIce:
      state.settings.ice = g_value_get_boolean(value);
      break;
    case kPropEncrypt:
      state.settings.encrypt = g_value_get_boolean(value);
      break;
    case kPropPrediction:
      state.settings.prediction = g_value_get_boolean(value);
      break;
    case kPropManySockets:
      state.settings.many_sockets = g_value_get_boolean(value);
      break;
    case kPropCaps: {
      const GstCaps *caps = gst_value_get_caps(value);
      state.settings.caps.reset(caps != nullptr ? gst_caps_copy(caps) : nullptr);
      break;
    }
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void junctor_stun_punch_get_property(GObject *object, guint id, GValue *value,
                                            GParamSpec *pspec) {
  State &state = state_of(object);
  const auto channel = channel_of(state);
  const auto stats = [&] { return channel ? channel->stats() : nat::ChannelStats(); };
  switch (id) {
    case kPropState:
      g_value_set_string(value, std::string(nat::to_string(stats().state)).c_str());
      return;
    case kPropRung:
      g_value_set_string(value, stats().rung.c_str());
      return;
    case kPropFingerprint:
      g_value_set_string(value, channel ? channel->fingerprint().c_str() : "");
      return;
    case kPropStats:
      g_value_take_boxed(value, stats_of(state));
      return;
    default:
      break;
  }
  const std::lock_guard lock(state.mutex);
  switch (id) {
    case kPropSession:
      g_value_set_string(value, state.settings.session.c_str());
      break;
    case kPropCaller:
      g_value_set_boolean(value, state.settings.caller);
      break;
    case kPropStunServer:
      g_value_set_string(value, state.settings.stun_server.c_str());
      break;
    case kPropTimeout:
      g_value_set_uint(value, state.settings.timeout);
      break;
    case kPropHeadStart:
      g_value_set_uint(value, state.settings.head_start);
      break;
    case kPropTurnServer:
      g_value_set_string(value, state.settings.turn_server.c_str());
      break;
    case kPropRungs:
      g_value_set_string(value, state.settings.rungs.c_str());
      break;
    case kPropLadder:
      g_value_set_enum(value, static_cast<gint>(state.settings.order));
      break;
    case kPropIce:
      g_value_set_boolean(value, state.settings.ice);
      break;
    case kPropEncrypt:
      g_value_set_boolean(value, state.settings.encrypt);
      break;
    case kPropPrediction:
      g_value_set_boolean(value, state.settings.prediction);
      break;
    case kPropManySockets:
      g_value_set_boolean(value, state.settings.many_sockets);
      break;
    case kPropCaps:
      gst_value_set_caps(value, state.settings.caps.get());
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static GstStateChangeReturn junctor_stun_punch_change_state(GstElement *element,
                                                            GstStateChange transition) {
  auto *self = JUNCTOR_STUN_PUNCH(element);
  State &state = *self->state;
  if (transition == GST_STATE_CHANGE_NULL_TO_READY && !get_ready(self))
    return GST_STATE_CHANGE_FAILURE;
  GstStateChangeReturn result =
      GST_ELEMENT_CLASS(junctor_stun_punch_parent_class)->change_state(element, transition);
  if (result == GST_STATE_CHANGE_FAILURE) return result;
  switch (transition) {
    case GST_STATE_CHANGE_READY_TO_PAUSED:
      // Behind the parent: the pads are active when the first packet comes.
      if (!open_channel(self)) return GST_STATE_CHANGE_FAILURE;
      return GST_STATE_CHANGE_NO_PREROLL;
    case GST_STATE_CHANGE_PLAYING_TO_PAUSED:
      return GST_STATE_CHANGE_NO_PREROLL;
    case GST_STATE_CHANGE_PAUSED_TO_READY:
      // Behind the parent: no push is under way that the channel would wait for.
      close_channel(state);
      break;
    case GST_STATE_CHANGE_READY_TO_NULL: {
      std::optional<gst::ElementReactor> reactor;
      {
        const std::lock_guard lock(state.mutex);
        reactor = std::exchange(state.reactor, std::nullopt);
      }
      break;
    }
    default:
      break;
  }
  return result;
}

static GstPad *junctor_stun_punch_request_new_pad(GstElement *element, GstPadTemplate *wanted,
                                                  const gchar *, const GstCaps *) {
  auto *self = JUNCTOR_STUN_PUNCH(element);
  const std::string_view name = GST_PAD_TEMPLATE_NAME_TEMPLATE(wanted);
  GstStaticPadTemplate *pad_template = &rtcp_sink_template;
  for (auto *each : {&rtcp_src_template, &dtls_sink_template, &dtls_src_template})
    if (name == each->name_template) pad_template = each;
  if (GstPad *there = gst_element_get_static_pad(element, pad_template->name_template)) {
    gst_object_unref(there);
    GST_WARNING_OBJECT(self, "there is one %s already", pad_template->name_template);
    return nullptr;
  }
  GstPad *pad = add_pad(self, pad_template);
  const std::lock_guard lock(self->state->mutex);
  if (pad_template == &rtcp_src_template)
    self->state->rtcp_out = std::make_shared<Outlet>(element, pad, kRtcp);
  else if (pad_template == &dtls_src_template)
    self->state->dtls_out = std::make_shared<Outlet>(element, pad, nullptr);
  return pad;
}

static void junctor_stun_punch_release_pad(GstElement *element, GstPad *pad) {
  State &state = state_of(element);
  if (GST_PAD_IS_SRC(pad)) {
    const std::lock_guard lock(state.mutex);
    for (auto *outlet : {&state.rtcp_out, &state.dtls_out})
      if (*outlet && (*outlet)->pad() == pad) outlet->reset();
  }
  gst_pad_set_active(pad, FALSE);
  gst_element_remove_pad(element, pad);
}

static void junctor_stun_punch_finalize(GObject *object) {
  delete JUNCTOR_STUN_PUNCH(object)->state;
  G_OBJECT_CLASS(junctor_stun_punch_parent_class)->finalize(object);
}

static void junctor_stun_punch_class_init(JunctorStunPunchClass *klass) {
  auto *object_class = G_OBJECT_CLASS(klass);
  auto *element_class = GST_ELEMENT_CLASS(klass);

  object_class->set_property = junctor_stun_punch_set_property;
  object_class->get_property = junctor_stun_punch_get_property;
  object_class->finalize = junctor_stun_punch_finalize;
  element_class->change_state = junctor_stun_punch_change_state;
  element_class->request_new_pad = junctor_stun_punch_request_new_pad;
  element_class->release_pad = junctor_stun_punch_release_pad;

  constexpr auto kSet = static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
                                                 GST_PARAM_MUTABLE_READY);
  constexpr auto kShown = static_cast<GParamFlags>(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_property(
      object_class, kPropSession,
      g_param_spec_string("session", "Session",
                          "Names the call for both ends: part of the keys, so that strings of "
                          "another call make no channel",
                          "", kSet));
  g_object_class_install_property(
      object_class, kPropCaller,
      g_param_spec_boolean("caller", "Caller",
                           "Which of the two this end is: true at one of them, false at the other",
                           FALSE, kSet));
  g_object_class_install_property(
      object_class, kPropStunServer,
      g_param_spec_string("stun-server", "STUN server",
                          "HOST[:PORT] of servers that tell the external address, with \",\" "
                          "between, at most 4; empty for peers inside one network",
                          "", kSet));
  g_object_class_install_property(
      object_class, kPropTimeout,
      g_param_spec_uint("timeout", "Timeout",
                        "Milliseconds from the peer's first string on until the direct way has "
                        "failed",
                        100, 60000, kDefaultTimeout, kSet));
  g_object_class_install_property(
      object_class, kPropTurnServer,
      g_param_spec_string(
          "turn-server", "TURN server",
          "turn://USER:PASSWORD@HOST:PORT?transport=udp, tcp or tls of relays, with "
          "\",\" between; others come by take-offer",
          "", kSet));
  g_object_class_install_property(
      object_class, kPropRungs,
      g_param_spec_string("rungs", "Rungs",
                          "Ways that may be taken: p2p, sfu, relay. A node, and a relay that "
                          "turn-server does not name, can be had where `want` has a handler",
                          kDefaultRungs, kSet));
  g_object_class_install_property(
      object_class, kPropLadder,
      g_param_spec_enum("ladder", "Ladder",
                        "Whether the next way is prepared while one is tried, or one is tried "
                        "after the other",
                        ladder_type(), static_cast<gint>(nat::LadderOrder::Parallel), kSet));
  g_object_class_install_property(
      object_class, kPropHeadStart,
      g_param_spec_uint("head-start", "Head start",
                        "With ladder=parallel, milliseconds that nodes are tried before a relay "
                        "carries",
                        0, 60000, kDefaultHeadStart, kSet));
  g_object_class_install_property(
      object_class, kPropIce,
      g_param_spec_boolean("ice", "ICE",
                           "Look for the way by RFC 8445, so that a browser or an ICE phone can be "
                           "the peer; rungs is not looked at then",
                           FALSE, kSet));
  g_object_class_install_property(
      object_class, kPropEncrypt,
      g_param_spec_boolean("encrypt", "Encrypt",
                           "Send SRTP under keys that both ends agree on. false is for ice=true "
                           "with peers that know no such keys: what flows in is sent as it is",
                           TRUE, kSet));
  g_object_class_install_property(
      object_class, kPropPrediction,
      g_param_spec_boolean("prediction", "Prediction",
                           "Tells the peer the ports that this side's NAT will take next, where it "
                           "takes one after another for each peer; wants two STUN servers of "
                           "different addresses",
                           TRUE, kSet));
  g_object_class_install_property(
      object_class, kPropManySockets,
      g_param_spec_boolean("many-sockets", "Many sockets",
                           "Where one side's NAT takes ports by chance for each peer: opens 256 "
                           "sockets there and tries 1024 ports within a second from the other. "
                           "Wanted at both ends",
                           FALSE, kSet));
  g_object_class_install_property(
      object_class, kPropCaps,
      g_param_spec_boxed("caps", "Caps",
                         "Of what comes out of src; unset: what downstream takes, where that is "
                         "one thing",
                         GST_TYPE_CAPS, kSet));
  g_object_class_install_property(
      object_class, kPropState,
      g_param_spec_string("state", "State", "new, trying, up or failed", "new", kShown));
  g_object_class_install_property(
      object_class, kPropRung,
      g_param_spec_string("rung", "Rung",
                          "How the peer is reached: p2p, sfu or relay; empty while it is not", "",
                          kShown));
  g_object_class_install_property(
      object_class, kPropFingerprint,
      g_param_spec_string("fingerprint", "Fingerprint",
                          "The same at both ends, unless somebody stands between; for people to "
                          "compare. Empty before the peer's first string. Takes 30 ms",
                          "", kShown));
  g_object_class_install_property(
      object_class, kPropStats,
      g_param_spec_boxed("stats", "Statistics", "Figures of the channel: junctor-channel-stats",
                         GST_TYPE_STRUCTURE, kShown));

  signals[kLocalCandidates] =
      g_signal_new("local-candidates", G_TYPE_FROM_CLASS(klass), G_SIGNAL_RUN_LAST, 0, nullptr,
                   nullptr, nullptr, G_TYPE_NONE, 1, G_TYPE_STRING);
  signals[kWant] = g_signal_new("want", G_TYPE_FROM_CLASS(klass), G_SIGNAL_RUN_LAST, 0, nullptr,
                                nullptr, nullptr, G_TYPE_NONE, 1, G_TYPE_STRING);
  signals[kTakeOffer] = g_signal_new_class_handler(
      "take-offer", G_TYPE_FROM_CLASS(klass),
      static_cast<GSignalFlags>(G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION), G_CALLBACK(take_offer),
      nullptr, nullptr, nullptr, G_TYPE_BOOLEAN, 1, G_TYPE_STRING);
  signals[kSetRemoteCandidates] =
      g_signal_new_class_handler("set-remote-candidates", G_TYPE_FROM_CLASS(klass),
                                 static_cast<GSignalFlags>(G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION),
                                 G_CALLBACK(set_remote_candidates), nullptr, nullptr, nullptr,
                                 G_TYPE_BOOLEAN, 1, G_TYPE_STRING);
  signals[kClose] = g_signal_new_class_handler(
      "close", G_TYPE_FROM_CLASS(klass),
      static_cast<GSignalFlags>(G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION),
      G_CALLBACK(close_by_application), nullptr, nullptr, nullptr, G_TYPE_NONE, 0);

  gst_element_class_add_static_pad_template(element_class, &sink_template);
  gst_element_class_add_static_pad_template(element_class, &src_template);
  gst_element_class_add_static_pad_template(element_class, &rtcp_sink_template);
  gst_element_class_add_static_pad_template(element_class, &rtcp_src_template);
  gst_element_class_add_static_pad_template(element_class, &dtls_sink_template);
  gst_element_class_add_static_pad_template(element_class, &dtls_src_template);
  gst_element_class_set_static_metadata(element_class, "Channel through NATs",
                                        "Source/Sink/Network",
                                        "RTP to and from a peer that is found through NATs; emits "
                                        "and takes the strings that it needs",
                                        "The Junctor authors");
}

static void junctor_stun_punch_init(JunctorStunPunch *self) {
  self->state = new State;
  GST_OBJECT_FLAG_SET(self, GST_ELEMENT_FLAG_SINK | GST_ELEMENT_FLAG_SOURCE);
  self->state->sink = add_pad(self, &sink_template);
  self->state->src = add_pad(self, &src_template);
}
