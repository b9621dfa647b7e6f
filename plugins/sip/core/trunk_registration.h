// SPDX-License-Identifier: LGPL-2.1-or-later
// Our registration at one trunk.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/main_context.h"
#include "sip/core/call.h"
#include "sip/core/challenge.h"
#include "sip/core/sofia.h"
#include "sip/core/trunk.h"
#include "sip/core/uri.h"

namespace junctor::sip {

/// Registers by digest, again before it expires (nua does that), and again after failures, later
/// each time. Agent's thread.
class TrunkRegistration {
 public:
  struct Setup {
    TrunkOptions options;
    std::string registrar, proxy;  ///< checked URIs
    Uri next_hop;                  ///< one of them
    std::string identity;          ///< From and To header
    std::string contact_user;      ///< nobody else knows it: calls for it come from there
    std::string tls_name;          ///< of the next hop, if that is named and reached over TLS
  };
  TrunkRegistration(CallHost &host, Setup setup, std::function<void(const TrunkStatus &)> changed);

  void start();
  /// Takes the registration back.
  void stop();
  /// Nothing of it is under way any more, after stop().
  bool done() const { return stopping_ && !handle_; }

  bool owns(const nua_handle_t *handle) const { return handle && handle == handle_.get(); }
  void on_event(nua_event_t event, int status, const char *phrase, const sip_t *sip);

  /// Setup::tls_name while a connection there may be made; empty if none may.
  std::string tls_name() const { return handle_ ? setup_.tls_name : std::string(); }
  /// A request has been sent that nobody has answered.
  bool is_waiting() const { return handle_ && status_.state != TrunkState::Registered; }

  /// Whether a call for `user` from `address` has come over this trunk.
  bool brings(const std::string &user, const std::string &address) const;
  /// The account that is called by a number there; empty: nobody.
  std::string account_for(const std::string &number) const;

  /// Where it registers; whether it does at the moment or not.
  const Uri &next_hop() const { return setup_.next_hop; }

  /// Of the account there; for requests within its calls too.
  const std::string &user() const { return setup_.options.user; }
  const std::string &password() const { return setup_.options.password; }
  /// Who has asked for them there, in quotes; empty while nobody has.
  const std::vector<std::string> &realms() const { return realms_; }

  const TrunkStatus &status() const { return status_; }

 private:
  /// Why, where Sofia made the status, for nobody answered.
  std::string unheard(int status, const char *phrase) const;
  void on_response(int status, const char *phrase, const sip_t *sip);
  void authenticate(int status, const sip_t *sip);
  void succeed(const sip_t *sip);
  void fail(int code, const std::string &detail, bool refused);
  void tell(TrunkState state);

  CallHost &host_;
  const Setup setup_;
  std::function<void(const TrunkStatus &)> changed_;
  Handle handle_;
  AnsweredChallenges challenges_;
  std::vector<std::string> realms_;  ///< of those that have registered us
  bool stopping_ = false;
  std::string contact_;                  ///< header; towards where the registrar is by now
  std::vector<std::string> registrars_;  ///< addresses that have answered, the latest first
  TrunkStatus status_;
  ContextTimer retry_;
};

}  // namespace junctor::sip
