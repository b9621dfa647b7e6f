// SPDX-License-Identifier: LGPL-2.1-or-later
// A network of a test's own (network_namespaces(7)), with the addresses that it names.
#pragma once

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <array>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "common/endpoint.h"

namespace junctor {

/// Of loopback's `number`-th other name; empty: none any more. False where that is not allowed.
inline bool set_own_address(std::size_t number, const std::string &address) {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, ("lo:" + std::to_string(number)).c_str());
  if (address.empty()) return ::ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0;
  const auto raw = *Endpoint{address, 0}.to_sockaddr();
  std::memcpy(&request.ifr_addr, &raw, sizeof request.ifr_addr);
  return ::ioctl(fd.get(), SIOCSIFADDR, &request) == 0;
}

/// Runs `test` on a thread whose network, and that of the threads it starts, has 127.0.0.1 and
/// these IPv4 addresses and nothing else. False where the system does not allow it.
inline bool in_own_network(const std::vector<std::string> &addresses,
                           const std::function<void()> &test) {
  bool made = false;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) return;
    const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    if (::ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) return;
    for (std::size_t i = 0; i < addresses.size(); ++i)
      if (!set_own_address(i, addresses[i])) return;
    made = true;
    test();
  }).join();
  return made;
}

/// Sockets at these addresses that count, up to a few, what comes to them.
class Doors {
 public:
  /// By the time that one has heard so much all have heard something, if they are to.
  static constexpr unsigned kSeveral = 3;

  explicit Doors(const std::vector<std::string> &addresses) {
    for (const std::string &each : addresses) doors_.push_back({each, *bind_udp({each, 0}), 0});
  }
  std::vector<Endpoint> endpoints() const {
    std::vector<Endpoint> all;
    for (const Door &each : doors_) all.push_back(local_endpoint(each.fd.get()));
    return all;
  }
  /// Whether one has heard enough.
  bool listen() {
    bool enough = false;
    for (Door &each : doors_) {
      std::array<char, 2000> buffer;
      while (::recv(each.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) ++each.heard;
      enough |= each.heard >= kSeveral;
    }
    return enough;
  }
  std::vector<std::string> knocked() const {
    std::vector<std::string> all;
    for (const Door &each : doors_)
      if (each.heard > 0) all.push_back(each.address);
    return all;
  }

 private:
  struct Door {
    std::string address;
    UniqueFd fd;
    unsigned heard;
  };
  std::vector<Door> doors_;
};

}  // namespace junctor
