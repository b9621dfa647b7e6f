// SPDX-License-Identifier: LGPL-2.1-or-later
// A list of networks that an address is compared with.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "common/endpoint.h"
#include "common/result.h"

namespace junctor::accounts {

/// Networks as "10.0.0.0/8", "2001:db8::/32" or single addresses. Immutable; any thread.
class Networks {
 public:
  static Result<Networks> parse(const std::vector<std::string> &texts);
  bool contain(const Endpoint &address) const;
  bool empty() const { return list_.empty(); }

 private:
  struct Network {
    std::array<std::uint8_t, 16> bytes{};  // IPv4 as mapped IPv6
    unsigned bits = 0;
  };
  std::vector<Network> list_;
};

}  // namespace junctor::accounts
