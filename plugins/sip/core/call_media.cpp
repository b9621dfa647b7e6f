// SPDX-License-Identifier: LGPL-2.1-or-later
// Which media a call has: offers and answers within it, and what comes of them.
#include <sofia-sip/sip_status.h>

#include <algorithm>

#include "sip/core/call.h"
#include "sip/core/sip_body.h"

namespace junctor::sip {

namespace {

std::optional<rtp::SrtpSuite> suite_of(const Agreed &agreed) {
  if (!agreed.accepted || !agreed.stream.srtp) return std::nullopt;
  return agreed.stream.srtp->local.suite;
}

/// Under the keys that it has, for its last report.
void switch_off(rtp::Session &session, const Agreed &agreed) {
  rtp::Remote remote = agreed.remote;
  remote.live = false;
  session.configure(agreed.stream, remote);
}

}  // namespace

std::string CallImpl::describe_ours(sdp::Description description) {
  if (std::string text = sdp::to_string(description); text == last_description_) return text;
  if (!last_description_.empty()) description.version = ++sdp_version_;
  return last_description_ = sdp::to_string(description);
}

void CallImpl::on_offer(const sip_t *sip, bool update) {
  const bool ready = state_ == CallState::Answered || (update && anything_accepted());
  if (state_ == CallState::Ended) return respond(SIP_481_NO_TRANSACTION, {});
  if (update && payload_of(sip).empty()) {
    // Offers nothing, so it collides with no offer (RFC 3311 section 5.2).
    if (state_ == CallState::Answered) plan_refresh(sip);
    return respond(SIP_200_OK, {});
  }
  // Of two offers that cross neither is answered (RFC 3311 section 5.2); of re-INVITEs nua sees to
  // it.
  if (!ready || (update && (offered_in_reinvite_ || reoffered_)))
    return respond(SIP_491_REQUEST_PENDING, {});
  const std::string_view body = sdp_of(sip);
  if (body.empty()) {
    if (!payload_of(sip).empty()) return respond(SIP_415_UNSUPPORTED_MEDIA, {});
    plan_refresh(sip);
    unconfirmed_ = true;
    offered_in_reinvite_ = true;
    renew_used_keys();
    offered_again_ = offered_again(setup_.media, agreed_);
    sdp::Description again = make_offer(identity(), offered_again_);
    // As many lines as there were, in their order (RFC 3264 section 8).
    again.media.insert(again.media.end(), other_lines_.begin(), other_lines_.end());
    return respond(SIP_200_OK, describe_ours(std::move(again)));
  }
  auto offer = sdp::parse(body);
  if (!offer) {
    host_->log(LogLevel::Warning,
               "call " + setup_.id + ": new offer refused: " + offer.error().detail);
    return respond(400, "Bad Session Description", {});
  }
  renew_used_keys();
  add_media(*offer);
  Answer answer = make_answer(identity(), setup_.media, agreed_, *offer);
  if (!answer.acceptable)
    return respond(SIP_488_NOT_ACCEPTABLE, {}, why_unacceptable(setup_.media, *offer));
  const std::size_t own = std::min(setup_.media.size(), answer.description.media.size());
  other_lines_.assign(answer.description.media.begin() + static_cast<std::ptrdiff_t>(own),
                      answer.description.media.end());
  unconfirmed_ = unconfirmed_ || !update;
  if (state_ == CallState::Answered) plan_refresh(sip);
  respond(SIP_200_OK, describe_ours(std::move(answer.description)));
  if (apply(std::move(answer.agreed)))
    notify([this](CallListener &listener) { listener.on_media_changed(*this); });
}

void CallImpl::add_media(const sdp::Description &offer) {
  std::erase_if(spare_, [&](OwnMedium &spare) {
    const auto line = line_for(spare, setup_.media, offer);
    if (!line) return false;
    auto media = with_added(setup_.media, spare, *line, offer);
    if (!make_answer(identity(), media, agreed_, offer).agreed[*line].accepted) return false;
    auto session =
        host_->open_session(setup_.reactor, spare.medium, setup_.media_address, setup_.id);
    if (!session) {
      host_->log(LogLevel::Warning, "call " + setup_.id + ": no " +
                                        std::string(to_string(spare.medium)) + ": " +
                                        session.error().detail);
      return false;
    }
    media[*line].port = (*session)->port();
    setup_.media = std::move(media);
    setup_.sessions.resize(setup_.media.size());
    setup_.sessions[*line] = *std::move(session);
    listen_for_digits();
    return true;
  });
}

void CallImpl::on_ack(const sip_t *sip) {
  unconfirmed_ = false;
  if (!std::exchange(offered_in_reinvite_, false) || state_ != CallState::Answered) return;
  const std::string_view body = sdp_of(sip);
  const auto answer =
      body.empty() ? Result<sdp::Description>(bad_input("it has none")) : sdp::parse(body);
  auto agreed = answer ? read_answer(offered_again_, *answer) : std::vector<Agreed>();
  if (std::ranges::none_of(agreed, &Agreed::accepted)) {
    // What was agreed before goes on; of a first answer nothing was.
    if (anything_accepted()) return;
    nua_bye(handle_.get(), TAG_END());
    return end(EndReason::NotAcceptable, 0,
               "the session description of the caller's ACK cannot be taken" +
                   (answer ? std::string() : ": " + answer.error().detail));
  }
  if (apply(std::move(agreed)))
    notify([this](CallListener &listener) { listener.on_media_changed(*this); });
}

bool CallImpl::anything_accepted() const { return std::ranges::any_of(agreed_, &Agreed::accepted); }

void CallImpl::renew_used_keys() {
  if (state_ != CallState::Answered) return;
  for (std::size_t i = 0; i < setup_.media.size(); ++i) {
    const auto *keys = i < agreed_.size() && agreed_[i].accepted && agreed_[i].stream.srtp
                           ? &*agreed_[i].stream.srtp
                           : nullptr;
    sip::renew_used_keys(setup_.media[i].srtp, keys ? &keys->local : nullptr);
  }
}

bool CallImpl::apply(std::vector<Agreed> agreed) {
  bool changed = agreed_.empty();
  if (changed) listen_for_digits();
  std::vector<Media> media;
  for (std::size_t i = 0; i < agreed.size(); ++i) {
    if (setup_.media[i].placeholder) continue;
    Agreed &now = agreed[i];
    // There are phones that say it once, and not again with a hold and after it.
    const bool same_phone =
        i < agreed_.size() && (!now.remote.send || now.remote.rtp == agreed_[i].remote.rtp);
    if (now.kbit_per_second == 0 && same_phone) now.kbit_per_second = agreed_[i].kbit_per_second;
    const bool same = i < agreed_.size() && now.same_as(agreed_[i]);
    changed |= !same;
    if (!same) {
      const bool was = i < agreed_.size() && agreed_[i].accepted;
      if (now.accepted) {
        rtp::Remote remote = now.remote;
        // Who signals from where it wants its media is behind no NAT, and nobody stands between.
        remote.only_there = remote.rtp.address == setup_.next_hop.host;
        setup_.sessions[i]->configure(now.stream, remote);
      } else if (was) {
        switch_off(*setup_.sessions[i], agreed_[i]);
      }
    }
    if (now.accepted && now.stream.srtp)
      for (OwnCrypto &own : setup_.media[i].srtp.keys)
        own.used = own.used || own.key == now.stream.srtp->local;
    media.push_back({.medium = now.medium,
                     .accepted = now.accepted,
                     .format = now.format,
                     .fmtp = now.fmtp,
                     .clock_rate = now.accepted ? now.stream.clock_rate : 0,
                     .channels = now.channels,
                     .kbit_per_second = now.kbit_per_second,
                     .payload_type = now.accepted ? now.stream.payload_type : -1,
                     .receive_payload_type = now.accepted ? now.stream.receive_payload_type : -1,
                     .direction = now.direction,
                     .srtp = suite_of(now),
                     .session = setup_.sessions[i]});
  }
  agreed_ = std::move(agreed);
  const std::lock_guard lock(mutex_);
  media_ = std::move(media);
  return changed;
}

/// What one callee said before it sent us elsewhere.
void CallImpl::forget_early_media() {
  for (std::size_t i = 0; i < agreed_.size(); ++i) {
    if (!agreed_[i].accepted) continue;
    switch_off(*setup_.sessions[i], agreed_[i]);
  }
  agreed_.clear();
}

std::vector<Media> CallImpl::media_snapshot() const {
  const std::lock_guard lock(mutex_);
  return media_;
}

}  // namespace junctor::sip
