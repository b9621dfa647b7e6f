// SPDX-License-Identifier: LGPL-2.1-or-later
// A peer's address as the kernel writes it, and as a key.
#pragma once

#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "common/endpoint.h"
#include "common/result.h"

namespace junctor::sfu {

/// What tells peers apart: family, address, port. Flow labels and scopes do not count.
class AddressKey {
 public:
  AddressKey() = default;
  /// `raw` holds a sockaddr of either family.
  explicit AddressKey(const sockaddr_in6 &raw) {
    words_[2] = std::uint64_t{raw.sin6_family} << 16 | raw.sin6_port;
    if (raw.sin6_family == AF_INET6)
      std::memcpy(words_.data(), &raw.sin6_addr, 16);
    else
      std::memcpy(words_.data(), &raw.sin6_flowinfo, 4);  // where sockaddr_in has its address
  }
  bool operator==(const AddressKey &) const = default;

  struct Hash {
    std::size_t operator()(const AddressKey &key) const {
      constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15ULL;
      std::uint64_t sum = 0;
      for (const std::uint64_t word : key.words_) sum = (sum ^ word ^ sum >> 29) * kOdd;
      return sum ^ sum >> 32;
    }
  };

 private:
  std::array<std::uint64_t, 3> words_{};
};

static_assert(offsetof(sockaddr_in6, sin6_flowinfo) == offsetof(sockaddr_in, sin_addr));
static_assert(offsetof(sockaddr_in6, sin6_port) == offsetof(sockaddr_in, sin_port));

/// Fails where `endpoint` is not numeric. `mapped`: IPv4 as a socket of both families writes it
/// (RFC 4291 section 2.5.5.2).
inline Result<sockaddr_in6> to_raw(const Endpoint &endpoint, bool mapped = false) {
  const auto storage = endpoint.to_sockaddr();
  if (!storage) return storage.error();
  sockaddr_in6 raw{};
  std::memcpy(&raw, &*storage, sizeof raw);
  if (!mapped || raw.sin6_family == AF_INET6) return raw;
  sockaddr_in6 wide{};
  wide.sin6_family = AF_INET6;
  wide.sin6_port = raw.sin6_port;
  wide.sin6_addr.s6_addr[10] = wide.sin6_addr.s6_addr[11] = 0xff;
  std::memcpy(&wide.sin6_addr.s6_addr[12], &raw.sin6_flowinfo, 4);
  return wide;
}
inline Endpoint to_endpoint(const sockaddr_in6 &raw) {
  if (raw.sin6_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&raw.sin6_addr)) {
    sockaddr_in6 narrow{};
    narrow.sin6_family = AF_INET;
    narrow.sin6_port = raw.sin6_port;
    std::memcpy(&narrow.sin6_flowinfo, &raw.sin6_addr.s6_addr[12], 4);
    return Endpoint::from_sockaddr(reinterpret_cast<const sockaddr *>(&narrow));
  }
  return Endpoint::from_sockaddr(reinterpret_cast<const sockaddr *>(&raw));
}
inline socklen_t raw_size(const sockaddr_in6 &raw) {
  return raw.sin6_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

}  // namespace junctor::sfu
