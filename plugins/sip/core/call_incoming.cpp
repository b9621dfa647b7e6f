// SPDX-License-Identifier: LGPL-2.1-or-later
// Calls that came to us: from the INVITE to its answer.
#include <sofia-sip/nua_tag.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>

#include <algorithm>

#include "sip/core/call.h"
#include "sip/core/cause.h"
#include "sip/core/sip_body.h"
#include "sip/core/transaction.h"

namespace junctor::sip {

namespace {

/// A call that nobody ends by then is forgotten; who takes it has less patience.
constexpr Duration kLongestRing = std::chrono::minutes(10);
/// Stands for a port while it is found out which media there will be: discard (RFC 863).
constexpr std::uint16_t kNoPort = 9;

std::vector<OwnMedium> own_media(const std::vector<Offered> &offer,
                                 const std::optional<rtp::H264Profile> &h264) {
  std::vector<OwnMedium> own;
  for (const Medium medium : {Medium::Audio, Medium::Video}) {
    auto formats = offered_formats(medium, offer, h264);
    if (formats.empty()) continue;
    own.push_back({medium, kNoPort, std::move(formats)});
    own.back().events = own_events(own.back());
  }
  return own;
}

/// Why an answer of `own` to the offer accepts nothing.
Error unacceptable(const std::vector<OwnMedium> &own, const sdp::Description &offer) {
  return refused("none of the media that the caller offers can be carried: " +
                 why_unacceptable(own, offer));
}

/// Whether anything in the offer could be agreed on, whoever answers.
Result<void> check_offer(const sdp::Description &offer, rtp::SrtpPolicy policy, bool secure) {
  std::vector<Offered> all;
  for (const rtp::Format &format : rtp::formats()) all.push_back({.format = &format});
  auto own = own_media(all, {});
  for (OwnMedium &medium : own) medium.srtp = own_srtp(policy, secure);
  const Answer answer = make_answer({}, laid_out(own, offer), {}, offer);
  if (!answer.acceptable) return unacceptable(own, offer);
  return {};
}

}  // namespace

std::optional<CallImpl::Refusal> CallImpl::take(nua_handle_t *handle, const sip_t *sip) {
  incoming_ = true;
  const std::string_view body = sdp_of(sip);
  if (body.empty() && !payload_of(sip).empty()) return Refusal{SIP_415_UNSUPPORTED_MEDIA};
  if (!body.empty()) {
    auto offer = sdp::parse(body);
    if (!offer) {
      host_->log(LogLevel::Warning,
                 "call " + setup_.id + " from " + setup_.uri + " refused: " + offer.error().detail);
      return Refusal{400, "Bad Session Description"};
    }
    if (auto can = check_offer(*offer, rtp::SrtpPolicy::Prefer, true); !can)
      return Refusal{SIP_488_NOT_ACCEPTABLE, can.error().detail};
    offer_ = *std::move(offer);
  }
  handle_ = Handle(handle);
  nua_handle_bind(handle, reinterpret_cast<nua_hmagic_t *>(this));
  if (sip->sip_from->a_tag) caller_tag_ = sip->sip_from->a_tag;
  invite_ = transaction_of(*sip, sip->sip_request->rq_method_name);
  dialog_target_ = tls_target_of_dialog(*sip);
  plan_refresh(sip);
  timer_ = ContextTimer(host_->context(), kLongestRing, [this] {
    const auto self = shared_from_this();
    refuse(EndReason::NoAnswer, std::string(describe(EndReason::NoAnswer)));
  });
  return std::nullopt;
}

void CallImpl::alert() {
  if (!incoming_ || state_ != CallState::Trying) return;
  state_ = CallState::Ringing;
  nua_respond(handle_.get(), SIP_180_RINGING, SIPTAG_CONTACT_STR(setup_.contact.c_str()),
              TAG_END());
}

Result<void> CallImpl::answer(const AnswerOptions &options) {
  if (!incoming_) return refused("it is our own call");
  if (state_ == CallState::Answered) return refused("it waits for no answer any more");
  if (state_ == CallState::Ended)
    return Error{Fault::PeerClosed, "it was over before it could be answered"};
  if (auto chosen = choose_media(options); !chosen) {
    refuse(EndReason::NotAcceptable, chosen.error().detail);
    return chosen.error();
  }
  if (auto opened = open_sessions(options.reactor); !opened) {
    const bool full = opened.error().fault == Fault::Overloaded;
    if (!full) host_->log(LogLevel::Error, "call " + setup_.id + ": " + opened.error().detail);
    const EndReason reason = full ? EndReason::Overloaded : EndReason::Internal;
    refuse(reason, std::string(describe(reason)));
    return opened.error();
  }
  const std::string description = describe_answer();
  timer_.reset();
  state_ = CallState::Answered;
  unconfirmed_ = true;
  nua_respond(handle_.get(), SIP_200_OK, SIPTAG_CONTACT_STR(setup_.contact.c_str()),
              SIPTAG_CONTENT_TYPE_STR(kSdpType), SIPTAG_PAYLOAD_STR(description.c_str()),
              TAG_END());
  start_refreshing();
  return {};
}

/// Ports for all media that have a line of ours.
Result<void> CallImpl::open_sessions(const std::shared_ptr<Reactor> &reactor) {
  setup_.sessions.resize(setup_.media.size());
  for (std::size_t i = 0; i < setup_.media.size(); ++i) {
    OwnMedium &medium = setup_.media[i];
    if (medium.placeholder) continue;
    auto session = host_->open_session(reactor, medium.medium, setup_.media_address, setup_.id);
    if (!session) return session.error();
    setup_.sessions[i] = *std::move(session);
    medium.port = setup_.sessions[i]->port();
  }
  return {};
}

Result<void> CallImpl::can_encrypt(rtp::SrtpPolicy policy) const {
  const bool secure = setup_.transport == "tls";
  if (policy == rtp::SrtpPolicy::Require && !secure)
    return refused(
        "SRTP is required for this call, but its keys would travel in clear: it has not "
        "come over TLS");
  if (offer_) return check_offer(*offer_, policy, secure);
  return {};
}

Result<void> CallImpl::decide_srtp(rtp::SrtpPolicy policy) {
  if (auto can = can_encrypt(policy); !can) return can;
  setup_.srtp = policy;
  for (OwnMedium &medium : setup_.media) medium.srtp = own_srtp(policy, setup_.transport == "tls");
  return {};
}

Result<void> CallImpl::choose_media(const AnswerOptions &options) {
  setup_.reactor = options.reactor;
  setup_.media = own_media(options.offer, options.h264);
  if (!offer_ && setup_.media.empty()) return refused("there is nothing that could be offered");
  if (auto decided = decide_srtp(options.srtp); !decided || !offer_) return decided;
  const std::vector<OwnMedium> own = setup_.media;
  spare_ = std::exchange(setup_.media, laid_out(setup_.media, *offer_));
  std::erase_if(spare_, [this](const OwnMedium &medium) {
    return std::ranges::any_of(setup_.media, [&](const OwnMedium &each) {
      return !each.placeholder && each.medium == medium.medium;
    });
  });
  if (const Answer tried = make_answer(identity(), setup_.media, {}, *offer_); !tried.acceptable)
    return unacceptable(own, *offer_);
  return {};
}

std::string CallImpl::describe_answer() {
  const auto offer = std::exchange(offer_, std::nullopt);
  if (!offer) {
    offered_in_reinvite_ = true;
    offered_again_ = setup_.media;
    return describe_ours(make_offer(identity(), setup_.media));
  }
  Answer answer = make_answer(identity(), setup_.media, {}, *offer);
  other_lines_.assign(
      answer.description.media.begin() + static_cast<std::ptrdiff_t>(setup_.media.size()),
      answer.description.media.end());
  apply(std::move(answer.agreed));
  return describe_ours(std::move(answer.description));
}

void CallImpl::refuse(EndReason reason, const std::string &why) {
  const Status status = status_of(reason);
  const std::string words = warning(setup_.media_address, why);
  nua_respond(handle_.get(), status.code, status.phrase,
              TAG_IF(!words.empty(), SIPTAG_WARNING_STR(words.c_str())), TAG_END());
  end(reason, 0, why);
}

}  // namespace junctor::sip
