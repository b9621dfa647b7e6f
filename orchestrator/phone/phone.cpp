// SPDX-License-Identifier: LGPL-2.1-or-later
#include "phone/phone.h"

#include <glib.h>

#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/picture_size.h"
#include "common/text.h"
#include "nat/core/behaviour_json.h"
#include "nat/core/host_addresses.h"
#include "phone/media_line.h"
#include "rendezvous/session.h"

namespace junctor::phone {

namespace {

using namespace std::chrono_literals;
using nlohmann::json;

/// A call does not wait longer for what there is to know of the network.
constexpr Duration kLookPatience = 1500ms;
/// Of who hangs up before the session that was asked for is there.
constexpr Duration kSessionPatience = 1s;
constexpr std::size_t kMostStunServers = 4;  // that a channel asks

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

json object(const wire::Object &text) { return json::parse(text, nullptr, false); }

}  // namespace

Phone::Phone(PhoneOptions options, PhoneWorld world, std::ostream &out, std::ostream &err,
             std::function<void(int)> ended)
    : options_(std::move(options)),
      world_(std::move(world)),
      out_(out),
      err_(err),
      ended_(std::move(ended)),
      lookout_([this](rendezvous::Surroundings found) { on_surroundings(std::move(found)); },
               world_.survey, nat::host_addresses) {}

Phone::~Phone() = default;

void Phone::tell(const char *event, json fields, const std::string &text) {
  if (options_.json) {
    fields["event"] = event;
    fields["at"] = static_cast<double>(g_get_real_time()) / G_USEC_PER_SEC;
    out_ << fields.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
  } else {
    out_ << text << std::endl;
  }
}

Result<void> Phone::start() {
  rendezvous::ClientEvents events;
  events.welcome = [this](const wire::Welcome &welcome) { on_welcome(welcome); };
  events.message = [this](const wire::Message &message) { on_message(message); };
  events.away = [this](const std::string &why, Duration wait) { on_away(why, wait); };
  events.refused = [this](const Error &error) {
    err_ << "junctor: " << error.detail << std::endl;
    refused_ = true;
    if (call_ && call_->up) return;  // it needs nobody
    finish(kFailed);
  };
  rendezvous::ClientOptions options = options_.client;
  options.hello.families = network().families;
  auto client = world_.connect(std::move(options), std::move(events));
  if (!client) return client.error();
  client_ = std::move(*client);
  ticker_ = ContextTimer(nullptr, 1s, [this] { tick(); });
  if (!options_.call.empty())
    welcome_ = ContextTimer(nullptr, options_.welcome_patience, [this] {
      err_ << "junctor: no orchestrator answers at " << options_.client.url
           << (away_.empty() ? "" : " (" + away_ + ")") << ", so nobody can be called" << std::endl;
      finish(kUnreachable);
    });
  return {};
}

// --- The rendezvous ------------------------------------------------------------------------------

void Phone::on_welcome(const wire::Welcome &welcome) {
  welcome_.reset();
  tell("connected", {{"account", welcome.account}, {"resumed", welcome.resumed}},
       "connected as " + welcome.account + (welcome.resumed ? ", again" : ""));
  if (call_ && !welcome.resumed) {
    if (!call_->up)
      return end_call(EndReason::Unreachable, "The rendezvous has forgotten the call.", false);
    if (!std::exchange(call_->forgotten, true))
      tell("forgotten", {},
           "the rendezvous has forgotten the call; where media flows it goes on without it");
    for (const char *what : {"no-node", "no-turn"}) decline(what);
  }
  if (placed_ && !call_ && !welcome.resumed) {
    // It was asked for on a connection that nothing is known of there.
    placed_ = false;
    place_call();
  }
  const std::vector<wire::Region> servers = rendezvous::servers_of(welcome);
  if (!std::exchange(looked_, true)) {
    patience_ = ContextTimer(nullptr, kLookPatience, [this] { place_call(); });
    // Until it is known better.
    for (const wire::Region &each : servers) stun_.push_back(each.stun);
  }
  // A connection that broke may have been another network's.
  lookout_.look(servers);
}

wire::Moved Phone::network() const {
  const auto &nat = surroundings_.nat;
  return {nat ? nat::to_json(*nat).dump() : "", surroundings_.regions,
          nat::families_of(nat::host_addresses())};
}

void Phone::on_surroundings(rendezvous::Surroundings found) {
  const auto words = [](const std::optional<nat::Behaviour> &nat) {
    return nat ? summary(*nat) : std::string();
  };
  const bool news = words(found.nat) != words(surroundings_.nat);
  const bool first = surroundings_.stun_servers.empty();
  surroundings_ = std::move(found);
  if (!surroundings_.stun_servers.empty()) {
    stun_.clear();
    for (const Endpoint &each : surroundings_.stun_servers) stun_.push_back(each.to_string());
  }
  if (surroundings_.nat && news)
    tell("nat", {{"behaviour", nat::to_json(*surroundings_.nat)}},
         "this machine: " + summary(*surroundings_.nat));
  if (!surroundings_.regions.empty() && (news || first)) {
    const auto &nearest = surroundings_.regions.front();
    tell("nearest", {{"name", nearest.name}, {"round_trip_ms", nearest.round_trip_ms}},
         "nearest STUN server: " + nearest.name + ", " + brief(nearest.round_trip_ms) + " ms");
  }
  const wire::Moved here = network();
  client_->set_network(here);
  client_->send(here);
  place_call();
}

void Phone::on_message(const wire::Message &message) {
  std::visit([this](const auto &each) { on(each); }, message);
}

void Phone::on_away(const std::string &why, Duration wait) {
  away_ = why;
  tell("away", {{"why", why}, {"again_in_s", seconds(wait)}},
       "no rendezvous (" + why + "), tried again in " + brief(seconds(wait)) + " s");
}

void Phone::on(const wire::Wrong &wrong) {
  // A session that is over, as where another device was faster: what was said of it crossed its
  // end.
  if (!wrong.session.empty() && !is_current(wrong.session)) return;
  tell("wrong", {{"detail", wrong.detail}}, "the rendezvous does not understand: " + wrong.detail);
}

// --- The call ------------------------------------------------------------------------------------

void Phone::place_call() {
  patience_.reset();
  if (placed_ || options_.call.empty() || finishing_) return;
  placed_ = true;
  tell("calling", {{"to", options_.call}}, "calling " + options_.call);
  client_->send(wire::Open{"1", options_.call});
}

void Phone::on(const wire::Refused &refused) {
  tell("ended", {{"reason", refused.reason}, {"detail", refused.detail}},
       "ended: " + refused.reason + ": " + refused.detail);
  finish(kFailed);
}

void Phone::on(const wire::Session &session) {
  if (call_ || leaving_ || finishing_) {
    client_->send(wire::Bye{session.session, "caller-hangup", ""});
    if (leaving_) finish(kFailed);
    return;
  }
  call_ = Call();
  call_->session = session.session;
  call_->peer = options_.call;
  call_->caller = true;
  if (auto started = start_media(); !started)
    end_call(EndReason::Internal, started.error().detail, true);
}

void Phone::on(const wire::Trying &trying) {
  if (is_current(trying.session))
    tell("ringing", {{"devices", trying.ringing}},
         "ringing at " + std::to_string(trying.ringing) +
             (trying.ringing == 1 ? " device" : " devices"));
}

void Phone::on(const wire::Invite &invite) {
  tell("invited", {{"from", invite.from}, {"session", invite.session}}, invite.from + " calls");
  const bool busy = call_ || placed_;
  const auto &from = options_.answer_from;
  const bool wanted =
      options_.answer && (from.empty() || std::ranges::find(from, invite.from) != from.end());
  if (busy || !wanted || finishing_) {
    client_->send(wire::Decline{invite.session, busy ? "busy" : "declined"});
    return;
  }
  call_ = Call();
  call_->session = invite.session;
  call_->peer = invite.from;
  call_->offer = invite.offer;
  if (auto started = start_media(); !started)
    end_call(EndReason::Internal, started.error().detail, true);
}

Result<void> Phone::start_media() {
  MediaOptions options = options_.media;
  options.session = call_->session;
  options.caller = call_->caller;
  const auto count = std::min(stun_.size(), kMostStunServers);
  options.stun_servers.clear();
  for (std::size_t i = 0; i < count; ++i) options.stun_servers += (i == 0 ? "" : ",") + stun_[i];
  MediaEvents events;
  events.signal = [this](const std::string &signal) { on_signal(signal); };
  events.want = [this](const std::string &rung) {
    if (call_->forgotten) return decline(rung == "relay" ? "no-turn" : "no-node");
    client_->send(wire::Need{call_->session, rung});
  };
  events.channel = [this](const ChannelNews &news) { on_channel(news); };
  events.rung = [this](const RungNews &news) { on_rung(news); };
  events.first_picture = [this](std::chrono::milliseconds since) {
    tell("picture", {{"ms", since.count()}},
         "first picture, " + std::to_string(since.count()) + " ms after the start");
  };
  events.too_large = [this](const std::string &size) {
    tell("too-large", {{"size", size}},
         "pictures of " + size + " are left out: no more than " + kMostSamples +
             " samples are decoded here");
  };
  events.failed = [this](const std::string &why) { end_call(EndReason::Unreachable, why, true); };
  events.broken = [this](const std::string &why) { end_call(EndReason::Internal, why, true); };
  events.ended = [this] { tell("sent", {}, "what was to be sent has been sent"); };
  auto media = world_.media(std::move(options), std::move(events));
  if (!media) return media.error();
  call_->media = std::move(*media);
  if (!call_->caller) call_->media->take_remote(call_->offer);
  return {};
}

void Phone::on_signal(const std::string &signal) {
  if (!call_) return;
  if (std::exchange(call_->described, true))
    return say(wire::Signal{call_->session, "", "", signal});
  const wire::Object media = nat::to_string(sent_by(options_.media));
  if (call_->caller) {
    client_->send(wire::Invite{call_->session, "", signal, media});
  } else {
    client_->send(wire::Accept{call_->session, signal, media});
    call_->answered = true;
    tell("answered", {{"from", call_->peer}, {"session", call_->session}}, "answered");
  }
}

void Phone::on(const wire::Accept &accept) {
  if (!is_current(accept.session) || !call_->caller || !call_->media) return;
  call_->answered = true;
  tell("answered", {{"to", call_->peer}, {"session", call_->session}}, call_->peer + " answers");
  call_->media->take_remote(accept.answer);
}

void Phone::on(const wire::Reach &reach) {
  if (!is_current(reach.session)) return;
  const bool expected = reach.direct == "probes" || reach.direct == "unknown";
  call_->no_direct = expected ? "" : reach.why;
  const bool worth = reach.direct == "prediction" ||
                     (reach.direct == "many-sockets" && options_.media.many_sockets);
  offer({{"type", "direct"}, {"expected", expected || worth}});
  tell("reach", {{"direct", reach.direct}, {"why", reach.why}},
       "direct way: " + reach.direct + (reach.why.empty() ? "" : ": " + reach.why));
}

void Phone::on(const wire::Signal &signal) {
  if (!is_current(signal.session) || !call_->media) return;
  if (signal.node.empty()) return call_->media->take_remote(signal.data);
  offer({{"type", "node-signal"}, {"node", signal.node}, {"data", object(signal.data)}});
}

/// Of the call, to who knows of it.
void Phone::say(const wire::Message &message) {
  if (!call_->forgotten) client_->send(message);
}

/// In the place of a rendezvous that would wait for nobody.
void Phone::decline(const char *type) {
  offer({{"type", type}, {"why", "the rendezvous has forgotten the call"}});
}

void Phone::offer(const json &offer) {
  if (call_ && call_->media) call_->media->take_offer(offer.dump());
}

void Phone::on(const wire::Node &node) {
  if (!is_current(node.session)) return;
  tell("node", {{"node", node.node}, {"why", node.why}},
       "node " + node.node + (node.why.empty() ? "" : ": " + node.why));
  offer({{"type", "node"}, {"node", node.node}, {"description", object(node.description)}});
}

void Phone::on(const wire::NodeUp &node) {
  if (is_current(node.session)) offer({{"type", "node-up"}, {"node", node.node}});
}

void Phone::on(const wire::NodeFailed &node) {
  if (is_current(node.session))
    offer({{"type", "node-failed"},
           {"node", node.node},
           {"why", node.why},
           {"leaving", node.leaving}});
}

void Phone::on(const wire::NoNode &none) {
  if (is_current(none.session)) offer({{"type", "no-node"}, {"why", none.why}});
}

void Phone::on(const wire::Turn &turn) {
  if (!is_current(turn.session)) return;
  if (turn.urls.empty()) return offer({{"type", "no-turn"}, {"why", "this server has no relay"}});
  json said = {{"type", "turn"},
               {"urls", turn.urls},
               {"username", turn.username},
               {"credential", turn.credential}};
  if (turn.ttl > 0) said["ttl"] = turn.ttl;
  if (!turn.certificate_sha256.empty()) said["certificate_sha256"] = turn.certificate_sha256;
  offer(said);
}

void Phone::on_channel(const ChannelNews &news) {
  if (!call_) return;
  const json fields = {{"state", news.state}, {"rung", news.rung},     {"node", news.node},
                       {"local", news.local}, {"remote", news.remote}, {"ms", news.ms},
                       {"why", news.why}};
  const std::string why = news.why.empty() ? "" : ": " + news.why;
  if (news.state != "up" && news.state != "moved") {
    tell("channel", fields, "channel " + news.state + why);
    // What has cut the direct way has probably cut the connection, too, and the peer is to learn of
    // new addresses now, not when it is found dead. Where only a node is gone, the next one is
    // asked for over the connection that there is.
    if (news.state == "trying" && call_->up && call_->rung == "p2p") {
      client_->set_network(network());
      client_->reconnect();
    }
    return;
  }
  json up = fields;
  if (!call_->up && call_->media) up["fingerprint"] = call_->media->stats().fingerprint;
  tell("channel", up,
       "channel " + news.state + " by " + rendezvous::way_of(news.rung, news.node) + " in " +
           brief(news.ms) + " ms, " + news.local + " to " + news.remote + why +
           (up.contains("fingerprint")
                ? "\nfingerprint " + up["fingerprint"].get<std::string>() +
                      ": the same at both ends, unless somebody stands between"
                : ""));
  call_->rung = news.rung;
  if (!call_->up) call_->up = world_.now();
}

void Phone::on_rung(const RungNews &news) {
  if (!call_) return;
  std::string why = news.why;
  // What was seen says little of why it was so.
  if (news.rung == "p2p" && news.state == "failed" && !call_->no_direct.empty())
    why = call_->no_direct + (why.empty() ? "" : ": " + why);
  why.resize(shortened(why, wire::kMostText).size());
  say(wire::Rung{call_->session, news.rung, news.node, news.state, why, news.took_ms});
  tell("rung",
       {{"rung", news.rung},
        {"node", news.node},
        {"state", news.state},
        {"at_ms", news.at_ms},
        {"took_ms", news.took_ms},
        {"why", why}},
       "  " + brief(news.at_ms) + " ms: " + rendezvous::way_of(news.rung, news.node) + " " +
           news.state + (why.empty() ? "" : ": " + why));
}

void Phone::on(const wire::Bye &bye) {
  if (!is_current(bye.session)) return;
  const auto reason = end_reason_from_string(bye.reason);
  end_call(reason.value_or(EndReason::Internal), bye.detail, false);
}

void Phone::end_call(EndReason reason, const std::string &detail, bool by_us) {
  if (!call_) return;
  Call over = std::move(*call_);
  call_.reset();
  if (by_us && !over.forgotten) {
    // What is wrong here, with which of our files, is nobody else's.
    const std::string told = reason == EndReason::Internal
                                 ? "The other end cannot send or receive its media."
                                 : std::string(shortened(detail, wire::kMostText));
    if (!over.caller && !over.answered)
      client_->send(wire::Decline{over.session, "busy"});
    else
      client_->send(wire::Bye{over.session, std::string(to_string(reason)), told});
  }
  const std::string said = detail.empty() ? std::string(describe(reason)) : detail;
  const double lasted = over.up ? seconds(world_.now() - *over.up) : 0;
  tell("ended",
       {{"reason", to_string(reason)},
        {"detail", said},
        {"session", over.session},
        {"lasted_s", lasted}},
       "ended: " + std::string(to_string(reason)) + ": " + said);
  const bool good =
      over.up && (reason == EndReason::CallerHangup || reason == EndReason::CalleeHangup);
  over.media.reset();
  next_picture_.reset();
  if (refused_) return finish(kFailed);  // nobody could call any more
  if (!options_.call.empty() || options_.once) finish(good ? kDone : kFailed);
}

void Phone::hang_up() {
  if (finishing_ || leaving_) return finish(kFailed);
  if (call_) end_call(call_->caller ? EndReason::CallerHangup : EndReason::CalleeHangup, "", true);
  if (!placed_ || finishing_)
    return finish(options_.call.empty() && !options_.once ? kDone : kFailed);
  // Its session is on its way, and would wait there for an invite.
  leaving_ = true;
  patience_ = ContextTimer(nullptr, kSessionPatience, [this] { finish(kFailed); });
}

void Phone::finish(int code) {
  if (std::exchange(finishing_, true)) return;
  code_ = code;
  patience_.reset();
  welcome_.reset();
  client_->close([this, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) ended_(code_);
  });
}

// --- Each second ---------------------------------------------------------------------------------

void Phone::tick() {
  ticker_ = ContextTimer(nullptr, 1s, [this] { tick(); });
  if (!call_ || !call_->up) return;
  const Time now = world_.now();
  if (options_.stats) show_stats();
  if (options_.pictures_every > 0s && !options_.pictures.empty()) {
    if (!next_picture_) next_picture_ = now + options_.pictures_every;
    if (now >= *next_picture_) {
      *next_picture_ += options_.pictures_every;
      save_picture();
    }
  }
  if (options_.duration > 0s && now - *call_->up >= options_.duration)
    end_call(call_->caller ? EndReason::CallerHangup : EndReason::CalleeHangup, "", true);
}

void Phone::show_stats() {
  const MediaStats stats = call_->media->stats();
  const MediaStats before = std::exchange(call_->last, stats);
  const auto lasted = std::chrono::duration_cast<std::chrono::seconds>(world_.now() - *call_->up);
  const auto sent = stats.bytes_sent - before.bytes_sent,
             received = stats.bytes_received - before.bytes_received,
             pictures = stats.pictures - before.pictures;
  std::ostringstream text;
  text << lasted.count() << " s  "
       << (stats.rung.empty() ? "no way" : rendezvous::way_of(stats.rung, stats.node))
       << "  round trip "
       << (stats.round_trip_ms > 0 ? brief(stats.round_trip_ms) + " ms" : "unknown") << "  sent "
       << sent / 1000 << " kB  received " << received / 1000 << " kB  lost " << stats.packets_lost
       << "  pictures " << pictures;
  tell("stats",
       {{"s", lasted.count()},
        {"state", stats.state},
        {"rung", stats.rung},
        {"node", stats.node},
        {"local", stats.local},
        {"remote", stats.remote},
        {"round_trip_ms", stats.round_trip_ms},
        {"packets_sent", stats.packets_sent},
        {"bytes_sent", stats.bytes_sent},
        {"packets_received", stats.packets_received},
        {"bytes_received", stats.bytes_received},
        {"packets_lost", stats.packets_lost},
        {"pictures", stats.pictures},
        {"longest_pause_ms", stats.longest_pause_ms},
        {"longest_still_ms", stats.longest_still_ms}},
       text.str());
}

void Phone::save_picture() {
  if (!call_ || !call_->media)
    return tell("picture-not-saved", {{"why", "there is no call"}}, "no picture: there is no call");
  std::ostringstream path;
  path << (options_.pictures.empty() ? "." : options_.pictures) << "/picture-" << std::setfill('0')
       << std::setw(4) << pictures_ + 1 << ".png";
  if (auto saved = call_->media->save_picture(path.str()); !saved)
    return tell("picture-not-saved", {{"why", saved.error().detail}},
                "no picture: " + saved.error().detail);
  ++pictures_;
  tell("picture-saved", {{"path", path.str()}}, "saved " + path.str());
}

}  // namespace junctor::phone
