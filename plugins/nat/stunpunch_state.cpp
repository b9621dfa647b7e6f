// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/stunpunch_state.h"

#include <gst/video/video-event.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "nat/core/offer.h"
#include "nat/core/rung_list.h"

#define GST_CAT_DEFAULT junctor_stun_punch_debug

namespace junctor::stunpunch {

guint signals[kSignals];

std::shared_ptr<nat::Channel> channel_of(State &state) {
  const std::lock_guard lock(state.mutex);
  return state.channel;
}

namespace {

// ---- What the channel tells, on the reactor ----

void post(JunctorStunPunch *self, const nat::ChannelEvent &event) {
  const std::string state(nat::to_string(event.kind));
  const std::string rung(nat::to_string(event.attempt.rung));
  const auto took = std::chrono::duration<double, std::milli>(event.took).count();
  using Kind = nat::ChannelEvent::Kind;
  const bool none = event.kind == Kind::Failed || event.kind == Kind::Trying;
  GstStructure *structure = gst_structure_new(
      "junctor-channel", "state", G_TYPE_STRING, state.c_str(), "rung", G_TYPE_STRING,
      none ? "" : rung.c_str(), "node", G_TYPE_STRING, none ? "" : event.attempt.node.c_str(),
      "local", G_TYPE_STRING, event.local.c_str(), "remote", G_TYPE_STRING, event.remote.c_str(),
      "time-ms", G_TYPE_DOUBLE, took, "why", G_TYPE_STRING, event.why.c_str(), nullptr);
  gst_element_post_message(GST_ELEMENT(self), gst_message_new_element(GST_OBJECT(self), structure));
}

/// The peer has seen nothing yet, or has missed some: a picture to begin with.
void want_keyframe(JunctorStunPunch *self) {
  for (const char *name : {"sink", "dtls_sink"})
    if (const PadRef pad{gst_element_get_static_pad(GST_ELEMENT(self), name)})
      gst_pad_push_event(pad.get(),
                         gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, TRUE, 0));
}

void on_event(JunctorStunPunch *self, const nat::ChannelEvent &event) {
  using Kind = nat::ChannelEvent::Kind;
  post(self, event);
  if (event.kind == Kind::Up || event.kind == Kind::Moved) want_keyframe(self);
  if (event.kind == Kind::Failed)
    GST_ELEMENT_ERROR(self, RESOURCE, NOT_FOUND, ("No way to the peer: %s", event.why.c_str()),
                      ("junctor-channel has told each step"));
}

void on_rung(JunctorStunPunch *self, const nat::LadderEntry &entry) {
  const auto ms = [](Duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
  };
  GstStructure *structure = gst_structure_new(
      "junctor-rung", "rung", G_TYPE_STRING,
      std::string(nat::to_string(entry.attempt.rung)).c_str(), "node", G_TYPE_STRING,
      entry.attempt.node.c_str(), "state", G_TYPE_STRING,
      std::string(nat::to_string(entry.state)).c_str(), "at-ms", G_TYPE_DOUBLE, ms(entry.at),
      "took-ms", G_TYPE_DOUBLE, ms(entry.took), "why", G_TYPE_STRING, entry.why.c_str(), nullptr);
  gst_element_post_message(GST_ELEMENT(self), gst_message_new_element(GST_OBJECT(self), structure));
}

std::shared_ptr<Outlet> rtcp_outlet(State &state) {
  const std::lock_guard lock(state.mutex);
  return state.rtcp_out;
}

/// Where all goes together: who takes apart what belongs to DTLS-SRTP takes the whole. Null where
/// this element encrypts, without a look: packets are many.
std::shared_ptr<Outlet> whole_outlet(State &state) {
  if (state.encrypts) return nullptr;
  const std::lock_guard lock(state.mutex);
  return state.dtls_out;
}

bool on_dtls(JunctorStunPunch *self, const SharedBytes &packet) {
  const auto whole = whole_outlet(*self->state);
  if (whole) whole->add(packet);
  return whole != nullptr;
}

void on_received(JunctorStunPunch *self, const SharedBytes &packet, bool rtcp) {
  State &state = *self->state;
  if (const auto whole = whole_outlet(state)) return whole->add(packet);
  if (!rtcp) return state.rtp_out->add(packet);
  const auto outlet = rtcp_outlet(state);
  if (!outlet) return;
  outlet->add(packet);
  outlet->flush();
}

void on_signal(JunctorStunPunch *self, const std::string &text) {
  // Not the string itself: ICE has a password in it.
  GST_LOG_OBJECT(self, "%zu bytes for the peer", text.size());
  g_signal_emit(self, signals[kLocalCandidates], 0, text.c_str());
}

void on_complaint(JunctorStunPunch *self, const std::string &text) {
  GST_ELEMENT_WARNING(self, RESOURCE, FAILED, ("%s", text.c_str()),
                      ("a string of set-remote-candidates was not taken"));
}

void on_batch_end(JunctorStunPunch *self) {
  State &state = *self->state;
  // Both: the pad may have come or gone since the batch began.
  GstFlowReturn flow = state.rtp_out->flush();
  if (const auto whole = whole_outlet(state)) flow = std::min(flow, whole->flush());
  // Not linked, flushing, ended downstream: downstream's business; the channel goes on.
  if (flow >= GST_FLOW_EOS || state.failed.exchange(true)) return;
  GST_ELEMENT_FLOW_ERROR(self, flow);
}

// ---- States ----

/// Those that are wanted and can be had: a node only where the application names one.
Result<std::vector<nat::Rung>> rungs_of(JunctorStunPunch *self, const Settings &settings) {
  auto rungs = nat::parse_rungs(settings.rungs);
  if (!rungs) return bad_input("rungs: " + rungs.error().detail);
  const bool asks = g_signal_has_handler_pending(self, signals[kWant], 0, FALSE);
  std::erase_if(*rungs, [&](nat::Rung rung) {
    const bool there = rung == nat::Rung::P2p || asks ||
                       (rung == nat::Rung::Relay && !settings.turn_server.empty());
    return !there;
  });
  if (rungs->empty())
    return bad_input(
        "rungs: none of them can be had; sfu needs a handler of `want`, relay that or turn-server");
  return rungs;
}

bool has_dtls_pad(JunctorStunPunch *self) {
  const auto has = [self](const char *name) {
    return PadRef(gst_element_get_static_pad(GST_ELEMENT(self), name)) != nullptr;
  };
  return has("dtls_sink") || has("dtls_src");
}

Result<nat::ChannelOptions> options_of(JunctorStunPunch *self) {
  State &state = *self->state;
  nat::ChannelOptions options;
  const bool has_dtls = has_dtls_pad(self);
  const std::lock_guard lock(state.mutex);
  options.side = state.settings.caller ? nat::Side::Caller : nat::Side::Callee;
  options.session = state.settings.session;
  options.timeout = std::chrono::milliseconds(state.settings.timeout);
  options.prediction = state.settings.prediction;
  options.many_sockets = state.settings.many_sockets;
  options.order = state.settings.order;
  options.head_start = std::chrono::milliseconds(state.settings.head_start);
  options.ice = state.settings.ice;
  options.encrypt = state.settings.encrypt;
  if (options.ice && !options.encrypt) {
    // What the application encrypts need have no name.
  } else if (options.session.empty()) {
    return bad_input("set session: a name of this call that both ends know");
  }
  if (!options.encrypt && !options.ice)
    return bad_input("encrypt=false is for ice=true: only then the peer may be another's program");
  if (options.encrypt && has_dtls)
    return bad_input("dtls_sink and dtls_src are for encrypt=false: else this element encrypts");
  auto turn = nat::TurnServer::parse_list(state.settings.turn_server);
  if (!turn) return turn.error();
  options.turn_servers = *std::move(turn);
  auto rungs = rungs_of(self, state.settings);
  if (!rungs) return rungs.error();
  options.rungs = *std::move(rungs);
  options.log = gst::log_to(junctor_stun_punch_debug, GST_OBJECT(self));
  std::string_view rest = state.settings.stun_server;
  while (!rest.empty()) {
    const auto comma = std::min(rest.find(','), rest.size());
    auto host = nat::StunHost::parse(rest.substr(0, comma));
    if (!host) return host.error();
    options.stun_servers.push_back(*std::move(host));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  if (options.stun_servers.size() > nat::Gathering::kMostServers)
    return bad_input("at most " + std::to_string(nat::Gathering::kMostServers) +
                     " STUN servers are asked");
  return options;
}

}  // namespace

bool get_ready(JunctorStunPunch *self) {
  auto reactor = gst::ElementReactor::acquire(GST_ELEMENT(self), "stunpunch");
  if (!reactor) {
    GST_ELEMENT_ERROR(self, RESOURCE, FAILED, (nullptr), ("%s", reactor.error().detail.c_str()));
    return false;
  }
  const std::lock_guard lock(self->state->mutex);
  self->state->reactor = *std::move(reactor);
  return true;
}

bool open_channel(JunctorStunPunch *self) {
  State &state = *self->state;
  auto options = options_of(self);
  if (!options) {
    GST_ELEMENT_ERROR(self, RESOURCE, SETTINGS, ("%s", options.error().detail.c_str()), (nullptr));
    return false;
  }
  state.failed = false;
  state.encrypts = options->encrypt;
  state.rtp_out = std::make_shared<Outlet>(GST_ELEMENT(self), state.src, kRtp);
  nat::ChannelEvents events;
  events.signal = [self](const std::string &text) { on_signal(self, text); };
  events.event = [self](const nat::ChannelEvent &event) { on_event(self, event); };
  events.received = [self](const SharedBytes &packet, bool rtcp) {
    on_received(self, packet, rtcp);
  };
  events.dtls = [self](const SharedBytes &packet) { return on_dtls(self, packet); };
  events.batch_end = [self] { on_batch_end(self); };
  if (g_signal_has_handler_pending(self, signals[kWant], 0, FALSE))
    events.want = [self](nat::Rung rung) {
      g_signal_emit(self, signals[kWant], 0, std::string(nat::to_string(rung)).c_str());
    };
  events.rung = [self](const nat::LadderEntry &entry) { on_rung(self, entry); };
  events.complaint = [self](const std::string &text) { on_complaint(self, text); };
  {
    const std::lock_guard lock(state.mutex);
    state.rtp_out->set_caps(state.settings.caps.get());
    if (state.rtcp_out)
      state.rtcp_out = std::make_shared<Outlet>(GST_ELEMENT(self), state.rtcp_out->pad(), kRtcp);
    if (state.dtls_out)
      state.dtls_out = std::make_shared<Outlet>(GST_ELEMENT(self), state.dtls_out->pad(), nullptr);
  }
  auto channel =
      nat::Channel::open(state.reactor->reactor(), *std::move(options), std::move(events));
  if (!channel) {
    GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ_WRITE, (nullptr),
                      ("%s", channel.error().detail.c_str()));
    return false;
  }
  state.inlet->connect(state.reactor->reactor(), *channel);
  const std::lock_guard lock(state.mutex);
  state.channel = *std::move(channel);
  return true;
}

void close_channel(State &state) {
  std::shared_ptr<nat::Channel> channel;
  {
    const std::lock_guard lock(state.mutex);
    channel = std::exchange(state.channel, nullptr);
  }
  state.inlet->disconnect();
  if (channel) channel->close();
}

// ---- Actions ----

/// Gives the channel a string that reads; the rest of it is judged on the reactor.
template <class Read>
static gboolean give(JunctorStunPunch *self, const gchar *text, Read read,
                     void (nat::Channel::*post)(std::string)) {
  const auto channel = channel_of(*self->state);
  if (!channel) {
    GST_WARNING_OBJECT(self, "there is no channel yet: set the state to PAUSED first");
    return FALSE;
  }
  const std::string given = text != nullptr ? text : "";
  if (const auto done = read(given); !done) {
    GST_WARNING_OBJECT(self, "%s", done.error().detail.c_str());
    return FALSE;
  }
  // Not here: two elements that give each other strings from their reactors would wait for each
  // other.
  ((*channel).*post)(given);
  return TRUE;
}

gboolean set_remote_candidates(JunctorStunPunch *self, const gchar *text) {
  return give(self, text, nat::parse_signal, &nat::Channel::post);
}

gboolean take_offer(JunctorStunPunch *self, const gchar *text) {
  return give(self, text, nat::parse_offer, &nat::Channel::post_offer);
}

void close_by_application(JunctorStunPunch *self) {
  State &state = *self->state;
  close_channel(state);
  std::shared_ptr<Reactor> reactor;
  std::vector<std::shared_ptr<Outlet>> outlets;
  {
    const std::lock_guard lock(state.mutex);
    if (!state.reactor) return;
    reactor = state.reactor->reactor();
    outlets = {state.rtp_out, state.rtcp_out, state.dtls_out};
  }
  reactor->post([outlets] {
    for (const auto &each : outlets)
      if (each) each->end();
  });
}

// ---- Figures ----

GstStructure *stats_of(State &state) {
  const auto channel = channel_of(state);
  const nat::ChannelStats stats = channel ? channel->stats() : nat::ChannelStats();
  const double round_trip =
      stats.round_trip ? std::chrono::duration<double, std::milli>(*stats.round_trip).count() : 0;
  return gst_structure_new(
      "junctor-channel-stats", "state", G_TYPE_STRING,
      std::string(nat::to_string(stats.state)).c_str(), "rung", G_TYPE_STRING, stats.rung.c_str(),
      "node", G_TYPE_STRING, stats.node.c_str(), "local", G_TYPE_STRING, stats.local.c_str(),
      "remote", G_TYPE_STRING, stats.remote.c_str(), "round-trip-ms", G_TYPE_DOUBLE, round_trip,
      "packets-sent", G_TYPE_UINT64, static_cast<guint64>(stats.packets_sent), "bytes-sent",
      G_TYPE_UINT64, static_cast<guint64>(stats.bytes_sent), "packets-received", G_TYPE_UINT64,
      static_cast<guint64>(stats.packets_received), "bytes-received", G_TYPE_UINT64,
      static_cast<guint64>(stats.bytes_received), "packets-lost", G_TYPE_UINT64,
      static_cast<guint64>(stats.lost), "packets-unsent", G_TYPE_UINT64,
      static_cast<guint64>(stats.unsent + state.inlet->dropped()), "packets-refused", G_TYPE_UINT64,
      static_cast<guint64>(stats.refused), nullptr);
}

}  // namespace junctor::stunpunch
