// SPDX-License-Identifier: LGPL-2.1-or-later
// The ports that a NAT will take next, where it takes them one after another (RFC 5128
// section 3.5).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/endpoint.h"

namespace junctor::nat {

inline constexpr int kLargestStep = 16;
inline constexpr std::size_t kPredictedPorts = 8;

/// How far apart: `seen` is what several servers saw of one socket, in the order in which they were
/// asked. Nothing where the ports are the same, or not one after another.
inline std::optional<int> port_step(std::span<const Endpoint> seen) {
  if (seen.size() < 2) return std::nullopt;
  const Endpoint &last = seen[seen.size() - 1], &before = seen[seen.size() - 2];
  const int step = int{last.port} - int{before.port};
  if (last.address != before.address || step == 0 || step < -kLargestStep || step > kLargestStep)
    return std::nullopt;
  return step;
}

/// Those after the last of `seen`, in their order. Empty where there is no port_step().
inline std::vector<std::uint16_t> predicted_ports(std::span<const Endpoint> seen) {
  std::vector<std::uint16_t> ports;
  const auto step = port_step(seen);
  if (!step) return ports;
  for (int i = 1; i <= static_cast<int>(kPredictedPorts); ++i) {
    const int port = seen.back().port + *step * i;
    if (port >= 1024 && port <= 65535) ports.push_back(static_cast<std::uint16_t>(port));
  }
  return ports;
}

}  // namespace junctor::nat
