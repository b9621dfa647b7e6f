// SPDX-License-Identifier: LGPL-2.1-or-later
// Where accounts can be reached: the registrar's rules.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "common/clock.h"
#include "common/endpoint.h"
#include "sip/core/agent.h"
#include "sip/core/digest.h"

namespace junctor::sip {

/// What a request shows of who sends it.
struct Credentials {
  std::string to_user;  ///< the account that it is about, unescaped
  bool has_credentials = false;
  std::map<std::string, std::string> credentials;  ///< of Authorization: keys lower, unquoted
  Endpoint source;
};

/// What a REGISTER asks, taken out of the message.
struct RegisterRequest : Credentials {
  std::string call_id;
  std::uint32_t cseq = 0;
  struct Contact {
    std::string uri;                       ///< sip: or sips:
    std::optional<std::uint32_t> expires;  ///< of its own parameter
  };
  std::vector<Contact> contacts;
  bool star = false;                     ///< "Contact: *"
  std::optional<std::uint32_t> expires;  ///< of the header
  std::string user_agent;
  std::string transport = "udp";  ///< it came by
};

/// The answer to be sent.
struct RegisterReply {
  int status = 500;
  const char *phrase = "Server Internal Error";  ///< a literal: nua keeps the pointer
  std::string challenge;                         ///< WWW-Authenticate; empty for none
  std::vector<std::string> contacts;             ///< Contact header values, with expires
  std::uint32_t min_expires = 0;                 ///< Min-Expires; 0 for none
  std::uint32_t retry_after = 0;                 ///< Retry-After in seconds; 0 for none
  Duration delay{};  ///< wait so long before answering: guessing costs time
};

/// Bindings of accounts (RFC 3261 section 10.3), in memory, bounded. Not thread-safe; time comes as
/// an argument.
class Registrar {
 public:
  struct Options {
    std::string realm;
    std::function<std::optional<std::string>(const std::string &user)> ha1;
    std::uint32_t min_expires = 60, max_expires = 3600;  ///< seconds
    std::size_t max_contacts = 10;                       ///< for each account
    std::size_t max_accounts = 100000;
    /// After so many wrong answers for one account from one address within the window, and after
    /// so many from one address for all accounts, further ones are not even checked until it has
    /// passed. Never for an account alone: strangers could lock its owner out. Only answers to a
    /// challenge that went to that address count: anybody can send under it.
    unsigned max_failures = 10, max_source_failures = 50;
    Duration failure_window = std::chrono::seconds(60);
    Duration failure_delay = std::chrono::seconds(1);  ///< before each "wrong" is told
    std::size_t max_watched = 20000;                   ///< addresses watched for failures
  };

  explicit Registrar(Options options);

  RegisterReply handle(const RegisterRequest &request, Time now);
  /// Whether a request of `method` proves the password of the account that it is about. Status 200
  /// if so; else what it is answered.
  RegisterReply authenticate(const Credentials &request, std::string_view method, Time now);
  /// Those not expired at `now`, the newest first.
  std::vector<Registration> find(const std::string &account, Time now) const;
  /// Drops all of the account's.
  void forget(const std::string &account) { accounts_.erase(account); }
  std::size_t accounts() const { return accounts_.size(); }
  /// Who registered over a connection, as Endpoint::to_string() has it: phones that are called over
  /// that connection.
  std::vector<std::string> connected(Time now) const;
  /// The address_group()s that registrations came from.
  std::unordered_set<std::string> groups(Time now) const;

 private:
  struct Binding {
    Registration registration;
    std::string call_id;
    std::uint32_t cseq = 0;
    bool connected = false;  ///< it came over a connection
  };
  struct Failures {
    unsigned count = 0;
    Time since{};
  };

  void sweep(Time now);
  RegisterReply challenge(const std::string &source, Time now, bool stale);
  bool blocked(const std::string &key, unsigned limit, Time now);
  void note_failure(const std::string &key, Time now);
  RegisterReply store(const RegisterRequest &request, Time now);
  RegisterReply listing(const std::string &account, Time now) const;
  void bind(std::vector<Binding> &bindings, const RegisterRequest &request,
            const RegisterRequest::Contact &contact, std::uint32_t expires, Time now);

  Options options_;
  DigestVerifier digest_;
  std::map<std::string, std::vector<Binding>> accounts_;
  std::map<std::string, Failures> failures_;
  Time next_sweep_{};
};

}  // namespace junctor::sip
