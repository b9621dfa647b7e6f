// SPDX-License-Identifier: LGPL-2.1-or-later
// Symmetric RTP (RFC 4961): where media goes and may come from.
#include <algorithm>
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

void Latch::configure(const Endpoint &signalled, Time now, bool only_there) {
  const auto named = to_destination(signalled);
  if (named) only_there_ = only_there;
  if (signalled_text_ == signalled) {
    renewed_ = latched_.has_value();
    return;
  }
  if (!named && signalled_text_) return;  // the old way to say hold names no other place
  signalled_text_ = signalled;
  signalled_ = named;
  if (latched_) {
    previous_ = latched_;
    previous_until_ = now + kGrace;
  }
  if (signalled_) destination_ = signalled_;
  latched_.reset();
  renewed_ = false;
  since_ = now;
  candidates_.clear();
}

void Latch::latch(const sockaddr_storage &source) {
  latched_ = destination_ = source;
  previous_.reset();
  renewed_ = false;
  candidates_.clear();
}

Latch::Verdict Latch::judge(const sockaddr_storage &source, std::uint32_t ssrc, Time now) {
  const Verdict verdict = weigh(source, ssrc, now);
  if (latched_ && same_address(*latched_, source)) {
    heard_ = now;
    ssrc_ = ssrc;
  }
  return verdict;
}

Latch::Verdict Latch::weigh(const sockaddr_storage &source, std::uint32_t ssrc, Time now) {
  if (latched_ && same_address(*latched_, source)) {
    renewed_ = false;
    return Verdict::Accepted;
  }
  const bool at_signalled_host = signalled_ && rtp::same_host(*signalled_, source);
  const bool is_signalled = at_signalled_host && same_address(*signalled_, source);
  // A peer that has named another port of its own host hears there, wherever it still sends from.
  // Behind a NAT the same source may be what stands for the new address.
  const bool in_grace =
      previous_ && same_address(*previous_, source) && (now < previous_until_ || at_signalled_host);
  if (latched_) {
    // The address that the peer named itself may always take over from a guess; after an answer the
    // NAT may have given the peer another port.
    const bool better =
        is_signalled || (at_signalled_host && !rtp::same_host(*latched_, *signalled_)) ||
        (renewed_ && rtp::same_host(*latched_, source)) || is_rebound(source, ssrc, now);
    if (!better) return Verdict::Stranger;
  } else if (!is_signalled && in_grace) {
    return Verdict::Accepted;
  } else if (!at_signalled_host) {
    if (signalled_ && only_there_) return Verdict::Stranger;
    if (!qualifies(source, ssrc, now)) return Verdict::Undecided;
  }
  latch(source);
  return Verdict::Accepted;
}

bool Latch::is_rebound(const sockaddr_storage &source, std::uint32_t ssrc, Time now) const {
  return rtp::same_host(*latched_, source) && ssrc == ssrc_ && now - heard_ >= kRebound;
}

bool Latch::qualifies(const sockaddr_storage &source, std::uint32_t ssrc, Time now) {
  auto found = std::ranges::find_if(candidates_, [&](const Candidate &each) {
    return each.ssrc == ssrc && same_address(each.address, source);
  });
  if (found == candidates_.end()) {
    // The one silent for longest makes room.
    if (candidates_.size() >= kMaxCandidates)
      candidates_.erase(std::ranges::min_element(candidates_, {}, &Candidate::last));
    found = candidates_.insert(candidates_.end(), Candidate{source, ssrc, 0, now, now});
  } else if (now - found->last > kForget) {
    *found = Candidate{source, ssrc, 0, now, now};
  }
  found->last = now;
  ++found->packets;
  return found->packets >= kCandidatePackets && now >= std::max(since_, found->first) + kPreference;
}

bool Latch::same_host(const sockaddr_storage &source) const {
  return (latched_ && rtp::same_host(*latched_, source)) ||
         (signalled_ && rtp::same_host(*signalled_, source));
}

}  // namespace junctor::rtp
