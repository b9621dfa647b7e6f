// SPDX-License-Identifier: LGPL-2.1-or-later
// The parts of a SIP URI.
#include "sip/core/uri.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <utility>

namespace junctor::sip {

namespace {

constexpr std::size_t kMaxUri = 1024;
constexpr std::string_view kHex = "0123456789ABCDEF";

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char &c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= 63 && is_alphanumeric(label.front()) &&
         is_alphanumeric(label.back()) &&
         std::ranges::all_of(label, [](char c) { return is_alphanumeric(c) || c == '-'; });
}

Error malformed(std::string_view text, std::string_view why) {
  return bad_input("\"" + clean_text(text) + "\" is no SIP URI: " + std::string(why) +
                   "; write sip:USER@HOST:PORT");
}

}  // namespace

bool is_address(std::string_view text) {
  if (text.size() > 63) return false;
  const std::string copy(text);
  unsigned char bytes[16];
  return inet_pton(AF_INET, copy.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, copy.c_str(), bytes) == 1;
}

bool is_host(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  if (is_address(text)) return true;
  if (text.back() == '.') text.remove_suffix(1);
  std::string_view last;
  while (true) {
    const auto dot = text.find('.');
    last = text.substr(0, dot);
    if (!is_label(last)) return false;
    if (dot == std::string_view::npos) break;
    text.remove_prefix(dot + 1);
  }
  // The last label is not all digits (RFC 1123 section 2.1), so 1.2.3 and 999.1.1.1 are no names.
  return std::ranges::any_of(last, [](char c) { return c < '0' || c > '9'; });
}

Result<Uri> Uri::parse(std::string_view text) {
  const std::string_view whole = text;
  if (text.size() > kMaxUri) return malformed(text, "it is too long");
  if (std::ranges::any_of(text, [](char c) {
        return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '<' || c == '>' ||
               c == '"';
      }))
    return malformed(whole, "it has spaces, quotes or brackets");
  Uri uri;
  const auto colon = text.find(':');
  const std::string scheme = lower(text.substr(0, colon));
  if (colon == std::string_view::npos || (scheme != "sip" && scheme != "sips"))
    return malformed(whole, "it starts with neither sip: nor sips:");
  uri.secure = scheme == "sips";
  text.remove_prefix(colon + 1);
  if (text.find('?') != std::string_view::npos) return malformed(whole, "it carries headers");
  if (const auto at = text.find('@'); at != std::string_view::npos) {
    uri.user = text.substr(0, at);
    text.remove_prefix(at + 1);
    if (uri.user.empty()) return malformed(whole, "its user is empty");
    if (const auto password = uri.user.find(':'); password != std::string::npos)
      return malformed(whole, "it carries a password");
  }
  if (const auto semicolon = text.find(';'); semicolon != std::string_view::npos) {
    uri.parameters = text.substr(semicolon);
    text = text.substr(0, semicolon);
  }
  std::string_view port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return malformed(whole, "its bracket is not closed");
    uri.host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (!text.empty() && text.front() != ':') return malformed(whole, "its port is malformed");
    if (uri.host.find(':') == std::string::npos) return malformed(whole, "brackets are for IPv6");
    if (!text.empty()) port = text.substr(1);
    if (!text.empty() && port.empty()) return malformed(whole, "its port is empty");
  } else {
    const auto mark = text.find(':');
    uri.host = text.substr(0, mark);
    if (mark != std::string_view::npos) {
      port = text.substr(mark + 1);
      if (port.empty()) return malformed(whole, "its port is empty");
    }
  }
  if (!is_host(uri.host)) return malformed(whole, "its host is malformed");
  if (!port.empty()) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), uri.port);
    if (error != std::errc() || end != port.data() + port.size() || uri.port == 0)
      return malformed(whole, "its port is not 1 to 65535");
  }
  for (std::string_view rest = uri.parameters; !rest.empty();) {
    rest.remove_prefix(1);
    const auto end = std::min(rest.find(';'), rest.size());
    const std::string parameter = lower(rest.substr(0, end));
    if (parameter.starts_with("transport=")) uri.transport = parameter.substr(10);
    rest.remove_prefix(end);
  }
  return uri;
}

std::string Uri::to_string() const {
  std::string out = secure ? "sips:" : "sip:";
  if (!user.empty()) out += user + '@';
  out += bracketed(host);
  if (port != 0) out += ':' + std::to_string(port);
  return out + parameters;
}

std::string Uri::carrier() const {
  // RFC 3261 section 26.2.2: sips: goes over TLS, whatever lies below.
  if (secure) return "tls";
  return transport.empty() ? "udp" : transport;
}

std::string escape_user(std::string_view user) {
  constexpr std::string_view kAllowed = "-_.!~*'()&=+$,/";
  std::string out;
  for (const char c : user) {
    if (is_alphanumeric(c) || kAllowed.find(c) != std::string_view::npos) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::string quoted(std::string_view display) {
  if (display.empty()) return {};
  std::string out = "\"";
  for (const char c : display.substr(0, 128)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) continue;
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string bracketed(const std::string &host) {
  return host.find(':') == std::string::npos ? host : '[' + host + ']';
}

std::string clean_text(std::string_view text, std::size_t limit) {
  std::string out;
  for (const char c : text.substr(0, limit))
    out += static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f ? '?' : c;
  return out;
}

}  // namespace junctor::sip
