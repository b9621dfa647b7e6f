// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sfu/core/router.h"

#include <openssl/rand.h>

#include "rtp/core/demux.h"
#include "rtp/core/packet.h"
#include "sfu/core/router_state.h"

namespace junctor::sfu {

namespace {

/// Another SSRC takes the place of one that has been silent so long, where there are too many.
constexpr Duration kIdle = std::chrono::seconds(5);

/// Two packets in a row so far from the others mean that a source went on with other numbers
/// (RFC 3550 A.1).
constexpr std::uint64_t kFar = 3000;

struct Kind {
  Class kind;
  std::uint32_t clock_rate;
  bool known = true;
};

/// What the static payload types are (RFC 3551 table 4 and 5).
Kind kind_of(std::uint8_t payload_type, const std::vector<PayloadKind> &told) {
  const auto found = std::ranges::find(told, payload_type, &PayloadKind::payload_type);
  if (found != told.end())
    return {found->medium == Medium::Audio ? Class::Sound : Class::Picture, found->clock_rate};
  if (payload_type < 24) return {Class::Sound, 8000};
  return {Class::Picture, 90000, payload_type < 96};
}

/// The few fields that forwarding needs; parse_header() tells more and takes its time.
struct Fields {
  std::uint8_t payload_type = 0;
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0, ssrc = 0;
  std::size_t header_size = 0;
  std::size_t extension_at = 0;  // 0: there is none
};

std::uint32_t u32_at(ByteSpan bytes, std::size_t at) {
  std::uint32_t value;
  std::memcpy(&value, &bytes[at], sizeof value);
  return __builtin_bswap32(value);
}

/// Nothing where the datagram is shorter than its header says.
std::optional<Fields> read_fields(ByteSpan packet) {
  if (packet.size() < rtp::kFixedHeaderSize) return std::nullopt;
  const std::uint32_t head = u32_at(packet, 0);
  Fields fields{static_cast<std::uint8_t>(head >> 16 & 0x7f), static_cast<std::uint16_t>(head),
                u32_at(packet, 4), u32_at(packet, 8),
                rtp::kFixedHeaderSize + (head >> 24 & 0x0f) * 4};
  if (head >> 24 & 0x10) {
    if (packet.size() < fields.header_size + 4) return std::nullopt;
    fields.extension_at = fields.header_size;
    fields.header_size += 4 + std::size_t{u32_at(packet, fields.header_size) & 0xffff} * 4;
  }
  if (packet.size() < fields.header_size) return std::nullopt;
  return fields;
}

}  // namespace

Router::Router(Options options, Outbox &outbox) : options_(std::move(options)), outbox_(outbox) {
  history_budget_.most = std::max(options_.max_legs * kHistoryALeg, kLeastHistory);
  RAND_bytes(reinterpret_cast<unsigned char *>(&ssrc_), sizeof ssrc_);
}

Router::~Router() {
  for (const auto &[id, leg] : legs_) outbox_.forget(leg->destination);
}

Router::Leg *Router::find(LegId id) const {
  const auto found = legs_.find(id);
  return found == legs_.end() ? nullptr : found->second.get();
}

Result<LegId> Router::add_leg(LegOptions options, Time now) {
  if (legs_.size() >= options_.max_legs)
    return refused("relay: " + std::to_string(options_.max_legs) + " legs are all it serves");
  auto leg = std::make_unique<Leg>(last_id_ + 1, std::move(options));
  if (leg->options.rtcp_keys) {
    auto srtp = rtp::Srtp::make(*leg->options.rtcp_keys);
    if (!srtp) return srtp.error();
    leg->rtcp = std::move(*srtp);
  }
  const LegId id = leg->id;
  leg->next_report = now + kReportInterval;
  leg->rtcp_credit_at = now;
  const std::optional<Endpoint> remote = leg->options.remote;
  if (!next_report_) next_report_ = leg->next_report;
  legs_.emplace(id, std::move(leg));
  if (legs_[id]->options.extensions.transport_cc != 0)
    legs_[id]->numbered = std::make_unique<NumberedPackets>();
  if (legs_[id]->options.last_n > 0 && !next_choice_) next_choice_ = now + kChoiceInterval;
  if (remote)
    if (auto set = set_remote(id, *remote); !set) {
      legs_.erase(id);
      return set.error();
    }
  last_id_ = id;
  return id;
}

Result<void> Router::set_remote(LegId id, const Endpoint &remote) {
  Leg *leg = find(id);
  if (!leg || leg->options.deliver)
    return bad_input("relay: no leg " + std::to_string(id) + " that has an address");
  const auto raw = to_raw(remote, options_.mapped);
  if (!raw) return raw.error();
  const AddressKey key(*raw);
  if (const Leg *there = by_address_.find(key); there && there != leg)
    return refused("relay: another leg is at " + remote.to_string());
  if (leg->key) by_address_.erase(*leg->key);
  by_address_.insert(key, *leg);
  leg->key = key;
  leg->destination.address = *raw;
  changed_ = true;
  return {};
}

void Router::clear_remote(LegId id) {
  Leg *leg = find(id);
  if (!leg || !leg->key) return;
  by_address_.erase(*leg->key);
  leg->key.reset();
  outbox_.forget(leg->destination);
  changed_ = true;
}

Result<void> Router::route(LegId from, LegId to) {
  Leg *publisher = find(from), *receiver = find(to);
  if (!publisher || !receiver || publisher == receiver)
    return bad_input("relay: no route from leg " + std::to_string(from) + " to leg " +
                     std::to_string(to) + ": they must be two that are there");
  if (publisher->route_to(*receiver)) return {};
  if (publisher->routes.size() >= kMaxRoutes || receiver->publishers.size() >= kMaxRoutes)
    return refused("relay: a leg has at most " + std::to_string(kMaxRoutes) + " routes");
  Route route{receiver, {}, {}, true, {}};
  route.outs.resize(publisher->sources.size());
  route.selectors.resize(publisher->layered.size());
  publisher->routes.push_back(std::move(route));
  receiver->publishers.push_back(publisher);
  return {};
}

void Router::unroute(LegId from, LegId to) {
  Leg *publisher = find(from), *receiver = find(to);
  if (!publisher || !receiver) return;
  std::erase_if(publisher->routes, [&](const Route &route) { return route.to == receiver; });
  std::erase(receiver->publishers, publisher);
}

void Router::remove_leg(LegId id) {
  Leg *leg = find(id);
  if (!leg) return;
  for (const Route &route : leg->routes) std::erase(route.to->publishers, leg);
  for (Leg *publisher : leg->publishers)
    std::erase_if(publisher->routes, [&](const Route &route) { return route.to == leg; });
  if (leg->key) by_address_.erase(*leg->key);
  outbox_.forget(leg->destination);
  changed_ = true;
  legs_.erase(id);
}

void Router::received(std::span<const Datagram> datagrams, Time now) {
  // Packets of hundreds of calls find nothing of theirs in the cache: what they need is asked for
  // in one go, so that memory is waited for once and not for each.
  std::array<Leg *, kBatch> legs;
  for (std::size_t i = 0; i < datagrams.size(); ++i) {
    legs[i] = by_address_.find(AddressKey(*datagrams[i].from));
    if (legs[i]) __builtin_prefetch(legs[i]);
  }
  for (std::size_t i = 0; i < datagrams.size(); ++i)
    if (legs[i] && (i == 0 || legs[i] != legs[i - 1])) {
      __builtin_prefetch(legs[i]->last_source, 1);
      __builtin_prefetch(legs[i]->routes.data());
    }
  for (std::size_t i = 0; i < datagrams.size(); ++i)
    if (legs[i] && (i == 0 || legs[i] != legs[i - 1])) expect(*legs[i], datagrams[i].bytes);
  changed_ = false;
  for (std::size_t i = 0; i < datagrams.size(); ++i) {
    const Datagram &datagram = datagrams[i];
    if (changed_) legs[i] = by_address_.find(AddressKey(*datagram.from));
    if (datagram.truncated) {
      ++oversized_;
      continue;
    }
    const auto kind = rtp::packet_kind(datagram.bytes);
    if (kind == rtp::PacketKind::Stun) {
      if (options_.on_stun) options_.on_stun(*datagram.from, datagram.bytes);
    } else if (!legs[i]) {
      ++strangers_;
    } else if (kind == rtp::PacketKind::Rtp || kind == rtp::PacketKind::Rtcp) {
      from_leg(*legs[i], datagram.bytes, now);
    } else {
      ++unknown_;
    }
  }
}

void Router::expect(const Leg &leg, ByteSpan packet) {
  if (!leg.last_source || leg.routes.empty() || packet.size() < rtp::kFixedHeaderSize) return;
  leg.last_source->history.expect(static_cast<std::uint16_t>(u32_at(packet, 0)));
  const Route &first = leg.routes.front();
  if (leg.last_index < first.outs.size()) __builtin_prefetch(&first.outs[leg.last_index], 1);
  __builtin_prefetch(first.to, 1);
  __builtin_prefetch(&first.to->destination, 1);
}

void Router::inject(LegId id, std::span<std::byte> packet, Time now) {
  if (Leg *leg = find(id)) from_leg(*leg, packet, now);
}

void Router::from_leg(Leg &leg, std::span<std::byte> datagram, Time now) {
  switch (rtp::packet_kind(datagram)) {
    case rtp::PacketKind::Rtp:
      return on_rtp(leg, datagram, now);
    case rtp::PacketKind::Rtcp:
      return on_rtcp(leg, datagram, now);
    default:
      ++leg.stats.malformed;
  }
}

Router::Source *Router::source_of(Leg &leg, std::uint32_t ssrc, std::uint8_t payload_type,
                                  Time now) {
  if (leg.last_source && leg.last_source->ssrc == ssrc) return leg.last_source;
  auto place = std::ranges::find(leg.sources, ssrc, [](const auto &each) { return each->ssrc; });
  if (place == leg.sources.end()) {
    const Kind kind = kind_of(payload_type, leg.options.payloads);
    auto source = std::make_unique<Source>(ssrc, kind.clock_rate, kind.kind, history_budget_);
    source->is_known = kind.known;
    if (leg.sources.size() < kMaxSources) {
      leg.sources.push_back(std::move(source));
      for (Route &route : leg.routes) route.outs.emplace_back();
      place = leg.sources.end() - 1;
    } else {
      place =
          std::ranges::min_element(leg.sources, {}, [](const auto &each) { return each->last; });
      if (now - (*place)->last < kIdle) return nullptr;
      forget_layer(leg, **place);
      *place = std::move(source);
      for (Route &route : leg.routes)
        route.outs[static_cast<std::size_t>(place - leg.sources.begin())] = Out();
    }
  }
  leg.last_source = place->get();
  leg.last_index = static_cast<std::size_t>(place - leg.sources.begin());
  return leg.last_source;
}

std::uint64_t Router::extend(Source &source, std::uint16_t sequence) {
  const std::uint64_t extended = source.sequence.peek(sequence);
  const std::uint64_t apart =
      extended > source.highest ? extended - source.highest : source.highest - extended;
  if (source.count > 0 && apart > kFar) {
    if (source.far != sequence) {
      source.far = static_cast<std::uint16_t>(sequence + 1);
      return source.highest;  // a straggler, until another follows it
    }
    source.lost_before = source.lost();
    source.count = 0;
    source.sequence.reset();
    source.reception.restart();
  }
  source.far.reset();
  return source.sequence.push(sequence);
}

void Router::on_rtp(Leg &leg, ByteSpan packet, Time now) {
  const auto fields = read_fields(packet);
  Source *source = fields ? source_of(leg, fields->ssrc, fields->payload_type, now) : nullptr;
  if (!source) {
    ++leg.stats.malformed;
    return;
  }
  const std::uint64_t extended = extend(*source, fields->sequence);
  const bool newest = source->count == 0 || extended > source->highest;
  if (!newest && leg.options.retransmit &&
      source->history.is_repeated(fields->sequence, packet, now)) {
    ++leg.stats.duplicates;
    return;
  }
  if (source->count++ == 0) source->first = extended;
  if (newest) source->highest = extended;
  source->last = now;
  source->reception.on_packet(extended, newest ? std::optional(fields->timestamp) : std::nullopt,
                              now);
  ++leg.stats.received_packets;
  leg.stats.received_bytes += packet.size();
  leg.stats.last_packet = now;
  if (leg.options.retransmit && !leg.routes.empty())
    source->history.remember(fields->sequence, packet, now);
  source->bytes += packet.size();
  Seen seen;
  if (fields->extension_at != 0 && leg.options.extensions.any())
    seen = read_extension(leg, *source, packet, fields->extension_at, now);
  const auto octets = static_cast<std::uint32_t>(packet.size() - fields->header_size);
  for (Route &route : leg.routes) {
    Leg &to = *route.to;
    Out &out = route.outs[leg.last_index];
    const bool passed = to.reachable() && passes(route, out, *source, seen.key);
    if (seen.number) route.note(*seen.number, passed);
    if (!passed) continue;
    ++out.packets;
    out.octets += octets;
    out.credit.earn(packet.size());
    if (to.options.deliver)
      to.options.deliver(packet, false);
    else
      outbox_.add(to.destination, packet, source->kind);
  }
}

std::optional<Time> Router::next() const {
  std::optional<Time> next;
  for (const auto &each : {next_report_, next_keyframe_, next_feedback_, next_choice_})
    if (each && (!next || *each < *next)) next = each;
  return next;
}

void Router::run(Time now) {
  next_report_.reset();
  next_keyframe_.reset();
  if (next_feedback_ && now >= *next_feedback_) next_feedback_.reset();
  const bool choice = next_choice_ && now >= *next_choice_;
  if (choice) {
    next_choice_.reset();
    choose(now);
  }
  for (const auto &[id, leg] : legs_) {
    if (leg->numbered) send_feedback(*leg, now);
    if (now >= leg->next_report) {
      report(*leg, now);
      for (const auto &source : leg->sources) source->history.trim(now);
    }
    if (!next_report_ || leg->next_report < *next_report_) next_report_ = leg->next_report;
    for (const auto &source : leg->sources) {
      if (source->keyframes.due(now)) ask_for_keyframe(*leg, *source, now);
      const auto next = source->keyframes.next();
      if (next && (!next_keyframe_ || *next < *next_keyframe_)) next_keyframe_ = next;
    }
  }
}

std::optional<LegStats> Router::stats(LegId id) const {
  const Leg *leg = find(id);
  if (!leg) return std::nullopt;
  LegStats stats = leg->stats;
  if (leg->key) stats.remote = to_endpoint(leg->destination.address);
  stats.sent = leg->destination.counters;
  stats.sources = leg->sources.size();
  for (const auto &source : leg->sources) stats.lost += source->lost();
  if (leg->estimator) {
    // Of now, as the last thing it said has it.
    stats.estimate = leg->estimator->estimate(stats.last_packet.value_or(Time()));
  }
  for (const Leg *publisher : leg->publishers)
    stats.pictures += const_cast<Leg *>(publisher)->route_to(*leg)->pictures;
  if (leg->round_trip)
    stats.round_trip_ms = std::chrono::duration<double, std::milli>(*leg->round_trip).count();
  return stats;
}

RouterStats Router::stats() const {
  RouterStats stats{legs_.size(), 0, strangers_, unknown_, oversized_, history_budget_.used};
  for (const auto &[id, leg] : legs_) stats.routes += leg->routes.size();
  return stats;
}

}  // namespace junctor::sfu
