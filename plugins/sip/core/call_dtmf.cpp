// SPDX-License-Identifier: LGPL-2.1-or-later
// Digits of a call, both ways, and the INFO requests that carry what RTP does not.
#include <sofia-sip/nua_tag.h>
#include <sofia-sip/sip_tag.h>

#include <algorithm>

#include "sip/core/call.h"
#include "sip/core/cause.h"
#include "sip/core/dtmf_info.h"

namespace junctor::sip {

namespace {

constexpr std::size_t kMaxInfos = 64;  // that wait

}  // namespace

std::string_view to_string(DtmfMethod method) {
  return method == DtmfMethod::RtpEvent ? "rtp-event" : "info";
}

Result<void> check_dtmf(std::string_view digits, Duration length) {
  const bool known =
      std::ranges::all_of(digits, [](char digit) { return rtp::event_of(digit).has_value(); });
  if (!known || digits.empty() || digits.size() > kMostDigits)
    return bad_input("Digits are 1 to " + std::to_string(kMostDigits) +
                     " of 0 to 9, *, # and A to D.");
  if (length < kLeastDtmf || length > kMostDtmf) return bad_input("A digit sounds 40 to 10000 ms.");
  return {};
}

Result<void> CallImpl::send_dtmf(std::string_view digits, Duration length) {
  if (auto valid = check_dtmf(digits, length); !valid) return valid;
  const auto audio = std::ranges::find_if(agreed_, [](const Agreed &agreed) {
    return agreed.accepted && agreed.medium == Medium::Audio;
  });
  const bool live = state_ != CallState::Ended && audio != agreed_.end();
  const rtp::EventStream events = live ? audio->stream.events : rtp::EventStream{};
  const bool by_rtp = events.payload_type >= 0 && std::ranges::all_of(digits, [&](char digit) {
                        return events.taken >> *rtp::event_of(digit) & 1U;
                      });
  // Who knows them as events takes none by INFO.
  if (by_rtp && !audio->remote.send)
    return refused(
        "The phone takes no sound at the moment (it is on hold), and digits go with it.");
  if (!by_rtp && state_ != CallState::Answered)
    return refused("Digits can be sent when the call is answered.");
  if (!by_rtp && infos_.size() + digits.size() > kMaxInfos)
    return refused("Too many digits wait to be sent already.");
  if (by_rtp)
    if (auto room = take_digits(digits.size(), length); !room) return room;
  for (const char each : digits) {
    const rtp::Digit digit{rtp::kDigits[*rtp::event_of(each)], length};
    if (by_rtp)
      setup_.sessions[static_cast<std::size_t>(audio - agreed_.begin())]->send_digit(digit);
    else
      send_info(kDtmfRelayType, write_dtmf_relay(digit));
  }
  return {};
}

/// How many wait in RTP is known on the reactor only; when each will have been sent follows from
/// what they take, a packet's time for the beginning and the end included.
Result<void> CallImpl::take_digits(std::size_t count, Duration length) {
  using Sender = rtp::DigitSender;
  const Time now = Clock::now();
  while (!digits_.empty() && digits_.front() <= now) digits_.pop_front();
  if (digits_.size() + count > Sender::kMaxWaiting)
    return refused("Too many digits wait to be sent already.");
  for (; count > 0; --count)
    digits_.push_back(std::max(digits_.empty() ? now : digits_.back(), now) + length +
                      Sender::kPause + 2 * Sender::kInterval);
  return {};
}

void CallImpl::listen_for_digits() {
  // The reactor may still be telling of one when agent and context are on their way out.
  const std::shared_ptr<GMainContext> context(g_main_context_ref(host_->context()),
                                              g_main_context_unref);
  for (const auto &session : setup_.sessions)
    if (session)
      session->set_digits_heard([weak = weak_from_this(), context](const rtp::Digit &digit) {
        post_to(context.get(), [weak, digit] {
          if (const auto self = weak.lock())
            self->tell_dtmf({digit.digit, digit.length, DtmfMethod::RtpEvent});
        });
      });
}

void CallImpl::tell_dtmf(const Dtmf &dtmf) {
  if (state_ == CallState::Ended) return;
  notify([&](CallListener &listener) { listener.on_dtmf(*this, dtmf); });
}

void CallImpl::send_info(const char *type, std::string body) {
  if (state_ != CallState::Answered || infos_.size() >= kMaxInfos) return;
  infos_.push_back({type, std::move(body)});
  if (infos_.size() == 1) send_next_info();
}

void CallImpl::send_next_info() {
  nua_info(handle_.get(), SIPTAG_CONTENT_TYPE_STR(infos_.front().type),
           SIPTAG_PAYLOAD_STR(infos_.front().body.c_str()), TAG_END());
}

void CallImpl::on_info_response(int status, const char *phrase) {
  if (status < 200 || infos_.empty()) return;
  const Info sent = std::move(infos_.front());
  infos_.pop_front();
  if (state_ != CallState::Answered) return;
  // These say that the peer has no such dialog any more (RFC 5057 section 5.1).
  if (status == 408 || status == 481) {
    nua_bye(handle_.get(), TAG_END());
    return end(EndReason::Unreachable, status,
               std::string(peer()) + "'s phone was lost: " + status_text(status, phrase));
  }
  if (status >= 300 && sent.type == std::string_view(kDtmfRelayType)) {
    host_->log(LogLevel::Warning, "call " + setup_.id +
                                      ": the peer takes no digits, neither as telephone-event nor "
                                      "by INFO: " +
                                      status_text(status, phrase));
    std::erase_if(infos_,
                  [](const Info &info) { return info.type == std::string_view(kDtmfRelayType); });
  }
  if (!infos_.empty()) send_next_info();
}

}  // namespace junctor::sip
