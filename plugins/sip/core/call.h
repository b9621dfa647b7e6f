// SPDX-License-Identifier: LGPL-2.1-or-later
// One call on a nua handle.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/log_budget.h"
#include "common/main_context.h"
#include "rtp/core/dtmf.h"
#include "sip/core/agent.h"
#include "sip/core/challenge.h"
#include "sip/core/negotiate.h"
#include "sip/core/sofia.h"
#include "sip/core/tls_target.h"
#include "sip/core/uri.h"

namespace junctor::sip {

/// What a call needs of the agent that it belongs to.
class CallHost {
 public:
  virtual ~CallHost() = default;
  virtual nua_t *nua() = 0;
  virtual GMainContext *context() = 0;
  virtual void log(LogLevel level, std::string_view text) = 0;
  /// Our Contact header in a dialog whose next hop that is.
  virtual std::string contact_towards(const Uri &next_hop, const std::string &user) const = 0;
  /// The call has ended; its handle may still have a CANCEL or BYE to finish.
  virtual void retire(const std::string &id) = 0;
  /// Nothing is left of the call's handle.
  virtual void forget(const std::string &id) = 0;
  /// Where media from a peer is wanted whose signalling goes to `host`.
  virtual std::string media_address_towards(const std::string &host) const = 0;
  /// A port for one medium of a call.
  virtual Result<std::shared_ptr<rtp::Session>> open_session(std::shared_ptr<Reactor> reactor,
                                                             Medium medium,
                                                             const std::string &address,
                                                             const std::string &cname) = 0;
  /// Runs `function` from the context later; shutdown() waits for it.
  virtual void deliver(std::function<void()> function) = 0;
};

class CallImpl final : public Call, public std::enable_shared_from_this<CallImpl> {
 public:
  /// Of the peer in one call, in a second: each is a transaction that lingers (RFC 3261 section
  /// 17.2.2).
  static constexpr unsigned kMostRequests = 40;
  struct Setup {
    std::string id;          ///< Call-ID
    std::string contact;     ///< our Contact header
    std::string user_part;   ///< of it, escaped
    std::string from, to;    ///< headers
    std::string uri, proxy;  ///< checked
    std::string user, password;
    /// In quotes: who may ask for them within the call, beside who asked our INVITE.
    std::vector<std::string> realms;
    std::string asserted;  ///< URI of P-Asserted-Identity, checked; empty: none
    std::function<std::optional<Redirection>(const std::string &uri)> redirect;  ///< the same
    bool tcp = true, tls = false;  ///< what it may redirect to, beside UDP
    rtp::SrtpPolicy srtp = rtp::SrtpPolicy::Off;
    std::string transport = "udp";  ///< to the next hop
    Uri next_hop;                   ///< it
    std::string next_name;          ///< its host as it was named; empty for an address
    std::string media_address;
    std::shared_ptr<Reactor> reactor;  ///< of a call that came to us: once it is answered
    Duration answer_timeout{};
    std::chrono::seconds session_expires{}, min_session_expires{};  ///< as in AgentOptions
    std::vector<OwnMedium> media;
    /// One for each of `media`; null for a placeholder.
    std::vector<std::shared_ptr<rtp::Session>> sessions;
  };

  CallImpl(CallHost &host, Setup setup, std::weak_ptr<CallListener> listener);
  ~CallImpl() override;

  /// Sends the INVITE; from now on the answer timeout counts.
  Result<void> start();
  /// Takes over an INVITE that came to us. An error has the answer: its handle stays the caller's.
  struct Refusal {
    int status;
    const char *phrase;  ///< a literal
    std::string why{};   ///< for people; may be empty
  };
  std::optional<Refusal> take(nua_handle_t *handle, const sip_t *sip);
  /// One event of the handle. The caller holds a reference.
  void on_event(nua_event_t event, int status, const char *phrase, const sip_t *sip, tagi_t *tags);
  /// Whether the request is the end of this call while it has none: the CANCEL of its INVITE, for
  /// which nothing is kept, or its first BYE, which may be repeated. Any other opens a transaction
  /// like all requests, whether or not the call ends.
  bool is_ended_by(const sip_t &sip);
  /// Whether the peer may make another request in this call.
  bool take_request(Time now) { return requests_.take(now).has_value(); }
  /// Of a call that came to us: the tag of its INVITE's From.
  const std::string &caller_tag() const { return caller_tag_; }
  /// Where TLS connections may be made to for this call.
  std::vector<TlsTarget> tls_targets() const;
  /// The one of its INVITE, while it is not certain that it has been reached.
  std::optional<TlsTarget> awaited_target() const;
  /// Its name, for RFC 6066; empty for an address.
  std::string awaited_name() const { return awaited_target() ? setup_.next_name : ""; }
  /// That connection cannot be had.
  void on_unreachable(const std::string &why);
  /// Destroys the handle without waiting for the peer.
  void drop();
  /// The host is gone; nothing of it is used from now on.
  void detach() { host_ = nullptr; }

  const std::string &id() const override { return setup_.id; }
  CallState state() const override { return state_; }
  std::string redirected_to() const override { return redirects_ > 0 ? setup_.uri : ""; }
  std::string transport() const override { return setup_.transport; }
  const std::vector<Media> &media() const override { return media_; }
  std::vector<Media> media_snapshot() const override;
  void set_listener(std::weak_ptr<CallListener> listener) override {
    listener_ = std::move(listener);
  }
  void hangup(EndReason reason) override;
  void hangup(EndReason reason, const std::string &why) override;
  void alert() override;
  Result<void> can_encrypt(rtp::SrtpPolicy policy) const override;
  Result<void> answer(const AnswerOptions &options) override;
  Result<void> send_dtmf(std::string_view digits, Duration length) override;
  void request_keyframe_by_info() override;

 private:
  void on_invite_response(int status, const char *phrase, const sip_t *sip);
  void on_provisional(int status, const sip_t *sip);
  void on_success(const sip_t *sip);
  /// `heard`: the callee's side said so, not our own stack.
  void on_final(int status, const char *phrase, bool heard = true);
  void on_redirect(int status, const char *phrase, const sip_t *sip);
  /// Where a 3xx leads, if we may and can go there; else why not.
  struct Move {
    Uri uri, next_hop;
    std::string next_name;  ///< as in Setup
    Redirection how;
  };
  Result<Move> read_redirection(int status, const sip_t *sip) const;
  /// To the address that peers of the new next hop reach.
  Result<void> move_media();
  Result<void> send_invite();
  /// Whether the callee is asked again, under SRTP alone.
  bool insist_on_srtp(int status);
  void authenticate(int status, const sip_t *sip);
  /// False if there is nothing to answer it with that was not refused already.
  bool answer_challenge(const sip_t *sip, bool within_call);
  bool answers_or_abandons(int status, const sip_t *sip);
  void on_info(const sip_t *sip);
  void on_bye(const sip_t *sip);
  void on_state(int status, const char *phrase, tagi_t *tags);

  // call_media.cpp: offer and answer within the call.
  void on_offer(const sip_t *sip, bool update);
  void on_ack(const sip_t *sip);
  void forget_early_media();
  /// Opens those of `spare_` that the offer has a line for by now.
  void add_media(const sdp::Description &offer);
  /// Our side as SDP; its version rises with each change (RFC 3264 section 8).
  std::string describe_ours(sdp::Description description);
  Identity identity() const { return {setup_.media_address, sdp_id_, sdp_version_}; }
  /// Takes over what was agreed; true if anything differs from before.
  bool apply(std::vector<Agreed> agreed);
  bool anything_accepted() const;
  /// Before an offer or answer of ours in a call that is answered.
  void renew_used_keys();

  // Of a call that came to us: call_incoming.cpp.
  Result<void> decide_srtp(rtp::SrtpPolicy policy);
  /// Which media an answer has or offers; the error is for the caller.
  Result<void> choose_media(const AnswerOptions &options);
  std::string describe_answer();
  Result<void> open_sessions(const std::shared_ptr<Reactor> &reactor);
  void refuse(EndReason reason, const std::string &why);
  /// The other side, as people call it.
  const char *peer() const { return incoming_ ? "the caller" : "the callee"; }
  EndReason peer_hangup() const {
    return incoming_ ? EndReason::CallerHangup : EndReason::CalleeHangup;
  }

  void listen_for_digits();
  Result<void> take_digits(std::size_t count, Duration length);
  void tell_dtmf(const Dtmf &dtmf);
  /// One after the other: the network may swap what is under way together.
  void send_info(const char *type, std::string body);
  void send_next_info();
  void on_info_response(int status, const char *phrase);

  // call_refresh.cpp: session timers (RFC 4028), which nua keeps.
  /// With each INVITE or UPDATE that goes well: the peer's request, before our 200, or its answer
  /// to ours. One that is refused changes nothing (RFC 3261 section 14.2).
  void plan_refresh(const sip_t *sip);
  /// The interval counts from our 200 (RFC 4028 section 9), which may come long after the INVITE.
  void start_refreshing();
  /// Of the UPDATE that refreshes the session.
  void on_refresh_response(int status, const char *phrase);
  void refresh_by_reinvite();
  void on_reinvite_response(int status, const char *phrase, const sip_t *sip, std::string_view sdp);
  /// Takes over the answer to an offer that we made again; an empty one changes nothing.
  void read_new_answer(std::string_view body);
  /// `phrase` is a literal: nua keeps the pointer.
  /// `why`, for a refusal, goes into a Warning.
  void respond(int status, const char *phrase, const std::string &sdp, const std::string &why = {});
  void end(EndReason reason, int code, std::string text);
  void notify(const std::function<void(CallListener &)> &function);

  CallHost *host_;
  Setup setup_;
  std::weak_ptr<CallListener> listener_;
  Handle handle_;
  CallState state_ = CallState::Trying;
  bool rung_ = false;
  AnsweredChallenges challenges_;
  bool insists_ = false;  ///< on SRTP, for the callee takes nothing else
  int redirects_ = 0;
  bool incoming_ = false;                  ///< it came to us
  std::optional<sdp::Description> offer_;  ///< of a call that came to us, until it is answered
  bool offered_in_reinvite_ = false;       ///< the answer comes with the ACK
  bool reoffered_ = false;                 ///< our re-INVITE is under way
  std::string caller_tag_;
  std::string invite_;              ///< transaction of a call that came to us
  std::optional<std::string> bye_;  ///< the first that the peer sent: its transaction
  std::optional<TlsTarget> dialog_target_;
  std::uint64_t sdp_id_;
  std::uint64_t sdp_version_;
  std::string last_description_;             ///< that we sent
  std::vector<OwnMedium> spare_;             ///< media that the caller's offers had no line for
  std::vector<OwnMedium> offered_again_;     ///< in answer to a re-INVITE without an offer
  std::vector<sdp::MediaLine> other_lines_;  ///< of the peer, behind ours, refused
  std::vector<Agreed> agreed_;
  struct Info {
    const char *type;
    std::string body;
  };
  std::deque<Info> infos_;             ///< the first one is under way
  std::deque<Time> digits_;            ///< when those that wait in RTP will have been sent
  LogBudget requests_{kMostRequests};  ///< of the peer
  LogBudget heard_digits_{rtp::DigitReceiver::kMost};  ///< by INFO
  bool unconfirmed_ = false;                           ///< a 200 of ours waits for its ACK
  mutable std::mutex mutex_;                           ///< guards media_ for media_snapshot()
  std::vector<Media> media_;
  ContextTimer timer_;
  Duration refresh_after_{};  ///< then we refresh by INVITE; 0: we need not
  ContextTimer refresh_timer_;
};

}  // namespace junctor::sip
