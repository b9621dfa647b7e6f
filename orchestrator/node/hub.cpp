// SPDX-License-Identifier: LGPL-2.1-or-later
#include "node/hub.h"

#include <algorithm>
#include <utility>

#include "nat/core/offer.h"
#include "nat/core/remote_end.h"
#include "nat/core/session_media.h"
#include "rtp/core/srtp_start.h"
#include "sfu/core/address.h"

namespace junctor::node {

using nat::Candidate;
using nat::CandidateKind;
using nat::Puncher;

struct Hub::Leg {
  Leg(std::string of_session, const std::string &called, nat::PuncherOptions options)
      : session(std::move(of_session)),
        name(called),
        puncher(std::move(options)),
        bounds("leg " + called) {}
  std::string session, name;
  std::string own_tag;
  std::string own_description;  // until it is told
  Puncher puncher;
  sfu::LegId relay = 0;
  nat::RemoteEnd bounds;
  bool up = false;
  Time seen{};                 // up, or made
  Time since{};                // it is up
  std::optional<Time> silent;  // since when, once it was up
};

namespace {

constexpr unsigned kProbesOfALeg = 200;  // a second

/// The relay's one socket counts as one of each family that it has.
unsigned socket_of(bool v6) { return v6 ? 1 : 0; }

void take_media(const nat::SessionMedia &media, sfu::LegOptions &leg) {
  for (const auto &each : media.payloads)
    leg.payloads.push_back({each.payload_type, each.medium, each.clock_rate});
  for (const auto &each : media.extensions)
    if (std::uint8_t *number = sfu::number_of(leg.extensions, each.name)) *number = each.number;
}

}  // namespace

std::string_view to_string(LegEvent::Kind kind) {
  switch (kind) {
    case LegEvent::Kind::Trying:
      return "trying";
    case LegEvent::Kind::Up:
      return "up";
    case LegEvent::Kind::Moved:
      return "moved";
    case LegEvent::Kind::Silent:
      return "silent";
    case LegEvent::Kind::Failed:
      break;
  }
  return "failed";
}

Result<std::unique_ptr<Hub>> Hub::open(std::shared_ptr<Reactor> reactor, HubOptions options,
                                       HubEvents events) {
  rtp::prepare_srtp();
  std::unique_ptr<Hub> hub(new Hub(std::move(reactor), std::move(options), std::move(events)));
  const sfu::Relay::Options wanted{hub->options_.max_legs, true};
  auto relay = sfu::Relay::listen(hub->reactor_, hub->options_.listen, wanted);
  if (!relay && hub->options_.listen.address == "::")  // there may be no IPv6
    relay = sfu::Relay::listen(hub->reactor_, {"0.0.0.0", hub->options_.listen.port}, wanted);
  if (!relay) return relay.error();
  hub->relay_ = std::move(*relay);
  hub->relay_->on_stun([self = hub.get()](const Endpoint &from, ByteSpan datagram) {
    self->on_stun(from, datagram);
  });
  for (const bool v6 : {false, true})
    if (hub->has_family(v6)) hub->gathering_.add_socket(socket_of(v6), v6, Clock::now());
  hub->set_stun_servers(hub->options_.stun_servers);
  return hub;
}

Hub::Hub(std::shared_ptr<Reactor> reactor, HubOptions options, HubEvents events)
    : reactor_(std::move(reactor)),
      options_(std::move(options)),
      events_(std::move(events)),
      addresses_(nat::host_addresses()),
      address_watch_(
          std::make_unique<nat::AddressWatch>(reactor_, [this] { addresses_changed(); })) {}

Hub::~Hub() = default;

void Hub::set_stun_servers(const std::vector<Endpoint> &servers) {
  const Time now = Clock::now();
  for (const Endpoint &each : servers)
    if (has_family(nat::is_v6(each))) gathering_.add_server(each, now);
  step();
}

std::vector<Candidate> Hub::candidates() const {
  const Endpoint here = local();
  std::vector<Candidate> found;
  const auto add = [&](CandidateKind kind, const Endpoint &endpoint) {
    if (found.size() < nat::kMostCandidates &&
        std::ranges::count(found, endpoint, &Candidate::endpoint) == 0)
      found.push_back({kind, endpoint});
  };
  const bool any = here.address == "0.0.0.0" || here.address == "::";
  if (any) {
    for (const std::string &address : addresses_)
      if (const Endpoint each{address, here.port}; has_family(nat::is_v6(each)))
        add(CandidateKind::Host, each);
  } else {
    add(CandidateKind::Host, here);
  }
  for (const Endpoint &each : options_.announced) add(CandidateKind::External, each);
  for (const Endpoint &each : external_) add(CandidateKind::External, each);
  return found;
}

nat::Families Hub::families() const {
  nat::Families families;
  for (const Candidate &each : candidates()) families.add(each.endpoint);
  return families;
}

// ---- Sessions ----

Result<std::unique_ptr<Hub::Leg>> Hub::make_leg(const std::string &session,
                                                const LegDescription &told) {
  const auto parsed = nat::parse_signal(told.description);
  if (!parsed) return parsed.error();
  const auto *theirs = std::get_if<nat::Description>(&*parsed);
  if (!theirs) return bad_input("leg " + told.leg + ": its first string is no description");
  const auto own = nat::KeyPair::generate();
  if (!own) return own.error();
  const std::string channel = nat::leg_session(session, options_.name);
  const auto keys = nat::agree(*own, theirs->key, nat::Side::Callee, channel);
  if (!keys) return keys.error();
  nat::PuncherOptions options;
  options.probe_own = keys->probe_own;
  options.probe_peer = keys->probe_peer;
  options.own_tag = nat::random_tag();
  options.peer_tag = nat::leg_tag(theirs->tag, channel);
  options.timeout = options_.timeout;
  options.budget = budget_;
  options.most_per_second = kProbesOfALeg;
  auto leg = std::make_unique<Leg>(session, told.leg, std::move(options));
  leg->own_tag = leg->puncher.own_tag();
  leg->bounds.begin(*theirs);
  sfu::LegOptions relayed;
  relayed.rtcp_keys = keys->srtcp;
  if (!told.media.empty()) {
    if (const auto media = nat::parse_session_media(told.media))
      take_media(*media, relayed);
    else
      say(LogLevel::Debug, "session " + session + ", " + told.leg + ": " + media.error().detail);
  }
  auto id = relay_->add_leg(std::move(relayed));
  if (!id) return id.error();
  leg->relay = *id;
  const Time now = leg->seen = Clock::now();
  for (const bool v6 : {false, true})
    if (has_family(v6)) leg->puncher.add_socket(socket_of(v6), v6, now);
  for (const Candidate &each : theirs->candidates) add_remote(*leg, each, now);
  leg->own_description = nat::to_string(
      nat::Signal(nat::Description{own->public_key(), leg->own_tag, generation_, candidates()}));
  return leg;
}

/// A client that names loopback would have us knock at our own doors, one that names link-local
/// addresses at our neighbours', unless there is nothing else.
void Hub::add_remote(Leg &leg, Candidate candidate, Time now) {
  const auto raw = sfu::to_raw(candidate.endpoint);
  if (!raw) return;
  candidate.endpoint = sfu::to_endpoint(*raw);  // IPv4 in IPv6's clothes is IPv4
  const nat::Scope own = std::min(nat::scope_of(local()), nat::widest_scope(addresses_));
  if (nat::scope_of(candidate.endpoint) >= own) leg.puncher.add_remote(candidate, now);
}

Result<std::vector<LegDescription>> Hub::serve(const std::string &session,
                                               const std::vector<LegDescription> &legs) {
  if (legs.size() < 2 || legs.size() > kMostLegs)
    return bad_input("a session has 2 to " + std::to_string(kMostLegs) + " legs");
  if (sessions_.contains(session)) return bad_input("session " + session + " is served already");
  if (by_tag_.size() + legs.size() > options_.max_legs)
    return refused("all " + std::to_string(options_.max_legs) + " legs are in use");
  Session made;
  const auto undo = [&] {
    for (const auto &leg : made.legs) relay_->remove_leg(leg->relay);
  };
  for (const LegDescription &told : legs) {
    if (std::ranges::any_of(made.legs, [&](const auto &each) { return each->name == told.leg; })) {
      undo();
      return bad_input("two legs are named " + told.leg);
    }
    auto leg = make_leg(session, told);
    if (!leg) {
      undo();
      return leg.error();
    }
    made.legs.push_back(std::move(*leg));
  }
  std::vector<LegDescription> answers;
  for (const auto &from : made.legs) {
    answers.push_back({from->name, std::move(from->own_description)});
    by_tag_[from->own_tag] = from.get();
    for (const auto &to : made.legs)
      if (from != to)
        if (auto routed = relay_->route(from->relay, to->relay); !routed)
          say(LogLevel::Warning, routed.error().detail);
  }
  sessions_.emplace(session, std::move(made));
  // The answer goes first, so that nobody hears of a leg before it.
  reactor_->post([alive = std::weak_ptr<bool>(alive_), this] {
    if (!alive.expired()) step();
  });
  return answers;
}

Hub::Leg *Hub::find(const std::string &session, const std::string &leg) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return nullptr;
  for (const auto &each : found->second.legs)
    if (each->name == leg) return each.get();
  return nullptr;
}

Result<void> Hub::take(const std::string &session, const std::string &name,
                       std::string_view signal) {
  Leg *leg = find(session, name);
  if (!leg) return bad_input("session " + session + " has no leg " + name + " here");
  const Time now = Clock::now();
  if (auto may = leg->bounds.take_string(now); !may) return may;
  const auto parsed = nat::parse_signal(signal);
  if (!parsed) return parsed.error();
  if (const auto *more = std::get_if<nat::MoreCandidates>(&*parsed)) {
    const auto anew = leg->bounds.take(
        *more, now, [&] { leg->puncher.clear_remote(); },
        [&](const Candidate &each) { add_remote(*leg, each, now); });
    if (!anew) return anew.error();
    if (*anew) leg->puncher.restart(now);
  } else if (const auto *up = std::get_if<nat::Up>(&*parsed)) {
    if (up->generation == leg->bounds.generation()) leg->puncher.peer_up(now);
  } else {
    return bad_input("leg " + name + " may send candidates only, once it is served");
  }
  step_alone(*leg, now);
  return {};
}

void Hub::release(const std::string &session) {
  drop(session);
  step();
}

void Hub::set_attended(bool attended) {
  if (attended)
    unattended_.reset();
  else if (!unattended_)
    unattended_ = Clock::now();
  step();
}

void Hub::forgotten() {
  for (auto &[name, session] : sessions_)
    if (!session.forgotten) session.forgotten = Clock::now();
  step();
}

/// The leg that is not up while another is, where nobody else looks after the session. It has its
/// time from when all of that was so.
std::optional<Hub::Missed> Hub::missed(const Session &session) const {
  if (!unattended_ && !session.forgotten) return std::nullopt;
  Time since = session.forgotten ? *session.forgotten : *unattended_;
  if (session.forgotten && unattended_) since = std::min(since, *unattended_);
  const Leg *first = nullptr;
  std::optional<Time> up;
  for (const auto &leg : session.legs) {
    if (leg->up)
      up = std::min(up.value_or(leg->since), leg->since);
    else if (!first || leg->seen < first->seen)
      first = leg.get();
  }
  if (!first || !up) return std::nullopt;
  return Missed{first, std::max({since, *up, first->seen}) + options_.unattended};
}

void Hub::drop(const std::string &session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  for (const auto &leg : found->second.legs) {
    keep_figures_of(*leg);
    relay_->remove_leg(leg->relay);
    by_tag_.erase(leg->own_tag);
  }
  sessions_.erase(found);
}

void Hub::keep_figures_of(const Leg &leg) {
  refused_ += leg.puncher.counts().refused;
  const auto stats = relay_->stats(leg.relay);
  if (!stats) return;
  gone_bytes_ += stats->sent.bytes;
  gone_packets_ += stats->sent.packets;
  gone_retransmitted_ += stats->retransmitted;
}

// ---- Ways ----

Hub::Leg *Hub::owner_of(const rtp::stun::Message &message) {
  std::string tag;
  if (message.kind() == rtp::stun::Class::Request) {
    if (const auto name = message.text(rtp::stun::Type::Username)) tag = *name;
  } else if (const auto probe = probes_.find(message.id()); probe != probes_.end()) {
    tag = probe->second;
  }
  const auto found = by_tag_.find(tag);
  return found == by_tag_.end() ? nullptr : found->second;
}

void Hub::on_stun(const Endpoint &from, ByteSpan datagram) {
  const Time now = Clock::now();
  const auto message = rtp::stun::Message::parse(datagram);
  Leg *leg = message ? owner_of(*message) : nullptr;
  const unsigned socket = socket_of(nat::is_v6(from));
  if (leg && leg->puncher.received(socket, from, datagram, now)) return step_alone(*leg, now);
  if (gathering_.received(socket, from, datagram, now)) return step();
  ++refused_;
}

void Hub::note_probe(const rtp::stun::TransactionId &id, const std::string &tag) {
  probes_[id] = tag;
  probe_order_.push_back(id);
  if (probe_order_.size() <= kMostProbes) return;
  probes_.erase(probe_order_.front());
  probe_order_.pop_front();
}

void Hub::send(const std::vector<nat::Outgoing> &out, Leg *leg) {
  for (const nat::Outgoing &each : out) {
    // Requests only: their answers name nobody.
    if (leg && each.bytes.size() >= rtp::stun::kHeaderSize && each.bytes[0] == std::byte{0} &&
        each.bytes[1] == std::byte{1}) {
      rtp::stun::TransactionId id;
      std::copy_n(each.bytes.begin() + 8, id.size(), id.begin());
      note_probe(id, leg->own_tag);
    }
    relay_->send(each.to, each.bytes);
  }
}

/// What came for one leg is no affair of the others; if it was refused, not of that one either.
void Hub::step_alone(Leg &leg, Time now) {
  if (stepping_) {
    step_again_ = true;
    return;
  }
  // Whether it is up is an affair of its session's.
  if (step(leg, now)) return step();
  arm(leg.puncher.next());
}

/// Whether something has happened to it.
bool Hub::step(Leg &leg, Time now) {
  if (leg.up) leg.seen = now;
  if (const auto due = leg.puncher.next(); !due || *due > now) return false;
  ++polls_;
  send(leg.puncher.poll(now), &leg);
  const auto events = leg.puncher.take_events();
  for (const Puncher::Event &each : events) on_event(leg, each);
  return !events.empty();
}

void Hub::on_event(Leg &leg, const Puncher::Event &event) {
  using Kind = Puncher::Event::Kind;
  LegEvent told{leg.session, leg.name, LegEvent::Kind::Failed, event.took, {}, {}};
  switch (event.kind) {
    case Kind::Up:
    case Kind::Moved: {
      const Endpoint remote = leg.puncher.path()->remote;
      if (auto set = relay_->set_remote(leg.relay, remote); !set) {
        // What it sends would be taken for another leg's.
        leg.up = false;
        relay_->clear_remote(leg.relay);
        told.why = set.error().detail;
        break;
      }
      leg.silent.reset();
      if (!leg.up) leg.since = Clock::now();
      told.kind = std::exchange(leg.up, true) ? LegEvent::Kind::Moved : LegEvent::Kind::Up;
      told.remote = remote.to_string();
      break;
    }
    case Kind::Silent:
      // Where it was it may come back to; what is sent there meanwhile is its media only.
      told.kind = LegEvent::Kind::Silent;
      told.why = leg.puncher.why();
      leg.up = false;
      leg.silent = Clock::now();
      leg.puncher.restart(*leg.silent);
      break;
    case Kind::Failed:
      // Nobody there has agreed to anything for a while (RFC 7675): nothing is sent there any more
      // but questions.
      relay_->clear_remote(leg.relay);
      told.why = leg.puncher.why();
      // Where it was up, addresses have changed, ours or the client's: no silence was told.
      if (std::exchange(leg.up, false) && options_.patience > Duration::zero()) {
        told.kind = LegEvent::Kind::Silent;
        leg.silent = Clock::now();
        leg.puncher.restart(*leg.silent);
        break;
      }
      if (leg.silent && Clock::now() - *leg.silent < options_.patience)
        return leg.puncher.restart(Clock::now());
      break;
  }
  say(LogLevel::Info, "session " + leg.session + ", " + leg.name + ": " +
                          std::string(to_string(told.kind)) +
                          (told.remote.empty() ? "" : " at " + told.remote) +
                          (told.why.empty() ? "" : ": " + told.why));
  if (events_.leg) events_.leg(told);
}

void Hub::step() {
  if (std::exchange(stepping_, true)) {
    step_again_ = true;
    return;
  }
  const Time now = Clock::now();
  struct Lapse {
    std::string session, leg, why;
  };
  std::vector<Lapse> lapsed;
  do {
    step_again_ = false;
    send(gathering_.poll(now), nullptr);
    offer_found();
    for (auto &[name, session] : sessions_)
      for (const auto &leg : session.legs) step(*leg, now);
  } while (step_again_);
  std::optional<Time> next = gathering_.next();
  const auto sooner = [&](const std::optional<Time> &when) {
    if (when && (!next || *when < *next)) next = when;
  };
  for (auto &[name, session] : sessions_) {
    Time seen{};
    for (const auto &leg : session.legs) {
      seen = std::max(seen, leg->up ? now : leg->seen);
      sooner(leg->puncher.next());
    }
    sooner(seen + options_.idle);
    const auto gone = missed(session);
    if (gone) sooner(gone->until);
    if (now - seen >= options_.idle)
      lapsed.push_back({name, session.legs.front()->name, "no client of it was there for a while"});
    else if (gone && now >= gone->until)
      lapsed.push_back({name, gone->leg->name,
                        "its " + gone->leg->name + " has gone, and so has its rendezvous"});
  }
  stepping_ = false;
  for (const auto &[name, leg, why] : lapsed) {
    drop(name);
    if (events_.lapsed) events_.lapsed(name, leg, why);
  }
  armed_.reset();
  timer_.reset();
  arm(next);
}

/// Looks after all at `when`, unless that is to be sooner anyway.
void Hub::arm(std::optional<Time> when) {
  if (!when || (armed_ && *armed_ <= *when)) return;
  armed_ = when;
  timer_ = reactor_->at(*when, [this] { step(); });
}

// ---- Addresses ----

void Hub::offer_found() {
  if (gathering_.take_found().empty()) return;
  // Where a NAT has forgotten the port, what was there before is nobody's.
  std::vector<Candidate> fresh;
  std::vector<Endpoint> known;
  for (const auto &each : gathering_.known()) {
    if (std::ranges::count(known, each.external) > 0) continue;
    known.push_back(each.external);
    if (std::ranges::count(external_, each.external) > 0) continue;
    fresh.push_back({CandidateKind::External, each.external});
    say(LogLevel::Debug, "external address " + each.external.to_string());
  }
  external_ = std::move(known);
  if (fresh.empty() || !events_.signal) return;
  const std::string text = nat::to_string(nat::Signal(nat::MoreCandidates{generation_, fresh}));
  for (const auto &[name, session] : sessions_)
    for (const auto &leg : session.legs) events_.signal(name, leg->name, text);
}

void Hub::addresses_changed() {
  auto now_there = nat::host_addresses();
  // Without a network there is nothing to tell anybody, and when it is back nothing has changed.
  if (nat::is_alone(now_there) && nat::widest_scope(addresses_) != nat::Scope::Machine) return;
  if (now_there == addresses_) return;
  addresses_ = std::move(now_there);
  say(LogLevel::Info, "the addresses of this machine have changed");
  external_.clear();
  const Time now = Clock::now();
  gathering_.restart(now);
  ++generation_;
  const std::string text =
      nat::to_string(nat::Signal(nat::MoreCandidates{generation_, candidates()}));
  for (const auto &[name, session] : sessions_)
    for (const auto &leg : session.legs) {
      leg->puncher.restart(now);
      if (events_.signal) events_.signal(name, leg->name, text);
    }
  if (events_.moved) events_.moved();
  step();
}

// ---- Figures ----

HubStats Hub::stats() const {
  HubStats stats{
      sessions_.size(), by_tag_.size(), 0, gone_bytes_, gone_packets_, gone_retransmitted_, 0,
      refused_,         polls_};
  for (const auto &[tag, leg] : by_tag_) {
    stats.legs_up += leg->up;
    stats.refused += leg->puncher.counts().refused;
    if (const auto of = relay_->stats(leg->relay)) {
      stats.forwarded_bytes += of->sent.bytes;
      stats.forwarded_packets += of->sent.packets;
      stats.retransmitted += of->retransmitted;
    }
  }
  stats.strangers = relay_->stats().strangers;
  return stats;
}

std::vector<std::string> Hub::sessions() const {
  std::vector<std::string> names;
  for (const auto &[name, session] : sessions_) names.push_back(name);
  return names;
}

void Hub::say(LogLevel level, const std::string &text) const {
  if (options_.log) options_.log(level, text);
}

}  // namespace junctor::node
