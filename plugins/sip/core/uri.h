// SPDX-License-Identifier: LGPL-2.1-or-later
// The parts of a SIP URI.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace junctor::sip {

/// A numeric IPv4 or IPv6 address (IPv6 without brackets), or a name by the rules of RFC 1123.
/// Nothing that fails this is ever given to a resolver.
bool is_host(std::string_view text);
/// Numeric IPv4 or IPv6, without brackets.
bool is_address(std::string_view text);

/// A sip: or sips: URI taken apart (RFC 3261 section 19.1). Parts stay escaped as they came.
struct Uri {
  bool secure = false;     ///< sips:
  std::string user;        ///< may be empty
  std::string host;        ///< IPv6 without brackets; passes is_host()
  std::uint16_t port = 0;  ///< 0: none was given
  std::string transport;   ///< of the parameter, lower case; empty: none
  std::string parameters;  ///< all, with their leading ';'

  /// Fails with BadInput for another scheme, a malformed host, a control character or more than
  /// 1024 bytes. Headers ("?…") are refused: they would be put into our requests.
  static Result<Uri> parse(std::string_view text);
  std::string to_string() const;
  /// What a request to it goes over: "udp", "tcp", "tls"; the parameter where that is another.
  std::string carrier() const;
};

/// %XX for everything that the user part of a URI may not hold as it is (RFC 3261 section 25).
/// Its inverse is percent_decode().
std::string escape_user(std::string_view user);
/// As a quoted display name, without control characters; empty for empty.
std::string quoted(std::string_view display);
/// Host in the form that URIs have it: IPv6 in brackets.
std::string bracketed(const std::string &host);
/// What a peer wrote, fit for a log or a person: printable, at most `limit` bytes.
std::string clean_text(std::string_view text, std::size_t limit = 120);

}  // namespace junctor::sip
