// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/stun_host.h"

#include <netdb.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "common/handle.h"

namespace junctor::nat {

namespace {

bool is_host(std::string_view host) {
  constexpr std::size_t kLongest = 253;  // RFC 1035 section 2.3.4
  return !host.empty() && host.size() <= kLongest && host.front() != '-' &&
         std::ranges::all_of(host, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_';
         });
}

}  // namespace

Result<StunHost> StunHost::parse(std::string_view text) {
  const Error wrong = bad_input("'" + std::string(text) +
                                "' is no STUN server; write HOST or HOST:PORT, like "
                                "stun.example.org:3478 or [2001:db8::1]:3478");
  StunHost parsed;
  std::string_view rest;
  const std::string whole(text);
  if (std::ranges::count(text, ':') > 1 && Endpoint{whole, 0}.to_sockaddr())
    return bad_input("'" + whole + "' is an IPv6 address without brackets; write [" + whole +
                     "], or with a port [" + whole + "]:3478");
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return wrong;
    parsed.host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
    if (const auto numeric = Endpoint{parsed.host, 0}.to_sockaddr();
        !numeric || numeric->ss_family != AF_INET6)
      return wrong;
  } else {
    const auto colon = std::min(text.find(':'), text.size());
    parsed.host = text.substr(0, colon);
    rest = text.substr(colon);
    if (!is_host(parsed.host)) return wrong;
  }
  if (rest.empty()) return parsed;
  const char *last = rest.data() + rest.size();
  const auto [end, failure] = std::from_chars(rest.data() + 1, last, parsed.port);
  if (rest.front() != ':' || failure != std::errc() || end != last || parsed.port == 0)
    return wrong;
  return parsed;
}

std::string StunHost::to_string() const { return Endpoint{host, port}.to_string(); }

Result<Endpoint> StunHost::resolve() const {
  auto each = resolve_each();
  if (!each) return each.error();
  return each->front();
}

Result<std::vector<Endpoint>> StunHost::resolve_each() const {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_DGRAM;
  wanted.ai_flags = AI_ADDRCONFIG;
  if (Endpoint{host, port}.to_sockaddr()) wanted.ai_flags = AI_NUMERICHOST;
  addrinfo *list = nullptr;
  const int failure = ::getaddrinfo(host.c_str(), nullptr, &wanted, &list);
  if (failure != 0)
    return Error{Fault::Unreachable,
                 "no address of " + host + " is found: " + ::gai_strerror(failure)};
  const std::unique_ptr<addrinfo, Releaser<::freeaddrinfo>> owner(list);
  std::vector<Endpoint> found;
  int family = AF_UNSPEC;  // of the first
  for (const addrinfo *each = list; each != nullptr && found.size() < 2; each = each->ai_next) {
    if (each->ai_family == family) continue;
    family = each->ai_family;
    found.push_back({Endpoint::from_sockaddr(each->ai_addr).address, port});
  }
  return found;
}

}  // namespace junctor::nat
