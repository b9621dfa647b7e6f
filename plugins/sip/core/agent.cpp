// SPDX-License-Identifier: LGPL-2.1-or-later
// The agent on Sofia's nua.
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/nua_tag.h>
#include <sofia-sip/sip_protos.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/tport_tag.h>
#include <sys/random.h>

#include <algorithm>
#include <cstdlib>

#include "sip/core/cause.h"
#include "sip/core/challenge.h"
#include "sip/core/register_message.h"
#include "sip/core/source_address.h"
#include "sip/core/stack.h"
#include "sip/core/uri.h"

namespace junctor::sip {

namespace {

/// Of a message from the network; larger ones are answered 413 or dropped.
/// Above what one record of TLS brings, in Sofia's steps of 512 bytes: of a first record that is
/// more than a message may have, Sofia 1.12.11 makes room for 4096 bytes, and an assertion of its
/// own ends the program.
constexpr unsigned kMaxMessage = 17 * 1024;
/// Requests that wait for their answer; more are told 503.
constexpr unsigned kMaxProceeding = 10000;
/// 401 and 407 together for one request of ours.
constexpr unsigned kMaxRetries = 4;
/// A connection without traffic is closed; longer than any registration lasts, for phones that
/// registered over it are called over it. Others' end sooner: see Connections.
constexpr unsigned kIdleConnection = 3700 * 1000;
/// A connection that stops in the middle of a message.
constexpr unsigned kHalfMessage = 30 * 1000;
/// Certificates between a server's own and an authority's.
constexpr unsigned kVerifyDepth = 8;
constexpr std::size_t kMaxDelayed = 1000;
constexpr int kPortAttempts = 16;
constexpr int kLastTurns = 4;

void start_sofia() {
  static const int once = [] {
    su_init();
    return 0;
  }();
  static_cast<void>(once);
}

/// Reserves nothing, but tells in plain words why the address would not do, and which port the
/// system would give.
Result<Endpoint> probe(const Endpoint &wanted, bool tcp) {
  Endpoint endpoint = wanted;
  for (int attempt = 0; attempt < kPortAttempts; ++attempt) {
    auto udp = bind_udp(wanted);
    if (!udp) return udp.error();
    endpoint.port = local_endpoint(udp->get()).port;
    if (!tcp) return endpoint;
    if (auto listener = listen_tcp(endpoint); listener)
      return endpoint;
    else if (wanted.port != 0)
      return listener.error();
  }
  return Error{Fault::Unreachable, "no port of " + wanted.address + " is free for UDP and TCP"};
}

/// The same of TLS alone.
Result<Endpoint> probe_tls(const Endpoint &wanted) {
  auto listener = listen_tcp(wanted);
  if (!listener) return listener.error();
  Endpoint endpoint = wanted;
  endpoint.port = local_endpoint(listener->get()).port;
  return endpoint;
}

/// What Sofia binds. Of a wildcard it would make sockets for each address that there is now, and
/// send from the first of them whichever way a peer is: phones of another network get no call, and
/// none over a connection of theirs. It does so only where it knows the wildcard, and takes this
/// spelling for an address like any other: one socket, from which the kernel chooses the source.
/// `Via` then has the address towards anywhere; peers add the one that they see (RFC 3261
/// section 18.2.1).
std::string binding(const std::string &scheme, const Endpoint &endpoint) {
  const bool v4 = endpoint.address == "0.0.0.0", v6 = endpoint.address == "::";
  const std::string host = v4   ? source_address_towards("192.0.2.1")
                           : v6 ? source_address_towards("2001:db8::1")
                                : endpoint.address;
  return scheme + ':' + bracketed(host) + ':' + std::to_string(endpoint.port) +
         (v4   ? ";maddr=0.0"
          : v6 ? ";maddr=0::0"
               : "");
}

unsigned milliseconds(Duration duration) {
  return static_cast<unsigned>(std::chrono::ceil<std::chrono::milliseconds>(duration).count());
}

}  // namespace

std::string random_id() {
  unsigned char bytes[16];
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) std::abort();
  std::string out;
  for (const unsigned char byte : bytes) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

std::string signalling_address(const Endpoint &local, const std::string &host) {
  const bool any = local.address == "0.0.0.0" || local.address == "::";
  return any ? source_address_towards(host) : local.address;
}

Result<std::shared_ptr<Agent>> Agent::create(GMainContext *context, AgentOptions options) {
  auto agent = std::make_shared<AgentImpl>(context, std::move(options));
  if (auto started = agent->start(); !started) return started.error();
  return std::shared_ptr<Agent>(std::move(agent));
}

AgentImpl::AgentImpl(GMainContext *context, AgentOptions options)
    : context_(g_main_context_ref(context ? context : g_main_context_default())),
      options_(std::move(options)),
      ports_(options_.rtp_low, options_.rtp_high),
      admission_({.per_peer = options_.max_requests_per_peer,
                  .in_all = options_.max_requests,
                  .lifetime = options_.transaction_timeout}) {
  if (options_.ha1)
    registrar_.emplace(Registrar::Options{.realm = options_.realm, .ha1 = options_.ha1});
}

AgentImpl::~AgentImpl() {
  if (!stopped_) shutdown(EndReason::Shutdown, {});
}

Result<void> AgentImpl::start() {
  start_sofia();
  sofia_log_ = std::make_unique<SofiaLog>(options_.log);
  fence_ =
      std::make_unique<Fence>([this](const FencedRequest &request) { return admit(request); },
                              [this](const Endpoint &source, bool stream, const std::string &why) {
                                log_about(source, "dropped at parsing: " + why);
                                if (stream) cut_off(source, why);
                              });
  root_ = std::make_unique<Root>(context_.get());
  if (!root_->get()) return internal_error("Sofia-SIP could not make an event loop");
  if (options_.tls) {
    auto tls = make_tls();
    if (!tls) return tls.error();
    sofia_tls_ = std::move(*tls);
  }
  const bool any_port =
      options_.listen.port == 0 || (options_.tls && options_.tls->listen.port == 0);
  const int attempts = any_port ? kPortAttempts : 1;
  Result<void> result;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    auto endpoint = probe(options_.listen, options_.tcp);
    if (!endpoint) return endpoint.error();
    std::optional<Endpoint> tls;
    if (options_.tls) {
      auto secure = probe_tls(options_.tls->listen);
      if (!secure) return secure.error();
      tls = *secure;
    }
    result = start_on(*endpoint, tls);
    if (result) break;
  }
  return result;
}

Result<void> AgentImpl::start_on(const Endpoint &endpoint, const std::optional<Endpoint> &tls) {
  const std::string url = binding("sip", endpoint) + (options_.tcp ? "" : ";transport=udp");
  const std::string allow = std::string("INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, PRACK") +
                            (registrar_ ? ", REGISTER" : "");
  const auto expires = static_cast<unsigned>(options_.session_expires.count());
  const auto least = static_cast<unsigned>(options_.min_session_expires.count());
  std::string secure_url;
  if (tls) {
    secure_url = binding("sips", *tls);
    sofia_tls_->begin_capture();
  }
  nua_ =
      nua_create(root_->get(), on_nua, reinterpret_cast<nua_magic_t *>(this),
                 NUTAG_URL(url.c_str()), TAG_IF(tls, NUTAG_SIPS_URL(secure_url.c_str())),
                 TAG_IF(tls, NUTAG_CERTIFICATE_DIR(tls ? sofia_tls_->directory().c_str() : "")),
                 TAG_IF(tls, TPTAG_TLS_VERIFY_POLICY(tls ? sofia_tls_->verify_policy() : 0U)),
                 TAG_IF(tls, TPTAG_TLS_VERIFY_DEPTH(kVerifyDepth)),
                 NUTAG_SIP_PARSER(fence_->parser()), NTATAG_BAD_REQ_MASK(Fence::fatal_headers()),
                 // Media, answers and alerting are ours; acknowledging is nua's.
                 NUTAG_MEDIA_ENABLE(0), NUTAG_AUTOANSWER(0), NUTAG_AUTOALERT(0), NUTAG_AUTOACK(1),
                 NUTAG_ENABLEMESSAGE(0), NUTAG_SESSION_TIMER(expires), NUTAG_MIN_SE(least),
                 NUTAG_RETRY_COUNT(kMaxRetries), NUTAG_APPL_METHOD("UPDATE, INFO"),
                 TAG_IF(registrar_.has_value(), NUTAG_APPL_METHOD("REGISTER")),
                 SIPTAG_ALLOW_STR(allow.c_str()), SIPTAG_SUPPORTED_STR("timer, 100rel"),
                 SIPTAG_USER_AGENT_STR(options_.user_agent.c_str()),
                 NTATAG_SIP_T1X64(milliseconds(options_.transaction_timeout)),
                 NTATAG_MAXSIZE(kMaxMessage), NTATAG_MAX_PROCEEDING(kMaxProceeding),
                 // RFC 3261 section 18.1.1 asks for TCP above 1300 bytes, but a phone that only
                 // has UDP would then not be reached; fragments do arrive.
                 NTATAG_UDP_MTU(kMaxMessage - 1),
                 // One that comes on two ways rings once (RFC 3261 section 8.2.2.2).
                 NTATAG_MERGE_482(1), TPTAG_IDLE(kIdleConnection), TPTAG_TIMEOUT(kHalfMessage),
                 TPTAG_PONG2PING(1), TAG_END());
  if (!nua_) {
    if (tls) sofia_tls_->abandon_capture();
    return Error{Fault::Unreachable, "SIP could not be served on " + endpoint.to_string() +
                                         (tls ? " and " + tls->to_string() : "") +
                                         "; is something else listening there?"};
  }
  if (tls)
    if (auto captured = sofia_tls_->end_capture(); !captured) return captured.error();
  local_ = endpoint;
  if (tls) local_tls_ = *tls;
  udp_ = polled_udp(context_.get(), endpoint.port);
  if (options_.tcp) connections_ = watch_connections(endpoint);
  if (tls) tls_connections_ = watch_connections(*tls, true);
  return {};
}

std::unique_ptr<Connections> AgentImpl::watch_connections(const Endpoint &endpoint, bool tls) {
  return std::make_unique<Connections>(
      context_.get(), Connections::Options{.port = endpoint.port,
                                           .tls = tls,
                                           .limits = options_.connections,
                                           .wanted =
                                               [this] {
                                                 return registrar_
                                                            ? registrar_->connected(Clock::now())
                                                            : std::vector<std::string>();
                                               },
                                           .log = options_.log});
}

void AgentImpl::log(LogLevel level, std::string_view text) {
  if (options_.log) options_.log(level, text);
}

void AgentImpl::on_nua(nua_event_t event, int status, const char *phrase, nua_t * /*nua*/,
                       nua_magic_t *magic, nua_handle_t *handle, nua_hmagic_t *hmagic,
                       const sip_t *sip, tagi_t *tags) {
  auto *agent = reinterpret_cast<AgentImpl *>(magic);
  status = unfenced(status);
  if (event == nua_r_shutdown) {
    if (status >= 200) agent->stopped_ = true;
    return;
  }
  for (const auto &trunk : agent->trunks_)
    if (trunk->owns(handle)) return trunk->on_event(event, status, phrase, sip);
  if (!hmagic) return agent->on_stray(event, status, handle, sip);
  const auto call = reinterpret_cast<CallImpl *>(hmagic)->shared_from_this();
  call->on_event(event, status, phrase, sip, tags);
}

/// What belongs to no call of ours: nua has made a handle for it, which is ours to destroy.
void AgentImpl::on_stray(nua_event_t event, int status, nua_handle_t *handle, const sip_t *sip) {
  if (!handle || handle == nua_default(nua_)) return;
  if (const auto waits = std::ranges::find(
          delayed_, handle, [](const Delayed &delayed) { return delayed.handle.get(); });
      waits != delayed_.end()) {
    // Who takes an INVITE back is answered by nua.
    if (event == nua_i_cancel) delayed_.erase(waits);
    return;
  }
  switch (event) {
    case nua_i_register:
      return on_register(handle, sip);
    case nua_i_invite:
      if (status >= 200) break;
      return on_invite(handle, sip);
    case nua_i_update:
    case nua_i_info:
      return refuse(handle, SIP_481_NO_TRANSACTION);
    default:
      break;
  }
  // Indications that nua has answered itself (OPTIONS, MESSAGE …). Responses and states of handles
  // that are destroyed already are not reported.
  if (event < nua_r_set_params || event == nua_i_register) nua_handle_destroy(handle);
}

void AgentImpl::log_refused(int status, const char *phrase, const std::string &why) {
  msg_t *message = nua_current_request(nua_);
  const sip_t *sip = message ? sip_object(message) : nullptr;
  const su_sockaddr_t *address = message ? msg_addr(message) : nullptr;
  if (!sip || !sip->sip_request || !address) return;
  log_about(Endpoint::from_sockaddr(&address->su_sa),
            "refused at " + clean_text(sip->sip_request->rq_method_name, 32) + ": " +
                std::to_string(status) + ' ' + phrase +
                (why.empty() ? "" : ": " + clean_text(why)));
}

void AgentImpl::refuse(nua_handle_t *handle, int status, const char *phrase, const std::string &why,
                       const std::string &detail) {
  log_refused(status, phrase, detail.empty() ? why : detail);
  msg_t *message = why.empty() ? nullptr : nua_current_request(nua_);
  const su_sockaddr_t *address = message ? msg_addr(message) : nullptr;
  const std::string words =
      address
          ? warning(media_address_towards(Endpoint::from_sockaddr(&address->su_sa).address), why)
          : "";
  nua_respond(handle, status, phrase, NUTAG_WITH_THIS(nua_),
              TAG_IF(!words.empty(), SIPTAG_WARNING_STR(words.c_str())), TAG_END());
  nua_handle_destroy(handle);
}

void AgentImpl::on_register(nua_handle_t *handle, const sip_t *sip) {
  msg_t *message = nua_current_request(nua_);
  const su_sockaddr_t *address = message ? msg_addr(message) : nullptr;
  if (!sip || !address || !registrar_ || stopping_)
    return refuse(handle, SIP_503_SERVICE_UNAVAILABLE);
  const RegisterReply reply = registrar_->handle(
      read_register(*sip, Endpoint::from_sockaddr(&address->su_sa)), Clock::now());
  if (reply.status >= 400 && reply.status != 401) log_refused(reply.status, reply.phrase);
  answer_account(handle, reply);
}

void AgentImpl::answer_account(nua_handle_t *handle, const RegisterReply &reply) {
  if (reply.delay == Duration{}) {
    respond_to_account(handle, nullptr, reply);
    nua_handle_destroy(handle);
    return;
  }
  if (delayed_.size() >= kMaxDelayed) return refuse(handle, SIP_503_SERVICE_UNAVAILABLE);
  const auto entry = delayed_.emplace(delayed_.end());
  entry->handle = Handle(handle);
  entry->reply = reply;
  nua_save_event(nua_, entry->saved);
  entry->timer = ContextTimer(context_.get(), reply.delay, [this, entry] {
    respond_to_account(entry->handle.get(), entry->saved, entry->reply);
    delayed_.erase(entry);
  });
}

void AgentImpl::respond_to_account(nua_handle_t *handle, nua_saved_event_t *saved,
                                   const RegisterReply &reply) {
  std::string contacts;
  for (const std::string &contact : reply.contacts)
    contacts += (contacts.empty() ? "" : ", ") + contact;
  const std::string min_expires = std::to_string(reply.min_expires);
  const std::string retry_after = std::to_string(reply.retry_after);
  nua_respond(
      handle, reply.status, reply.phrase, TAG_IF(!saved, NUTAG_WITH_THIS(nua_)),
      TAG_IF(saved, NUTAG_WITH_SAVED(saved)),
      TAG_IF(!reply.challenge.empty(), SIPTAG_WWW_AUTHENTICATE_STR(reply.challenge.c_str())),
      TAG_IF(!contacts.empty(), SIPTAG_CONTACT_STR(contacts.c_str())),
      TAG_IF(reply.min_expires != 0, SIPTAG_MIN_EXPIRES_STR(min_expires.c_str())),
      TAG_IF(reply.retry_after != 0, SIPTAG_RETRY_AFTER_STR(retry_after.c_str())), TAG_END());
}

std::shared_ptr<Call> AgentImpl::find_call(const std::string &id) const {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : found->second;
}

std::vector<Registration> AgentImpl::registrations(const std::string &account) const {
  return registrar_ ? registrar_->find(account, Clock::now()) : std::vector<Registration>();
}

void AgentImpl::forget_registrations(const std::string &account) {
  if (registrar_) registrar_->forget(account);
}

std::size_t AgentImpl::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_.size();
}

void AgentImpl::retire(const std::string &id) {
  const std::lock_guard lock(mutex_);
  if (auto node = calls_.extract(id)) lingering_.insert(std::move(node));
}

void AgentImpl::forget(const std::string &id) { lingering_.erase(id); }

void AgentImpl::deliver(std::function<void()> function) {
  ++alive_->undelivered;
  post_to(context_.get(), [alive = alive_, function = std::move(function)] {
    --alive->undelivered;
    function();
  });
}

void AgentImpl::iterate_until(Time deadline, const std::function<bool()> &done) {
  bool late = deadline <= Clock::now();
  const ContextTimer timer(context_.get(), std::max(deadline - Clock::now(), Duration{}),
                           [&late] { late = true; });
  while (!done() && !late) g_main_context_iteration(context_.get(), TRUE);
}

void AgentImpl::shutdown(EndReason reason, Duration patience) {
  if (stopping_) return;
  stopping_ = true;
  const Time deadline = Clock::now() + patience;
  while (!calls_.empty()) {
    const auto call = calls_.begin()->second;
    call->hangup(reason);
    retire(call->id());
  }
  for (const auto &trunk : trunks_) trunk->stop();
  if (nua_) {
    iterate_until(deadline, [this] {
      return lingering_.empty() &&
             std::ranges::all_of(trunks_, [](const auto &trunk) { return trunk->done(); });
    });
    stop_stack();
  }
  iterate_until(deadline, [this] { return alive_->undelivered == 0; });
  stopped_ = true;
}

void AgentImpl::stop_stack() {
  delayed_.clear();
  // Who has not confirmed its BYE by now is left to find out by itself. Their transactions go with
  // their handles, or nua would wait for them for 30 s.
  for (const auto lingering = std::exchange(lingering_, {}); const auto &[id, call] : lingering) {
    call->drop();
    call->detach();
  }
  trunks_.clear();
  connections_.reset();
  tls_connections_.reset();
  nua_shutdown(nua_);
  iterate_until(Clock::now() + kStackPatience, [this] { return stopped_; });
  if (!stopped_) {
    log(LogLevel::Error, "the SIP stack did not stop in time; its memory is left behind");
    static_cast<void>(root_.release());
    fence_->close();
    static_cast<void>(fence_.release());
    static_cast<void>(sofia_tls_.release());
    return;
  }
  nua_destroy(std::exchange(nua_, nullptr));
  // What nua has still queued holds references to the event loop.
  for (int turn = 0; turn < kLastTurns; ++turn) g_main_context_iteration(context_.get(), FALSE);
  root_.reset();
}

}  // namespace junctor::sip
