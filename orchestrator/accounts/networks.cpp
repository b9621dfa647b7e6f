// SPDX-License-Identifier: LGPL-2.1-or-later
#include "accounts/networks.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>
#include <optional>

namespace junctor::accounts {

namespace {

/// 16 bytes, IPv4 as ::ffff:a.b.c.d; `v4` tells which it was written as.
std::optional<std::array<std::uint8_t, 16>> address_bytes(const std::string &text, bool &v4) {
  std::array<std::uint8_t, 16> bytes{};
  in_addr four{};
  v4 = inet_pton(AF_INET, text.c_str(), &four) == 1;
  if (v4) {
    bytes[10] = bytes[11] = 0xff;
    std::memcpy(&bytes[12], &four, 4);
    return bytes;
  }
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return bytes;
  return std::nullopt;
}

}  // namespace

Result<Networks> Networks::parse(const std::vector<std::string> &texts) {
  Networks networks;
  for (const auto &text : texts) {
    const auto slash = text.find('/');
    bool v4 = false;
    const auto bytes = address_bytes(text.substr(0, slash), v4);
    unsigned bits = v4 ? 32 : 128;
    bool right = bytes.has_value();
    if (right && slash != std::string::npos) {
      const char *first = text.data() + slash + 1;
      const char *last = text.data() + text.size();
      unsigned given = 0;
      const auto [end, failure] = std::from_chars(first, last, given);
      right = failure == std::errc() && end == last && given <= bits;
      bits = given;
    }
    if (!right) return bad_input("'" + text + "' is no network; write for example 192.168.0.0/16");
    networks.list_.push_back({*bytes, bits + (v4 ? 96 : 0)});
  }
  return networks;
}

bool Networks::contain(const Endpoint &address) const {
  bool v4 = false;
  const auto bytes = address_bytes(address.address, v4);
  if (!bytes) return false;
  for (const Network &network : list_) {
    const std::size_t whole = network.bits / 8;
    const unsigned rest = network.bits % 8;
    if (std::memcmp(bytes->data(), network.bytes.data(), whole) != 0) continue;
    if (rest == 0) return true;
    const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
    if (((*bytes)[whole] & mask) == (network.bytes[whole] & mask)) return true;
  }
  return false;
}

}  // namespace junctor::accounts
