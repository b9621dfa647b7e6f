// SPDX-License-Identifier: LGPL-2.1-or-later
// One call on a nua handle: what both directions have, and calls of our own.
#include "sip/core/call.h"

#include <sofia-sip/nta.h>
#include <sofia-sip/nua_tag.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_protos.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/su_tag_io.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <random>

#include "sip/core/cause.h"
#include "sip/core/challenge.h"
#include "sip/core/dtmf_info.h"
#include "sip/core/sip_body.h"
#include "sip/core/target.h"
#include "sip/core/transaction.h"

namespace junctor::sip {

namespace {

/// What a call may linger for after its end: nua's own timers are over by then (64 * T1).
constexpr Duration kLinger = std::chrono::seconds(40);
constexpr int kMaxRedirects = 4;
constexpr const char *kFastUpdateType = "application/media_control+xml";
/// RFC 5168 section 7.
constexpr const char *kFastUpdate =
    "<?xml version=\"1.0\" encoding=\"utf-8\" ?>\r\n<media_control><vc_primitive><to_encoder>"
    "<picture_fast_update/></to_encoder></vc_primitive></media_control>\r\n";
/// After these nua would wait for Retry-After and call again by itself.
constexpr std::array kRetryAfter{404, 413, 480, 486, 500, 503, 600, 603};

std::uint64_t random_number() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 16 | (device() & 0xffff)) & 0xffffffffffff;
}

}  // namespace

CallImpl::CallImpl(CallHost &host, Setup setup, std::weak_ptr<CallListener> listener)
    : host_(&host),
      setup_(std::move(setup)),
      listener_(std::move(listener)),
      sdp_id_(random_number()),
      sdp_version_(sdp_id_) {}

CallImpl::~CallImpl() {
  for (const auto &session : setup_.sessions)
    if (session) session->close();
}

Result<void> CallImpl::start() {
  if (auto sent = send_invite(); !sent) return sent;
  timer_ = ContextTimer(host_->context(), setup_.answer_timeout, [this] {
    const auto self = shared_from_this();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(setup_.answer_timeout);
    nua_cancel(handle_.get(), TAG_END());
    end(EndReason::NoAnswer, 0, "no answer within " + std::to_string(seconds.count()) + " s");
  });
  return {};
}

/// On a handle of its own each time: what nua knows of one target, credentials above all, must not
/// reach the next.
Result<void> CallImpl::send_invite() {
  handle_ = Handle(nua_handle(host_->nua(), reinterpret_cast<nua_hmagic_t *>(this),
                              NUTAG_URL(setup_.uri.c_str()), SIPTAG_TO_STR(setup_.to.c_str()),
                              SIPTAG_FROM_STR(setup_.from.c_str()), TAG_END()));
  if (!handle_) return internal_error("no SIP handle for " + setup_.uri);
  last_description_.clear();
  other_lines_.clear();
  for (OwnMedium &medium : setup_.media)
    medium.srtp =
        own_srtp(insists_ ? rtp::SrtpPolicy::Require : setup_.srtp, setup_.transport == "tls");
  const std::string offer = describe_ours(make_offer(identity(), setup_.media));
  const std::string asserted =
      setup_.asserted.empty() ? "" : "P-Asserted-Identity: <" + setup_.asserted + '>';
  nua_invite(handle_.get(), TAG_IF(!setup_.proxy.empty(), NUTAG_PROXY(setup_.proxy.c_str())),
             SIPTAG_CALL_ID_STR(setup_.id.c_str()), SIPTAG_CONTACT_STR(setup_.contact.c_str()),
             TAG_IF(!asserted.empty(), SIPTAG_HEADER_STR(asserted.c_str())),
             SIPTAG_CONTENT_TYPE_STR(kSdpType), SIPTAG_PAYLOAD_STR(offer.c_str()), TAG_END());
  return {};
}

void CallImpl::on_event(nua_event_t event, int status, const char *phrase, const sip_t *sip,
                        tagi_t *tags) {
  switch (event) {
    case nua_r_invite:
      return on_invite_response(status, phrase, sip);
    case nua_r_authenticate:
      if (status >= 300 && state_ == CallState::Answered) {
        host_->log(LogLevel::Warning,
                   "call " + setup_.id +
                       ": a challenge could not be answered: " + status_text(status, phrase));
      } else if (status >= 300 && state_ != CallState::Ended) {
        end(EndReason::Unauthorized, 0,
            "the challenge could not be answered: " + status_text(status, phrase));
        drop();
      }
      return;
    case nua_r_info:
      if (answers_or_abandons(status, sip)) return;
      return on_info_response(status, phrase);
    case nua_r_update:
      if (answers_or_abandons(status, sip)) return;
      return on_refresh_response(status, phrase);
    case nua_i_cancel:
      if (incoming_ && state_ != CallState::Answered)
        end(EndReason::CallerHangup, 0, "the caller gave up");
      return;
    case nua_i_invite:
      return on_offer(sip, false);
    case nua_i_update:
      return on_offer(sip, true);
    case nua_i_ack:
      return on_ack(sip);
    case nua_i_info:
      return on_info(sip);
    case nua_i_bye:
      return on_bye(sip);
    case nua_r_bye:
      if (is_challenge(status) && answer_challenge(sip, true)) return;
      // nua's own, when an answer of ours is not confirmed, or whoever is to refresh the session
      // does not.
      if (status >= 200 && state_ == CallState::Answered)
        end(EndReason::Unreachable, 0,
            std::string(peer()) + "'s phone was lost: it " +
                (unconfirmed_ ? "never confirmed our answer" : "stopped refreshing the session"));
      return;
    case nua_i_state:
      return on_state(status, phrase, tags);
    default:
      return;
  }
}

bool CallImpl::is_ended_by(const sip_t &sip) {
  if (state_ == CallState::Ended) return false;
  switch (sip.sip_request->rq_method) {
    case sip_method_cancel:
      return state_ != CallState::Answered && !invite_.empty() &&
             transaction_of(sip, "INVITE") == invite_;
    case sip_method_bye: {
      std::string transaction = transaction_of(sip, sip.sip_request->rq_method_name);
      if (bye_) return !transaction.empty() && transaction == *bye_;
      bye_ = std::move(transaction);
      return true;
    }
    default:
      return false;
  }
}

void CallImpl::on_invite_response(int status, const char *phrase, const sip_t *sip) {
  if (state_ == CallState::Ended) {
    // The peer answered while our CANCEL was on its way (RFC 3261 section 15).
    if (status >= 200 && status < 300) nua_bye(handle_.get(), TAG_END());
    return;
  }
  if (state_ == CallState::Answered)
    return on_reinvite_response(status, phrase, sip, status < 300 ? sdp_of(sip) : "");
  if (status == 100) {
    // Reported so while nua calls again: with credentials, which is fine, or after a while because
    // of Retry-After, which is not for it to decide.
    const int real = sip && sip->sip_status ? sip->sip_status->st_status : 100;
    if (std::ranges::find(kRetryAfter, real) != kRetryAfter.end()) {
      on_final(real, sip->sip_status->st_phrase);
      drop();
    }
    return;
  }
  if (status == 401 || status == 407) return authenticate(status, sip);
  if (status < 200) return on_provisional(status, sip);
  if (status < 300) return on_success(sip);
  if (status < 400) return on_redirect(status, phrase, sip);
  if (insist_on_srtp(status)) return;
  on_final(status, phrase, sip && sip->sip_status && !nta_sip_is_internal(sip));
}

/// There are phones that take RTP/SAVP alone, whatever keys come with RTP/AVP.
bool CallImpl::insist_on_srtp(int status) {
  if (reason_of(status) != EndReason::NotAcceptable || insists_ ||
      setup_.srtp != rtp::SrtpPolicy::Prefer || setup_.transport != "tls")
    return false;
  insists_ = true;
  challenges_.clear();
  rung_ = false;
  state_ = CallState::Trying;
  forget_early_media();
  return static_cast<bool>(send_invite());
}

void CallImpl::on_provisional(int status, const sip_t *sip) {
  if (sip) dialog_target_ = tls_target_of_dialog(*sip);
  if (status == 180) {
    rung_ = true;
    if (state_ == CallState::Trying) state_ = CallState::Ringing;
    notify([this](CallListener &listener) { listener.on_ringing(*this); });
    if (state_ == CallState::Ended) return;
  }
  const std::string_view body = sdp_of(sip);
  if (body.empty()) return;
  auto answer = sdp::parse(body);
  if (!answer) {
    host_->log(LogLevel::Warning,
               "call " + setup_.id + ": early media ignored: " + answer.error().detail);
    return;
  }
  auto agreed = read_answer(setup_.media, *answer);
  if (std::ranges::none_of(agreed, &Agreed::accepted)) return;
  if (apply(std::move(agreed)))
    notify([this](CallListener &listener) { listener.on_early_media(*this); });
}

void CallImpl::on_success(const sip_t *sip) {
  if (sip) dialog_target_ = tls_target_of_dialog(*sip);
  std::string problem;
  const std::string_view body = sdp_of(sip);
  if (!body.empty()) {
    auto answer = sdp::parse(body);
    if (!answer)
      problem = answer.error().detail;
    else
      apply(read_answer(setup_.media, *answer));
  } else if (!anything_accepted()) {
    problem = "the answer has no session description";
  }
  if (problem.empty() && !anything_accepted()) {
    problem = "the answer accepts none of the media";
    for (const Agreed &agreed : agreed_)
      if (problem.find(agreed.problem) == std::string::npos) problem += ": " + agreed.problem;
  }
  if (!problem.empty()) {
    nua_bye(handle_.get(), TAG_END());
    return end(EndReason::NotAcceptable, 200, problem);
  }
  for (const Agreed &agreed : agreed_)
    if (!agreed.problem.empty())
      host_->log(LogLevel::Warning, "call " + setup_.id + ": no " +
                                        std::string(to_string(agreed.medium)) + ": " +
                                        agreed.problem);
  timer_.reset();
  state_ = CallState::Answered;
  plan_refresh(sip);
  notify([this](CallListener &listener) { listener.on_answered(*this); });
}

void CallImpl::on_final(int status, const char *phrase, bool heard) {
  EndReason reason = reason_of(status);
  // Somebody on the way gave up waiting for a phone that did ring.
  if (rung_ && (status == 408 || status == 504)) reason = EndReason::NoAnswer;
  std::string text = status_text(status, phrase);
  if (reason == EndReason::NotAcceptable && setup_.srtp == rtp::SrtpPolicy::Require)
    text += ", where nothing but SRTP is offered, for it is required";
  // Sofia makes a status of its own where nobody answered; the record has only what was heard.
  if (heard) return end(reason, status < 700 ? status : 0, text);
  if (status == 503) return end(reason, 0, "nothing takes calls there, or no way leads there");
  end(reason, 0, std::string("no answer from there: ") + (phrase ? phrase : "no reason told"));
}

Result<CallImpl::Move> CallImpl::read_redirection(int status, const sip_t *sip) const {
  const sip_contact_t *contact = sip ? sip->sip_contact : nullptr;
  if (status > 302 || !contact) return bad_input("the callee cannot be reached there");
  Home home;
  const char *text = url_as_string(home.get(), contact->m_url);
  auto uri = Uri::parse(text ? text : "");
  if (!uri) return bad_input("it redirects to no address that can be called");
  // Nothing else counts: maddr, for one, would lead elsewhere than the host that is asked about.
  uri->parameters = uri->transport.empty() ? "" : ";transport=" + uri->transport;
  const std::string to = "it redirects to " + clean_text(uri->to_string());
  if (!setup_.redirect) return refused(to + ", and redirections of this call are not followed");
  auto how = setup_.redirect(uri->to_string());
  if (!how) return refused(to + ", which may not be called");
  if (redirects_ >= kMaxRedirects) return refused("it redirects again and again");

  const auto target = Target::parse(how->uri.empty() ? uri->to_string() : how->uri);
  if (!target) return target.error();
  if (const auto before = Uri::parse(setup_.uri);
      before && ::strcasecmp(before->host.c_str(), target->host.c_str()) == 0) {
    if (how->proxy.empty()) how->proxy = setup_.proxy;
    if (how->user.empty()) {
      how->user = setup_.user;
      how->password = setup_.password;
    }
    if (how->asserted.empty()) how->asserted = setup_.asserted;
  }
  if (const auto asserted = Uri::parse(how->asserted); !how->asserted.empty() && !asserted)
    return asserted.error();
  const auto proxy = how->proxy.empty() ? target : Target::parse(how->proxy);
  if (!proxy) return proxy.error();
  for (const Uri &each : {Uri(*target), Uri(*proxy)})
    if (const std::string carrier = each.carrier();
        carrier != "udp" && !(carrier == "tcp" && setup_.tcp) && !(carrier == "tls" && setup_.tls))
      return bad_input(to + ", over a transport that is not served here");
  how->srtp = std::max(how->srtp, setup_.srtp);
  if (how->srtp == rtp::SrtpPolicy::Require && proxy->carrier() != "tls")
    return refused(to + ", not over TLS, and SRTP is required for this call");
  return Move{*target, *proxy, proxy->name, *std::move(how)};
}

void CallImpl::on_redirect(int status, const char *phrase, const sip_t *sip) {
  auto move = read_redirection(status, sip);
  if (!move) {
    end(EndReason::Unreachable, status, status_text(status, phrase) + ": " + move.error().detail);
    return drop();
  }
  ++redirects_;
  setup_.uri = move->uri.to_string();
  setup_.proxy = move->how.proxy.empty() ? "" : move->next_hop.to_string();
  setup_.user = std::move(move->how.user);
  setup_.password = std::move(move->how.password);
  setup_.asserted = std::move(move->how.asserted);
  setup_.srtp = move->how.srtp;
  setup_.transport = move->next_hop.carrier();
  setup_.next_hop = std::move(move->next_hop);
  setup_.next_name = std::move(move->next_name);
  setup_.contact = host_->contact_towards(setup_.next_hop, setup_.user_part);
  challenges_.clear();
  rung_ = insists_ = false;
  state_ = CallState::Trying;
  forget_early_media();
  host_->log(LogLevel::Info, "call " + setup_.id + " is redirected to " + setup_.uri);
  auto sent = move_media();
  if (sent) sent = send_invite();
  if (!sent) {
    end(EndReason::Internal, 0, sent.error().detail);
    drop();
  }
}

Result<void> CallImpl::move_media() {
  std::string address = host_->media_address_towards(setup_.next_hop.host);
  if (address == setup_.media_address) return {};
  setup_.media_address = std::move(address);
  for (const auto &session : setup_.sessions)
    if (session) session->close();
  return open_sessions(setup_.reactor);
}

void CallImpl::authenticate(int status, const sip_t *sip) {
  if (answer_challenge(sip, false)) return;
  const char *why = answerable_challenges(sip).empty()
                        ? "it asks for no digest that can be given here"
                    : setup_.user.empty() ? "no user and password are set for it"
                                          : "it refused our user and password";
  end(EndReason::Unauthorized, status, std::to_string(status) + ": " + why);
  drop();
}

/// Our INVITE goes where we send it. Within a call it may be the other end that asks, and what it
/// is answered is good for trying passwords: it gets that only for who has asked before.
bool CallImpl::answer_challenge(const sip_t *sip, bool within_call) {
  const auto challenges = answerable_challenges(sip);
  const auto known = [this](const Challenge &each) {
    return challenges_.has_realm(each.realm) ||
           std::ranges::find(setup_.realms, each.realm) != setup_.realms.end();
  };
  if (challenges.empty() || setup_.user.empty()) return false;
  if (within_call && !std::ranges::all_of(challenges, known)) return false;
  if (!challenges_.take(challenges)) return false;
  give_credentials(handle_.get(), challenges, setup_.user, setup_.password);
  return true;
}

/// A challenged request waits for its credentials, and all that follows waits behind it, BYE too.
/// The one that is abandoned comes back as refused.
bool CallImpl::answers_or_abandons(int status, const sip_t *sip) {
  if (!is_challenge(status)) return false;
  if (state_ != CallState::Answered || !answer_challenge(sip, true))
    nua_authenticate(handle_.get(), TAG_END());
  return true;
}

void CallImpl::on_info(const sip_t *sip) {
  const std::string_view body = payload_of(sip);
  const bool live = state_ != CallState::Ended;
  if (has_type(sip, kFastUpdateType)) {
    respond(SIP_200_OK, {});
    if (live && body.find("picture_fast_update") != std::string_view::npos)
      notify([this](CallListener &listener) { listener.on_keyframe_request(*this); });
    return;
  }
  const bool relay = has_type(sip, kDtmfRelayType);
  if (relay || has_type(sip, kDtmfType)) {
    const auto digit = relay ? read_dtmf_relay(body) : read_dtmf(body);
    if (!digit) return respond(SIP_400_BAD_REQUEST, {});
    // As many as by RTP.
    if (!heard_digits_.take(Clock::now())) return respond(SIP_503_SERVICE_UNAVAILABLE, {});
    respond(SIP_200_OK, {});
    return tell_dtmf({digit->digit, digit->length, DtmfMethod::Info});
  }
  if (body.empty()) return respond(SIP_200_OK, {});
  respond(SIP_415_UNSUPPORTED_MEDIA, {});
}

void CallImpl::on_bye(const sip_t *sip) {
  if (state_ == CallState::Ended) return;
  std::string text = std::string(peer()) + " hung up";
  if (sip && sip->sip_reason && sip->sip_reason->re_text)
    text += ": " + clean_text(sip->sip_reason->re_text);
  end(peer_hangup(), 0, std::move(text));
}

void CallImpl::on_state(int status, const char *phrase, tagi_t *tags) {
  int state = nua_callstate_init;
  tl_gets(tags, NUTAG_CALLSTATE_REF(state), TAG_END());
  if (state != nua_callstate_terminated) return;
  // Without a reason so far: the session was lost, for instance by a request of it that timed out.
  if (state_ == CallState::Answered)
    end(EndReason::Unreachable, status >= 300 && status < 700 ? status : 0,
        std::string(peer()) + "'s phone was lost: " + status_text(status, phrase));
  else if (incoming_ && state_ != CallState::Ended)
    end(EndReason::CallerHangup, 0, "the caller gave up");
  else if (state_ != CallState::Ended)
    on_final(status >= 300 ? status : 900, phrase);
  drop();
}

void CallImpl::respond(int status, const char *phrase, const std::string &sdp,
                       const std::string &why) {
  const std::string words = warning(setup_.media_address, why);
  nua_respond(handle_.get(), status, phrase, NUTAG_WITH_THIS(host_->nua()),
              TAG_IF(status < 300, SIPTAG_CONTACT_STR(setup_.contact.c_str())),
              TAG_IF(!words.empty(), SIPTAG_WARNING_STR(words.c_str())),
              TAG_IF(!sdp.empty(), SIPTAG_CONTENT_TYPE_STR(kSdpType)),
              TAG_IF(!sdp.empty(), SIPTAG_PAYLOAD_STR(sdp.c_str())), TAG_END());
}

void CallImpl::request_keyframe_by_info() { send_info(kFastUpdateType, kFastUpdate); }

void CallImpl::hangup(EndReason reason) { hangup(reason, std::string(describe(reason))); }

void CallImpl::hangup(EndReason reason, const std::string &why) {
  if (state_ == CallState::Ended) return;
  if (incoming_ && state_ != CallState::Answered) return refuse(reason, why);
  if (state_ == CallState::Answered)
    nua_bye(handle_.get(), TAG_END());
  else
    nua_cancel(handle_.get(), TAG_END());
  end(reason, 0, why);
}

void CallImpl::end(EndReason reason, int code, std::string text) {
  if (state_ == CallState::Ended) return;
  const auto self = shared_from_this();
  state_ = CallState::Ended;
  refresh_timer_.reset();  // whoever still keeps the call may let go of it on another thread
  timer_ = ContextTimer(host_->context(), kLinger, [this] {
    const auto keep = shared_from_this();
    drop();
  });
  for (const auto &session : setup_.sessions)
    if (session) session->close();
  host_->log(LogLevel::Info, "call " + setup_.id + (incoming_ ? " from " : " to ") + setup_.uri +
                                 " ended " + std::string(to_string(reason)) + ": " + text);
  host_->deliver([self, reason, code, text = std::move(text)] {
    if (const auto listener = self->listener_.lock()) listener->on_ended(*self, reason, code, text);
  });
  host_->retire(setup_.id);
}

std::vector<TlsTarget> CallImpl::tls_targets() const {
  std::vector<TlsTarget> targets;
  for (const auto &target : {tls_target(setup_.next_hop), dialog_target_})
    if (target) targets.push_back(*target);
  return targets;
}

std::optional<TlsTarget> CallImpl::awaited_target() const {
  const bool waits = state_ == CallState::Trying && !incoming_ && agreed_.empty();
  return waits ? tls_target(setup_.next_hop) : std::nullopt;
}

void CallImpl::on_unreachable(const std::string &why) {
  end(EndReason::Unreachable, 0, why);
  drop();
}

void CallImpl::drop() {
  handle_.reset();
  timer_.reset();
  if (host_) host_->forget(setup_.id);
}

void CallImpl::notify(const std::function<void(CallListener &)> &function) {
  if (const auto listener = listener_.lock()) function(*listener);
}

}  // namespace junctor::sip
