// SPDX-License-Identifier: LGPL-2.1-or-later
// Session timers (RFC 4028): what of them nua leaves to the call.
#include <sofia-sip/nua_tag.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_protos.h>
#include <sofia-sip/sip_tag.h>
#include <strings.h>

#include <algorithm>

#include "sip/core/call.h"
#include "sip/core/cause.h"

namespace junctor::sip {

namespace {

/// Both sides asked for something at once (RFC 3261 section 14.1 has it between 0 and 4 s).
constexpr Duration kAfterGlare = std::chrono::seconds(3);

/// Whatever the peer asks for: what lasts longer is as good as never refreshed.
constexpr unsigned long kLongestInterval = 24 * 60 * 60;  // seconds

/// Whether the sender of this is who refreshes. Who knows timers and asks without a word on it is.
bool sender_refreshes(const sip_t &sip) {
  const char *refresher = sip.sip_session_expires ? sip.sip_session_expires->x_refresher : nullptr;
  const bool request = sip.sip_request != nullptr;
  if (!refresher) return request && sip_has_feature(sip.sip_supported, "timer");
  return ::strcasecmp(refresher, request ? "uac" : "uas") == 0;
}

}  // namespace

void CallImpl::plan_refresh(const sip_t *sip) {
  refresh_timer_.reset();
  refresh_after_ = {};
  if (!sip) return;
  // nua refreshes halfway, by an empty UPDATE where it may. Its INVITE would repeat our first
  // offer, which by then may be wrong, so where there is no UPDATE ours comes before it.
  const bool update = sip->sip_allow && sip_is_allowed(sip->sip_allow, SIP_METHOD_UPDATE);
  nua_set_hparams(handle_.get(), NUTAG_UPDATE_REFRESH(update), TAG_END());
  // A refresh asks for the interval that holds, not for what we first wished (section 7.4).
  if (const auto *told = sip->sip_session_expires; told && told->x_delta <= kLongestInterval)
    nua_set_hparams(handle_.get(), NUTAG_SESSION_TIMER(static_cast<unsigned>(told->x_delta)),
                    TAG_END());
  if (update || sender_refreshes(*sip)) return;
  std::chrono::seconds interval = setup_.session_expires;
  if (const auto *told = sip->sip_session_expires)
    interval = std::chrono::seconds(std::min(told->x_delta, kLongestInterval));
  if (interval.count() == 0) return;
  interval = std::max(interval, setup_.min_session_expires);
  refresh_after_ = std::chrono::milliseconds(400) * interval.count();
  if (state_ == CallState::Answered) start_refreshing();
}

void CallImpl::start_refreshing() {
  if (refresh_after_ == Duration{}) return;
  refresh_timer_ =
      ContextTimer(host_->context(), refresh_after_, [this] { refresh_by_reinvite(); });
}

void CallImpl::on_refresh_response(int status, const char *phrase) {
  // By 408 and 481 the call is over, and nua says so.
  if (status < 300 || status == 408 || status == 481 || state_ != CallState::Answered) return;
  host_->log(LogLevel::Debug, "call " + setup_.id + ": no refresh by UPDATE (" +
                                  status_text(status, phrase) + "), so by INVITE");
  if (status == 491)
    refresh_timer_ = ContextTimer(host_->context(), kAfterGlare, [this] { refresh_by_reinvite(); });
  else
    refresh_by_reinvite();
}

void CallImpl::refresh_by_reinvite() {
  if (state_ != CallState::Answered) return;
  reoffered_ = true;
  offered_again_ = offered_again(setup_.media, agreed_);
  // Word for word what was said last, so that the peer sees that nothing changes (section 7.4).
  nua_invite(handle_.get(), SIPTAG_CONTACT_STR(setup_.contact.c_str()),
             SIPTAG_CONTENT_TYPE_STR("application/sdp"),
             SIPTAG_PAYLOAD_STR(last_description_.c_str()), TAG_END());
}

void CallImpl::on_reinvite_response(int status, const char *phrase, const sip_t *sip,
                                    std::string_view sdp) {
  if (status < 200) return;
  reoffered_ = false;
  if (status < 300) {
    plan_refresh(sip);
    return read_new_answer(sdp);
  }
  if (is_challenge(status) && answer_challenge(sip, true)) {
    reoffered_ = true;
    return;
  }
  if (status == 491) {
    refresh_timer_ = ContextTimer(host_->context(), kAfterGlare, [this] { refresh_by_reinvite(); });
    return;
  }
  host_->log(LogLevel::Warning, "call " + setup_.id + ": the peer does not refresh the session: " +
                                    status_text(status, phrase));
}

void CallImpl::read_new_answer(std::string_view body) {
  if (body.empty()) return;
  auto answer = sdp::parse(body);
  if (!answer) return;
  auto agreed = read_answer(offered_again_, *answer);
  if (std::ranges::none_of(agreed, &Agreed::accepted)) return;
  if (apply(std::move(agreed)))
    notify([this](CallListener &listener) { listener.on_media_changed(*this); });
}

}  // namespace junctor::sip
