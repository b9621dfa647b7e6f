// SPDX-License-Identifier: LGPL-2.1-or-later
#include "config/checks.h"

#include <algorithm>
#include <set>

#include "common/endpoint.h"
#include "common/tls.h"

namespace junctor::config {

namespace {

bool is_address(std::string_view text) {
  return static_cast<bool>(Endpoint{std::string(text), 1}.to_sockaddr());
}

/// As in DNS, with the underscores that some have all the same.
bool is_host_name(std::string_view text) {
  constexpr std::size_t kLongest = 253;
  return !text.empty() && text.size() <= kLongest && text.front() != '.' && text.front() != '-' &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_';
         });
}

}  // namespace

Result<std::string> parse_public_host(std::string_view text) {
  const bool brackets = text.size() > 2 && text.front() == '[' && text.back() == ']';
  const std::string_view bare = brackets ? text.substr(1, text.size() - 2) : text;
  if (bare.find(':') != std::string_view::npos && is_address(bare))
    return "[" + std::string(bare) + "]";
  if (!brackets && is_host_name(text)) return std::string(text);
  return bad_input("'" + std::string(text) +
                   "' is no host; write a name or an address alone, like call.example.org or "
                   "203.0.113.5, or leave it out for this machine's address");
}

Result<std::string> parse_media_address(std::string_view text) {
  if (text.empty()) return std::string();
  if (is_address(text) && text != "0.0.0.0" && text != "::") return std::string(text);
  return bad_input("'" + std::string(text) +
                   "' is no address that media can be sent to; write one of this machine in "
                   "digits, like 192.0.2.7 or 2001:db8::7, or leave it out for the one towards "
                   "each peer");
}

Result<void> check_applications(const std::vector<std::string> &names) {
  if (names.empty())
    return bad_input("must name one at least, like [\"call\"]: without, no terminal can connect");
  for (const std::string &name : names)
    if (name.empty() || std::ranges::any_of(name, [](unsigned char c) {
          return c <= ' ' || c == 0x7f || c == '?' || c == '#';
        }))
      return bad_input("'" + name +
                       "' can be no application: it stands in rtmp://HOST/APPLICATION, so it has "
                       "a character at least, and no blanks, '?' or '#'");
  return {};
}

std::vector<Lack> certificate_lacks(const Tls &tls) {
  if (tls.certificate.empty() && tls.key.empty()) return {};
  if (tls.certificate.empty() || tls.key.empty())
    return {{std::string(tls.key.empty() ? "tls.certificate" : "tls.key") + " is set alone",
             "name both files, tls.certificate and tls.key, or neither"}};
  if (const auto loaded = TlsIdentity::load({tls.certificate, tls.key}, nullptr); !loaded)
    return {{loaded.error().detail, "name another in tls.certificate and tls.key"}};
  return {};
}

std::vector<Lack> account_lacks(const std::vector<Trunk> &trunks,
                                const std::function<bool(const std::string &)> &exists) {
  std::vector<Lack> lacks;
  for (const Trunk &trunk : trunks) {
    std::set<std::string> names(trunk.accounts.begin(), trunk.accounts.end());
    names.erase("*");
    if (!trunk.account.empty()) names.insert(trunk.account);
    for (const auto &[number, account] : trunk.numbers) names.insert(account);
    for (const std::string &name : names)
      if (!exists(name))
        lacks.push_back(
            {"the account " + name + ", which the trunk " + trunk.name + " names, does not exist",
             "junctor account add " + name + ", or mend sip.trunks"});
  }
  return lacks;
}

}  // namespace junctor::config
