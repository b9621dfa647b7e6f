// Symmetric RTP (RFC 4961): where media goes and may come from. SPDX-License-Identifier:
// LGPL-2.1-or-later
#include <cstring>

#include "rtp/core/session_core.h"

namespace junctor::rtp {

namespace {

ByteSpan host_of(const sockaddr_storage &address) {
  if (address.ss_family == AF_INET6)
    return std::as_bytes(
        std::span(reinterpret_cast<const sockaddr_in6 &>(address).sin6_addr.s6_addr));
  return std::as_bytes(
      std::span(&reinterpret_cast<const sockaddr_in &>(address).sin_addr.s_addr, 1));
}

std::uint16_t port_of(const sockaddr_storage &address) {
  // At the same place in both families.
  return reinterpret_cast<const sockaddr_in &>(address).sin_port;
}

}  // namespace

bool same_host(const sockaddr_storage &a, const sockaddr_storage &b) {
  if (a.ss_family != b.ss_family) return false;
  const ByteSpan left = host_of(a), right = host_of(b);
  return std::memcmp(left.data(), right.data(), left.size()) == 0;
}

bool same_address(const sockaddr_storage &a, const sockaddr_storage &b) {
  return port_of(a) == port_of(b) && same_host(a, b);
}

std::optional<sockaddr_storage> to_destination(const Endpoint &endpoint) {
  if (endpoint.port == 0) return std::nullopt;
  const auto address = endpoint.to_sockaddr();
  if (!address) return std::nullopt;
  for (const std::byte b : host_of(*address))
    if (b != std::byte{0}) return *address;
  return std::nullopt;  // 0.0.0.0 or ::, the old way to say hold (RFC 3264 section 8.4)
}

void Latch::configure(const Endpoint &signalled, Time now) {
  if (signalled_text_ != signalled) {
    signalled_text_ = signalled;
    signalled_ = to_destination(signalled);
    previous_ = latched_;
    previous_until_ = now + kGrace;
    if (signalled_) destination_ = signalled_;
  }
  latched_.reset();
}

bool Latch::accept(const sockaddr_storage &source, Time now) {
  if (latched_ && same_address(*latched_, source)) return true;
  const bool is_signalled = signalled_ && same_address(*signalled_, source);
  if (!latched_ && !is_signalled && previous_ && now < previous_until_ &&
      same_address(*previous_, source))
    return true;
  // The address that the peer named itself may always take over from a guess.
  if (latched_ && !is_signalled) return false;
  latched_ = source;
  destination_ = source;
  previous_.reset();
  return true;
}

bool Latch::same_host(const sockaddr_storage &source) const {
  return (latched_ && rtp::same_host(*latched_, source)) ||
         (signalled_ && rtp::same_host(*signalled_, source));
}

}  // namespace junctor::rtp
