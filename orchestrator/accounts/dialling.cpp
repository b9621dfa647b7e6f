// SPDX-License-Identifier: LGPL-2.1-or-later
#include "accounts/dialling.h"

#include <algorithm>
#include <charconv>

#include "sip/core/uri.h"

namespace junctor::accounts {

namespace {

constexpr std::size_t kMaxUri = 256;
constexpr std::uint16_t kUsualPort = 5060;

bool alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool all_of(std::string_view text, std::string_view also) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return alphanumeric(c) || also.find(c) != std::string_view::npos;
  });
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char &c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
  return failure == std::errc() && end == text.data() + text.size() && port > 0 && port < 65536;
}

/// Takes "USER@HOST:PORT" apart. `wild` allows '*'.
bool take_apart(std::string_view text, bool wild, SipUri &uri) {
  const std::string star = wild ? "*" : "";
  if (const auto at = text.find('@'); at != std::string_view::npos) {
    uri.user = text.substr(0, at);
    if (!all_of(uri.user, "-_.!~'()+" + star)) return false;
    text.remove_prefix(at + 1);
  }
  std::size_t host_end = text.find(':');
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return false;
    host_end = text.find(':', close);
    uri.host = lower(text.substr(0, close + 1));
    if (!all_of(std::string_view(uri.host).substr(1, close - 1), ":.")) return false;
    if (close + 1 != std::min(host_end, text.size())) return false;
  } else {
    uri.host = lower(text.substr(0, host_end));
    if (!all_of(uri.host, "-." + star)) return false;
  }
  if (host_end == std::string_view::npos) return true;
  uri.port = text.substr(host_end + 1);
  return is_port(uri.port) || (wild && uri.port == "*");
}

std::string_view without_scheme(std::string_view text) {
  if (lower(text.substr(0, 4)) == "sip:") text.remove_prefix(4);
  return text;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Result<SipUri> SipUri::parse(std::string_view text) {
  const Error malformed = bad_input(
      "That is no callee. Name an account, or a SIP address like "
      "sip:bob@example.org or sip:bob@example.org;transport=tcp.");
  if (text.size() > kMaxUri) return malformed;
  if (lower(text.substr(0, 5)) == "sips:")
    return bad_input("Calls to sips: addresses are not served; use sip: with ;transport=tls.");
  text = without_scheme(text);
  SipUri uri;
  if (const auto semicolon = text.find(';'); semicolon != std::string_view::npos) {
    const std::string parameter = lower(text.substr(semicolon + 1));
    if (parameter == "transport=udp" || parameter == "transport=tcp" ||
        parameter == "transport=tls")
      uri.transport = parameter.substr(parameter.find('=') + 1);
    else
      return malformed;
    text = text.substr(0, semicolon);
  }
  if (!take_apart(text, false, uri)) return malformed;
  // A malformed host would be refused by the SIP side only once the call has begun.
  if (!sip::Uri::parse(uri.to_string())) return malformed;
  return uri;
}

std::string SipUri::to_string() const {
  return "sip:" + (user.empty() ? "" : user + "@") + host + (port.empty() ? "" : ":" + port) +
         (transport.empty() ? "" : ";transport=" + transport);
}

bool is_number(std::string_view text) {
  constexpr std::size_t kLongest = 32;
  if (text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() && text.size() <= kLongest &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

Result<DialRules::TrunkRule> DialRules::compile_trunk(const config::Trunk &trunk) {
  auto uri = SipUri::parse(trunk.uri);
  if (!uri)
    return bad_input("the trunk '" + trunk.name + "' has the uri '" + trunk.uri +
                     "', which is not of the form sip:HOST[:PORT][;transport=udp|tcp|tls]");
  uri->user.clear();
  return TrunkRule{*uri, trunk};
}

std::optional<Result<Target>> DialRules::over_trunk(std::string_view number, std::string_view host,
                                                    std::string_view from) const {
  std::optional<Result<Target>> refusal;
  for (const auto &[uri, trunk] : trunks_) {
    if (!host.empty() && host != uri.host) continue;
    const auto goes = [&](const std::string &pattern) { return matches(pattern, number); };
    if (std::ranges::none_of(trunk.dial, goes)) continue;
    const bool may = !from.empty() && std::ranges::any_of(trunk.accounts, [&](const auto &account) {
      return account == "*" || account == from;
    });
    if (!may) {
      refusal = refused("Calls to " + std::string(number) + " go over the trunk '" + trunk.name +
                        "', which this account may not use. The operator can allow it there "
                        "(accounts).");
      continue;
    }
    SipUri called = uri;
    called.user = number;
    return Result<Target>(
        Target(UriTarget{.uri = called.to_string(),
                         .user = trunk.user,
                         .password = trunk.password,
                         .proxy = trunk.proxy,
                         .trunk = trunk.name,
                         .from_user = trunk.from.empty() ? trunk.user : trunk.from,
                         .from_host = uri.host,
                         .asserted = trunk.asserted,
                         .srtp = trunk.srtp}));
  }
  return refusal;
}

Result<DialRules> DialRules::compile(const std::vector<config::Allow> &rules,
                                     const std::vector<config::Trunk> &trunks,
                                     const OwnAddress &own) {
  DialRules compiled;
  compiled.own_ = own;
  for (std::string &host : compiled.own_.hosts) host = lower(host);
  for (const auto &allow : rules) {
    SipUri parts;
    if (!take_apart(without_scheme(allow.uri), true, parts) || parts.user.empty())
      return bad_input("the dialling rule '" + allow.uri +
                       "' is not of the form sip:USER@HOST[:PORT], with * for anything; "
                       "for example sip:*@example.org");
    compiled.rules_.push_back({parts.user, parts.host, parts.port, allow});
  }
  for (const auto &trunk : trunks) {
    auto rule = compile_trunk(trunk);
    if (!rule) return rule.error();
    compiled.trunks_.push_back(*std::move(rule));
  }
  return compiled;
}

bool DialRules::is_own(const SipUri &uri) const {
  return std::ranges::find(own_.hosts, uri.host) != own_.hosts.end() &&
         (uri.port.empty() ? own_.port == kUsualPort : uri.port == std::to_string(own_.port));
}

Result<Target> DialRules::resolve(std::string_view to, const Snapshot &accounts,
                                  std::string_view from) const {
  const bool uri_form =
      to.find('@') != std::string_view::npos || to.find(':') != std::string_view::npos;
  if (!uri_form) {
    if (check_name(to) && accounts.find(to)) return Target(AccountTarget{std::string(to)});
    if (is_number(to))
      if (auto target = over_trunk(to, "", from)) return *std::move(target);
    if (!check_name(to)) {
      const auto malformed = SipUri::parse("");
      return malformed.error();
    }
    return refused("There is no account '" + std::string(to) + "' to call.");
  }
  auto uri = SipUri::parse(to);
  if (!uri) return uri.error();
  if (is_own(*uri) && check_name(uri->user) && accounts.find(uri->user))
    return Target(AccountTarget{uri->user});
  if (is_number(uri->user))
    if (auto target = over_trunk(uri->user, uri->host, from); target && *target)
      return *std::move(target);
  for (const Rule &rule : rules_)
    if (matches(rule.user, uri->user) && matches(rule.host, uri->host) &&
        (rule.port.empty() || matches(rule.port, uri->port)))
      return Target(UriTarget{.uri = uri->to_string(),
                              .user = rule.allow.user,
                              .password = rule.allow.password,
                              .proxy = rule.allow.proxy,
                              .srtp = rule.allow.srtp});
  return refused("Calls to " + uri->to_string() +
                 " are not allowed here. The operator can allow them by a rule in sip.allow.");
}

}  // namespace junctor::accounts
