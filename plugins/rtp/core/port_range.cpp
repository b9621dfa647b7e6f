// SPDX-License-Identifier: LGPL-2.1-or-later
// Hands out pairs of UDP ports.
#include <algorithm>
#include <random>

#include "rtp/core/session.h"

namespace junctor::rtp {

PortRange::PortRange(std::uint16_t low, std::uint16_t high) : low_(low), high_(high), next_(low) {
  const int pairs = (high - low - (low & 1) + 1) / 2;
  std::random_device random;
  next_ = static_cast<std::uint16_t>(
      low + (low & 1) + 2 * std::uniform_int_distribution(0, std::max(pairs - 1, 0))(random));
}

Result<PortRange::Pair> PortRange::open(const std::string &address) {
  const unsigned first = low_ + (low_ & 1U);
  const unsigned pairs = high_ > first ? (high_ - first + 1U) / 2 : 0;
  for (unsigned tried = 0; tried < pairs; ++tried) {
    std::uint16_t port;
    {
      const std::lock_guard lock(mutex_);
      const unsigned next = next_ < first || next_ + 1U > high_ ? first : next_ + (next_ & 1U);
      port = static_cast<std::uint16_t>(next);
      // One past the end wraps at the next call; 65536 wraps here.
      next_ = static_cast<std::uint16_t>(next + 2 > 65535 ? first : next + 2);
    }
    auto rtp = bind_udp({address, port});
    if (!rtp) {
      // A bad address stays bad on every port.
      if (rtp.error().fault != Fault::Refused) return rtp.error();
      continue;
    }
    auto rtcp = bind_udp({address, static_cast<std::uint16_t>(port + 1)});
    if (!rtcp) {
      if (rtcp.error().fault != Fault::Refused) return rtcp.error();
      continue;
    }
    return Pair{std::move(*rtp), std::move(*rtcp), port};
  }
  return overloaded("no free port pair in " + std::to_string(low_) + "-" + std::to_string(high_) +
                    " on " + address + "; end some calls or widen the RTP port range");
}

}  // namespace junctor::rtp
