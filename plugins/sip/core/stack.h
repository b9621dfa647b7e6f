// SPDX-License-Identifier: LGPL-2.1-or-later
// The agent on Sofia's nua.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "common/log_budget.h"
#include "common/main_context.h"
#include "common/peer_log_budget.h"
#include "sip/core/admission.h"
#include "sip/core/agent.h"
#include "sip/core/call.h"
#include "sip/core/connections.h"
#include "sip/core/fence.h"
#include "sip/core/registrar.h"
#include "sip/core/sofia.h"
#include "sip/core/sofia_log.h"
#include "sip/core/sofia_tls.h"
#include "sip/core/trunk_registration.h"

namespace junctor::sip {

/// For a Call-ID, which nobody is to guess.
std::string random_id();
/// The address to name in Contact and Via towards `host`.
std::string signalling_address(const Endpoint &local, const std::string &host);

class AgentImpl final : public Agent, public CallHost {
 public:
  AgentImpl(GMainContext *context, AgentOptions options);
  ~AgentImpl() override;

  /// Binds the sockets and starts the stack; once, right after construction.
  Result<void> start();

  Endpoint local() const override { return local_; }
  Endpoint local_tls() const override { return local_tls_; }
  Result<std::shared_ptr<Call>> invite(const InviteOptions &options,
                                       std::weak_ptr<CallListener> listener) override;
  void set_incoming(std::function<void(const IncomingCall &)> incoming) override {
    incoming_ = std::move(incoming);
  }
  Result<void> add_trunk(TrunkOptions options,
                         std::function<void(const TrunkStatus &)> changed) override;
  std::vector<TrunkStatus> trunks() const override;
  std::shared_ptr<Call> find_call(const std::string &id) const override;
  std::vector<Registration> registrations(const std::string &account) const override;
  void forget_registrations(const std::string &account) override;
  std::size_t calls() const override;
  void shutdown(EndReason reason, Duration patience) override;

  nua_t *nua() override { return nua_; }
  GMainContext *context() override { return context_.get(); }
  void log(LogLevel level, std::string_view text) override;
  void retire(const std::string &id) override;
  void forget(const std::string &id) override;
  std::string media_address_towards(const std::string &host) const override;
  Result<std::shared_ptr<rtp::Session>> open_session(std::shared_ptr<Reactor> reactor,
                                                     Medium medium, const std::string &address,
                                                     const std::string &cname) override;
  void deliver(std::function<void()> function) override;

 private:
  /// A REGISTER or INVITE whose answer waits, because its password was wrong.
  struct Delayed {
    Handle handle;
    nua_saved_event_t saved[1] = {};
    RegisterReply reply;
    ContextTimer timer;
    ~Delayed() { nua_destroy_event(saved); }
  };
  /// Kept apart from the agent, so that what is still queued finds out that it is gone.
  struct Alive {
    std::size_t undelivered = 0;
  };

  static void on_nua(nua_event_t event, int status, const char *phrase, nua_t *nua,
                     nua_magic_t *magic, nua_handle_t *handle, nua_hmagic_t *hmagic,
                     const sip_t *sip, tagi_t *tags);
  void on_stray(nua_event_t event, int status, nua_handle_t *handle, const sip_t *sip);
  void on_register(nua_handle_t *handle, const sip_t *sip);
  /// Now or after its delay; takes the handle.
  void answer_account(nua_handle_t *handle, const RegisterReply &reply);
  void respond_to_account(nua_handle_t *handle, nua_saved_event_t *saved,
                          const RegisterReply &reply);
  /// `why` is told the peer; the log has `detail` instead, if there is one.
  void refuse(nua_handle_t *handle, int status, const char *phrase, const std::string &why = {},
              const std::string &detail = {});
  /// Names the peer of the request at hand.
  void log_refused(int status, const char *phrase, const std::string &why = {});

  // incoming.cpp: calls that come to us.
  void on_invite(nua_handle_t *handle, const sip_t *sip);
  /// The trunk that a call has come over; null: none.
  const TrunkRegistration *trunk_of(const std::string &user, const Endpoint &source) const;
  std::optional<RegisterReply> check_caller(const sip_t &sip, const Endpoint &source,
                                            std::string &account);
  /// `trunk`: as of trunk_of().
  CallImpl::Setup prepare_incoming(const sip_t &sip, const Endpoint &source,
                                   const TrunkRegistration *trunk);
  /// Overloaded where a call that comes now would find no ports.
  Result<void> look_for_ports(const std::string &address);

  // gate.cpp: what the fence asks before anything is done about a request.
  /// Whether it can never be answered by a call: it is of IPv4, and this agent of IPv6.
  bool came_in_vain(const Endpoint &source) const;
  bool admit(const FencedRequest &request);
  /// The call that the request is of; null: none.
  CallImpl *call_of(const sip_t &sip) const;
  /// Whether an account is registered from there; as it was some seconds ago.
  bool is_registered(const std::string &group, Time now);
  /// Without a transaction, of which there are too many already.
  void answer_busy(const FencedRequest &request, Duration wait);
  /// Ends the connection from there.
  void cut_off(const Endpoint &source, const std::string &why);
  std::vector<Connections *> all_connections() const;
  /// What peers cause, within the budget for it.
  void log_about(const Endpoint &source, const std::string &text);

  // agent_tls.cpp
  Result<std::unique_ptr<SofiaTls>> make_tls();
  /// All that a connection to `peer` may be made for at the moment, each once.
  std::vector<TlsTarget> tls_targets(const Endpoint &peer) const;
  void on_tls_refused(const Endpoint &peer, const std::string &why);

  Result<void> start_on(const Endpoint &endpoint, const std::optional<Endpoint> &tls);
  std::unique_ptr<Connections> watch_connections(const Endpoint &endpoint, bool tls = false);
  std::string contact_towards(const Uri &next_hop, const std::string &user) const override;
  std::string server_name(const Endpoint &peer, const SofiaTls::Connected &connected) const;
  Result<void> check_transports(const std::vector<Uri> &uris) const;
  Result<CallImpl::Setup> prepare(const InviteOptions &options);
  Result<void> open_media(const InviteOptions &options, CallImpl::Setup &setup);
  /// Iterates the context until `done` or the deadline.
  void iterate_until(Time deadline, const std::function<bool()> &done);
  void stop_stack();

  ContextRef context_;
  AgentOptions options_;
  Endpoint local_, local_tls_;
  rtp::PortRange ports_;
  Time ports_full_until_{};  ///< as far as calls that come are concerned
  Error ports_full_;
  std::unique_ptr<SofiaLog> sofia_log_;
  std::unique_ptr<Fence> fence_;
  std::unique_ptr<SofiaTls> sofia_tls_;
  std::unique_ptr<Root> root_;
  nua_t *nua_ = nullptr;
  bool stopping_ = false, stopped_ = false;
  std::shared_ptr<Alive> alive_ = std::make_shared<Alive>();

  mutable std::mutex mutex_;  ///< guards calls_ for find_call() and calls()
  std::map<std::string, std::shared_ptr<CallImpl>> calls_;
  std::map<std::string, std::shared_ptr<CallImpl>> lingering_;  ///< ended, BYE or CANCEL under way
  std::optional<Registrar> registrar_;
  std::function<void(const IncomingCall &)> incoming_;
  std::list<Delayed> delayed_;
  std::vector<std::unique_ptr<TrunkRegistration>> trunks_;
  PeerLogBudget refusals_;
  Admission admission_;
  std::unordered_set<std::string> registered_;  // address_group()s, until then
  Time registered_until_{};
  LogBudget busy_answers_{100};  // so many a second are told why; others find out by trying again
  std::unique_ptr<Connections> connections_;      // while nua_ is there, and with TCP only
  std::unique_ptr<Connections> tls_connections_;  // the same, with TLS
  std::vector<int> udp_;                          // Sofia's
};

}  // namespace junctor::sip
