// SPDX-License-Identifier: LGPL-2.1-or-later
// The addresses of this machine, and when they change.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/endpoint.h"
#include "common/handle.h"
#include "common/reactor.h"
#include "common/result.h"
#include "nat/core/candidate.h"

namespace junctor::nat {

/// Those that others may reach (RFC 8445 section 5.1.1.1): of interfaces that are up and have a
/// carrier, and of the widest scope that this machine has. Link-local ones where it has no others,
/// IPv4 only, for those of IPv6 need to be told the interface; those of loopback where it has none
/// at all: then the only others are on this machine. Sorted; at most kMostHostAddresses.
std::vector<std::string> host_addresses();
inline constexpr std::size_t kMostHostAddresses = 16;

/// Whether it is of an interface of this machine that is up and has a carrier.
bool is_own_address(const std::string &address);

/// Whether a machine with these addresses has no network: none but loopback.
bool is_alone(const std::vector<std::string> &addresses);

/// Of a machine with these addresses: what is narrower is no address of a peer's, but of this
/// machine's own doors or neighbours.
Scope widest_scope(const std::vector<std::string> &addresses);

Families families_of(const std::vector<std::string> &addresses);

/// The address that this machine sends to `towards` from. Nothing is sent.
Result<std::string> source_address(const Endpoint &towards);

/// The one that it sends from to most of the world, over IPv4; empty where nothing leads there.
std::string preferred_address();

/// What the system tells of changes of addresses, links and routes (netlink(7)); for who waits for
/// it otherwise than an AddressWatch.
class AddressChanges {
 public:
  /// A change of networks comes as several messages: all have come so long after the first.
  static constexpr Duration kGather = std::chrono::milliseconds(10);

  AddressChanges();
  /// To be read when it is readable; -1 where the system has no such thing.
  int fd() const { return socket_.get(); }
  /// Whether there were any since the last call: perhaps some that mean nothing.
  bool any();

 private:
  UniqueFd socket_;
};

/// Tells when addresses, links or routes of this machine have changed. On the reactor; `changed`
/// may be called for changes that mean nothing, and once for several.
class AddressWatch {
 public:
  /// Where the system has no such thing it never tells.
  AddressWatch(std::shared_ptr<Reactor> reactor, std::function<void()> changed);

 private:
  std::shared_ptr<Reactor> reactor_;
  std::function<void()> changed_;
  AddressChanges changes_;
  bool waits_ = false;
  Reactor::Watch watch_;
  Reactor::Timer timer_;
};

}  // namespace junctor::nat
