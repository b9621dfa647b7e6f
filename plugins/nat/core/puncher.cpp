// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/puncher.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

namespace junctor::nat {

namespace stun = rtp::stun;
using std::chrono::milliseconds;

namespace {

/// Smaller is better; ways of one rank are equal.
int rank(CandidateKind kind) {
  switch (kind) {
    case CandidateKind::Host:
      return 0;
    case CandidateKind::External:
    case CandidateKind::Predicted:
      return 1;
    case CandidateKind::Relayed:
      break;
  }
  return 2;
}

constexpr unsigned kConfirmations = 3;
/// Between two probes of one that has failed: at first, and later.
constexpr Duration kSoon = std::chrono::minutes(2), kSeldom = std::chrono::seconds(15);
/// Between two probes of one of many sockets: the first has made the mapping.
constexpr Duration kManyPace = milliseconds(500);
/// A path that is quiet for so long while another one is heard gives way to it.
constexpr Duration kStale = milliseconds(300);
/// Where nothing was answered for long.
constexpr Duration kUnansweredPace = std::chrono::seconds(1);
constexpr Duration kSentLifetime = std::chrono::seconds(10);

Throttle per_second(unsigned most) {
  return {std::max(1U, most / 10),
          std::chrono::duration_cast<Duration>(std::chrono::seconds(1)) / std::max(1U, most)};
}

}  // namespace

std::string_view to_string(Puncher::State state) {
  switch (state) {
    case Puncher::State::Trying:
      return "trying";
    case Puncher::State::Up:
      return "up";
    case Puncher::State::Repairing:
      return "repairing";
    case Puncher::State::Failed:
      break;
  }
  return "failed";
}

Puncher::Puncher(PuncherOptions options)
    : options_(std::move(options)),
      own_budget_(per_second(std::min(options_.most_per_second, kMostPerSecond))),
      budget_(options_.budget ? options_.budget : make_budget()) {}

std::shared_ptr<Throttle> Puncher::make_budget() {
  return std::make_shared<Throttle>(per_second(kMostPerSecond));
}

void Puncher::add_socket(unsigned number, bool v6, Time now, Use use) {
  sockets_.push_back({number, v6, use});
  if (use == Use::Predicting) {
    predicts_ = true;
    // The latest alone: what was predicted for those before is past.
    std::erase_if(sockets_, [&](const Socket &each) {
      return each.use == Use::Predicting && each.number != number &&
             !(path_ && path_->socket == each.number);
    });
    std::erase_if(links_, [&](const Link &each) {
      return (each.path.kind == CandidateKind::Predicted && !each.good) ||
             std::ranges::count(sockets_, each.path.socket, &Socket::number) == 0;
    });
  }
  link_all(now);
}

/// Whether a socket sends to a candidate.
bool Puncher::fits(const Socket &socket, const Candidate &candidate) const {
  if (socket.v6 != is_v6(candidate.endpoint)) return false;
  const auto of_kind = [this](CandidateKind kind) {
    return std::ranges::count(remotes_, kind, &Candidate::kind) > 0;
  };
  const bool predicted = candidate.kind == CandidateKind::Predicted;
  const bool inside = candidate.kind == CandidateKind::Host && is_private(candidate.endpoint);
  switch (socket.use) {
    case Use::Plain:
      return !predicted || !predicts_;
    case Use::Predicting:
      return predicted || (!inside && !of_kind(CandidateKind::Predicted) && !peer_changes_ports());
    case Use::Many:
      break;
  }
  return !predicted && !inside;
}

void Puncher::link_all(Time now) {
  for (const Socket &socket : sockets_)
    for (const Candidate &each : remotes_)
      if (fits(socket, each)) add_link(socket, each, now);
  begin(now);
}

void Puncher::remove_socket(unsigned number, Time now) {
  std::erase_if(sockets_, [&](const Socket &each) { return each.number == number; });
  std::erase_if(links_, [&](const Link &each) { return each.path.socket == number; });
  if (path_ && path_->socket == number) {
    path_.reset();
    if (state_ == State::Up) state_ = State::Repairing;
  }
  next_ = now;
}

void Puncher::add_remote(const Candidate &candidate, Time now) {
  const auto known = std::ranges::find(remotes_, candidate.endpoint, &Candidate::endpoint);
  if (known != remotes_.end() || remotes_.size() >= kMostLinks) return;
  remotes_.push_back(candidate);
  link_all(now);
}

void Puncher::set_predicted(const std::vector<Candidate> &candidates, Time now) {
  std::erase_if(remotes_,
                [](const Candidate &each) { return each.kind == CandidateKind::Predicted; });
  std::erase_if(links_, [this](const Link &each) {
    return each.path.kind == CandidateKind::Predicted && !each.good &&
           !(path_ && each.path == *path_);
  });
  for (const Candidate &each : candidates) add_remote(each, now);
}

void Puncher::guess(const std::string &address, std::size_t count, Time now) {
  std::vector<std::uint16_t> ports(65536 - 1024);
  std::iota(ports.begin(), ports.end(), std::uint16_t{1024});
  std::ranges::shuffle(ports, std::random_device());
  guesses_.clear();
  for (std::size_t i = 0; i < std::min(count, ports.size()); ++i)
    guesses_.push_back({address, ports[i]});
  begin(now);
}

bool Puncher::peer_changes_ports() const {
  for (const Candidate &one : remotes_)
    for (const Candidate &other : remotes_)
      if (one.kind == CandidateKind::External && other.kind == CandidateKind::External &&
          one.endpoint.address == other.endpoint.address &&
          one.endpoint.port != other.endpoint.port)
        return true;
  return false;
}

void Puncher::clear_remote() {
  remotes_.clear();
  std::erase_if(links_, [this](const Link &each) { return !path_ || each.path != *path_; });
}

void Puncher::restart(Time now) {
  began_ = now;
  counts_before_ = counts_;
  peer_up_ = false;
  watch_.forget();
  state_ = path_ ? State::Repairing : State::Trying;
  std::erase_if(
      links_, [this](const Link &each) { return each.learned && (!path_ || each.path != *path_); });
  for (Link &each : links_) {
    each.due = now;
    each.sent = each.confirm = 0;
    each.came = each.good = false;
  }
  begin(now);
}

/// The time-out runs from here on, once there is something to send.
void Puncher::begin(Time now) {
  next_ = now;
  if (!began_ && !links_.empty()) began_ = now;
}

Puncher::Link *Puncher::find(unsigned socket, const Endpoint &remote) {
  for (Link &each : links_)
    if (each.path.socket == socket && each.path.remote == remote) return &each;
  return nullptr;
}

void Puncher::add_link(const Socket &socket, const Candidate &candidate, Time now) {
  if (Link *known = find(socket.number, candidate.endpoint)) {
    // A packet was faster than the string.
    known->learned = false;
    known->path.kind = candidate.kind;
    if (path_ && path_->socket == socket.number && path_->remote == candidate.endpoint)
      path_->kind = candidate.kind;
    return;
  }
  if (links_.size() >= kMostLinks) return;
  Link link;
  link.path = {socket.number, candidate.endpoint, candidate.kind};
  link.many = socket.use == Use::Many;
  link.due = now;
  links_.push_back(std::move(link));
}

Puncher::Link *Puncher::learn(unsigned socket, const Endpoint &remote) {
  if (Link *known = find(socket, remote)) return known;
  const auto learned = std::ranges::count_if(links_, &Link::learned);
  if (static_cast<std::size_t>(learned) >= kMostLearned) {
    // The one that is of least use: quiet for the longest time.
    auto oldest = links_.end();
    for (auto each = links_.begin(); each != links_.end(); ++each)
      if (each->learned && (!path_ || each->path != *path_) &&
          (oldest == links_.end() || each->heard < oldest->heard))
        oldest = each;
    if (oldest == links_.end()) return nullptr;
    links_.erase(oldest);
  }
  Link link;
  link.path = {socket, remote, CandidateKind::External};
  link.learned = true;
  links_.push_back(std::move(link));
  return &links_.back();
}

bool Puncher::received(unsigned socket, const Endpoint &from, ByteSpan datagram, Time now) {
  const auto message = stun::Message::parse(datagram);
  if (!message || message->method() != stun::Method::Binding) return false;
  if (message->kind() == stun::Class::Request) {
    const auto name = message->text(stun::Type::Username);
    if (!name || *name != options_.own_tag) return false;
    return take_request(socket, from, *message, now);
  }
  if (message->kind() == stun::Class::Success && sent_.contains(message->id()))
    return take_ack(socket, from, *message, now);
  return false;
}

bool Puncher::take_request(unsigned socket, const Endpoint &from, const stun::Message &message,
                           Time now) {
  const auto number = read_probe(message, options_.own_tag, options_.probe_peer);
  if (!number || !window_.take(*number)) {
    ++counts_.refused;
    return true;
  }
  ++counts_.probes_received;
  Link *link = learn(socket, from);
  if (link == nullptr) return true;
  if (link->learned) link->credit += message.bytes().size();
  Bytes ack = make_ack(message, from, options_.probe_peer);
  if (link->learned) link->credit -= std::min(link->credit, ack.size());
  outbox_.push_back({socket, from, std::move(ack)});
  ++counts_.acks_sent;
  came(*link, 0, now);
  return true;
}

bool Puncher::take_ack(unsigned socket, const Endpoint &from, const stun::Message &message,
                       Time now) {
  const auto sent = sent_.find(message.id());
  // From where the probe went, or it says nothing about that way (RFC 8445 section 7.2.5.2.1).
  if (sent->second.path.socket != socket || sent->second.path.remote != from ||
      !read_ack(message, options_.probe_own)) {
    ++counts_.refused;
    return true;
  }
  ++counts_.acks_received;
  unanswered_ = 0;
  const Duration took = now - sent->second.when;
  sent_.erase(sent);
  Link *link = learn(socket, from);
  if (link == nullptr) return true;
  link->round_trip = link->round_trip ? (*link->round_trip * 7 + took) / 8 : took;
  link->heard = now;
  link->came = true;
  if (path_ && link->path == *path_) watch_.answered(now);
  mark_good(*link, now);
  next_ = now;
  return true;
}

/// A verified packet came over `link`: `bytes` that nothing was sent for yet.
void Puncher::came(Link &link, std::size_t bytes, Time now) {
  next_ = now;
  unanswered_ = 0;
  link.heard = now;
  link.came = true;
  if (link.learned) link.credit += bytes;
  if (link.good) return consider(link, now);
  // The peer's packets get in here; ours will now get in there. Media comes all the time: what it
  // draws keeps to the pace.
  const bool due = bytes == 0 || link.due <= now;
  if (due && may_send(now) && (!link.learned || link.credit >= kProbeSize)) send_probe(link, now);
  // The peer's word is for the addresses that it named. This one may be anybody's, who shows it in
  // a copy of a packet of the peer's.
  if (peer_up_ && !link.learned) mark_good(link, now);
}

void Puncher::mark_good(Link &link, Time now) {
  if (!link.good) link.confirm = kConfirmations;
  link.good = true;
  link.credit = 0;
  consider(link, now);
}

/// Takes `link`, which is good, for the path if it is better.
void Puncher::consider(const Link &link, Time now) {
  if (state_ == State::Up) {
    const Link *now_used = current();
    if (now_used == &link) return;
    if (now_used != nullptr && now_used->good) {
      const int better = rank(now_used->path.kind) - rank(link.path.kind);
      // Not both at once: each would find the other gone from where it has just moved to.
      const Duration patience = options_.own_tag < options_.peer_tag ? kStale : 2 * kStale;
      const bool stale = now - std::max(now_used->heard, last_path_media_) > patience;
      if (better < 0 || (better == 0 && !stale)) return;
    }
  }
  const bool moved = path_ && *path_ != link.path;
  path_ = link.path;
  const bool was_up = std::exchange(state_, State::Up) == State::Up;
  if (!was_up) up_since_ = now;
  if (moved || was_up) {
    last_path_media_ = now;
    watch_.media_begins(now);
  }
  watch_.answered(now);
  tell(moved || was_up ? Event::Kind::Moved : Event::Kind::Up, now);
}

void Puncher::media(Time now) {
  last_path_media_ = now;
  watch_.media(now);
  if (state_ == State::Up) note_next(watch_.next(round_trip()));
}

void Puncher::media_from(unsigned socket, const Endpoint &from, std::size_t size, Time now) {
  watch_.media(now);
  if (state_ == State::Up) note_next(watch_.next(round_trip()));
  if (Link *link = learn(socket, from)) came(*link, size, now);
}

void Puncher::peer_up(Time now) {
  peer_up_ = true;
  for (Link &each : links_)
    if (each.came && !each.good && !each.learned) mark_good(each, now);
  next_ = now;
}

bool Puncher::knows(unsigned socket, const Endpoint &from) const {
  return std::ranges::any_of(links_, [&](const Link &each) {
    return each.path.socket == socket && each.path.remote == from;
  });
}

std::optional<Duration> Puncher::round_trip() const {
  const Link *link = current();
  return link != nullptr ? link->round_trip : std::nullopt;
}

std::vector<Puncher::Event> Puncher::take_events() { return std::exchange(events_, {}); }

/// Until the next probe to the same.
Duration Puncher::pace(const Link &link, Time now) const {
  const Duration elapsed = began_ ? now - *began_ : Duration::zero();
  if (state_ == State::Failed) return elapsed < kSoon ? options_.watch.heartbeat : kSeldom;
  if (unanswered_ > kMostUnanswered) return kUnansweredPace;
  if (link.many) return kManyPace;
  return elapsed < options_.quick ? options_.pace : options_.slow_pace;
}

void Puncher::send_probe(Link &link, Time now) {
  // Each is a transaction of its own, so that an ACK tells which one it answers. Who has answered
  // may get the padded ones: the peer, too, may know our address from our packets alone.
  const auto id = stun::random_transaction_id();
  const bool padded = !link.learned || link.good;
  Bytes bytes = make_probe(id, options_.peer_tag, ++number_, padded, options_.probe_own);
  if (link.learned && !link.good) link.credit -= std::min(link.credit, bytes.size());
  if (sent_.size() >= kMostSent && !sent_order_.empty()) {
    sent_.erase(sent_order_.front());
    sent_order_.pop_front();
  }
  sent_.emplace(id, Sent{link.path, now});
  sent_order_.push_back(id);
  link.due = now + pace(link, now);
  ++link.sent;
  if (link.confirm > 0) --link.confirm;
  ++counts_.probes_sent;
  ++unanswered_;
  own_budget_.take(now);
  budget_->take(now);
  outbox_.push_back({link.path.socket, link.path.remote, std::move(bytes)});
}

/// Whether `link` is to be probed when it is due.
bool Puncher::wanted(const Link &link, Time now) const {
  if (link.good) return link.confirm > 0;
  // Who is not known yet gets answers only.
  if (link.learned && (!path_ || link.path != *path_)) return false;
  if (trying()) return true;
  // What only those ways could do that were for the beginning is not tried for ever.
  if (state_ == State::Failed) return !link.many && link.path.kind != CandidateKind::Predicted;
  if (state_ != State::Up || !up_since_ || now - *up_since_ >= options_.settle) return false;
  return rank(link.path.kind) < rank(path_->kind);
}

void Puncher::probe_links(Time now) {
  std::vector<Link *> due;
  for (Link &each : links_)
    if (each.due <= now && wanted(each, now)) due.push_back(&each);
  // Who waits longest comes first: there may be more than the budget allows.
  std::ranges::stable_sort(due, {}, &Link::due);
  for (Link *each : due) {
    if (!may_send(now)) break;
    send_probe(*each, now);
  }
}

/// Probes to ports by chance: from the first plain socket, once each.
void Puncher::send_guesses(Time now) {
  if (!trying()) guesses_.clear();
  while (!guesses_.empty() && may_send(now)) {
    const auto socket = std::ranges::find_if(sockets_, [this](const Socket &each) {
      return each.use == Use::Plain && each.v6 == is_v6(guesses_.back());
    });
    if (socket == sockets_.end()) return guesses_.clear();
    Link link;
    link.path = {socket->number, guesses_.back(), CandidateKind::External};
    guesses_.pop_back();
    send_probe(link, now);
  }
}

/// Asks whether the path still works, when it is time to.
void Puncher::keep_alive(Time now) {
  Link *link = current();
  if (state_ != State::Up || link == nullptr) return;
  switch (watch_.poll(now, round_trip())) {
    case PathWatch::Verdict::Wait:
      break;
    case PathWatch::Verdict::Ask:
      send_probe(*link, now);
      break;
    case PathWatch::Verdict::Silent:
      tell(Event::Kind::Silent, now);
      break;
  }
}

std::vector<Outgoing> Puncher::poll(Time now) {
  while (!sent_order_.empty()) {
    const auto oldest = sent_.find(sent_order_.front());
    if (oldest != sent_.end()) {
      if (now - oldest->second.when < kSentLifetime) break;
      sent_.erase(oldest);
    }
    sent_order_.pop_front();
  }
  if (trying() && began_ && now - *began_ >= options_.timeout) {
    state_ = State::Failed;
    path_.reset();
    tell(Event::Kind::Failed, now);
    for (Link &each : links_) each.due = now + options_.watch.heartbeat;
  }
  probe_links(now);
  send_guesses(now);
  keep_alive(now);
  compute_next(now);
  return std::exchange(outbox_, {});
}

void Puncher::compute_next(Time now) {
  next_.reset();
  const Time allowed = may_send(now) ? now : now + milliseconds(1);
  for (const Link &each : links_)
    if (wanted(each, now)) note_next(std::max(each.due, allowed));
  if (!guesses_.empty()) note_next(allowed);
  if (trying() && began_) note_next(*began_ + options_.timeout);
  if (state_ == State::Up && current() != nullptr) note_next(watch_.next(round_trip()));
}

std::string Puncher::why() const {
  if (links_.empty()) return "the peer named no address that can be reached from here";
  std::size_t asked = 0;
  for (const Link &each : links_) asked += each.sent > 0;
  const auto sent = counts_.probes_sent - counts_before_.probes_sent,
             came = counts_.probes_received - counts_before_.probes_received,
             refused = counts_.refused - counts_before_.refused;
  std::string text = std::to_string(sent) + " probes to " + std::to_string(asked) +
                     (asked == 1 ? " address" : " addresses");
  if (counts_.acks_received == counts_before_.acks_received)
    text += ", none was answered";
  else
    text += ", the last ones were not answered";
  if (came > 0)
    text += "; " + std::to_string(came) + " of the peer's came in";
  else if (refused > 0)
    text += "; " + std::to_string(refused) +
            " came in that the keys of this channel do not fit: both ends want the same session, "
            "and one of them is the caller";
  else
    text += "; none of the peer's came in";
  return text;
}

}  // namespace junctor::nat
