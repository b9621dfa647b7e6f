// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/discovery.h"

#include <algorithm>
#include <cstdlib>

#include "nat/core/candidate.h"

namespace junctor::nat {

namespace stun = rtp::stun;
using namespace std::chrono_literals;
using stun::Type;

namespace {

/// Requests of one test: with a tenth of the packets lost each way, one in twenty thousand tests is
/// taken for filtered.
constexpr unsigned kRequests = 6;
/// While nothing has been answered at all, it goes on more slowly: the way may be long.
constexpr Duration kSlow = 200ms;
/// Without an answer, TCP is tried as well from then on.
constexpr Duration kStreamAfter = 500ms;
constexpr Duration kGrace = 100ms;
/// Once TCP has shown how it stands, UDP that has not answered for so long is given up.
constexpr Duration kBlockedAfter = 1800ms;

/// The difference of two ports, the short way round.
int distance(std::uint16_t from, std::uint16_t to) {
  return static_cast<std::int16_t>(static_cast<std::uint16_t>(to - from));
}

/// The step of ports that were given one after the other; nothing where there is none.
std::optional<int> common_step(const std::vector<std::uint16_t> &ports) {
  constexpr int kLargest = 1024, kLargestOfBusy = 64, kOthersBetween = 32;
  std::vector<int> steps;
  for (std::size_t i = 1; i < ports.size(); ++i) steps.push_back(distance(ports[i - 1], ports[i]));
  const auto count = [&](int step) { return std::ranges::count(steps, step); };
  const int usual = *std::ranges::max_element(steps, {}, count);
  if (usual != 0 && std::abs(usual) <= kLargest &&
      5 * count(usual) >= 3 * static_cast<std::ptrdiff_t>(steps.size()))
    return usual;
  // Others take ports in between.
  const int least = *std::ranges::min_element(steps, {}, [](int step) { return std::abs(step); });
  const bool fits =
      least != 0 && std::abs(least) <= kLargestOfBusy && std::ranges::all_of(steps, [&](int step) {
        return (step > 0) == (least > 0) && std::abs(step) <= kOthersBetween * std::abs(least);
      });
  return fits ? std::optional(least) : std::nullopt;
}

}  // namespace

Discovery::Discovery(DiscoveryOptions options) : options_(std::move(options)) {
  if (options_.servers.size() > kMostServers) options_.servers.resize(kMostServers);
  options_.local.resize(kSockets);
  if (options_.servers.empty()) {
    start_ = end_ = Time();
    return;
  }
  const Endpoint &server = options_.servers[0];
  // In the order of the sockets, so that the ports they get show how ports are given.
  for (unsigned socket = 0; socket < kSockets; ++socket) add(Test::First, socket, server);
  // From a socket that sends nothing to the server's other doors, and so opens nothing for them.
  add(Test::FilterBoth, 1, server, stun::kChangeIp | stun::kChangePort);
  add(Test::FilterPort, 1, server, stun::kChangePort);
  for (std::size_t i = 1; i < options_.servers.size(); ++i)
    if (options_.servers[i].address != server.address)
      add(Test::OtherServer, 0, options_.servers[i]);
}

void Discovery::add(Test test, unsigned socket, const Endpoint &to, std::uint32_t change) {
  Probe probe{};
  probe.test = test;
  probe.socket = socket;
  probe.to = to;
  probe.change = change;
  probes_.push_back(std::move(probe));
}

const Discovery::Probe *Discovery::find(Test test, unsigned socket) const {
  const auto found = std::ranges::find_if(
      probes_, [=](const Probe &probe) { return probe.test == test && probe.socket == socket; });
  return found == probes_.end() ? nullptr : &*found;
}

std::optional<Endpoint> Discovery::mapped(Test test, unsigned socket) const {
  const Probe *probe = find(test, socket);
  return probe ? probe->mapped : std::nullopt;
}

Discovery::Outcome Discovery::outcome(Test test, unsigned socket) const {
  const Probe *probe = find(test, socket);
  return probe ? probe->outcome : Outcome::Open;
}

unsigned Discovery::most_sent(const Probe &probe) const {
  // What has never been answered goes on until the deadline; see due().
  return probe.test == Test::First && !round_trip_ ? ~0U : kRequests;
}

Time Discovery::due(const Probe &probe) const {
  if (probe.sent == 0) return *start_;
  if (probe.sent < kRequests) return probe.last + options_.interval;
  if (probe.sent < most_sent(probe)) return probe.last + kSlow;
  // Then it is given up. Without a round trip this is not reached.
  return probe.last + 2 * round_trip_.value_or(kSlow) + kGrace;
}

Time Discovery::last() const {
  const bool told = stream_ == Stream::Answered || stream_ == Stream::Failed;
  return *start_ +
         (told && !round_trip_ ? std::min(kBlockedAfter, options_.deadline) : options_.deadline);
}

std::vector<Outgoing> Discovery::poll(Time now) {
  std::vector<Outgoing> out;
  if (end_) return out;
  if (!start_) start_ = now;
  for (std::size_t i = 0; i < probes_.size(); ++i) {
    Probe &probe = probes_[i];
    if (probe.outcome != Outcome::Open || now < due(probe)) continue;
    if (probe.sent >= most_sent(probe)) {
      probe.outcome = Outcome::Silent;
      continue;
    }
    const auto id = stun::random_transaction_id();
    stun::Writer writer(stun::Class::Request, stun::Method::Binding, id);
    if (probe.change) writer.u32(Type::ChangeRequest, probe.change);
    sent_[id] = {i, probe.sent, now};
    if (probe.sent++ == 0) probe.order = order_++;
    probe.last = now;
    out.push_back({probe.socket, probe.to, writer.finish()});
  }
  if (!round_trip_ && stream_ == Stream::NotYet && now >= *start_ + kStreamAfter)
    stream_ = Stream::Wanted;
  const bool all = std::ranges::none_of(
      probes_, [](const Probe &probe) { return probe.outcome == Outcome::Open; });
  if (all || now >= last()) end_ = now;
  return out;
}

std::optional<Time> Discovery::next() const {
  if (end_) return std::nullopt;
  if (!start_) return Time();
  Time next = last();
  bool open = false;
  for (const Probe &probe : probes_)
    if (probe.outcome == Outcome::Open) {
      open = true;
      next = std::min(next, due(probe));
    }
  if (!round_trip_ && stream_ == Stream::NotYet) next = std::min(next, *start_ + kStreamAfter);
  return open ? next : *start_;
}

bool Discovery::expected_source(const Probe &probe, const Endpoint &from) const {
  if (probe.change == 0) return from == probe.to;
  // Some servers answer from where they were asked, whatever they were asked.
  const bool address = from.address != probe.to.address, port = from.port != probe.to.port;
  return port && address == ((probe.change & stun::kChangeIp) != 0);
}

void Discovery::received(unsigned socket, const Endpoint &from, ByteSpan datagram, Time now) {
  if (end_) return;
  const auto message = stun::Message::parse(datagram);
  if (!message) return;
  const auto found = sent_.find(message->id());
  if (found == sent_.end()) return;
  const Sent sent = found->second;
  Probe &probe = probes_[sent.probe];
  if (probe.outcome != Outcome::Open) return;
  if (probe.test == Test::Hairpin) {
    // Our own request, at the socket whose external address it was sent to.
    if (message->kind() == stun::Class::Request && socket != probe.socket && socket <= 2)
      probe.outcome = Outcome::Answered;
    return;
  }
  if (socket != probe.socket) return;
  if (message->kind() == stun::Class::Error) {
    const auto error = message->error();
    if (from == probe.to && error && error->code == stun::kUnknownAttribute && probe.change) {
      probe.outcome = Outcome::Refused;
      // Our own servers of one address tell their second port so.
      if (probe.test == Test::FilterBoth) add_mapping_tests(*message);
    }
    return;
  }
  if (message->kind() != stun::Class::Success) return;
  if (!expected_source(probe, from)) {
    if (probe.change && from == probe.to) probe.outcome = Outcome::Refused;
    return;
  }
  const auto seen = message->mapped_address();
  if (!seen) return;
  probe.outcome = Outcome::Answered;
  probe.mapped = seen;
  probe.answered_send = sent.number;
  if (probe.test != Test::First) return;
  const Duration took = now - sent.when;
  round_trip_ = std::min(round_trip_.value_or(took), took);
  if (socket == 0) add_mapping_tests(*message);
  add_hairpin_tests();
}

void Discovery::add_mapping_tests(const stun::Message &answer) {
  const Endpoint &server = options_.servers[0];
  const auto other = answer.address(Type::OtherAddress);
  if (other_ || !other || other->port == 0 || other->port == server.port) return;
  if (is_v6(*other) != is_v6(server)) return;
  other_ = *other;
  // Behind a NAT of its provider's (1:1) the server knows its own address alone, which leads
  // nowhere from here, or to a stranger of this network.
  if (is_private(*other) && !is_private(server)) other_->address = server.address;
  if (other_->address != server.address) {
    add(Test::OtherAddress, 0, {other_->address, server.port});
    add(Test::OtherAddressPort, 0, *other_);
  }
  add(Test::OtherPort, 0, {server.address, other_->port});
}

void Discovery::add_hairpin_tests() {
  const auto first = mapped(Test::First, 0), second = mapped(Test::First, 2);
  if (hairpin_added_ || !first || !second) return;
  hairpin_added_ = true;
  if (*first == options_.local[0]) return;  // no NAT
  // Both ways: a NAT that filters lets in only what was sent to.
  add(Test::Hairpin, 2, *first);
  add(Test::Hairpin, 0, *second);
}

void Discovery::send_failed(const Outgoing &, const std::string &why) { send_why_ = why; }

std::optional<Outgoing> Discovery::take_stream() {
  if (stream_ != Stream::Wanted || end_) return std::nullopt;
  stream_ = Stream::Taken;
  return Outgoing{
      0, options_.servers[0],
      stun::Writer(stun::Class::Request, stun::Method::Binding, stun::random_transaction_id())
          .finish()};
}

void Discovery::stream_answered(ByteSpan bytes, Time) {
  const auto message = stun::Message::parse(bytes);
  if (!message || message->kind() != stun::Class::Success) return;
  stream_ = Stream::Answered;
  stream_external_ = message->mapped_address();
}

void Discovery::stream_failed(const std::string &why, Time) {
  stream_ = Stream::Failed;
  stream_why_ = why;
}

Behaviour Discovery::behaviour() const {
  Behaviour behaviour;
  behaviour.local = options_.local[0];
  behaviour.round_trip = round_trip_;
  if (start_ && end_) behaviour.took = *end_ - *start_;
  const auto see = [&](const std::optional<Endpoint> &seen) {
    if (seen && std::ranges::find(behaviour.addresses, seen->address) == behaviour.addresses.end())
      behaviour.addresses.push_back(seen->address);
  };
  if (!round_trip_) {
    const bool tcp = stream_ == Stream::Answered;
    behaviour.udp = tcp ? UdpAccess::Blocked : UdpAccess::NoAnswer;
    if (tcp)
      behaviour.udp_why = "no answer over UDP";
    else
      behaviour.udp_why = !send_why_.empty() ? send_why_
                          : stream_why_.empty()
                              ? "no answer over UDP and TCP"
                              : "no answer over UDP, and over TCP: " + stream_why_;
    see(stream_external_);
    behaviour.mapping_why = behaviour.filtering_why = behaviour.ports_why = "UDP does not work";
    return behaviour;
  }
  behaviour.udp = UdpAccess::Works;
  for (const Probe &probe : probes_) see(probe.mapped);
  for (unsigned socket = 0; socket < kSockets && !behaviour.external; ++socket)
    if ((behaviour.external = mapped(Test::First, socket))) {
      behaviour.local = options_.local[socket];
      behaviour.translated = *behaviour.external != options_.local[socket];
    }
  find_mapping(behaviour);
  find_filtering(behaviour);
  find_ports(behaviour);
  const Outcome there = outcome(Test::Hairpin, 2), back = outcome(Test::Hairpin, 0);
  if (there == Outcome::Answered || back == Outcome::Answered)
    behaviour.hairpin = true;
  else if (there == Outcome::Silent && back == Outcome::Silent)
    behaviour.hairpin = false;
  return behaviour;
}

void Discovery::find_mapping(Behaviour &behaviour) const {
  const auto first = mapped(Test::First), port = mapped(Test::OtherPort);
  const auto address = mapped(Test::OtherAddress), both = mapped(Test::OtherAddressPort);
  const auto know = [&](Dependence dependence) { behaviour.mapping = dependence; };
  if (!first) {
    behaviour.mapping_why = "the socket that tests it got no answer";
    return;
  }
  // Two destinations of one address are enough to know the worst.
  if ((port && *port != *first) || (address && both && *address != *both))
    return know(Dependence::AddressAndPortDependent);
  // Where nothing is translated there is nothing that could depend on anything.
  if (*first == options_.local[0]) return know(Dependence::EndpointIndependent);
  const auto &elsewhere = address ? address : both ? both : mapped(Test::OtherServer);
  if (elsewhere && *elsewhere == *first) return know(Dependence::EndpointIndependent);
  if (elsewhere && (port || (address && both))) return know(Dependence::AddressDependent);
  if (elsewhere)
    behaviour.mapping_why =
        "it depends on the address; whether on the port too, the server cannot show";
  else if (other_ && other_->address != options_.servers[0].address)
    behaviour.mapping_why = "the server's second address " + other_->address + " does not answer";
  else if (port)
    behaviour.mapping_why =
        "it does not depend on the port; a server with one address cannot show whether it depends "
        "on the address";
  else if (other_)
    behaviour.mapping_why = silent_port();
  else
    behaviour.mapping_why = "the server has neither a second address nor a second port";
}

void Discovery::find_filtering(Behaviour &behaviour) const {
  const Outcome both = outcome(Test::FilterBoth, 1), port = outcome(Test::FilterPort, 1);
  const auto know = [&](Dependence dependence) { behaviour.filtering = dependence; };
  if (!mapped(Test::First, 1)) {
    behaviour.filtering_why = "the socket that tests it got no answer";
    return;
  }
  if (both == Outcome::Answered) return know(Dependence::EndpointIndependent);
  // Silence means something only where the same door has answered before.
  const bool address_answers = mapped(Test::OtherAddressPort).has_value();
  const bool port_answers = mapped(Test::OtherPort).has_value();
  if (port == Outcome::Silent && port_answers) return know(Dependence::AddressAndPortDependent);
  if (both == Outcome::Silent && address_answers && port == Outcome::Answered)
    return know(Dependence::AddressDependent);
  if (both == Outcome::Refused && port == Outcome::Answered)
    behaviour.filtering_why =
        "other ports get in; a server with one address cannot show whether other addresses do";
  else if (both == Outcome::Refused && port == Outcome::Refused)
    behaviour.filtering_why = "the server has neither a second address nor a second port";
  else if (both == Outcome::Open || port == Outcome::Open)
    behaviour.filtering_why = "there was no time to wait for all answers";
  else if (other_ && other_->address == options_.servers[0].address)
    behaviour.filtering_why = silent_port();
  else
    behaviour.filtering_why = "the server's second address and port do not answer";
}

std::string Discovery::silent_port() const {
  return "the server's second port " + std::to_string(other_->port) +
         " does not answer: is it closed in a firewall?";
}

void Discovery::find_ports(Behaviour &behaviour) const {
  constexpr std::size_t kEnough = 4;
  if (!behaviour.translated) {
    behaviour.ports_why = "nothing is translated";
    return;
  }
  struct Sample {
    std::uint64_t order;
    std::uint16_t local, external;
  };
  std::vector<Sample> samples;
  for (const Probe &probe : probes_) {
    // Destinations that have a mapping of their own.
    const bool own =
        probe.test == Test::First ||
        (behaviour.mapping == Dependence::AddressAndPortDependent &&
         (probe.test == Test::OtherAddress || probe.test == Test::OtherAddressPort ||
          probe.test == Test::OtherPort)) ||
        (behaviour.mapping == Dependence::AddressDependent && probe.test == Test::OtherAddress);
    // A lost first request may have left no mapping, and the order would be wrong.
    if (own && probe.mapped && probe.answered_send == 0)
      samples.push_back({probe.order, options_.local[probe.socket].port, probe.mapped->port});
  }
  std::ranges::sort(samples, {}, &Sample::order);
  if (samples.size() < kEnough) {
    behaviour.ports_why = "too few answers";
    return;
  }
  const auto same = std::ranges::count_if(
      samples, [](const Sample &sample) { return sample.local == sample.external; });
  if (4 * same >= 3 * static_cast<std::ptrdiff_t>(samples.size())) {
    behaviour.ports = PortPattern::Preserving;
    return;
  }
  std::vector<std::uint16_t> ports;
  ports.reserve(samples.size());
  for (const Sample &sample : samples) ports.push_back(sample.external);
  const auto step = common_step(ports);
  behaviour.ports = step ? PortPattern::Sequential : PortPattern::Random;
  behaviour.port_step = step.value_or(0);
}

}  // namespace junctor::nat
