// SPDX-License-Identifier: LGPL-2.1-or-later
// A host behind a NAT of any kind, STUN servers, delay and loss; with a time of its own.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "nat/core/behaviour.h"
#include "nat/core/exchange.h"
#include "nat/core/stun_responder.h"

namespace junctor::nat {

/// What the NAT in front of the host does.
struct SimulatedNat {
  bool translates = true;
  Dependence mapping = Dependence::EndpointIndependent;
  Dependence filtering = Dependence::EndpointIndependent;
  PortPattern ports = PortPattern::Random;
  int step = 1;
  bool hairpin = true;
  bool udp = true;  ///< false: nothing passes
  std::string address = "203.0.113.5";
};

class SimulatedNetwork {
 public:
  SimulatedNat nat;
  double loss = 0;              ///< of each way to and from a server
  unsigned requests = 0;        ///< that left the host
  std::set<std::string> asked;  ///< addresses that they went to

  explicit SimulatedNetwork(unsigned seed = 1) : random_(seed) {}

  /// `inside`: what it takes its doors for, where its provider translates them.
  void add_server(Doors doors, Duration one_way, const std::optional<Doors> &inside = {}) {
    servers_.push_back({doors, inside.value_or(doors),
                        std::make_unique<StunResponder>(inside.value_or(doors)), one_way, true});
  }
  /// The first server's doors that never answer, by their bits.
  void close_door(unsigned door) { closed_.insert(door); }
  /// Mappings are forgotten, as by a NAT that is switched off and on.
  void reboot() { mappings_.clear(); }

  /// Where the host's sockets are.
  std::vector<Endpoint> locals(unsigned count) {
    std::vector<Endpoint> list;
    for (unsigned i = 0; i < count; ++i)
      list.push_back(
          {nat.translates ? "10.0.0.2" : nat.address, static_cast<std::uint16_t>(40000 + 13 * i)});
    return list;
  }

  /// Runs it to its end, or for `most`. How long it took.
  Duration run(Exchange &exchange, Duration most = std::chrono::seconds(60)) {
    const Time start = now;
    local_ = locals(exchange.sockets());
    while (!exchange.done() && now - start < most) {
      for (const Outgoing &out : exchange.poll(now)) send(exchange, out);
      const auto next = exchange.next();
      if (!next) break;
      const Time wake = std::max(*next, now);
      if (!events_.empty() && events_.begin()->first <= wake) {
        auto event = events_.extract(events_.begin());
        now = std::max(now, event.key());
        event.mapped()();
      } else {
        now = std::min(wake, start + most);
      }
    }
    return now - start;
  }

  Time now = Time() + std::chrono::hours(1);

 private:
  struct Server {
    Doors doors, inside;
    std::unique_ptr<StunResponder> responder;
    Duration one_way;
    bool up;
  };
  struct Mapping {
    Endpoint external;
    std::set<std::pair<std::string, std::uint16_t>> sent_to;
  };
  using Key = std::tuple<unsigned, std::string, std::uint16_t>;

  bool lost() { return std::uniform_real_distribution<>(0, 1)(random_) < loss; }

  std::uint16_t new_port(unsigned socket) {
    switch (nat.ports) {
      case PortPattern::Preserving:
        return local_[socket].port;
      case PortPattern::Sequential:
        return static_cast<std::uint16_t>(next_port_ += nat.step);
      default:
        return static_cast<std::uint16_t>(std::uniform_int_distribution<>(1024, 65535)(random_));
    }
  }

  Mapping &mapping_for(unsigned socket, const Endpoint &to) {
    const bool by_address = nat.mapping != Dependence::EndpointIndependent;
    const bool by_port = nat.mapping == Dependence::AddressAndPortDependent;
    const Key key{socket, by_address ? to.address : "", by_port ? to.port : 0};
    auto found = mappings_.find(key);
    if (found == mappings_.end()) {
      const Endpoint external =
          nat.translates ? Endpoint{nat.address, new_port(socket)} : local_[socket];
      found = mappings_.emplace(key, Mapping{external, {}}).first;
    }
    return found->second;
  }

  void send(Exchange &exchange, const Outgoing &out) {
    ++requests;
    asked.insert(out.to.address);
    if (!nat.udp) return;
    Mapping &mapping = mapping_for(out.socket, out.to);
    mapping.sent_to.insert({out.to.address, out.to.port});
    const Endpoint source = mapping.external;
    if (out.to.address == nat.address) {
      if (nat.hairpin) arrive(exchange, out.to, source, out.bytes);
      return;
    }
    for (std::size_t i = 0; i < servers_.size(); ++i)
      for (unsigned door = 0; door < kDoors; ++door) {
        if (servers_[i].doors[door] != out.to || (i == 0 && closed_.contains(door)) || lost())
          continue;
        events_.emplace(now + servers_[i].one_way, [this, &exchange, i, door, source, out] {
          const auto answer = servers_[i].responder->datagram(out.bytes, source, door,
                                                              *servers_[i].inside[door], now);
          if (!answer.reply || lost() || (i == 0 && closed_.contains(answer.reply->door))) return;
          events_.emplace(now + servers_[i].one_way, [this, &exchange, i, reply = *answer.reply] {
            arrive(exchange, reply.to, *servers_[i].doors[reply.door], reply.bytes);
          });
        });
      }
  }

  /// At the NAT, from outside.
  void arrive(Exchange &exchange, const Endpoint &external, const Endpoint &from,
              const Bytes &bytes) {
    for (const auto &[key, mapping] : mappings_) {
      if (mapping.external != external) continue;
      const bool in = std::ranges::any_of(mapping.sent_to, [&](const auto &peer) {
        return nat.filtering == Dependence::EndpointIndependent ||
               (peer.first == from.address &&
                (nat.filtering == Dependence::AddressDependent || peer.second == from.port));
      });
      if (in) exchange.received(std::get<0>(key), from, bytes, now);
      return;
    }
  }

  std::mt19937 random_;
  std::vector<Server> servers_;
  std::set<unsigned> closed_;
  std::vector<Endpoint> local_;
  std::map<Key, Mapping> mappings_;
  int next_port_ = 50000;
  std::multimap<Time, std::function<void()>> events_;
};

}  // namespace junctor::nat
