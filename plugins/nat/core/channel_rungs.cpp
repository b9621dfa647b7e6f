// SPDX-License-Identifier: LGPL-2.1-or-later
// What the rendezvous says to a channel, and ways over nodes.
#include <algorithm>
#include <utility>

#include "nat/core/channel.h"

namespace junctor::nat {

namespace {

constexpr std::size_t kMostNodes = 8;  // offered and not given up
/// A second, to one node: it names few addresses, and the direct way needs what is left.
constexpr unsigned kNodeProbes = 200;

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
    taken = take_node_candidates(*said);
  } else if (const auto *up = std::get_if<NodeUp>(&*read)) {
    if (NodeWay *way = find_node(up->name)) {
      way->joined = true;
      node_may_be_up(*way);
    }
  } else if (const auto *failed = std::get_if<NodeFailed>(&*read)) {
    node_failed(*failed);
  } else if (const auto *none = std::get_if<NoNode>(&*read)) {
    if (ladder_) ladder_->no_node(none->why, now);
  } else if (auto *turn = std::get_if<TurnOffer>(&*read)) {
    turn_servers_ = std::move(turn->servers);
    turn_until_.reset();
    if (turn->lifetime) turn_until_ = now + *turn->lifetime;
    if (relay_wanted_) start_ice(*std::exchange(relay_wanted_, {}));
  } else if (const auto *direct = std::get_if<DirectWay>(&*read)) {
    direct_expected_ = direct->expected;
    if (ladder_) ladder_->expect_direct(direct_expected_);
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

void Channel::node_failed(const NodeFailed &told) {
  if (!ladder_) return;
  const Attempt attempt{Rung::Sfu, told.name};
  const std::string why = told.why.empty() ? "it failed" : told.why;
  if (ladder_->carrying() == attempt) doubt(why);
  if (told.leaving)
    ladder_->leaving(attempt, why, Clock::now());
  else
    ladder_->failed(attempt, why, Clock::now());
}

Result<void> Channel::take_node_candidates(const NodeSignal &said) {
  NodeWay *way = find_node(said.name);
  if (!way) return {};
  const Time now = Clock::now();
  if (auto may = way->bounds.take_string(now); !may) return may;
  const auto forget = [&] {
    way->description.candidates.clear();
    if (way->puncher) way->puncher->clear_remote();
  };
  const auto anew = way->bounds.take(said.more, now, forget,
                                     [&](const Candidate &each) { add_remote(*way, each); });
  if (!anew) return anew.error();
  if (*anew && way->puncher) way->puncher->restart(now);
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
  auto way = std::unique_ptr<NodeWay>(new NodeWay{offer.name, offer.description});
  way->bounds.begin(offer.description);
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
                                             const std::string &peer_tag,
                                             unsigned most_per_second) const {
  PuncherOptions options;
  options.probe_own = keys.probe_own;
  options.probe_peer = keys.probe_peer;
  options.own_tag = own_tag;
  options.peer_tag = peer_tag;
  options.timeout = options_.timeout;
  options.budget = probes_;
  options.most_per_second = most_per_second;
  std::optional<Puncher> puncher(std::in_place, std::move(options));
  for (unsigned i = 0; i < sockets_.size(); ++i)
    if (sockets_[i].use == Puncher::Use::Plain)
      puncher->add_socket(i, sockets_[i].v6, Clock::now());
  return puncher;
}

void Channel::prepare_node(NodeWay &node) {
  if (node.puncher) return node.puncher->restart(Clock::now());
  node.puncher = make_puncher(node.keys, node.own_tag, node.description.tag, kNodeProbes);
  for (const Candidate &each : std::exchange(node.description.candidates, {}))
    add_remote(node, each);
  node.puncher->restart(Clock::now());
}

void Channel::add_remote(NodeWay &node, const Candidate &candidate) {
  if (!node.puncher) {
    node.description.candidates.push_back(candidate);
  } else if (scope_of(candidate.endpoint) >= scope_) {
    node.puncher->add_remote(candidate, Clock::now());
  }
}

void Channel::node_may_be_up(NodeWay &node) {
  if (node.joined && node.puncher && node.puncher->state() == Puncher::State::Up)
    ladder_->up({Rung::Sfu, node.name}, Clock::now());
}

}  // namespace junctor::nat
