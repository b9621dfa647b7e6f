// SPDX-License-Identifier: LGPL-2.1-or-later
// What a call's players see and hear while the callee sends nothing: cards and tones.
#include <algorithm>

#include "calls/call_leg.h"

namespace junctor::calls {

namespace {

/// How long after the answer the callee's picture may take before a card says that it is coming.
constexpr auto kCardPatience = std::chrono::milliseconds(1000);

/// What a picture calls the callee: an account's name, or a SIP URI without scheme and parameters.
std::string shown_name(const std::string &to) {
  const auto colon = to.find(':');
  const std::string scheme = colon == std::string::npos ? "" : to.substr(0, colon);
  const std::string rest = scheme == "sip" || scheme == "sips" ? to.substr(colon + 1) : to;
  return rest.substr(0, rest.find_first_of(";?"));
}

}  // namespace

/// Whether the callee, which has answered with media, sends none of them.
bool Call::on_hold() const {
  if (!media_leg_) return false;
  const auto &media = media_leg_->call->media();
  return std::ranges::any_of(media, &sip::Media::accepted) && !callee_sends(Medium::Audio) &&
         !callee_sends(Medium::Video);
}

void Call::update_loops() {
  // Nothing is drawn and encoded that nobody sees.
  if (!audience_ || state() == State::Ended) return;
  play_tone(state() == State::Ringing ? Tone::Ringback : Tone::Silence);
  if (state() != State::Answered) {
    show_card(state() == State::Ringing ? Card::Ringing : Card::Calling);
  } else if (on_hold()) {
    // Until the card is drawn nothing is better than one that says that it rings.
    if (card_ == Card::Ringing || card_ == Card::Calling)
      on_downlink([](Downlink &downlink) { downlink.set_loop(Medium::Video, nullptr); });
    show_card(Card::OnHold);
  } else if (!reaches_player(Medium::Video)) {
    show_card(Card::AudioOnly);
  } else if (card_due_) {
    if (!video_live_) show_card(Card::Connected);
  } else if (!card_timer_) {
    // The callee's picture will be there before a card for the meantime is ready.
    card_timer_ = around_->world.after(kCardPatience, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      self->card_due_ = true;
      self->update_loops();
    });
  }
}

void Call::show_card(Card card) {
  if (card_ == card) return;
  card_ = card;
  around_->world.picture(
      card, shown_name(to_), pull_->video,
      [weak = weak_from_this(), card, codecs = pull_](std::shared_ptr<const Loop> loop) {
        const auto self = weak.lock();
        if (self && self->card_ == card && self->pull_ == codecs)
          self->set_loop(Medium::Video, std::move(loop));
      });
}

void Call::play_tone(Tone tone) {
  if (tone_ == tone) return;
  tone_ = tone;
  around_->world.tone(
      tone, pull_->audio,
      [weak = weak_from_this(), tone, codecs = pull_](std::shared_ptr<const Loop> loop) {
        const auto self = weak.lock();
        if (self && self->tone_ == tone && self->pull_ == codecs)
          self->set_loop(Medium::Audio, std::move(loop));
      });
}

void Call::set_loop(Medium medium, std::shared_ptr<const Loop> loop) {
  if (!loop || state() == State::Ended) return;
  on_downlink(
      [medium, loop = std::move(loop)](Downlink &downlink) { downlink.set_loop(medium, loop); });
}

}  // namespace junctor::calls
