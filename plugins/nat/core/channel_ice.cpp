// SPDX-License-Identifier: LGPL-2.1-or-later
// The ways that libnice finds for a channel: over relays, and to peers that speak ICE.
#include <algorithm>
#include <utility>

#include "nat/core/channel.h"
#include "rtp/core/demux.h"

namespace junctor::nat {

namespace {

const Attempt kRelay{Rung::Relay, {}};

constexpr std::size_t kMostIceWaiting = 32;  // strings, until there is an agent
/// An agent that has not been answered for so long has been given up by the peer.
constexpr Duration kMostIceAge = std::chrono::seconds(10);
/// User and password of a relay are not used for so long before they are good for nothing.
constexpr Duration kTurnMargin = std::chrono::minutes(1);

constexpr std::uint8_t kApplicationDefined = 204;    // packet type
constexpr std::uint8_t kAsks = 0, kAnswers = 1;      // subtypes
constexpr std::uint32_t kQuestionName = 0x4A4E4354;  // "JNCT"
constexpr std::size_t kQuestionSize = 16;

}  // namespace

bool Channel::uses_ice() const {
  return options_.ice || std::ranges::count(options_.rungs, Rung::Relay) > 0;
}

void Channel::prepare_relay() {
  // What was offered is good for a while; what the application has named, always.
  if (turn_until_ && Clock::now() + kTurnMargin >= *turn_until_) {
    turn_servers_ = options_.turn_servers;
    turn_until_.reset();
  }
  if (!turn_servers_.empty()) return start_ice(kRelay);
  if (!events_->want) return ladder_->failed(kRelay, "no TURN server is known", Clock::now());
  relay_wanted_ = kRelay;
  ladder_->explain_silence(kRelay, "nobody named a relay");
  events_->want(Rung::Relay);
}

void Channel::start_ice(const Attempt &attempt) {
  const bool relay_only = attempt.rung == Rung::Relay;
  // libnice keeps to itself what a TURN server says of a peer.
  if (relay_only)
    ladder_->explain_silence(attempt, "the peer is silent, or a relay refuses its address");
  const auto way = std::make_shared<IceWay>();
  way->attempt = attempt;
  ice_ = way;
  IceOptions options;
  options.controlling = options_.side == Side::Caller;
  options.relay_only = relay_only;
  options.turn = turn_servers_;
  // Looked up by the agent: a peer may be here before names are found for others.
  if (!relay_only) options.stun = options_.stun_servers;
  if (scope_ != Scope::Wider) options.addresses = addresses_;
  // What a relay sends to is the relay's to decide.
  if (!relay_only) options.scope = scope_;

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
      one->found = true;
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
  events.complaint = [to_reactor](const std::string &what) {
    to_reactor([what](Channel &channel, const auto &) {
      if (channel.events_->complaint) channel.events_->complaint(what);
    });
  };
  // Nothing but the bytes, for there are many.
  events.received = [reactor = reactor_, self = weak_from_this(),
                     weak = std::weak_ptr(way)](ByteSpan datagram) {
    const auto one = weak.lock();
    if (!one || !one->inbox.put(datagram)) return;
    reactor->post([self, weak] {
      const auto channel = self.lock();
      const auto one = weak.lock();
      if (channel && !channel->closed_ && one && channel->ice_ == one) channel->ice_received(*one);
    });
  };
  // Servers that are named have to be looked up, which takes its time. Nobody here keeps the
  // thread: who lets go of it last waits for its end.
  auto thread = ContextThread::start("junctor-ice");
  auto begin = [thread, options = std::move(options), events = std::move(events),
                to_reactor]() mutable {
    auto started = std::make_shared<Result<std::unique_ptr<IceAgent>>>(
        IceAgent::start(thread, std::move(options), std::move(events)));
    to_reactor([started](Channel &channel, const auto &one) {
      channel.ice_started(one, std::move(*started));
    });
  };
  ContextThread::post(std::move(thread), std::move(begin));
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
  // What has waited for long is of an agent that is gone.
  const auto waiting = std::exchange(ice_waiting_, {});
  if (Clock::now() - ice_waiting_since_ > kMostIceAge) return;
  for (const IceSignal &each : waiting) give_ice(each);
}

void Channel::ice_gathered(const std::shared_ptr<IceWay> &way) {
  way->gathered = true;
  if (way->agent) signal(IceSignal{.ufrag = {}, .pwd = {}, .candidates = {}, .complete = true});
}

Result<void> Channel::take_ice(const IceSignal &signal) {
  // Without keys there is no description to wait for.
  if (options_.ice && !options_.encrypt && !ladder_) begin_ladder();
  // Each agent of the peer's has a name of its own.
  const bool named = !signal.ufrag.empty();
  if (ice_ && ice_->path && named && signal.ufrag != ice_->remote_ufrag) {
    const Attempt attempt = ice_->attempt;
    ice_.reset();
    lose(attempt, "the peer has begun anew");
  }
  if (ice_ && ice_->agent) {
    give_ice(signal);
    return {};
  }
  if (named && !ice_waiting_.empty() && ice_waiting_.front().ufrag != signal.ufrag)
    ice_waiting_.clear();
  if (ice_waiting_.empty()) {
    // The rest of what an agent said that has been given up here.
    if (!named && !options_.ice) return {};
    ice_waiting_since_ = Clock::now();
  }
  if (ice_waiting_.size() >= kMostIceWaiting)
    return refused("the peer says more about ICE than can be kept");
  ice_waiting_.push_back(signal);
  return {};
}

/// An agent that has no way yet has gathered what there was: perhaps nothing.
void Channel::begin_relay_anew() {
  auto heard = std::move(ice_->heard);
  start_ice(kRelay);
  ladder_->begun_anew(kRelay, Clock::now());
  if (heard.empty()) return;
  ice_waiting_ = std::move(heard);
  ice_waiting_since_ = Clock::now();
}

void Channel::give_ice(const IceSignal &signal) {
  if (!signal.ufrag.empty() && signal.ufrag != ice_->remote_ufrag) ice_->heard.clear();
  if (ice_->heard.size() < kMostIceWaiting) ice_->heard.push_back(signal);
  if (!signal.ufrag.empty()) {
    ice_->remote_ufrag = signal.ufrag;
    ice_->agent->set_remote({signal.ufrag, signal.pwd});
  }
  for (const std::string &each : signal.candidates) ice_->agent->add_remote_candidate(each);
  if (signal.complete) ice_->agent->remote_gathered();
}

void Channel::ice_connected(const std::shared_ptr<IceWay> &way, const IcePath &path) {
  if (!way->path) way->watch.answered(Clock::now());
  way->path = path;
  ladder_->up(way->attempt, Clock::now());
  if (ladder_->carrying() != way->attempt) return;
  const std::lock_guard lock(mutex_);
  shown_.local = path.local;
  shown_.remote = path.remote;
}

void Channel::ice_failed(const std::shared_ptr<IceWay> &way, const std::string &why) {
  lose(way->attempt, why);
}

bool Channel::IceWay::Inbox::put(ByteSpan datagram) {
  const std::lock_guard lock(mutex);
  if (waiting.size() >= kMostWaiting) return false;
  waiting.emplace_back(datagram.begin(), datagram.end());
  return waiting.size() == 1;
}

void Channel::ice_received(IceWay &way) {
  std::vector<Bytes> taken;
  {
    const std::lock_guard lock(way.inbox.mutex);
    taken = std::exchange(way.inbox.waiting, {});
  }
  const auto held = ice_;  // an event may close the channel
  bool delivered = false;
  for (Bytes &each : taken) {
    const auto kind = rtp::packet_kind(each);
    if (kind == rtp::PacketKind::Dtls && !options_.encrypt && events_->dtls) {
      if (events_->dtls(SharedBytes::copy(each))) {
        count_received(each.size());
        delivered = true;
      } else {
        ++counted_.refused;
      }
      continue;
    }
    const bool rtcp = kind == rtp::PacketKind::Rtcp;
    const auto size = rtcp || kind == rtp::PacketKind::Rtp ? open(each, rtcp) : std::nullopt;
    if (!size) {
      ++counted_.refused;
      continue;
    }
    const ByteSpan packet = ByteSpan(each).first(*size);
    if (options_.encrypt && rtcp && take_question(way, packet)) continue;
    way.watch.media(Clock::now());
    deliver(packet, each.size(), rtcp);
    delivered = true;
  }
  if (delivered && events_->batch_end) events_->batch_end();
  if (!closed_ && ice_next() && (!timer_at_ || *ice_next() < *timer_at_)) schedule();
}

// ---- Whether it still works ----

// libnice tells late, or not at all, that a relay is gone. So the two ends ask each other, by RTCP
// (RFC 3550 section 6.7) under the channel's keys. A peer that does not know those answers the
// agent's own questions (RFC 7675).

std::optional<Time> Channel::ice_next() const {
  if (!ice_ || !ice_->path || !options_.encrypt) return std::nullopt;
  return ice_->watch.next(ice_->round_trip);
}

void Channel::watch_ice(Time now) {
  if (!ice_next()) return;
  if (doubted_ && ladder_->carrying() == ice_->attempt && !ice_->watch.in_doubt()) heal();
  switch (ice_->watch.poll(now, ice_->round_trip)) {
    case PathWatch::Verdict::Wait:
      break;
    case PathWatch::Verdict::Ask:
      ask_over_ice(kAsks, ice_->questions.ask(now));
      break;
    case PathWatch::Verdict::Silent:
      if (waits_for_network())
        ice_->watch.doubt(now);
      else
        ice_failed(ice_, "nothing is answered any more");
      break;
  }
}

void Channel::ask_over_ice(std::uint8_t subtype, std::uint32_t number) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.u8(static_cast<std::uint8_t>(0x80 | subtype));
  writer.u8(kApplicationDefined);
  writer.u16(kQuestionSize / 4 - 1);
  writer.u32(kQuestionName);  // in place of a source, which it has none
  writer.u32(kQuestionName);
  writer.u32(number);
  std::size_t size = bytes.size();
  bytes.resize(size + rtp::Srtp::kMaxTrailer);
  if (!srtcp_->protect_rtcp(bytes, size)) return;
  // One that is not sent is lost like others.
  static_cast<void>(ice_->agent->send(ByteSpan(bytes).first(size)));
}

/// Whether it is a question, or an answer to one, and not the application's.
bool Channel::take_question(IceWay &way, ByteSpan packet) {
  if (packet.size() != kQuestionSize) return false;
  ByteReader reader(packet);
  const std::uint8_t subtype = reader.u8() & 0x1f;
  const std::uint8_t type = reader.u8();
  reader.u16();
  reader.u32();
  if (type != kApplicationDefined || reader.u32() != kQuestionName) return false;
  const std::uint32_t number = reader.u32();
  if (subtype == kAsks) {
    ask_over_ice(kAnswers, number);
    return true;
  }
  const Time now = Clock::now();
  if (const auto took = way.questions.answered(number, now)) {
    way.round_trip = way.round_trip ? (*way.round_trip * 7 + *took) / 8 : *took;
    way.watch.answered(now);
  }
  return true;
}

}  // namespace junctor::nat
