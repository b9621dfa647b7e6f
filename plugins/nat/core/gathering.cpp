// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/gathering.h"

#include <algorithm>
#include <utility>

#include "nat/core/candidate.h"

namespace junctor::nat {

namespace stun = rtp::stun;

void Gathering::add(unsigned socket, const Endpoint &server, Time now) {
  asks_.push_back({.socket = socket, .server = server, .due = now});
}

void Gathering::add_socket(unsigned number, bool v6, Time now) {
  sockets_.push_back({number, v6});
  for (const Endpoint &each : servers_)
    if (is_v6(each) == v6) add(number, each, now);
}

void Gathering::remove_socket(unsigned number) {
  std::erase_if(sockets_, [number](const Socket &each) { return each.number == number; });
  std::erase_if(asks_, [number](const Ask &each) { return each.socket == number; });
}

void Gathering::add_server(const Endpoint &server, Time now) {
  if (servers_.size() >= kMostServers || std::ranges::count(servers_, server) > 0) return;
  servers_.push_back(server);
  for (const Socket &each : sockets_)
    if (each.v6 == is_v6(server)) add(each.number, server, now);
}

void Gathering::restart(Time now) {
  resting_ = false;
  for (Ask &each : asks_) {
    each.due = now;
    each.sent = 0;
    each.open = true;
    // An answer to what was asked before would tell of the old network.
    each.ids.clear();
    each.external.reset();
  }
}

std::vector<Outgoing> Gathering::poll(Time now) {
  std::vector<Outgoing> out;
  for (Ask &each : asks_) {
    if (each.due > now || (!each.open && resting_)) continue;
    if (!each.open) {
      each.open = true;
      each.sent = 0;
      each.ids.clear();
    }
    if (each.sent == options_.requests) {
      each.open = false;
      each.due = now + options_.refresh;
      continue;
    }
    const auto id = stun::random_transaction_id();
    each.ids.push_back(id);
    out.push_back({each.socket, each.server,
                   stun::Writer(stun::Class::Request, stun::Method::Binding, id).finish()});
    each.due = now + (each.sent++ == 0 ? options_.first : options_.then);
  }
  return out;
}

bool Gathering::received(unsigned socket, const Endpoint &from, ByteSpan datagram, Time now) {
  const auto message = stun::Message::parse(datagram);
  if (!message || message->kind() != stun::Class::Success) return false;
  for (Ask &each : asks_) {
    if (each.socket != socket || each.server != from ||
        std::ranges::count(each.ids, message->id()) == 0)
      continue;
    const auto external = message->mapped_address();
    // Of the answers to requests that were sent again the first one counts.
    if (!each.open || !external || !is_reachable_address(*external)) return true;
    each.open = false;
    each.due = now + options_.refresh;
    if (each.external == external) return true;
    each.external = external;
    found_.push_back({socket, from, *external});
    return true;
  }
  return false;
}

std::optional<Time> Gathering::next() const {
  std::optional<Time> next;
  for (const Ask &each : asks_)
    if ((each.open || !resting_) && (!next || each.due < *next)) next = each.due;
  return next;
}

std::vector<Gathering::Found> Gathering::take_found() { return std::exchange(found_, {}); }

std::vector<Gathering::Found> Gathering::known() const {
  std::vector<Found> known;
  for (const Ask &each : asks_)
    if (each.external) known.push_back({each.socket, each.server, *each.external});
  return known;
}

bool Gathering::settled() const {
  return std::ranges::none_of(asks_, [](const Ask &each) { return each.open; });
}

bool Gathering::changes_with_peer() const {
  for (const Ask &one : asks_)
    for (const Ask &two : asks_)
      if (one.socket == two.socket && one.external && two.external &&
          *one.external != *two.external)
        return true;
  return false;
}

}  // namespace junctor::nat
