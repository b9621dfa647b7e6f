// SPDX-License-Identifier: LGPL-2.1-or-later
// Trunks: other SIP servers that we are registered at, or known to.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.h"

namespace junctor::sip {

struct TrunkOptions {
  std::string name;                   ///< ours for it; letters, digits, '-', '_' and '.'
  std::string uri;                    ///< registrar and domain: "sip:carrier.example;transport=tcp"
  std::string user, password;         ///< of the account there
  std::string proxy;                  ///< outbound proxy as a SIP URI; empty for none
  bool registers = true;              ///< false: the other side knows where we are
  std::chrono::seconds expires{600};  ///< asked for; the registrar may grant another time
  /// From a failure to the next try; doubles each time. Refused credentials wait the longest time
  /// at once, for servers lock out who goes on trying.
  Duration first_retry = std::chrono::seconds(5), last_retry = std::chrono::minutes(5);

  /// Who is called by a number that is dialled there, and by all others; empty: nobody.
  std::map<std::string, std::string> numbers;
  std::string account;
  /// Whether calls may come from this address besides the registrar's; unset: no other.
  std::function<bool(const std::string &address)> may_call;
};

enum class TrunkState : std::uint8_t {
  Static,  ///< does not register
  Trying,  ///< no answer yet
  Registered,
  Failed,  ///< tried again later
};
std::string_view to_string(TrunkState state);  ///< "static", "trying", "registered", "failed"

/// How a trunk is doing; a copy.
struct TrunkStatus {
  std::string name, uri;
  TrunkState state = TrunkState::Trying;
  int code = 0;                 ///< SIP status of the last answer; 0 if there was none
  std::string detail;           ///< of a failure, for people; no secrets
  unsigned failures = 0;        ///< since the last success
  std::optional<Time> expires;  ///< of the registration
  std::optional<Time> retry;    ///< the next try after a failure
};

}  // namespace junctor::sip
