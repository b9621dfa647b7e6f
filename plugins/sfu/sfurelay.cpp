// SPDX-License-Identifier: LGPL-2.1-or-later
/**
 * SECTION:element-sfurelay
 *
 * Forwards the RTP of each leg to the others: legs are peers at an address, or pairs of pads. RTP
 * passes byte for byte, encrypted or not; RTCP ends here and is made anew for each hop.
 *
 * Threads: everything of the relay is on its reactor, from which source pads push. Sink pads hand
 * packets over to it. Properties and pads are under State::mutex, which nobody holds while calling
 * the reactor.
 */
#include "sfu/sfurelay.h"

#include <charconv>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "sfu/relayworks.h"

GST_DEBUG_CATEGORY_STATIC(junctor_sfu_relay_debug);
#define GST_CAT_DEFAULT junctor_sfu_relay_debug

namespace {

using namespace junctor;
using namespace junctor::sfu;

enum Property : guint {
  kPropNone,
  kPropAddress,
  kPropPort,
  kPropPeers,
  kPropJoin,
  kPropMaxLegs,
  kPropStats,
};

constexpr guint kDefaultMaxLegs = 1024, kMostLegs = 65536;

struct State {
  std::mutex mutex;
  std::string address = "127.0.0.1", peers;
  guint port = 0, bound = 0, max_legs = kDefaultMaxLegs;
  bool join = true;
  std::shared_ptr<RelayWorks> works;  // from READY on
  std::set<GstPad *> ended;           // sink pads; held by the element
};

}  // namespace

struct _JunctorSfuRelay {
  GstElement parent;
  State *state;
};

G_DEFINE_TYPE_WITH_CODE(JunctorSfuRelay, junctor_sfu_relay, GST_TYPE_ELEMENT,
                        GST_DEBUG_CATEGORY_INIT(junctor_sfu_relay_debug, "sfurelay", 0,
                                                "forwarder of RTP"))
GST_ELEMENT_REGISTER_DEFINE(sfurelay, "sfurelay", GST_RANK_NONE, JUNCTOR_TYPE_SFU_RELAY)

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE(
    "sink_%u", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS("application/x-rtp"));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE(
    "src_%u", GST_PAD_SRC, GST_PAD_REQUEST, GST_STATIC_CAPS("application/x-rtp"));

namespace {

State &state_of(gpointer element) { return *JUNCTOR_SFU_RELAY(element)->state; }

std::shared_ptr<RelayWorks> works_of(gpointer element) {
  State &state = state_of(element);
  const std::lock_guard lock(state.mutex);
  return state.works;
}

/// The number of a pad is its name's.
guint number_of(GstPad *pad) { return GPOINTER_TO_UINT(gst_pad_get_element_private(pad)); }

std::optional<guint> number_in(std::string_view name) {
  const auto underscore = name.rfind('_');
  guint number = 0;
  if (underscore == std::string_view::npos) return std::nullopt;
  const char *begin = name.data() + underscore + 1, *end = name.data() + name.size();
  const auto [read, failure] = std::from_chars(begin, end, number);
  if (failure != std::errc() || read != end) return std::nullopt;
  return number;
}

/// A relay that only takes from pads ends with them, as a sink does; any other goes on.
void tell_eos(JunctorSfuRelay *self, guint32 seqnum) {
  State &state = *self->state;
  GST_OBJECT_LOCK(self);
  const bool sink = GST_OBJECT_FLAG_IS_SET(self, GST_ELEMENT_FLAG_SINK);
  const guint pads = GST_ELEMENT(self)->numsinkpads;
  GST_OBJECT_UNLOCK(self);
  {
    const std::lock_guard lock(state.mutex);
    if (!sink || state.ended.size() < pads) return;
  }
  GstMessage *message = gst_message_new_eos(GST_OBJECT(self));
  gst_message_set_seqnum(message, seqnum);
  gst_element_post_message(GST_ELEMENT(self), message);
}

GstFlowReturn chain(GstPad *pad, GstObject *parent, GstBuffer *taken) {
  BufferRef buffer(taken);
  const auto works = works_of(parent);
  if (!works) return GST_FLOW_FLUSHING;
  works->inject(number_of(pad), std::move(buffer));
  return GST_FLOW_OK;
}

gboolean sink_event(GstPad *pad, GstObject *parent, GstEvent *event) {
  auto *self = JUNCTOR_SFU_RELAY(parent);
  State &state = *self->state;
  const guint32 seqnum = gst_event_get_seqnum(event);
  const auto type = GST_EVENT_TYPE(event);
  gst_event_unref(event);  // nothing passes: what flows out is made of other streams
  if (type == GST_EVENT_EOS) {
    {
      const std::lock_guard lock(state.mutex);
      state.ended.insert(pad);
    }
    tell_eos(self, seqnum);
  } else if (type == GST_EVENT_STREAM_START || type == GST_EVENT_FLUSH_STOP) {
    const std::lock_guard lock(state.mutex);
    state.ended.erase(pad);
  }
  return TRUE;
}

gboolean src_event(GstPad *pad, GstObject *parent, GstEvent *event) {
  const bool wish = GST_EVENT_TYPE(event) == GST_EVENT_CUSTOM_UPSTREAM &&
                    gst_event_has_name(event, "GstForceKeyUnit");
  gst_event_unref(event);
  if (!wish) return TRUE;
  if (const auto works = works_of(parent)) works->request_keyframe(number_of(pad));
  return TRUE;
}

gboolean src_query(GstPad *pad, GstObject *parent, GstQuery *query) {
  if (GST_QUERY_TYPE(query) != GST_QUERY_LATENCY) return gst_pad_query_default(pad, parent, query);
  gst_query_set_latency(query, TRUE, 0, GST_CLOCK_TIME_NONE);
  return TRUE;
}

/// Takes part in the state and in the end of a pipeline by the pads that there are.
void set_role(GstElement *element) {
  GST_OBJECT_LOCK(element);
  const bool source = element->numsrcpads > 0;
  if (element->numsinkpads > 0 && !source)
    GST_OBJECT_FLAG_SET(element, GST_ELEMENT_FLAG_SINK);
  else
    GST_OBJECT_FLAG_UNSET(element, GST_ELEMENT_FLAG_SINK);
  if (source)
    GST_OBJECT_FLAG_SET(element, GST_ELEMENT_FLAG_SOURCE);
  else
    GST_OBJECT_FLAG_UNSET(element, GST_ELEMENT_FLAG_SOURCE);
  GST_OBJECT_UNLOCK(element);
}

std::vector<GstPad *> pads_of(GstElement *element) {
  std::vector<GstPad *> pads;
  GST_OBJECT_LOCK(element);
  for (GList *each = element->pads; each; each = each->next)
    pads.push_back(GST_PAD(gst_object_ref(each->data)));
  GST_OBJECT_UNLOCK(element);
  return pads;
}

/// Adds the legs of property `peers`.
Result<void> add_peers(RelayWorks &works, std::string_view peers) {
  while (!peers.empty()) {
    const auto comma = peers.find(',');
    const std::string_view one = peers.substr(0, comma);
    peers = comma == std::string_view::npos ? "" : peers.substr(comma + 1);
    const auto endpoint = Endpoint::parse(one);
    if (!endpoint) return endpoint.error();
    LegOptions options;
    options.remote = *endpoint;
    if (auto leg = works.add_leg(std::move(options)); !leg) return leg.error();
  }
  return {};
}

Result<std::shared_ptr<RelayWorks>> open_works(GstElement *element) {
  State &state = state_of(element);
  RelayWorks::Options options;
  std::string peers;
  {
    const std::lock_guard lock(state.mutex);
    options = {{state.address, static_cast<std::uint16_t>(state.port)}, state.max_legs, state.join};
    peers = state.peers;
  }
  auto works = RelayWorks::open(element, options);
  if (!works) return works.error();
  if (auto added = add_peers(**works, peers); !added) return added.error();
  Result<void> padded;
  for (GstPad *pad : pads_of(element)) {
    if (auto leg = (*works)->add_pad(number_of(pad), pad); !leg) padded = leg.error();
    gst_object_unref(pad);
  }
  if (!padded) return padded.error();
  return std::shared_ptr<RelayWorks>(std::move(*works));
}

bool open(GstElement *element) {
  State &state = state_of(element);
  auto works = open_works(element);
  if (!works) {
    GST_ELEMENT_ERROR(element, RESOURCE, OPEN_READ_WRITE,
                      ("The relay cannot start: %s.", works.error().detail.c_str()), (nullptr));
    return false;
  }
  const Endpoint local = (*works)->local();
  {
    const std::lock_guard lock(state.mutex);
    state.works = std::move(*works);
    state.bound = local.port;
    state.ended.clear();
  }
  GST_INFO_OBJECT(element, "relaying on %s", local.to_string().c_str());
  g_object_notify(G_OBJECT(element), "port");
  return true;
}

void close(GstElement *element) {
  State &state = state_of(element);
  std::shared_ptr<RelayWorks> works;
  const std::lock_guard lock(state.mutex);
  works.swap(state.works);
  state.bound = 0;
}

GstStructure *structure_of(const LegStats &stats) {
  std::string remote;
  if (stats.remote.port != 0) remote = stats.remote.to_string();
  const auto &dropped = stats.sent.dropped;
  const auto of = [&](Class kind) {
    return static_cast<guint64>(dropped[static_cast<std::size_t>(kind)]);
  };
  return gst_structure_new(
      "junctor-leg-stats", "remote", G_TYPE_STRING, remote.c_str(), "received-packets",
      G_TYPE_UINT64, stats.received_packets, "received-bytes", G_TYPE_UINT64, stats.received_bytes,
      "lost", G_TYPE_UINT64, stats.lost, "duplicates", G_TYPE_UINT64, stats.duplicates, "malformed",
      G_TYPE_UINT64, stats.malformed, "unauthenticated", G_TYPE_UINT64, stats.unauthenticated,
      "sent-packets", G_TYPE_UINT64, stats.sent.packets, "sent-bytes", G_TYPE_UINT64,
      stats.sent.bytes, "dropped-control", G_TYPE_UINT64, of(Class::Control), "dropped-audio",
      G_TYPE_UINT64, of(Class::Sound), "dropped-video", G_TYPE_UINT64, of(Class::Picture),
      "dropped-retransmissions", G_TYPE_UINT64, of(Class::Again), "failed", G_TYPE_UINT64,
      stats.sent.failed, "retransmitted", G_TYPE_UINT64, stats.retransmitted, "nacks-received",
      G_TYPE_UINT64, stats.nacks_received, "nacks-sent", G_TYPE_UINT64, stats.nacks_sent,
      "keyframe-requests-received", G_TYPE_UINT64, stats.keyframe_requests_received,
      "keyframe-requests-sent", G_TYPE_UINT64, stats.keyframe_requests_sent, "round-trip-ms",
      G_TYPE_DOUBLE, stats.round_trip_ms, "remote-fraction-lost", G_TYPE_DOUBLE,
      stats.remote_fraction_lost, "estimate", G_TYPE_UINT64,
      static_cast<guint64>(stats.estimate.value_or(0)), "pictures", G_TYPE_UINT,
      static_cast<guint>(stats.pictures), nullptr);
}

GstStructure *all_stats(gpointer element) {
  const auto works = works_of(element);
  const RelayStats stats = works ? works->stats() : RelayStats();
  return gst_structure_new("junctor-sfu-stats", "legs", G_TYPE_UINT64, guint64{stats.legs},
                           "routes", G_TYPE_UINT64, guint64{stats.routes}, "strangers",
                           G_TYPE_UINT64, stats.strangers, "unknown", G_TYPE_UINT64, stats.unknown,
                           "oversized", G_TYPE_UINT64, stats.oversized, "overrun", G_TYPE_UINT64,
                           works ? works->overrun() : guint64{0}, nullptr);
}

// --- actions ----------------------------------------------------------------------------------

/// Master key and salt as SDP writes them (RFC 4568 section 6.1), without "inline:".
std::optional<rtp::SrtpKey> key_of(const GstStructure *options, rtp::SrtpSuite suite,
                                   const char *field) {
  const char *text = gst_structure_get_string(options, field);
  if (!text) return std::nullopt;
  gsize size = 0;
  guchar *bytes = g_base64_decode(text, &size);
  const auto *first = reinterpret_cast<const std::byte *>(bytes);
  rtp::SrtpKey key{suite, Bytes(first, first + size)};
  g_free(bytes);
  return key;
}

/// The numbers of header extensions (RFC 8285), 1 to 255.
Result<void> read_numbers(const GstStructure *told, ExtensionNumbers &numbers) {
  for (int i = 0; i < gst_structure_n_fields(told); ++i) {
    const char *name = gst_structure_nth_field_name(told, static_cast<guint>(i));
    std::uint8_t *number = number_of(numbers, name);
    guint value = 0;
    if (!number || !gst_structure_get_uint(told, name, &value)) continue;
    if (value < 1 || value > 255)
      return bad_input(std::string(name) + ": the number of a header extension is 1 to 255");
    *number = static_cast<std::uint8_t>(value);
  }
  return {};
}

/// What payload types are, as application/x-rtp says it: each structure of the caps is one.
Result<std::vector<PayloadKind>> read_payloads(const GstStructure *told) {
  std::vector<PayloadKind> payloads;
  const GValue *value = gst_structure_get_value(told, "caps");
  if (!value) return payloads;
  const GstCaps *caps = GST_VALUE_HOLDS_CAPS(value) ? gst_value_get_caps(value) : nullptr;
  if (!caps || gst_caps_is_any(caps)) return bad_input("caps: no application/x-rtp");
  for (guint i = 0; i < gst_caps_get_size(caps); ++i) {
    const GstStructure *each = gst_caps_get_structure(caps, i);
    const char *media = gst_structure_get_string(each, "media");
    gint payload = -1, clock_rate = 0;
    if (!gst_structure_has_name(each, "application/x-rtp") || !media ||
        !gst_structure_get_int(each, "payload", &payload) || payload < 0 || payload > 127 ||
        !gst_structure_get_int(each, "clock-rate", &clock_rate) || clock_rate <= 0)
      return bad_input("caps: each is application/x-rtp with media, payload and clock-rate");
    payloads.push_back({static_cast<std::uint8_t>(payload),
                        std::string_view(media) == "audio" ? Medium::Audio : Medium::Video,
                        static_cast<std::uint32_t>(clock_rate)});
  }
  return payloads;
}

/// Reads the structure that `add-leg` takes.
Result<LegOptions> leg_options(const gchar *remote, const GstStructure *told) {
  LegOptions options;
  if (remote && *remote) {
    auto endpoint = Endpoint::parse(remote);
    if (!endpoint) return endpoint.error();
    options.remote = *endpoint;
  }
  if (!told) return options;
  gboolean retransmit = TRUE;
  if (gst_structure_get_boolean(told, "retransmit", &retransmit)) options.retransmit = retransmit;
  gboolean remb = FALSE;
  if (gst_structure_get_boolean(told, "remb", &remb)) options.remb = remb;
  guint last_n = 0;
  if (gst_structure_get_uint(told, "last-n", &last_n)) options.last_n = last_n;
  if (auto read = read_numbers(told, options.extensions); !read) return read.error();
  auto payloads = read_payloads(told);
  if (!payloads) return payloads.error();
  options.payloads = std::move(*payloads);
  if (const char *name = gst_structure_get_string(told, "srtcp-suite")) {
    const auto suite = rtp::srtp_suite_from_string(name);
    if (!suite) return bad_input(std::string("srtcp-suite '") + name + "' is not known");
    auto local = key_of(told, *suite, "srtcp-local-key");
    auto remote_key = key_of(told, *suite, "srtcp-remote-key");
    if (!local || !remote_key)
      return bad_input("srtcp-suite wants srtcp-local-key and srtcp-remote-key in base64");
    options.rtcp_keys = rtp::SrtpKeys{std::move(*local), std::move(*remote_key)};
  }
  return options;
}

template <class T>
bool told(GstElement *element, const Result<T> &result) {
  if (!result) GST_WARNING_OBJECT(element, "%s", result.error().detail.c_str());
  return static_cast<bool>(result);
}

guint add_leg(GstElement *element, const gchar *remote, const GstStructure *options) {
  const auto works = works_of(element);
  auto wanted = leg_options(remote, options);
  if (!works || !told(element, wanted)) return 0;
  const auto leg = works->add_leg(std::move(*wanted));
  return told(element, leg) ? *leg : 0;
}

gboolean set_remote(GstElement *element, guint leg, const gchar *remote) {
  const auto works = works_of(element);
  const auto endpoint = Endpoint::parse(remote ? remote : "");
  return works && told(element, endpoint) && told(element, works->set_remote(leg, *endpoint));
}

gboolean remove_leg(GstElement *element, guint leg) {
  const auto works = works_of(element);
  return works && works->remove_leg(leg);
}

gboolean route(GstElement *element, guint from, guint to) {
  const auto works = works_of(element);
  return works && told(element, works->route(from, to));
}

gboolean unroute(GstElement *element, guint from, guint to) {
  const auto works = works_of(element);
  return works && works->unroute(from, to);
}

GstStructure *leg_stats(GstElement *element, guint leg) {
  const auto works = works_of(element);
  const auto stats = works ? works->stats(leg) : std::nullopt;
  return stats ? structure_of(*stats) : nullptr;
}

guint leg_of_pad(GstElement *element, GstPad *pad) {
  const auto works = works_of(element);
  return works && GST_PAD_PARENT(pad) == element ? works->leg_of_pad(number_of(pad)) : 0;
}

}  // namespace

static GstPad *junctor_sfu_relay_request_new_pad(GstElement *element, GstPadTemplate *pad_template,
                                                 const gchar *wanted, const GstCaps *) {
  const bool sink = GST_PAD_TEMPLATE_DIRECTION(pad_template) == GST_PAD_SINK;
  const std::string prefix = sink ? "sink_" : "src_";
  const auto taken = [&](guint number) {
    const PadRef pad(
        gst_element_get_static_pad(element, (prefix + std::to_string(number)).c_str()));
    return pad != nullptr;
  };
  guint number = 0;
  if (const auto asked = wanted ? number_in(wanted) : std::nullopt)
    number = *asked;
  else
    while (taken(number)) ++number;
  if (taken(number)) {
    GST_WARNING_OBJECT(element, "pad %s%u is there already", prefix.c_str(), number);
    return nullptr;
  }
  GstPad *pad = gst_pad_new_from_template(pad_template, (prefix + std::to_string(number)).c_str());
  gst_pad_set_element_private(pad, GUINT_TO_POINTER(number));
  if (sink) {
    gst_pad_set_chain_function(pad, chain);
    gst_pad_set_event_function(pad, sink_event);
  } else {
    gst_pad_set_event_function(pad, src_event);
    gst_pad_set_query_function(pad, src_query);
  }
  gst_pad_set_active(pad, TRUE);
  gst_element_add_pad(element, pad);
  set_role(element);
  if (const auto works = works_of(element); works && !told(element, works->add_pad(number, pad))) {
    gst_element_remove_pad(element, pad);
    set_role(element);
    return nullptr;
  }
  return pad;
}

static void junctor_sfu_relay_release_pad(GstElement *element, GstPad *pad) {
  // First it lets go of a push that waits downstream: the reactor can then be called.
  gst_pad_set_active(pad, FALSE);
  if (const auto works = works_of(element)) works->remove_pad(number_of(pad), pad);
  {
    State &state = state_of(element);
    const std::lock_guard lock(state.mutex);
    state.ended.erase(pad);
  }
  gst_element_remove_pad(element, pad);
  set_role(element);
}

static GstStateChangeReturn junctor_sfu_relay_change_state(GstElement *element,
                                                           GstStateChange transition) {
  if (transition == GST_STATE_CHANGE_NULL_TO_READY && !open(element))
    return GST_STATE_CHANGE_FAILURE;
  GstStateChangeReturn result =
      GST_ELEMENT_CLASS(junctor_sfu_relay_parent_class)->change_state(element, transition);
  if (result == GST_STATE_CHANGE_FAILURE) return result;
  if (transition == GST_STATE_CHANGE_READY_TO_NULL) close(element);
  const bool live = transition == GST_STATE_CHANGE_READY_TO_PAUSED ||
                    transition == GST_STATE_CHANGE_PLAYING_TO_PAUSED;
  if (live && GST_OBJECT_FLAG_IS_SET(element, GST_ELEMENT_FLAG_SOURCE))
    result = GST_STATE_CHANGE_NO_PREROLL;
  return result;
}

static void junctor_sfu_relay_set_property(GObject *object, guint id, const GValue *value,
                                           GParamSpec *pspec) {
  State &state = state_of(object);
  const std::lock_guard lock(state.mutex);
  const auto text = [&] {
    const char *given = g_value_get_string(value);
    return std::string(given ? given : "");
  };
  switch (id) {
    case kPropAddress:
      state.address = text();
      break;
    case kPropPort:
      state.port = g_value_get_uint(value);
      break;
    case kPropPeers:
      state.peers = text();
      break;
    case kPropJoin:
      state.join = g_value_get_boolean(value);
      break;
    case kPropMaxLegs:
      state.max_legs = g_value_get_uint(value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void junctor_sfu_relay_get_property(GObject *object, guint id, GValue *value,
                                           GParamSpec *pspec) {
  if (id == kPropStats) return g_value_take_boxed(value, all_stats(object));
  State &state = state_of(object);
  const std::lock_guard lock(state.mutex);
  switch (id) {
    case kPropAddress:
      g_value_set_string(value, state.address.c_str());
      break;
    case kPropPort:
      g_value_set_uint(value, state.bound ? state.bound : state.port);
      break;
    case kPropPeers:
      g_value_set_string(value, state.peers.c_str());
      break;
    case kPropJoin:
      g_value_set_boolean(value, state.join);
      break;
    case kPropMaxLegs:
      g_value_set_uint(value, state.max_legs);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void junctor_sfu_relay_finalize(GObject *object) {
  delete JUNCTOR_SFU_RELAY(object)->state;
  G_OBJECT_CLASS(junctor_sfu_relay_parent_class)->finalize(object);
}

static void install_properties(GObjectClass *klass) {
  constexpr auto kReady = static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
                                                   GST_PARAM_MUTABLE_READY);
  constexpr auto kReadable = static_cast<GParamFlags>(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_property(
      klass, kPropAddress,
      g_param_spec_string("address", "Address", "Numeric IPv4 or IPv6 address to receive on",
                          "127.0.0.1", kReady));
  g_object_class_install_property(
      klass, kPropPort,
      g_param_spec_uint("port", "Port",
                        "UDP port of all legs; 0 takes a free one, which is told from READY on", 0,
                        65535, 0, kReady));
  g_object_class_install_property(
      klass, kPropPeers,
      g_param_spec_string(
          "peers", "Peers",
          "Legs that are there from the beginning: ADDRESS:PORT, separated by commas", "", kReady));
  g_object_class_install_property(
      klass, kPropJoin,
      g_param_spec_boolean("join", "Join",
                           "Each new leg gets routes from and to all others; else by `route` alone",
                           TRUE, kReady));
  g_object_class_install_property(
      klass, kPropMaxLegs,
      g_param_spec_uint("max-legs", "Most legs", "Legs that are refused beyond this number", 1,
                        kMostLegs, kDefaultMaxLegs, kReady));
  g_object_class_install_property(
      klass, kPropStats,
      g_param_spec_boxed("stats", "Statistics", "Legs, routes, and what was dropped",
                         GST_TYPE_STRUCTURE, kReadable));
}

static void install_actions(GType type) {
  constexpr auto kAction = static_cast<GSignalFlags>(G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION);
  const auto install = [&](const char *name, GCallback handler, GType returned, auto... types) {
    g_signal_new_class_handler(name, type, kAction, handler, nullptr, nullptr, nullptr, returned,
                               sizeof...(types), types...);
  };
  install("add-leg", G_CALLBACK(add_leg), G_TYPE_UINT, G_TYPE_STRING, GST_TYPE_STRUCTURE);
  install("set-remote", G_CALLBACK(set_remote), G_TYPE_BOOLEAN, G_TYPE_UINT, G_TYPE_STRING);
  install("remove-leg", G_CALLBACK(remove_leg), G_TYPE_BOOLEAN, G_TYPE_UINT);
  install("route", G_CALLBACK(route), G_TYPE_BOOLEAN, G_TYPE_UINT, G_TYPE_UINT);
  install("unroute", G_CALLBACK(unroute), G_TYPE_BOOLEAN, G_TYPE_UINT, G_TYPE_UINT);
  install("leg-stats", G_CALLBACK(leg_stats), GST_TYPE_STRUCTURE, G_TYPE_UINT);
  install("leg-of-pad", G_CALLBACK(leg_of_pad), G_TYPE_UINT, GST_TYPE_PAD);
}

static void junctor_sfu_relay_class_init(JunctorSfuRelayClass *klass) {
  auto *object_class = G_OBJECT_CLASS(klass);
  auto *element_class = GST_ELEMENT_CLASS(klass);
  object_class->set_property = junctor_sfu_relay_set_property;
  object_class->get_property = junctor_sfu_relay_get_property;
  object_class->finalize = junctor_sfu_relay_finalize;
  element_class->change_state = junctor_sfu_relay_change_state;
  element_class->request_new_pad = junctor_sfu_relay_request_new_pad;
  element_class->release_pad = junctor_sfu_relay_release_pad;
  install_properties(object_class);
  install_actions(G_TYPE_FROM_CLASS(klass));
  gst_element_class_add_static_pad_template(element_class, &sink_template);
  gst_element_class_add_static_pad_template(element_class, &src_template);
  gst_element_class_set_static_metadata(element_class, "SFU relay", "Generic/Network",
                                        "Forwards the RTP of each leg to the others, byte for byte",
                                        "Junctor");
}

static void junctor_sfu_relay_init(JunctorSfuRelay *self) { self->state = new State; }
