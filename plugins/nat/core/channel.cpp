// SPDX-License-Identifier: LGPL-2.1-or-later
// Opening, closing, and what the two ends say to each other.
#include "nat/core/channel.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "nat/core/channel_queue.h"
#include "rtp/core/srtp_start.h"

namespace junctor::nat {

namespace {

const Attempt kDirect{Rung::P2p, {}};

constexpr Duration kPeerRepair = std::chrono::milliseconds(100);

}  // namespace

std::string_view to_string(ChannelState state) {
  switch (state) {
    case ChannelState::New:
      return "new";
    case ChannelState::Trying:
      return "trying";
    case ChannelState::Up:
      return "up";
    case ChannelState::Failed:
      break;
  }
  return "failed";
}

std::string_view to_string(ChannelEvent::Kind kind) {
  switch (kind) {
    case ChannelEvent::Kind::Trying:
      return "trying";
    case ChannelEvent::Kind::Up:
      return "up";
    case ChannelEvent::Kind::Moved:
      return "moved";
    case ChannelEvent::Kind::Failed:
      break;
  }
  return "failed";
}

Channel::Channel(std::shared_ptr<Reactor> reactor, ChannelOptions options, ChannelEvents events,
                 KeyPair keys)
    : reactor_(std::move(reactor)),
      options_(std::move(options)),
      events_(std::make_shared<ChannelEvents>(std::move(events))),
      own_key_(std::move(keys)),
      own_tag_(random_tag()),
      turn_servers_(options_.turn_servers),
      queued_(std::make_unique<Queued>([this] { flush(); })) {}

Channel::~Channel() = default;

Result<std::shared_ptr<Channel>> Channel::open(std::shared_ptr<Reactor> reactor,
                                               ChannelOptions options, ChannelEvents events) {
  auto keys = KeyPair::generate();
  if (!keys) return keys.error();
  // Not on the reactor, when the peer's answer is there.
  if (options.encrypt) rtp::prepare_srtp();
  const std::shared_ptr<Channel> channel(
      new Channel(std::move(reactor), std::move(options), std::move(events), *std::move(keys)));
  if (auto opened = channel->open_sockets(); !opened) return opened.error();
  channel->reactor_->post([channel] { channel->start(); });
  return channel;
}

Result<void> Channel::open_sockets() {
  // libnice has its own, and knows whom it takes packets from.
  if (options_.ice) return {};
  // Bound to no address: a machine that changes networks goes on from its new one.
  auto v4 = bind_udp({"0.0.0.0", 0});
  UniqueFd v6(::socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (v6) {
    const int on = 1;
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    if (::setsockopt(v6.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0 ||
        ::bind(v6.get(), reinterpret_cast<const sockaddr *>(&any), sizeof any) < 0)
      v6.reset();
  }
  if (!v4 && !v6) return v4.error();
  if (v4) sockets_.push_back({.fd = *std::move(v4), .v6 = false});
  if (v6) sockets_.push_back({.fd = std::move(v6), .v6 = true});
  for (Socket &each : sockets_) {
    each.port = local_endpoint(each.fd.get()).port;
    // A keyframe is dozens of packets at once.
    constexpr int kRoom = 1 << 20;
    ::setsockopt(each.fd.get(), SOL_SOCKET, SO_RCVBUF, &kRoom, sizeof kRoom);
  }
  return {};
}

void Channel::start() {
  if (closed_) return;
  const Time now = Clock::now();
  for (unsigned i = 0; i < sockets_.size(); ++i) {
    sockets_[i].watch =
        reactor_->watch(sockets_[i].fd.get(), EPOLLIN, [self = weak_from_this(), i](std::uint32_t) {
          if (const auto channel = self.lock()) channel->read(i);
        });
    gathering_.add_socket(i, sockets_[i].v6, now);
  }
  address_watch_ = std::make_unique<AddressWatch>(reactor_, [this] { look_at_addresses(); });
  read_addresses();
  describe();
  if (closed_) return;
  resolve_servers();
  step();
}

void Channel::resolve_servers() {
  std::vector<StunHost> named;
  for (const StunHost &each : options_.stun_servers) {
    if (Endpoint{each.host, each.port}.to_sockaddr()) {
      if (const auto numeric = each.resolve()) gathering_.add_server(*numeric, Clock::now());
    } else {
      named.push_back(each);
    }
  }
  if (named.empty()) return;
  // DNS may take its time; nobody waits for it, not even who closes the channel.
  std::thread([self = weak_from_this(), reactor = reactor_, named = std::move(named)] {
    for (const StunHost &each : named) {
      auto resolved = each.resolve_each();
      reactor->post([self, each, resolved = std::move(resolved)] {
        const auto channel = self.lock();
        if (!channel || channel->closed_) return;
        if (!resolved)
          return channel->log(LogLevel::Warning, "STUN server " + each.to_string() +
                                                     " is left out: " + resolved.error().detail);
        for (const Endpoint &one : *resolved) channel->gathering_.add_server(one, Clock::now());
        channel->step();
      });
    }
  }).detach();
}

void Channel::close() {
  reactor_->invoke([self = shared_from_this()] {
    if (std::exchange(self->closed_, true)) return;
    auto events = std::exchange(self->events_, std::make_shared<ChannelEvents>());
    if (!self->reactor_->in_thread()) return self->tear_down();
    // One of the events may be what brought us here: who called it goes on, with all it has.
    self->reactor_->post([self, events = std::move(events)] { self->tear_down(); });
  });
}

void Channel::tear_down() {
  timer_.reset();
  address_watch_.reset();
  queued_->turn_end.cancel();
  sockets_.clear();
  puncher_.reset();
  nodes_.clear();
  ice_.reset();
  ladder_.reset();
}

void Channel::log(LogLevel level, const std::string &text) const {
  if (options_.log) options_.log(level, text);
}

// ---- What is said to the peer ----

void Channel::signal(const Signal &what) {
  if (events_->signal) events_->signal(to_string(what));
}

std::vector<Candidate> Channel::host_candidates() const {
  std::vector<Candidate> candidates;
  for (const Socket &socket : sockets_) {
    if (socket.use != Puncher::Use::Plain) continue;
    for (const std::string &address : addresses_)
      if (const Endpoint endpoint{address, socket.port}; is_v6(endpoint) == socket.v6)
        candidates.push_back({CandidateKind::Host, endpoint});
  }
  return candidates;
}

void Channel::describe() {
  offered_ = host_candidates();
  signal(Description{own_key_.public_key(), own_tag_, generation_, offered_});
}

void Channel::offer(std::vector<Candidate> candidates) {
  if (options_.ice) return;
  std::erase_if(candidates, [this](const Candidate &each) {
    return std::ranges::count(offered_, each.endpoint, &Candidate::endpoint) > 0;
  });
  if (candidates.empty()) return;
  offered_.insert(offered_.end(), candidates.begin(), candidates.end());
  signal(MoreCandidates{generation_, std::move(candidates)});
}

void Channel::offer_found() {
  std::vector<Candidate> candidates;
  for (const Gathering::Found &each : gathering_.take_found()) {
    if (sockets_[each.socket].use != Puncher::Use::Plain) continue;
    log(LogLevel::Debug, "external address " + each.external.to_string() + " as " +
                             each.server.to_string() + " sees it");
    candidates.push_back({CandidateKind::External, each.external});
  }
  offer(std::move(candidates));
}

// ---- What the peer says ----

Result<void> Channel::take(std::string_view text) {
  if (closed_) return refused("the channel is closed");
  const Time now = Clock::now();
  if (auto may = remote_bounds_.take_string(now); !may) return may;
  auto read = parse_signal(text);
  if (!read) return read.error();
  Result<void> taken;
  if (const auto *description = std::get_if<Description>(&*read)) {
    taken = take_description(*description);
  } else if (const auto *ice = std::get_if<IceSignal>(&*read); ice && uses_ice()) {
    taken = take_ice(*ice);
  } else if (!remote_) {
    taken = refused("the peer's first string is to be its description; give its strings in order");
  } else if (const auto *more = std::get_if<MoreCandidates>(&*read)) {
    taken = take_candidates(*more);
  } else if (const auto *up = std::get_if<Up>(&*read)) {
    if (puncher_ && up->generation == remote_bounds_.generation()) puncher_->peer_up(now);
  } else {
    taken = refused("the peer speaks ICE, this end does not: set ice=true, or name a relay");
  }
  step();
  return taken;
}

void Channel::post(std::string signal) {
  reactor_->post([self = shared_from_this(), signal = std::move(signal)] {
    if (self->closed_) return;
    const auto taken = self->take(signal);
    if (!taken && self->events_->complaint) self->events_->complaint(taken.error().detail);
  });
}

Result<void> Channel::take_description(const Description &description) {
  if (remote_) {
    if (remote_->key != description.key || remote_->tag != description.tag)
      return refused("another description: a channel has one peer for its whole life");
    return take_candidates({description.generation, description.candidates});
  }
  auto keys = agree(own_key_, description.key, options_.side, options_.session);
  if (!keys) return keys.error();
  auto srtp = rtp::Srtp::make(keys->srtp), srtcp = rtp::Srtp::make(keys->srtcp);
  if (!srtp) return srtp.error();
  if (!srtcp) return srtcp.error();
  srtp_ = *std::move(srtp);
  srtcp_ = *std::move(srtcp);
  remote_ = description;
  remote_bounds_.begin(description);
  {
    const std::lock_guard lock(mutex_);
    remote_key_ = description.key;
  }
  keys_ = *std::move(keys);
  begin_ladder();
  return {};
}

Result<void> Channel::take_candidates(const MoreCandidates &more) {
  const Time now = Clock::now();
  const auto forget = [&] {
    remote_->candidates.clear();
    said_up_ = false;
    if (!on_another_way(kDirect)) doubt("the peer has changed addresses");
    if (puncher_) puncher_->clear_remote();
    // The peer has waited long enough; a way that can be repaired at all is so within a round trip.
    if (ladder_ && ladder_->carrying()) repair_until_ = now + kPeerRepair;
    // It may be our own NAT that has forgotten, and the peer who noticed first.
    gathering_.restart(now);
  };
  const auto add = [&](const Candidate &each) {
    remote_->candidates.push_back(each);
    add_remote(each);
  };
  // Those that are predicted take the place of the ones before, so that they are never many.
  MoreCandidates named{more.generation, {}};
  std::vector<Candidate> predicted;
  for (const Candidate &each : more.candidates)
    (each.kind == CandidateKind::Predicted ? predicted : named.candidates).push_back(each);
  std::erase_if(predicted, [&](const Candidate &each) { return scope_of(each.endpoint) < scope_; });
  const auto anew = remote_bounds_.take(named, now, forget, add);
  if (!anew) return anew.error();
  if (!predicted.empty() && more.generation == remote_bounds_.generation())
    take_predicted(predicted, now);
  if (*anew && puncher_) puncher_->restart(now);
  return {};
}

void Channel::add_remote(const Candidate &candidate) {
  // A peer that names loopback would have us knock at our own doors, one that names link-local
  // addresses at our neighbours', unless there is nothing but those.
  if (!puncher_ || scope_of(candidate.endpoint) < scope_) return;
  puncher_->add_remote(candidate, Clock::now());
}

// ---- What others ask ----

ChannelStats Channel::stats() const {
  const std::lock_guard lock(mutex_);
  ChannelStats stats = shown_;
  stats.packets_sent = counted_.packets_sent;
  stats.bytes_sent = counted_.bytes_sent;
  stats.packets_received = counted_.packets_received;
  stats.bytes_received = counted_.bytes_received;
  stats.lost = counted_.lost;
  stats.unsent = counted_.unsent;
  stats.refused = counted_.refused;
  return stats;
}

std::string Channel::fingerprint() const {
  std::optional<PublicKey> theirs;
  {
    const std::lock_guard lock(mutex_);
    theirs = remote_key_;
  }
  if (!theirs) return {};
  const PublicKey &ours = own_key_.public_key();
  return options_.side == Side::Caller ? nat::fingerprint(ours, *theirs)
                                       : nat::fingerprint(*theirs, ours);
}

}  // namespace junctor::nat
