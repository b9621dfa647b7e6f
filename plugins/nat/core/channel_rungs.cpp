// SPDX-License-Identifier: LGPL-2.1-or-later
// The ways of a channel besides the direct one: nodes, and what libnice finds.
#include <algorithm>
#include <utility>

#include "common/main_context.h"
#include "nat/core/channel.h"
#include "rtp/core/demux.h"

namespace junctor::nat {

namespace {

const Attempt kRelay{Rung::Relay, {}};

constexpr std::size_t kMostNodes = 8;        // offered and not given up
constexpr std::size_t kMostIceWaiting = 32;  // strings, until there is an agent
/// RTCP alone comes more often over a way that works.
constexpr Duration kIceSilence = std::chrono::seconds(5);

}  // namespace

// ---- What the rendezvous says ----

Result<void> Channel::take_offer(std::string_view text) {
  if (closed_) return refused("the channel is closed");
  auto read = parse_offer(text);
  if (!read) return read.error();
  const Time now = Clock::now();
  Result<void> taken;
  if (const auto *node = std::get_if<NodeOffer>(&*read)) {
    taken = take_node(*node);
  } else if (const auto *said = std::get_if<NodeSignal>(&*read)) {
    if (NodeWay *way = find_node(said->name)) {
      const bool anew = said->more.generation > way->description.generation;
      way->description.generation = std::max(way->description.generation, said->more.generation);
      if (anew && way->puncher) way->puncher->clear_remote();
      for (const Candidate &each : said->more.candidates) add_remote(*way, each);
      if (anew && way->puncher) way->puncher->restart(now);
    }
  } else if (const auto *up = std::get_if<NodeUp>(&*read)) {
    if (NodeWay *way = find_node(up->name)) {
      way->joined = true;
      node_may_be_up(*way);
    }
  } else if (const auto *failed = std::get_if<NodeFailed>(&*read)) {
    if (ladder_)
      ladder_->failed({Rung::Sfu, failed->name}, failed->why.empty() ? "it failed" : failed->why,
                      now);
  } else if (const auto *none = std::get_if<NoNode>(&*read)) {
    if (ladder_) ladder_->no_node(none->why, now);
  } else if (auto *turn = std::get_if<TurnOffer>(&*read)) {
    turn_servers_ = std::move(turn->servers);
    if (relay_wanted_) start_ice(*std::exchange(relay_wanted_, {}), true);
  } else if (const auto *no_turn = std::get_if<NoTurn>(&*read)) {
    if (ladder_ && relay_wanted_) ladder_->failed(*relay_wanted_, no_turn->why, now);
  }
  step();
  return taken;
}

void Channel::post_offer(std::string text) {
  reactor_->post([self = shared_from_this(), text = std::move(text)] {
    if (self->closed_) return;
    const auto taken = self->take_offer(text);
    if (!taken && self->events_->complaint) self->events_->complaint(taken.error().detail);
  });
}

Result<void> Channel::take_node(const NodeOffer &offer) {
  // Known: that it is named again says that there is no other.
  if (!find_node(offer.name))
    if (auto made = make_node(offer); !made) return made;
  // Before the peer is known it is kept.
  if (ladder_ && !ladder_->offer_node(offer.name, Clock::now())) forget_node(offer.name);
  return {};
}

void Channel::forget_node(std::string_view name) {
  std::erase_if(nodes_, [&](const auto &each) { return each->name == name; });
}

Result<void> Channel::make_node(const NodeOffer &offer) {
  if (nodes_.size() >= kMostNodes)
    return refused("more than " + std::to_string(kMostNodes) + " nodes are offered at once");
  const std::string session = leg_session(options_.session, offer.name);
  // Of the two the node is the one that is called.
  auto keys = agree(own_key_, offer.description.key, Side::Caller, session);
  if (!keys) return keys.error();
  auto srtcp = rtp::Srtp::make(keys->srtcp);
  if (!srtcp) return srtcp.error();
  auto way = std::make_unique<NodeWay>();
  way->name = offer.name;
  way->description = offer.description;
  way->keys = *std::move(keys);
  way->own_tag = leg_tag(own_tag_, session);
  way->srtcp = *std::move(srtcp);
  nodes_.push_back(std::move(way));
  return {};
}

// ---- Nodes ----

Channel::NodeWay *Channel::find_node(std::string_view name) {
  if (name.empty()) return nullptr;
  const auto found = std::ranges::find(
      nodes_, name, [](const auto &each) -> std::string_view { return each->name; });
  return found == nodes_.end() ? nullptr : found->get();
}

std::optional<Puncher> Channel::make_puncher(const ChannelKeys &keys, const std::string &own_tag,
                                             const std::string &peer_tag) const {
  PuncherOptions options;
  options.probe_own = keys.probe_own;
  options.probe_peer = keys.probe_peer;
  options.own_tag = own_tag;
  options.peer_tag = peer_tag;
  options.timeout = options_.timeout;
  std::optional<Puncher> puncher(std::in_place, std::move(options));
  for (unsigned i = 0; i < sockets_.size(); ++i)
    if (sockets_[i].use == Puncher::Use::Plain)
      puncher->add_socket(i, sockets_[i].v6, Clock::now());
  return puncher;
}

void Channel::prepare_node(NodeWay &node) {
  if (node.puncher) return node.puncher->restart(Clock::now());
  node.puncher = make_puncher(node.keys, node.own_tag, node.description.tag);
  for (const Candidate &each : std::exchange(node.description.candidates, {}))
    add_remote(node, each);
  node.puncher->restart(Clock::now());
}

void Channel::add_remote(NodeWay &node, const Candidate &candidate) {
  if (!node.puncher) {
    if (node.description.candidates.size() < kMostCandidates)
      node.description.candidates.push_back(candidate);
  } else if (!is_loopback(candidate.endpoint) || local_only_) {
    node.puncher->add_remote(candidate, Clock::now());
  }
}

void Channel::node_may_be_up(NodeWay &node) {
  if (node.joined && node.puncher && node.puncher->state() == Puncher::State::Up)
    ladder_->up({Rung::Sfu, node.name}, Clock::now());
}

// ---- What libnice finds ----

bool Channel::uses_ice() const {
  return options_.ice || std::ranges::count(options_.rungs, Rung::Relay) > 0;
}

void Channel::prepare_relay() {
  if (!turn_servers_.empty()) return start_ice(kRelay, true);
  if (!events_->want) return ladder_->failed(kRelay, "no TURN server is known", Clock::now());
  relay_wanted_ = kRelay;
  events_->want(Rung::Relay);
}

void Channel::start_ice(const Attempt &attempt, bool relay_only) {
  const auto way = std::make_shared<IceWay>();
  way->attempt = attempt;
  way->thread = ContextThread::start("junctor-ice");
  ice_ = way;
  IceOptions options;
  options.controlling = options_.side == Side::Caller;
  options.relay_only = relay_only;
  options.turn = turn_servers_;
  if (!relay_only && !gathering_.servers().empty()) options.stun = gathering_.servers().front();
  if (local_only_) options.addresses = addresses_;

  // What comes of it comes on the agent's thread; who has been given up hears no more.
  const auto to_reactor = [reactor = reactor_, self = weak_from_this(),
                           weak = std::weak_ptr(way)](auto function) {
    reactor->post([self, weak, function = std::move(function)] {
      const auto channel = self.lock();
      const auto one = weak.lock();
      if (!channel || channel->closed_ || channel->ice_ != one || !one) return;
      function(*channel, one);
      channel->step();
    });
  };
  IceEvents events;
  events.candidate = [to_reactor](const std::string &line) {
    to_reactor([line](Channel &channel, const std::shared_ptr<IceWay> &one) {
      if (!one->agent) return one->early.push_back(line);
      channel.signal(IceSignal{.ufrag = {}, .pwd = {}, .candidates = {line}, .complete = false});
    });
  };
  events.gathered = [to_reactor] {
    to_reactor(
        [](Channel &channel, const std::shared_ptr<IceWay> &one) { channel.ice_gathered(one); });
  };
  events.connected = [to_reactor](const IcePath &path) {
    to_reactor([path](Channel &channel, const auto &one) { channel.ice_connected(one, path); });
  };
  events.failed = [to_reactor](const std::string &why) {
    to_reactor([why](Channel &channel, const auto &one) { channel.ice_failed(one, why); });
  };
  events.received = [to_reactor](ByteSpan datagram) {
    to_reactor([bytes = Bytes(datagram.begin(), datagram.end())](
                   Channel &channel, const auto &one) { channel.ice_received(one, bytes); });
  };
  // Servers that are named have to be looked up, which takes its time.
  post_to(way->thread->context(), [thread = way->thread, options = std::move(options),
                                   events = std::move(events), to_reactor]() mutable {
    auto started = std::make_shared<Result<std::unique_ptr<IceAgent>>>(
        IceAgent::start(thread, std::move(options), std::move(events)));
    to_reactor([started](Channel &channel, const auto &one) {
      channel.ice_started(one, std::move(*started));
    });
  });
}

void Channel::ice_started(const std::shared_ptr<IceWay> &way,
                          Result<std::unique_ptr<IceAgent>> started) {
  if (!started) return ice_failed(way, started.error().detail);
  way->agent = *std::move(started);
  const IceCredentials &own = way->agent->local();
  signal(IceSignal{.ufrag = own.ufrag,
                   .pwd = own.password,
                   .candidates = std::exchange(way->early, {}),
                   .complete = way->gathered});
  for (const IceSignal &each : std::exchange(ice_waiting_, {})) give_ice(each);
}

void Channel::ice_gathered(const std::shared_ptr<IceWay> &way) {
  way->gathered = true;
  if (way->agent) signal(IceSignal{.ufrag = {}, .pwd = {}, .candidates = {}, .complete = true});
}

Result<void> Channel::take_ice(const IceSignal &signal) {
  // Without keys there is no description to wait for.
  if (options_.ice && !options_.encrypt && !ladder_) begin_ladder();
  const bool anew = ice_ && !ice_->remote_ufrag.empty() && !signal.ufrag.empty() &&
                    signal.ufrag != ice_->remote_ufrag;
  if (anew) {
    ladder_->failed(ice_->attempt, "the peer has begun anew", Clock::now());
    ice_.reset();
  }
  if (ice_ && ice_->agent) {
    give_ice(signal);
    return {};
  }
  if (ice_waiting_.size() >= kMostIceWaiting)
    return refused("the peer says more about ICE than can be kept");
  ice_waiting_.push_back(signal);
  return {};
}

void Channel::give_ice(const IceSignal &signal) {
  const auto check = [this](const Result<void> &done) {
    if (!done && events_->complaint) events_->complaint(done.error().detail);
  };
  if (!signal.ufrag.empty()) ice_->remote_ufrag = signal.ufrag;
  if (!signal.ufrag.empty()) check(ice_->agent->set_remote({signal.ufrag, signal.pwd}));
  for (const std::string &each : signal.candidates) check(ice_->agent->add_remote_candidate(each));
  if (signal.complete) ice_->agent->remote_gathered();
}

void Channel::ice_connected(const std::shared_ptr<IceWay> &way, const IcePath &path) {
  way->path = path;
  way->heard = Clock::now();
  ladder_->up(way->attempt, Clock::now());
  if (ladder_->carrying() != way->attempt) return;
  const std::lock_guard lock(mutex_);
  shown_.local = path.local;
  shown_.remote = path.remote;
}

void Channel::ice_failed(const std::shared_ptr<IceWay> &way, const std::string &why) {
  ladder_->failed(way->attempt, why, Clock::now());
}

bool Channel::ice_is_silent(Time now) const {
  return ice_ && ice_->path && ladder_ && ladder_->carrying() == ice_->attempt &&
         now - ice_->heard >= kIceSilence;
}

void Channel::ice_received(const std::shared_ptr<IceWay> &way, Bytes datagram) {
  way->heard = Clock::now();
  const auto kind = rtp::packet_kind(datagram);
  const bool rtcp = kind == rtp::PacketKind::Rtcp;
  const auto size = rtcp || kind == rtp::PacketKind::Rtp ? open(datagram, rtcp) : std::nullopt;
  if (!size) {
    ++counted_.refused;
    return;
  }
  deliver(ByteSpan(datagram).first(*size), datagram.size(), rtcp);
  if (events_->batch_end) events_->batch_end();
}

}  // namespace junctor::nat
