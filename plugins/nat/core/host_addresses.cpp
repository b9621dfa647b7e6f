// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/host_addresses.h"

#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace junctor::nat {

namespace {

/// Of interfaces that are switched on and have a cable or its like.
std::vector<std::string> working_addresses() {
  ifaddrs *list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, Releaser<::freeifaddrs>> owner(list);
  constexpr unsigned kWorks = IFF_UP | IFF_RUNNING;
  std::vector<std::string> found;
  for (const ifaddrs *each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || (each->ifa_flags & kWorks) != kWorks) continue;
    if (each->ifa_addr->sa_family != AF_INET && each->ifa_addr->sa_family != AF_INET6) continue;
    found.push_back(Endpoint::from_sockaddr(each->ifa_addr).address);
  }
  return found;
}

}  // namespace

bool is_own_address(const std::string &address) {
  return std::ranges::count(working_addresses(), address) > 0;
}

std::vector<std::string> host_addresses() {
  std::vector<std::string> found = working_addresses();
  std::erase_if(found, [](const std::string &each) { return !is_reachable_address({each, 9}); });
  const Scope widest = widest_scope(found);
  std::erase_if(found, [&](const std::string &each) { return scope_of({each, 9}) < widest; });
  std::ranges::sort(found);
  // Not std::ranges::unique(): clang 14 cannot read libstdc++'s subranges.
  found.erase(std::unique(found.begin(), found.end()), found.end());
  if (found.size() > kMostHostAddresses) found.resize(kMostHostAddresses);
  return found;
}

bool is_alone(const std::vector<std::string> &addresses) {
  return addresses.empty() || widest_scope(addresses) == Scope::Machine;
}

Scope widest_scope(const std::vector<std::string> &addresses) {
  if (addresses.empty()) return Scope::Wider;
  Scope widest = Scope::Machine;
  for (const std::string &each : addresses) widest = std::max(widest, scope_of({each, 9}));
  return widest;
}

Families families_of(const std::vector<std::string> &addresses) {
  Families families;
  for (const std::string &each : addresses) families.add({each, 0});
  return families;
}

Result<std::string> source_address(const Endpoint &towards) {
  const auto to = towards.to_sockaddr();
  if (!to) return to.error();
  const UniqueFd fd(::socket(to->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd ||
      ::connect(fd.get(), reinterpret_cast<const sockaddr *>(&*to), sockaddr_length(*to)) < 0)
    return Error{Fault::Unreachable,
                 "no way to " + towards.to_string() + ": " + std::strerror(errno)};
  return local_endpoint(fd.get()).address;
}

std::string preferred_address() {
  // Documentation's own (RFC 5737): it is routed as all that is nowhere near.
  const auto source = source_address({"192.0.2.1", 9});
  return source ? *source : "";
}

AddressChanges::AddressChanges()
    : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)) {
  sockaddr_nl groups{};
  groups.nl_family = AF_NETLINK;
  groups.nl_groups =
      RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (socket_ &&
      ::bind(socket_.get(), reinterpret_cast<const sockaddr *>(&groups), sizeof groups) < 0)
    socket_.reset();
}

bool AddressChanges::any() {
  // What exactly has changed does not matter: who is told looks anew. ENOBUFS says that there was
  // more than the queue holds, which is a change too.
  std::array<std::byte, 8192> buffer;
  bool any = false;
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno != ENOBUFS) break;
    any = true;
    if (got == 0) break;
  }
  return any;
}

AddressWatch::AddressWatch(std::shared_ptr<Reactor> reactor, std::function<void()> changed)
    : reactor_(std::move(reactor)), changed_(std::move(changed)) {
  if (changes_.fd() < 0) return;
  watch_ = reactor_->watch(changes_.fd(), EPOLLIN, [this](std::uint32_t) {
    if (!changes_.any() || waits_) return;
    waits_ = true;
    timer_ = reactor_->after(AddressChanges::kGather, [this] {
      waits_ = false;
      changed_();
    });
  });
}

}  // namespace junctor::nat
