// SPDX-License-Identifier: LGPL-2.1-or-later
// Hosts behind NATs of any kind that send each other datagrams, with a time of its own.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "nat/core/exchange.h"
#include "simulated_network.h"

namespace junctor::nat {

/// The kinds of accesses that tests pair.
struct AccessKind {
  const char *name;
  bool translates;
  Dependence mapping, filtering;
  bool udp = true;
};
inline constexpr auto kIndependent = Dependence::EndpointIndependent;
inline constexpr auto kAddress = Dependence::AddressDependent;
inline constexpr auto kAddressPort = Dependence::AddressAndPortDependent;
inline constexpr AccessKind kAccessKinds[] = {
    {"open", false, kIndependent, kIndependent},
    {"firewall", false, kIndependent, kAddressPort},
    {"full-cone", true, kIndependent, kIndependent},
    {"restricted", true, kIndependent, kAddress},
    {"port-restricted", true, kIndependent, kAddressPort},
    {"address-mapped", true, kAddress, kAddressPort},
    {"address-both", true, kAddress, kAddress},
    {"symmetric", true, kAddressPort, kAddressPort},
    {"udp-blocked", true, kIndependent, kAddressPort, false},
};

/// What follows from RFC 4787 for two that probe what a STUN server saw of each other.
inline bool admits(const AccessKind &there, const AccessKind &sender) {
  if (there.filtering == kIndependent) return true;
  if (there.mapping != kIndependent) return false;
  return there.filtering == kAddress || sender.mapping == kIndependent;
}
inline bool direct_way(const AccessKind &left, const AccessKind &right) {
  return left.udp && right.udp && (admits(left, right) || admits(right, left));
}

class SimulatedInternet {
 public:
  /// A host and the NAT in front of it.
  class Site {
   public:
    SimulatedNat nat;
    std::string host;  ///< its own address
    std::string lan;   ///< hosts of one LAN reach each other's own addresses
    std::uint64_t bytes_sent = 0, packets_sent = 0;
    std::function<void(unsigned socket, const Endpoint &from, const Bytes &bytes)> receive;

    /// The NAT forgets its mappings.
    void flush() { mappings_.clear(); }

   private:
    friend class SimulatedInternet;
    struct Mapping {
      Endpoint external;
      std::set<std::pair<std::string, std::uint16_t>> sent_to;
    };
    using Key = std::tuple<unsigned, std::string, std::uint16_t>;
    std::map<Key, Mapping> mappings_;
  };

  Time now = Time() + std::chrono::hours(1);
  double loss = 0;
  Duration one_way{};
  Endpoint server{"192.0.2.1", 3478};

  explicit SimulatedInternet(unsigned seed = 1) : random_(seed) {}

  Site &add(const AccessKind &kind) {
    Site &site = sites_.emplace_back();
    const auto number = std::to_string(sites_.size());
    site.nat.translates = kind.translates;
    site.nat.mapping = kind.mapping;
    site.nat.filtering = kind.filtering;
    site.nat.udp = kind.udp;
    site.nat.hairpin = false;
    site.nat.address = "203.0.113." + number;
    site.host = kind.translates ? "10.0." + number + ".2" : site.nat.address;
    site.lan = number;
    return site;
  }

  /// Where a socket is, and what the STUN server would see of it.
  Endpoint local(const Site &site, unsigned socket) const {
    return {site.host, static_cast<std::uint16_t>(40000 + socket)};
  }
  Endpoint external(Site &site, unsigned socket) { return map(site, socket, server).external; }

  void send(Site &site, const Outgoing &out) { send(site, out.socket, out.to, out.bytes); }
  void send(Site &site, unsigned socket, const Endpoint &to, const Bytes &bytes) {
    site.bytes_sent += bytes.size();
    ++site.packets_sent;
    for (Site &other : sites_)
      if (other.lan == site.lan && other.host == to.address && &other != &site)
        return later([this, &other, from = local(site, socket), to, bytes] {
          other.receive(to.port - 40000U, from, bytes);
        });
    if (!site.nat.udp) return;
    const Endpoint from = map(site, socket, to).external;
    later([this, from, to, bytes] { arrive(from, to, bytes); });
  }
  /// Something from nowhere: a stranger, or one who shows another's address.
  void inject(const Endpoint &from, const Endpoint &to, const Bytes &bytes) {
    arrive(from, to, bytes);
  }

  /// Up to the next packet, or to `until` at most.
  void step(Time until) {
    if (!events_.empty() && events_.begin()->first <= until) {
      auto event = events_.extract(events_.begin());
      now = std::max(now, event.key());
      event.mapped()();
    } else {
      now = std::max(now, until);
    }
  }

 private:
  void later(std::function<void()> function) {
    if (std::uniform_real_distribution<>(0, 1)(random_) < loss) return;
    events_.emplace(now + one_way, std::move(function));
  }

  Site::Mapping &map(Site &site, unsigned socket, const Endpoint &to) {
    const bool by_address = site.nat.mapping != kIndependent;
    const bool by_port = site.nat.mapping == kAddressPort;
    const Site::Key key{socket, by_address ? to.address : "", by_port ? to.port : 0};
    auto found = site.mappings_.find(key);
    if (found == site.mappings_.end()) {
      const auto port =
          static_cast<std::uint16_t>(std::uniform_int_distribution<>(1024, 65535)(random_));
      const Endpoint external =
          site.nat.translates ? Endpoint{site.nat.address, port} : local(site, socket);
      found = site.mappings_.emplace(key, Site::Mapping{external, {}}).first;
    }
    found->second.sent_to.insert({to.address, to.port});
    return found->second;
  }

  void arrive(const Endpoint &from, const Endpoint &to, const Bytes &bytes) {
    for (Site &site : sites_) {
      if (site.nat.address != to.address || !site.nat.udp) continue;
      for (const auto &[key, mapping] : site.mappings_) {
        if (mapping.external != to) continue;
        const bool in = std::ranges::any_of(mapping.sent_to, [&](const auto &peer) {
          return site.nat.filtering == kIndependent ||
                 (peer.first == from.address &&
                  (site.nat.filtering == kAddress || peer.second == from.port));
        });
        if (in) site.receive(std::get<0>(key), from, bytes);
        return;
      }
      if (!site.nat.translates && site.nat.filtering == kIndependent)
        site.receive(to.port - 40000U, from, bytes);
    }
  }

  std::mt19937 random_;
  std::deque<Site> sites_;
  std::multimap<Time, std::function<void()>> events_;
};

}  // namespace junctor::nat
