// SPDX-License-Identifier: LGPL-2.1-or-later
// Whom an account may call.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "accounts/book.h"
#include "common/result.h"
#include "config/config.h"

namespace junctor::accounts {

/// A SIP URI of the only form that is dialled: sip:[USER@]HOST[:PORT][;transport=udp|tcp|tls].
struct SipUri {
  std::string user, host, port, transport;
  /// "bob@example.org" means "sip:bob@example.org". Anything else that RFC 3261 section 19.1
  /// allows, headers above all, is refused: a terminal could smuggle it into our INVITE.
  static Result<SipUri> parse(std::string_view text);
  std::string to_string() const;
};

struct AccountTarget {
  std::string name;
};
struct UriTarget {
  std::string uri;
  std::string user, password;  ///< for 401 and 407, from the rule
  std::string proxy;           ///< from the rule
  /// Of a trunk: its name, who the call is from there, and what asserts that (may be empty).
  std::string trunk{}, from_user{}, from_host{}, asserted{};
  std::optional<rtp::SrtpPolicy> srtp{};  ///< from the rule, or of the trunk
};
using Target = std::variant<AccountTarget, UriTarget>;

/// What this server is called in SIP addresses: phones dial its accounts so.
struct OwnAddress {
  std::vector<std::string> hosts;
  std::uint16_t port = 5060;
};

/// The dialling rules. Without any, only accounts can be called: nobody can make calls that cost
/// money. Immutable; any thread.
class DialRules {
 public:
  static Result<DialRules> compile(const std::vector<config::Allow> &rules,
                                   const std::vector<config::Trunk> &trunks = {},
                                   const OwnAddress &own = {});
  /// What `to` means, if account `from` may call it: an account, also as ACCOUNT@HOST with a host
  /// of our own, a number that goes to a trunk
  /// which takes it and which `from` may use, or a URI that a rule allows. The error is a sentence
  /// for the caller.
  Result<Target> resolve(std::string_view to, const Snapshot &accounts,
                         std::string_view from = {}) const;

 private:
  struct Rule {
    std::string user, host, port;  ///< with '*' for anything; an empty port for every one
    config::Allow allow;
  };
  struct TrunkRule {
    SipUri uri;
    config::Trunk trunk;
  };
  static Result<TrunkRule> compile_trunk(const config::Trunk &trunk);
  /// Nothing if no trunk takes it; an error if one does, but not from this account.
  std::optional<Result<Target>> over_trunk(std::string_view number, std::string_view host,
                                           std::string_view from) const;

  bool is_own(const SipUri &uri) const;

  std::vector<Rule> rules_;
  OwnAddress own_;
  std::vector<TrunkRule> trunks_;  ///< in the order of the configuration
};

/// Digits, and + in front; at most 32.
bool is_number(std::string_view text);

/// Whether '*', standing for any run of characters, makes `pattern` equal to `text`.
bool matches(std::string_view pattern, std::string_view text);

}  // namespace junctor::accounts
