// SPDX-License-Identifier: LGPL-2.1-or-later
// Which way a channel goes, and what it does when the way is lost.
#include <algorithm>
#include <utility>

#include "nat/core/channel.h"

namespace junctor::nat {

namespace {

const Attempt kDirect{Rung::P2p, {}}, kRelay{Rung::Relay, {}};

/// The puncher knows better than the ladder why there is no way: it speaks first.
constexpr Duration kPuncherFirst = std::chrono::milliseconds(200);

/// A way whose addresses have changed is repaired within this time, or others are prepared.
constexpr Duration kRepair = std::chrono::milliseconds(400);

}  // namespace

void Channel::begin_ladder() {
  trying_since_ = Clock::now();
  LadderOptions options;
  options.rungs = options_.ice ? std::vector{Rung::P2p} : options_.rungs;
  options.order = options_.order;
  options.p2p_timeout = options_.timeout + kPuncherFirst;
  options.sfu_head_start = options_.head_start;
  options.patience = options_.patience;
  ladder_.emplace(std::move(options));
  ladder_->expect_direct(direct_expected_);
  ladder_->start(*trying_since_);
  for (const auto &node : nodes_) ladder_->offer_node(node->name, *trying_since_);
  show(ChannelState::Trying);
  tell({.kind = ChannelEvent::Kind::Trying, .attempt = kDirect});
}

Puncher *Channel::puncher_of(const Attempt &attempt) {
  if (attempt == kDirect) return puncher_ ? &*puncher_ : nullptr;
  NodeWay *node = find_node(attempt.node);
  return node && node->puncher ? &*node->puncher : nullptr;
}

/// Where the way that carries is to be repaired and is not: others may carry meanwhile.
void Channel::look_for_others() {
  if (!repair_until_ || Clock::now() < *repair_until_) return;
  repair_until_.reset();
  if (!ladder_ || !ladder_->carrying()) return;
  const Attempt attempt = *ladder_->carrying();
  const Puncher *puncher = puncher_of(attempt);
  if (!puncher || puncher->state() == Puncher::State::Up) return;
  if (waits_for_network()) {
    repair_until_ = Clock::now() + kRepair;
    return;
  }
  // One that has failed says so once: it did while there was no network.
  if (options_.rungs.size() < 2 && puncher->state() != Puncher::State::Failed)
    return no_way(doubt_);
  lose(attempt, doubt_);
}

void Channel::step() {
  if (std::exchange(stepping_, true)) {
    step_again_ = true;
    return;
  }
  do {
    step_again_ = false;
    if (closed_) break;
    send_all(gathering_.poll(Clock::now()));
    offer_found();
    predict(Clock::now());
    // Nodes first: they want little of what all may send.
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      NodeWay &node = *nodes_[i];
      if (!node.puncher) continue;
      send_all(node.puncher->poll(Clock::now()));
      for (const Puncher::Event &each : node.puncher->take_events())
        on_puncher({Rung::Sfu, node.name}, *node.puncher, each);
    }
    if (puncher_) {
      send_all(puncher_->poll(Clock::now()));
      for (const Puncher::Event &each : puncher_->take_events())
        on_puncher(kDirect, *puncher_, each);
    }
    // Behind what came of the path: its socket is not to be closed.
    try_tricks(Clock::now());
    watch_ice(Clock::now());
    look_for_others();
    if (!ladder_) continue;
    for (const LadderAction &each : ladder_->poll(Clock::now())) on_ladder(each);
    for (const LadderEntry &each : ladder_->take_news())
      if (events_->rung) events_->rung(each);
    if (!ladder_->carrying()) no_way(doubt_);
  } while (step_again_ && !closed_);
  stepping_ = false;
  if (closed_) return;
  if (ladder_ && ladder_->carrying()) {
    const Puncher *puncher = puncher_of(*ladder_->carrying());
    const bool ice = ice_ && ice_->attempt == ladder_->carrying();
    const std::lock_guard lock(mutex_);
    shown_.round_trip = ice ? ice_->round_trip : puncher ? puncher->round_trip() : std::nullopt;
  }
  schedule();
}

void Channel::schedule() {
  std::optional<Time> next;
  const auto at = [&](const std::optional<Time> &when) {
    if (when && (!next || *when < *next)) next = when;
  };
  at(gathering_.next());
  at(repair_until_);
  at(tricks_next_);
  if (puncher_) at(puncher_->next());
  for (const auto &node : nodes_)
    if (node->puncher) at(node->puncher->next());
  if (ladder_) at(ladder_->next());
  at(ice_next());
  timer_at_ = next;
  if (next)
    timer_ = reactor_->at(*next, [this] { step(); });
  else
    timer_.reset();
}

void Channel::send_all(const std::vector<Outgoing> &out) {
  if (closed_) return;
  for (const Outgoing &each : out) {
    const auto to = each.to.to_sockaddr();
    if (!to || each.socket >= sockets_.size()) continue;
    // One that is not sent is lost like others.
    static_cast<void>(::sendto(sockets_[each.socket].fd.get(), each.bytes.data(), each.bytes.size(),
                               MSG_NOSIGNAL, reinterpret_cast<const sockaddr *>(&*to),
                               sockaddr_length(*to)));
  }
}

void Channel::on_puncher(const Attempt &attempt, Puncher &puncher, const Puncher::Event &event) {
  using Kind = Puncher::Event::Kind;
  step_again_ = true;
  const Time now = Clock::now();
  const bool direct = attempt == kDirect;
  switch (event.kind) {
    case Kind::Up:
    case Kind::Moved: {
      if (direct && !std::exchange(said_up_, true)) signal(Up{generation_});
      repair_until_.reset();
      if (!direct) {
        node_may_be_up(*find_node(attempt.node));
      } else if (ladder_->carrying() != attempt) {
        // Also where it had been given up: a packet came late.
        ladder_->retry_p2p("it turned out to be there", now);
        ladder_->up(attempt, now);
      }
      if (ladder_->carrying() == attempt) heal();
      gathering_.rest();
      break;
    }
    case Kind::Silent:
      if (waits_for_network()) break;
      if (!direct) {
        lose(attempt, "nothing is answered any more");
      } else {
        gather_anew("nothing is answered any more", Anew::Direct);
        // By now others are needed as well as a repair.
        repair_until_ = now;
      }
      break;
    case Kind::Failed:
      if (ladder_->carrying() == attempt && waits_for_network())
        repair_until_ = now + kRepair;
      else
        lose(attempt, puncher.why());
      break;
  }
}

void Channel::on_ladder(const LadderAction &action) {
  using Kind = LadderAction::Kind;
  step_again_ = true;
  switch (action.kind) {
    case Kind::Prepare:
      prepare(action.attempt);
      break;
    case Kind::Carry:
      carry(action.attempt);
      break;
    case Kind::AskForNode:
      if (events_->want)
        events_->want(Rung::Sfu);
      else
        ladder_->no_node("nobody names one", Clock::now());
      break;
    case Kind::Stop:
      stop(action.attempt, action.why);
      break;
    case Kind::End:
      path_.reset();
      // For good: it would go on to try.
      puncher_.reset();
      show(ChannelState::Failed);
      log(LogLevel::Warning, "no way to the peer: " + action.why);
      tell({.kind = ChannelEvent::Kind::Failed,
            .took = Clock::now() - *trying_since_,
            .why = action.why});
      break;
  }
}

void Channel::prepare(const Attempt &attempt) {
  switch (attempt.rung) {
    case Rung::P2p:
      if (options_.ice) return start_ice(attempt);
      if (!puncher_) return prepare_puncher();
      // Already on its way where the silence of this one, or another address, began it.
      if (puncher_->state() == Puncher::State::Failed) {
        if (!doubted_) doubt("the way was lost");
        gather_anew(doubt_, Anew::Direct);
      }
      break;
    case Rung::Sfu:
      if (NodeWay *node = find_node(attempt.node)) prepare_node(*node);
      break;
    case Rung::Relay:
      prepare_relay();
      break;
  }
}

void Channel::stop(const Attempt &attempt, const std::string &why) {
  log(LogLevel::Debug, to_string(attempt) + " is given up: " + why);
  if (attempt.rung == Rung::Sfu) forget_node(attempt.node);
  if (ice_ && ice_->attempt == attempt) {
    ice_.reset();
    ice_waiting_.clear();
  }
  // While a direct way is repaired, media goes on over the old one: it may be deaf in one
  // direction.
  const Puncher *puncher = puncher_of(attempt);
  if (path_of_ == attempt && !(puncher && puncher->path())) path_.reset();
  if (relay_wanted_ == attempt) relay_wanted_.reset();
}

/// Media goes this way from now on.
void Channel::carry(const Attempt &attempt) {
  const Time now = Clock::now();
  if (!use(attempt)) return;
  show(ChannelState::Up);
  if (std::exchange(was_up_, true))
    tell({.kind = ChannelEvent::Kind::Moved,
          .attempt = attempt,
          .took = doubted_ ? now - *doubted_ : Duration::zero(),
          .why = doubted_ ? doubt_ : "a better way has come up"});
  else
    tell({.kind = ChannelEvent::Kind::Up, .attempt = attempt, .took = now - *trying_since_});
  doubted_.reset();
}

bool Channel::use(const Attempt &attempt) {
  if (ice_ && ice_->attempt == attempt && ice_->path) {
    path_.reset();
    const std::lock_guard lock(mutex_);
    shown_.local = ice_->path->local;
    shown_.remote = ice_->path->remote;
    return true;
  }
  const Puncher *puncher = puncher_of(attempt);
  if (!puncher || !puncher->path()) return false;
  use_path(attempt, *puncher);
  return true;
}

void Channel::prepare_puncher() {
  puncher_ = make_puncher(*keys_, own_tag_, remote_->tag, Puncher::kMostPerSecond);
  for (const Candidate &each : remote_->candidates) add_remote(each);
  puncher_->restart(Clock::now());
}

/// Sends over the puncher's path from now on; whether it is another one.
bool Channel::use_path(const Attempt &attempt, const Puncher &puncher) {
  const auto &path = puncher.path();
  const auto to = path->remote.to_sockaddr();
  if (!to) return false;
  const bool had = path_.has_value();
  path_ = *to;
  path_of_ = attempt;
  path_socket_ = path->socket;
  const auto from = source_address(path->remote);
  path_address_ = from ? *from : "";
  const Endpoint local{path_address_, sockets_[path_socket_].port};
  const std::lock_guard lock(mutex_);
  const bool other = shown_.remote != path->remote.to_string() || shown_.local != local.to_string();
  shown_.local = local.to_string();
  shown_.remote = path->remote.to_string();
  return had && other;
}

void Channel::show(ChannelState state) {
  const std::lock_guard lock(mutex_);
  shown_.state = state;
  if (state == ChannelState::Up) {
    shown_.rung = to_string(ladder_->carrying()->rung);
    if (ice_ && ice_->attempt == ladder_->carrying() && ice_->path->relayed)
      shown_.rung = to_string(Rung::Relay);
    shown_.node = ladder_->carrying()->node;
  } else {
    shown_.rung = shown_.node = shown_.local = shown_.remote = "";
  }
}

void Channel::tell(ChannelEvent event) {
  {
    const std::lock_guard lock(mutex_);
    event.local = shown_.local;
    event.remote = shown_.remote;
  }
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(event.took).count();
  log(LogLevel::Info, std::string(to_string(event.kind)) + " " + to_string(event.attempt) +
                          (event.remote.empty() ? "" : " " + event.local + " - " + event.remote) +
                          " after " + std::to_string(took) + " ms" +
                          (event.why.empty() ? "" : ": " + event.why));
  if (events_->event) events_->event(event);
}

/// It has come to nothing, or is no more.
void Channel::lose(const Attempt &attempt, const std::string &why) {
  if (ladder_->carrying() == attempt && !doubted_) doubt(why);
  const Time now = Clock::now();
  // What was waited for a network is not waited for once more.
  ladder_->failed(attempt, why, now, offline_since_.value_or(now));
  step_again_ = true;
}

/// The application learns it once, until there is a way again or this machine has other addresses.
void Channel::no_way(const std::string &why) {
  if (state() != ChannelState::Up) return;
  show(ChannelState::Trying);
  tell({.kind = ChannelEvent::Kind::Trying, .why = why});
}

ChannelState Channel::state() const {
  const std::lock_guard lock(mutex_);
  return shown_.state;
}

void Channel::doubt(const std::string &why) {
  said_up_ = false;
  doubt_ = why;
  if (!doubted_) doubted_ = Clock::now();
}

/// What carries works still, or again.
void Channel::heal() {
  const Attempt attempt = *ladder_->carrying();
  const Puncher *puncher = puncher_of(attempt);
  const bool other = puncher && puncher->path() && use_path(attempt, *puncher);
  if (other || state() != ChannelState::Up) {
    if (!puncher) use(attempt);
    show(ChannelState::Up);
    tell({.kind = ChannelEvent::Kind::Moved,
          .attempt = attempt,
          .took = doubted_ ? Clock::now() - *doubted_ : Duration::zero(),
          .why = doubted_ ? doubt_ : "another way turned out to be better"});
  }
  doubted_.reset();
}

/// Whether doubts about `attempt` are none about what carries.
bool Channel::on_another_way(const Attempt &attempt) const {
  return ladder_ && ladder_->carrying() && ladder_->carrying() != attempt;
}

/// Without any network no way is to blame, and another one is not to be had.
bool Channel::waits_for_network() {
  if (!offline_since_ || Clock::now() - *offline_since_ >= options_.patience) return false;
  if (!doubted_) doubt("this machine has no network");
  no_way(doubt_);
  return true;
}

// ---- A network that changes ----

void Channel::read_addresses() {
  const auto found = host_addresses();
  const bool alone = is_alone(found);
  // Who is on this machine, too, needs no network.
  const bool peer_is_here =
      path_ &&
      std::ranges::count(
          addresses_,
          Endpoint::from_sockaddr(reinterpret_cast<const sockaddr *>(&*path_)).address) > 0;
  if (alone && networked_ && !peer_is_here) {
    if (!offline_since_) offline_since_ = Clock::now();
    return;
  }
  offline_since_.reset();
  networked_ |= !alone;
  addresses_ = found;
  scope_ = widest_scope(addresses_);
  preferred_ = preferred_address();
}

void Channel::look_at_addresses() {
  const auto before = std::pair(addresses_, preferred_);
  const bool was_offline = offline_since_.has_value();
  read_addresses();
  const bool same = std::pair(addresses_, preferred_) == before;
  if ((same && offline_since_.has_value() == was_offline) || closed_) return;
  if (offline_since_) return log(LogLevel::Info, "this machine has no network any more");
  std::string list;
  for (const std::string &each : addresses_) list += (list.empty() ? "" : ", ") + each;
  const std::string why =
      same ? "this machine had no network" : "this machine has other addresses: " + list;
  const bool gathers = gather_anew(why, Anew::All);
  // Sockets of libnice's keep the address that they have, which may be gone.
  if (ice_ && ice_->path) ice_->watch.doubt(Clock::now());
  // An agent of libnice's that has found its way to the relay does without what was added.
  const bool another =
      preferred_ != before.second || std::ranges::any_of(before.first, [this](const auto &each) {
        return std::ranges::count(addresses_, each) == 0;
      });
  if (ice_ && !ice_->path && ice_->attempt == kRelay && gathers && (another || !ice_->found))
    begin_relay_anew();
  // The application may have other connections to look after, and at once.
  const Puncher *puncher = puncher_of(path_of_);
  const bool gone = std::ranges::count(before.first, path_address_) > 0 &&
                    std::ranges::count(addresses_, path_address_) == 0;
  if (was_up_ && state() == ChannelState::Trying)
    tell({.kind = ChannelEvent::Kind::Trying, .why = why});
  else if (path_ && gone && puncher && puncher->state() != Puncher::State::Up)
    no_way(why);
  step();
}

bool Channel::gather_anew(const std::string &why, Anew what) {
  const Time now = Clock::now();
  const bool may = gatherings_.may(now);
  said_up_ = false;
  if (puncher_ && (what == Anew::All || !on_another_way(kDirect))) doubt(why);
  if (may) {
    gatherings_.take(now);
    log(LogLevel::Info, "addresses are gathered anew: " + why);
    ++generation_;
    offered_ = host_candidates();
    gathering_.restart(now);
    // Also without any: the peer forgets those before.
    if (!options_.ice) signal(MoreCandidates{generation_, offered_});
  } else {
    log(LogLevel::Warning, "not looked for other addresses: it was done too often");
  }
  // What there was may work again.
  if (puncher_) puncher_->restart(now);
  for (const auto &node : nodes_)
    if (node->puncher && (what == Anew::All || node->puncher->state() != Puncher::State::Up))
      node->puncher->restart(now);
  repair_until_ = now + kRepair;
  return may;
}

}  // namespace junctor::nat
