// SPDX-License-Identifier: LGPL-2.1-or-later
// Whom an account may call.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "accounts/book.h"
#include "common/result.h"
#include "config/config.h"

namespace junctor::accounts {

/// A SIP URI of the only form that is dialled: sip:[USER@]HOST[:PORT][;transport=udp|tcp].
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
};
using Target = std::variant<AccountTarget, UriTarget>;

/// The dialling rules. Without any, only accounts can be called: nobody can make calls that cost
/// money. Immutable; any thread.
class DialRules {
 public:
  static Result<DialRules> compile(const std::vector<config::Allow> &rules);
  /// What `to` means, if it may be called: an account, or a URI that a rule allows. The error is
  /// a sentence for the caller.
  Result<Target> resolve(std::string_view to, const Snapshot &accounts) const;

 private:
  struct Rule {
    std::string user, host, port;  ///< with '*' for anything; an empty port for every one
    config::Allow allow;
  };
  std::vector<Rule> rules_;
};

/// Whether '*', standing for any run of characters, makes `pattern` equal to `text`.
bool matches(std::string_view pattern, std::string_view text);

}  // namespace junctor::accounts
