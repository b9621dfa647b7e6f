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

namespace junctor::nat {

/// Those that others may reach: of interfaces that are up, without loopback and link-local ones.
/// Where there are no others, those of loopback: then the only others are on this machine.
/// Sorted; at most kMostHostAddresses.
std::vector<std::string> host_addresses();
inline constexpr std::size_t kMostHostAddresses = 16;

/// Whether none of them is of a network.
bool only_loopback(const std::vector<std::string> &addresses);

/// The address that this machine sends to `towards` from. Nothing is sent.
Result<std::string> source_address(const Endpoint &towards);

/// Tells when addresses, links or routes of this machine have changed (netlink(7)). On the
/// reactor; `changed` may be called for changes that mean nothing, and once for several.
class AddressWatch {
 public:
  /// Where the system has no such thing it never tells.
  AddressWatch(std::shared_ptr<Reactor> reactor, std::function<void()> changed);

 private:
  void read();

  std::shared_ptr<Reactor> reactor_;
  std::function<void()> changed_;
  UniqueFd socket_;
  Reactor::Watch watch_;
  Reactor::Timer timer_;
};

}  // namespace junctor::nat
