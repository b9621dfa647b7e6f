// SPDX-License-Identifier: LGPL-2.1-or-later
// Which way a channel goes, and what it does when the way is lost.
#include <algorithm>
#include <utility>

#include "nat/core/channel.h"

namespace junctor::nat {

namespace {

const Attempt kDirect{Rung::P2p, {}};

/// The puncher knows better than the ladder why there is no way: it speaks first.
constexpr Duration kPuncherFirst = std::chrono::milliseconds(200);

/// Documentation's own (RFC 5737): what the route to most of the world is asked with.
const Endpoint kSomewhere{"192.0.2.1", 9};

}  // namespace

void Channel::begin_ladder() {
  trying_since_ = Clock::now();
  LadderOptions options;
  options.rungs = {Rung::P2p};
  options.p2p_timeout = options_.timeout + kPuncherFirst;
  ladder_.emplace(std::move(options));
  ladder_->start(*trying_since_);
  show(ChannelState::Trying);
  tell({.kind = ChannelEvent::Kind::Trying, .attempt = kDirect});
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
    if (puncher_) {
      send_all(puncher_->poll(Clock::now()));
      for (const Puncher::Event &each : puncher_->take_events()) on_puncher(each);
    }
    if (ladder_)
      for (const LadderAction &each : ladder_->poll(Clock::now())) on_ladder(each);
  } while (step_again_ && !closed_);
  stepping_ = false;
  if (closed_) return;
  if (puncher_) {
    const std::lock_guard lock(mutex_);
    shown_.round_trip = puncher_->round_trip();
  }
  schedule();
}

void Channel::schedule() {
  std::optional<Time> next;
  for (const auto &when : {gathering_.next(), puncher_ ? puncher_->next() : std::nullopt,
                           ladder_ ? ladder_->next() : std::nullopt})
    if (when && (!next || *when < *next)) next = when;
  if (next)
    timer_ = reactor_->at(*next, [this] { step(); });
  else
    timer_.reset();
}

void Channel::send_all(const std::vector<Outgoing> &out) {
  for (const Outgoing &each : out) {
    const auto to = each.to.to_sockaddr();
    if (!to || each.socket >= sockets_.size()) continue;
    // One that is not sent is lost like others.
    static_cast<void>(::sendto(sockets_[each.socket].fd.get(), each.bytes.data(), each.bytes.size(),
                               MSG_NOSIGNAL, reinterpret_cast<const sockaddr *>(&*to),
                               sockaddr_length(*to)));
  }
}

void Channel::on_puncher(const Puncher::Event &event) {
  using Kind = Puncher::Event::Kind;
  step_again_ = true;
  const Time now = Clock::now();
  switch (event.kind) {
    case Kind::Up:
    case Kind::Moved: {
      if (!std::exchange(said_up_, true)) signal(Up{generation_});
      const bool other = use_path();
      ladder_->up(kDirect, now);
      if (ladder_->carrying() == kDirect && other)
        tell({.kind = ChannelEvent::Kind::Moved,
              .attempt = kDirect,
              .took = doubted_ ? now - *doubted_ : Duration::zero(),
              .why = doubted_ ? doubt_ : "another way turned out to be better"});
      doubted_.reset();
      gathering_.rest();
      break;
    }
    case Kind::Silent:
      gather_anew("nothing is answered any more");
      break;
    case Kind::Failed:
      ladder_->failed(kDirect, puncher_->why(), now);
      break;
  }
}

void Channel::on_ladder(const LadderAction &action) {
  using Kind = LadderAction::Kind;
  step_again_ = true;
  switch (action.kind) {
    case Kind::Prepare:
      if (puncher_) {
        if (path_) {
          path_.reset();
          trying_since_ = doubted_.value_or(Clock::now());
          show(ChannelState::Trying);
          tell({.kind = ChannelEvent::Kind::Trying, .attempt = action.attempt, .why = doubt_});
        }
        return gather_anew("the way was lost");
      }
      prepare_puncher();
      break;
    case Kind::Carry: {
      const Duration took = Clock::now() - *trying_since_;
      show(ChannelState::Up);
      tell({.kind = ChannelEvent::Kind::Up, .attempt = action.attempt, .took = took});
      break;
    }
    case Kind::AskForNode:
      ladder_->no_node("no node is known", Clock::now());
      break;
    case Kind::Stop:
      break;
    case Kind::End:
      path_.reset();
      show(ChannelState::Failed);
      log(LogLevel::Warning, "no way to the peer: " + action.why);
      tell({.kind = ChannelEvent::Kind::Failed,
            .took = Clock::now() - *trying_since_,
            .why = action.why});
      break;
  }
}

void Channel::prepare_puncher() {
  const Time now = Clock::now();
  PuncherOptions options;
  options.probe_own = keys_->probe_own;
  options.probe_peer = keys_->probe_peer;
  options.own_tag = own_tag_;
  options.peer_tag = remote_->tag;
  options.timeout = options_.timeout;
  puncher_.emplace(std::move(options));
  for (unsigned i = 0; i < sockets_.size(); ++i) puncher_->add_socket(i, sockets_[i].v6, now);
  for (const Candidate &each : remote_->candidates) add_remote(each);
  puncher_->restart(now);
}

/// Sends over the puncher's path from now on; whether it is another one.
bool Channel::use_path() {
  const auto &path = puncher_->path();
  const auto to = path->remote.to_sockaddr();
  if (!to) return false;
  const bool had = path_.has_value();
  path_ = *to;
  path_socket_ = path->socket;
  const auto from = source_address(path->remote);
  const Endpoint local{from ? *from : "", sockets_[path_socket_].port};
  const std::lock_guard lock(mutex_);
  const bool other = shown_.remote != path->remote.to_string() || shown_.local != local.to_string();
  shown_.local = local.to_string();
  shown_.remote = path->remote.to_string();
  return had && other;
}

void Channel::show(ChannelState state) {
  const std::lock_guard lock(mutex_);
  shown_.state = state;
  if (state == ChannelState::Up) shown_.rung = to_string(kDirect.rung);
  if (state != ChannelState::Up) shown_.rung = shown_.local = shown_.remote = "";
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
  if (events_.event) events_.event(event);
}

void Channel::doubt(const std::string &why) {
  said_up_ = false;
  doubt_ = why;
  if (!doubted_) doubted_ = Clock::now();
}

// ---- A network that changes ----

void Channel::read_addresses() {
  addresses_ = host_addresses();
  local_only_ = !addresses_.empty() && std::ranges::all_of(addresses_, [](const auto &each) {
    return is_loopback({each, 9});
  });
  const auto source = source_address(kSomewhere);
  preferred_ = source ? *source : "";
}

void Channel::look_at_addresses() {
  const auto before = std::pair(addresses_, preferred_);
  read_addresses();
  if (std::pair(addresses_, preferred_) == before || closed_) return;
  std::string list;
  for (const std::string &each : addresses_) list += (list.empty() ? "" : ", ") + each;
  if (list.empty()) return log(LogLevel::Info, "this machine has no address any more");
  gather_anew("this machine has other addresses: " + list);
  step();
}

void Channel::gather_anew(const std::string &why) {
  const Time now = Clock::now();
  if (!gatherings_.may(now))
    return log(LogLevel::Warning, "not looked for another way: it was done too often");
  gatherings_.take(now);
  log(LogLevel::Info, "addresses are gathered anew: " + why);
  if (puncher_) doubt(why);
  ++generation_;
  offered_ = host_candidates();
  gathering_.restart(now);
  // Also without any: the peer forgets those before.
  signal(MoreCandidates{generation_, offered_});
  if (puncher_) puncher_->restart(now);
}

}  // namespace junctor::nat
