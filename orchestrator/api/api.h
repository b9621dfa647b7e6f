// SPDX-License-Identifier: LGPL-2.1-or-later
// The REST API: routes, rights, and what each route does.
#pragma once

#include <glib.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "accounts/book.h"
#include "accounts/dialling.h"
#include "accounts/failures.h"
#include "api/event_feeds.h"
#include "api/http.h"
#include "calls/service.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/log_budget.h"
#include "common/main_context.h"
#include "config/places.h"
#include "rendezvous/rendezvous.h"
#include "store/call_store.h"
#include "store/worker.h"
#include "turn/relay.h"

namespace junctor::api {

using config::PublicAddresses;

/// Where the STUN server is.
struct StunAddresses {
  Endpoint address;
  std::optional<Endpoint> alternate;
};

/// What the API acts on. All of it outlives the API.
struct Backend {
  GMainContext *context = nullptr;  ///< of the signalling thread
  std::string admin_token;
  std::shared_ptr<accounts::Book> book;
  std::shared_ptr<const accounts::DialRules> rules;
  store::WorkerPool *workers = nullptr;
  store::CallStore *store = nullptr;
  /// Null where this orchestrator makes no calls.
  std::function<calls::Service *()> service;
  std::size_t max_calls = 1000;
  PublicAddresses addresses;
  std::vector<config::StunRegion> regions;
  std::optional<StunAddresses> stun{};    ///< nothing where it is off
  const turn::Relay *relay = nullptr;     ///< null where there is none
  std::function<std::int64_t()> seconds;  ///< since 1970
  /// SIP phones of an account that are registered now.
  std::function<std::vector<std::string>(const std::string &account)> registrations;
  /// The trunks and how they are doing; unset: there are none.
  std::function<std::vector<sip::TrunkStatus>()> trunks;
  rendezvous::Rendezvous *rendezvous = nullptr;  ///< null: there is none
  /// An account is gone, or its tokens are void: end what it does.
  std::function<void(const std::string &account, bool removed)> expelled;
  /// One token is void: end what needs it all the time. May be unset, like `expelled`.
  std::function<void(const std::string &account, const std::string &id)> token_revoked;
  /// All metrics as text; unset: there are none.
  std::function<std::string()> metrics;
  /// The status of each answer; may be unset.
  std::function<void(int status)> answered;
  Duration longest_delay = std::chrono::seconds(3);  ///< of an answer 401
  LogSink log;                                       ///< may be unset
};

/// Answers requests. Signalling thread only.
class Api {
 public:
  using Parameters = std::vector<std::string>;
  enum class Access { Open, Admin, AdminOrOwner };
  struct Route {
    std::string_view method;
    std::string_view pattern;  ///< "/api/v1/calls/{id}"
    Access access;
    void (Api::*handler)(const Request &, const Parameters &, const Reply &);
  };

  explicit Api(Backend backend);

  void handle(const Request &request, Reply answer);
  /// Each change of a call, for those who wait for its outcome and those who watch.
  void call_changed(const calls::View &call);
  /// A key that was pressed, for those who watch.
  void digit_heard(const calls::DigitHeard &heard) { feeds_.tell(heard); }
  /// Each change of a channel between two clients, for those who watch.
  void channel_changed(const rendezvous::View &channel);
  /// Answers 503 to everybody who waits, and ends the answers of those who watch.
  void close();

  static const std::vector<Route> &routes();

 private:
  struct Waiter {
    Reply reply;
    ContextTimer timer;
  };

  bool is_admin(const Request &request) const;
  bool is_owner(const Request &request, const std::string &account) const;
  void refuse_credentials(const Request &request, const Reply &reply);
  void log_refused(const Request &request, Time now);
  /// Does `work` on a worker thread and answers what it returns.
  void answer_from_worker(const Reply &reply, std::function<Response()> work);

  void health(const Request &, const Parameters &, const Reply &);
  void metrics(const Request &, const Parameters &, const Reply &);
  void events(const Request &, const Parameters &, const Reply &);
  void list_accounts(const Request &, const Parameters &, const Reply &);
  void add_account(const Request &, const Parameters &, const Reply &);
  void remove_account(const Request &, const Parameters &, const Reply &);
  void issue_token(const Request &, const Parameters &, const Reply &);
  void revoke_tokens(const Request &, const Parameters &, const Reply &);
  void revoke_token(const Request &, const Parameters &, const Reply &);
  void list_regions(const Request &, const Parameters &, const Reply &);
  void show_turn(const Request &, const Parameters &, const Reply &);
  void list_trunks(const Request &, const Parameters &, const Reply &);
  void list_nodes(const Request &, const Parameters &, const Reply &);
  void list_channels(const Request &, const Parameters &, const Reply &);
  void show_channel(const Request &, const Parameters &, const Reply &);
  void end_channel(const Request &, const Parameters &, const Reply &);
  void list_calls(const Request &, const Parameters &, const Reply &);
  void start_call(const Request &, const Parameters &, const Reply &);
  void show_call(const Request &, const Parameters &, const Reply &);
  void hang_up(const Request &, const Parameters &, const Reply &);
  void send_dtmf(const Request &, const Parameters &, const Reply &);
  void answer_ringing(const Request &, const Parameters &, const Reply &);
  void decline_ringing(const Request &, const Parameters &, const Reply &);

  /// What is asked of a call that does not run, or not so: 404 or 409.
  void refuse_call(const std::string &id, const std::string &why, const Reply &reply);
  void answer_call(int status, const std::string &id, const Reply &reply);
  void wait_for(const std::string &id, std::chrono::seconds patience, const Reply &reply);
  void answer_waiter(std::multimap<std::string, Waiter>::iterator waiter, int status);

  Backend backend_;
  accounts::FailureTable failures_;
  LogBudget refusals_;
  EventFeeds feeds_;
  std::multimap<std::string, Waiter> waiters_;  // by id of the call
  std::map<std::uint64_t, ContextTimer> held_;  // answers held back
  std::uint64_t next_held_ = 0;
};

/// Without the addresses that the account's terminals are refused at: those in clear, where its
/// media must be encrypted.
PublicAddresses usable_by(const std::string &account, const accounts::Book &book,
                          PublicAddresses addresses);
/// A token with the URLs that use it, as account and token routes answer it.
nlohmann::json token_to_json(const accounts::Token &token, const PublicAddresses &addresses);
/// Adds the ready-made URLs `rtmp://NAME:PASSWORD@HOST/…`, to push and to pull; nothing where such
/// a URL opens nothing, or the password is one that programs read in different ways.
void add_password_urls(nlohmann::json &value, const accounts::NewAccount &account,
                       const PublicAddresses &addresses);
/// Adds where the account's phones register.
void add_sip_urls(nlohmann::json &value, const std::string &account,
                  const PublicAddresses &addresses);

/// The seconds of `Prefer: wait=N` (RFC 7240 section 4.3), at most 120; nothing without it.
std::optional<std::chrono::seconds> preferred_wait(std::string_view prefer);

}  // namespace junctor::api
