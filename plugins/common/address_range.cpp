// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/address_range.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>
#include <optional>

namespace junctor {

std::string address_bytes(const std::string &address) {
  unsigned char bytes[16];
  if (::inet_pton(AF_INET, address.c_str(), bytes) == 1)
    return {reinterpret_cast<char *>(bytes), 4};
  if (::inet_pton(AF_INET6, address.c_str(), bytes) == 1)
    return {reinterpret_cast<char *>(bytes), 16};
  return {};
}

std::string address_text(const std::string &bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

namespace {

/// Nothing where the text is no address with a length of its prefix.
std::optional<AddressRange> prefix_range(const std::string &text, std::size_t slash) {
  const std::string base = address_bytes(text.substr(0, slash));
  const char *first = text.data() + slash + 1, *last = text.data() + text.size();
  unsigned bits = 0;
  const auto [end, failure] = std::from_chars(first, last, bits);
  if (base.empty() || failure != std::errc() || end != last || bits > base.size() * 8)
    return std::nullopt;
  AddressRange range{base, base};
  for (unsigned bit = bits; bit < base.size() * 8; ++bit) {
    const auto mask = static_cast<unsigned char>(0x80 >> bit % 8);
    range.low[bit / 8] = static_cast<char>(static_cast<unsigned char>(range.low[bit / 8]) & ~mask);
    range.high[bit / 8] = static_cast<char>(static_cast<unsigned char>(range.high[bit / 8]) | mask);
  }
  return range;
}

}  // namespace

Result<AddressRange> parse_address_range(const std::string &text) {
  const auto slash = text.find('/'), dash = text.find('-');
  AddressRange range;
  if (slash != std::string::npos) {
    range = prefix_range(text, slash).value_or(range);
  } else {
    range.low = address_bytes(text.substr(0, dash));
    range.high = dash == std::string::npos ? range.low : address_bytes(text.substr(dash + 1));
  }
  if (range.low.empty() || range.low.size() != range.high.size())
    return bad_input("'" + text +
                     "' is no address, CIDR or range of addresses; write for example "
                     "192.168.0.0/16 or 10.0.0.1-10.0.0.9");
  if (std::memcmp(range.low.data(), range.high.data(), range.low.size()) > 0)
    return bad_input("'" + text + "' ends before it begins");
  return range;
}

}  // namespace junctor
