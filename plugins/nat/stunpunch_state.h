// SPDX-License-Identifier: LGPL-2.1-or-later
// What a stunpunch is beside a GObject with pads: settings, its channel, and what comes of both.
#pragma once

#include <gst/gst.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/gst/context.h"
#include "nat/stunpunch.h"
#include "nat/stunpunch_pads.h"

GST_DEBUG_CATEGORY_EXTERN(junctor_stun_punch_debug);

namespace junctor::stunpunch {

inline constexpr guint kDefaultTimeout = 3000, kDefaultHeadStart = 1000;  // ms
inline constexpr const char *kDefaultRungs = "p2p,sfu,relay";
inline constexpr const char *kRtp = "application/x-rtp", *kRtcp = "application/x-rtcp";

enum Signal : guint {
  kLocalCandidates,
  kWant,
  kSetRemoteCandidates,
  kTakeOffer,
  kClose,
  kSignals,
};
extern guint signals[kSignals];

struct Settings {
  std::string session, stun_server, turn_server, rungs = kDefaultRungs;
  bool caller = false, ice = false, encrypt = true;
  nat::LadderOrder order = nat::LadderOrder::Parallel;
  guint timeout = kDefaultTimeout, head_start = kDefaultHeadStart;
  bool prediction = true, many_sockets = false;
  CapsRef caps;
};

struct State {
  std::mutex mutex;  // guards settings, reactor, channel, rtcp_out and dtls_out
  Settings settings;
  std::optional<gst::ElementReactor> reactor;
  std::shared_ptr<nat::Channel> channel;
  std::shared_ptr<Outlet> rtp_out, rtcp_out, dtls_out;
  std::shared_ptr<Inlet> inlet = std::make_shared<Inlet>();
  GstPad *sink = nullptr, *src = nullptr;  // owned by the element
  std::atomic<bool> failed = false;
  bool encrypts = true;  ///< the channel; fixed before it opens, for the reactor
};

/// Null before PAUSED, and when it was closed.
std::shared_ptr<nat::Channel> channel_of(State &state);

// Changes of state. False: an error was posted.
bool get_ready(JunctorStunPunch *self);
bool open_channel(JunctorStunPunch *self);
void close_channel(State &state);

// Action signals, any thread.
gboolean set_remote_candidates(JunctorStunPunch *self, const gchar *text);
gboolean take_offer(JunctorStunPunch *self, const gchar *text);
void close_by_application(JunctorStunPunch *self);

/// "junctor-channel-stats", owned by the caller.
GstStructure *stats_of(State &state);

}  // namespace junctor::stunpunch

struct _JunctorStunPunch {
  GstElement parent;
  junctor::stunpunch::State *state;
};
