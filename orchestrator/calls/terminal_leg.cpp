// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/terminal_leg.h"

#include <algorithm>
#include <utility>

#include "calls/track_watcher.h"
#include "common/main_context.h"

namespace junctor::calls {

namespace {

/// How long after the answer the other leg's picture may take before a card says that it is coming.
constexpr auto kCardPatience = std::chrono::milliseconds(1000);
/// A card that says "is calling" must not be what a player shows until the next call: another takes
/// its place, for so long at least.
constexpr Duration kLeastMissed = std::chrono::seconds(2);

/// What a picture calls the other leg: an account's name, or a SIP URI without scheme and
/// parameters.
std::string shown_name(const std::string &peer) {
  const auto colon = peer.find(':');
  const std::string scheme = colon == std::string::npos ? "" : peer.substr(0, colon);
  const std::string rest = scheme == "sip" || scheme == "sips" ? peer.substr(colon + 1) : peer;
  return rest.substr(0, rest.find_first_of(";?"));
}

bool is_failure(EndReason reason) {
  return reason != EndReason::CallerHangup && reason != EndReason::CalleeHangup &&
         reason != EndReason::Admin && reason != EndReason::Shutdown;
}

bool says_that_it_rings(std::optional<Card> card) {
  return card == Card::Ringing || card == Card::Calling || card == Card::Incoming;
}

}  // namespace

Farewell farewell_to_player(EndReason reason) {
  return {is_failure(reason) ? "NetStream.Play.Failed" : "NetStream.Play.Complete",
          std::string(to_string(reason)) + ": " + std::string(describe(reason))};
}

Farewell farewell_to_publisher(EndReason reason) {
  return {is_failure(reason) ? "NetStream.Publish.Failed" : "NetStream.Unpublish.Success",
          std::string(to_string(reason)) + ": " + std::string(describe(reason))};
}

std::shared_ptr<TerminalLeg> TerminalLeg::create(std::shared_ptr<const Surroundings> around,
                                                 Side side, std::string account, std::string peer,
                                                 const std::string &display) {
  std::string shown = shown_name(peer);
  if (!display.empty() && display != shown) shown += " \u201c" + display + "\u201d";
  std::shared_ptr<TerminalLeg> leg(
      new TerminalLeg(std::move(around), side, std::move(account), std::move(shown)));
  leg->open();
  return leg;
}

TerminalLeg::TerminalLeg(std::shared_ptr<const Surroundings> around, Side side, std::string account,
                         std::string peer)
    : Leg(side), around_(std::move(around)), account_(std::move(account)), peer_(std::move(peer)) {}

TerminalLeg::~TerminalLeg() {
  // Its timer belongs to the reactor, where it must end.
  around_->server->reactor()->post(
      [downlink = std::move(downlink_), outlet = std::move(outlet_)] { downlink->close(); });
}

void TerminalLeg::open() {
  downlink_ = Downlink::create(
      around_->server->reactor(),
      [weak = weak_from_this(), context = around_->context](Medium medium, Time when) {
        post_to(context, [weak, medium, when] {
          if (const auto self = weak.lock()) self->on_live_frame(medium, when);
        });
      });
  on_downlink([server = around_->server, name = account_, weak = weak_from_this(),
               context = around_->context](Downlink &downlink) {
    downlink.open(*server, name);
    post_to(context, [weak, outlet = server->outlet(name)] {
      if (const auto self = weak.lock()) self->outlet_ = outlet;
    });
  });
}

void TerminalLeg::on_downlink(std::function<void(Downlink &)> function) {
  around_->server->reactor()->post(
      [downlink = downlink_, function = std::move(function)] { function(*downlink); });
}

bool TerminalLeg::settled() const {
  // An offer lists all formats and needs the picture's profile; an answer chooses one for each.
  const bool enough = side() == Side::Caller || tracks_.audio;
  return publisher_ == 0 || (tracks_.video && enough);
}

void TerminalLeg::on_tracks(const PushTracks &tracks) {
  tracks_ = tracks;
  tell(&LegListener::on_tracks);
}

void TerminalLeg::on_push_finished() {
  // One that was there before the call came has not answered it either.
  if (side() == Side::Callee && !answered_) return;
  push_finished_ = true;
  tell(&LegListener::on_ended,
       LegEnd{side() == Side::Caller ? EndReason::CallerHangup : EndReason::CalleeHangup, 0,
              "The push terminal ended its stream."});
}

void TerminalLeg::on_players(bool any, const PullCodecs &codecs) {
  if (course_.state == State::Ended && !lingers()) return;
  if (audience_ != any) {
    audience_ = any;
    on_downlink([any](Downlink &downlink) { downlink.set_audience(any); });
  } else if (any) {
    on_downlink([](Downlink &downlink) { downlink.welcome(); });
  }
  // When the last player goes everything stays as it is: it may be back in a moment.
  if (!any) return;
  if (pull_ != codecs) {
    pull_ = codecs;
    card_.reset();
    tone_.reset();
  }
  if (lingers()) return update_loops();
  tell(&LegListener::on_media_changed);
}

Result<void> TerminalLeg::ring(const LegMedia &) {
  ringing_ = true;
  const Duration patience = around_->options.answer_timeout;
  answer_timer_ = around_->world.after(patience, [weak = weak_from_this(), patience] {
    const auto self = weak.lock();
    if (!self || !self->ringing_) return;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(patience).count();
    self->tell(
        &LegListener::on_ended,
        LegEnd{EndReason::NoAnswer, 0, "no answer within " + std::to_string(seconds) + " s"});
  });
  tell(&LegListener::on_ringing);
  return {};
}

bool TerminalLeg::answer() {
  if (!std::exchange(ringing_, false)) return false;
  answer_timer_.reset();
  answered_ = true;
  tell(&LegListener::on_answered);
  return true;
}

void TerminalLeg::follow(const Course &course) {
  const bool answered = course.state == State::Answered && course_.state != State::Answered;
  const bool fading = course.on_hold;
  // Who holds may send music and a picture, or nothing though it said that it would.
  if (fading != course_.on_hold)
    on_downlink([fading](Downlink &downlink) { downlink.set_fading(fading); });
  course_ = course;
  // Early media that goes on counts from here.
  if (answered) on_downlink([](Downlink &downlink) { downlink.tell_next_frames(); });
  update_loops();
}

void TerminalLeg::receive(const Course &course, std::function<void()> ask) {
  if (!course.video) video_live_ = false;
  // What the other leg holds back would stand still at the player: its loop plays meanwhile.
  on_downlink([course, ask = std::move(ask)](Downlink &downlink) {
    downlink.hold(Medium::Video, !course.video);
    downlink.hold(Medium::Audio, !course.audio);
    downlink.expect_video(course.video, ask, course.encoded_here);
  });
}

void TerminalLeg::part(bool all) {
  if (all) video_live_ = false;
  on_downlink([all](Downlink &downlink) {
    downlink.detach_live();
    if (!all) return;
    downlink.release(Medium::Audio);
    downlink.release(Medium::Video);
  });
}

void TerminalLeg::on_live_frame(Medium medium, Time when) {
  if (course_.state == State::Ended) return;
  if (medium == Medium::Video && course_.video) video_live_ = true;
  tell(&LegListener::on_first_packet, medium, when);
}

std::optional<TerminalLeg::LastWords> TerminalLeg::last_words(
    std::optional<EndReason> reason) const {
  if (side() == Side::Callee) {
    if (reason == EndReason::Shutdown) return std::nullopt;
    return LastWords{Card::Missed, Tone::Silence};
  }
  if (!reason || around_->options.farewell <= Duration::zero()) return std::nullopt;
  switch (*reason) {
    case EndReason::Busy:
      return LastWords{Card::Busy, Tone::Busy};
    case EndReason::Declined:
      return LastWords{Card::Declined, Tone::Busy};
    case EndReason::NoAnswer:
      return LastWords{Card::NoAnswer, Tone::Congestion};
    case EndReason::Unreachable:
      return LastWords{Card::Unreachable, Tone::SpecialInformation};
    case EndReason::NotAcceptable:
    case EndReason::Unauthorized:
      return LastWords{Card::Failed, Tone::Congestion};
    default:  // where there is no room, there is none for pictures either
      return std::nullopt;
  }
}

bool TerminalLeg::linger(std::optional<EndReason> reason, Farewell farewell) {
  last_words_ = last_words(reason);
  if (!lingers()) return false;
  course_.state = State::Ended;
  card_timer_.reset();
  farewell_ = std::move(farewell);
  part(true);
  update_loops();
  return true;
}

Duration TerminalLeg::lingering() const {
  const Duration farewell = around_->options.farewell;
  return side() == Side::Caller ? farewell : std::max(farewell, kLeastMissed);
}

void TerminalLeg::leave_players() {
  if (side() == Side::Caller) return part_players();
  last_words_.reset();
  on_downlink([](Downlink &downlink) { downlink.rest(); });
}

void TerminalLeg::part_players() {
  last_words_.reset();
  on_downlink(
      [farewell = farewell_](Downlink &downlink) { downlink.end(farewell.code, farewell.words); });
}

void TerminalLeg::make_way() {
  last_words_.reset();
  on_downlink([](Downlink &downlink) { downlink.close(); });
}

void TerminalLeg::give_up() { finish({}, std::nullopt); }

void TerminalLeg::finish(const Farewell &farewell, std::optional<EndReason> reason) {
  ringing_ = false;
  answer_timer_.reset();
  const bool took_place = answered_ || course_.state == State::Answered;
  failed_ = side() == Side::Caller && !took_place && reason && is_failure(*reason);
  if (took_place || !linger(reason, farewell)) {
    course_.state = State::Ended;
    card_timer_.reset();
    farewell_ = farewell;
    part_players();
  }
  if (const auto over = std::exchange(over_, nullptr)) over(*this, reason);
}

void TerminalLeg::end(EndReason reason, const std::string &why) {
  const bool took_part = side() == Side::Caller || answered_;
  Farewell to_player = farewell_to_player(reason), to_publisher = farewell_to_publisher(reason);
  if (reason == EndReason::NotAcceptable && !why.empty())
    to_player.words = to_publisher.words = std::string(to_string(reason)) + ": " + why;
  finish(to_player, reason);
  // One that has left may be back already, with another call in mind.
  if (push_finished_ || !took_part || publisher_ == 0) return;
  around_->server->reactor()->post([server = around_->server, name = account_,
                                    connection = publisher_, farewell = std::move(to_publisher)] {
    server->end_publisher(name, connection, farewell.code, farewell.words);
  });
}

LegLatency TerminalLeg::latency() const {
  LegLatency latency;
  const auto sent = outlet_ ? outlet_->stats().send : std::array<LatencyFigures, 2>{};
  const Time now = Clock::now();
  for (const Medium medium : {Medium::Audio, Medium::Video}) {
    const auto at = static_cast<std::size_t>(medium);
    if (tracks_.figures) latency.of[at].receive = tracks_.figures->receive[at].figures(now);
    // Ring media are nobody's way through the call.
    if (medium == Medium::Video ? course_.video : course_.audio) latency.of[at].send = sent[at];
  }
  return latency;
}

LegSecurity TerminalLeg::security() const {
  if (!secure_) return {};
  const char *how = *secure_ ? "tls" : "none";
  return {how, how};
}

std::int64_t TerminalLeg::keyframe_distance() const {
  return tracks_.figures ? tracks_.figures->keyframe_distance_ms.load() : 0;
}

void TerminalLeg::add_settings(std::vector<Setting> &settings) const {
  settings.push_back({element(), "stream", account_});
  settings.push_back({element("_player"), "stream", account_});
}

void TerminalLeg::add_settings_for_people(std::vector<Setting> &settings) const {
  const Endpoint rtmp = around_->server->local();
  for (const std::string &name : {element(), element("_player")}) {
    settings.push_back({name, "address", rtmp.address});
    settings.push_back({name, "port", std::to_string(rtmp.port)});
    settings.push_back({name, "application", application_});
    settings.push_back({name, "stream", account_});
    settings.push_back({name, "token", "TOKEN"});
  }
}

void TerminalLeg::update_loops() {
  // Nothing is drawn and encoded that nobody sees.
  if (!audience_) return;
  if (last_words_) {
    play(last_words_->tone);
    return show(last_words_->card);
  }
  if (course_.state == State::Ended) return;
  if (side() == Side::Callee && course_.state != State::Answered) {
    play(Tone::Ring);
    return show(Card::Incoming);
  }
  play(course_.state == State::Ringing ? Tone::Ringback
       : course_.on_hold               ? Tone::Hold
                                       : Tone::Silence);
  if (course_.state != State::Answered) {
    show(course_.state == State::Ringing ? Card::Ringing : Card::Calling);
  } else if (course_.on_hold) {
    // Until the card is drawn nothing is better than one that says that it rings.
    if (says_that_it_rings(card_))
      on_downlink([](Downlink &downlink) { downlink.set_loop(Medium::Video, nullptr); });
    show(Card::OnHold);
  } else if (!course_.video && !course_.may_bring) {
    show(Card::AudioOnly);
  } else if (card_due_) {
    if (!video_live_) show(course_.video ? Card::Connected : Card::AudioOnly);
  } else {
    wait_with_card();
  }
}

/// The other leg's picture will be there before a card for the meantime is ready.
void TerminalLeg::wait_with_card() {
  if (card_timer_) return;
  card_timer_ = around_->world.after(kCardPatience, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->card_due_ = true;
    self->update_loops();
  });
}

void TerminalLeg::show(Card card) {
  if (card_ == card) return;
  card_ = card;
  around_->world.picture(
      card, peer_, pull_->video,
      [weak = weak_from_this(), card, codecs = pull_](std::shared_ptr<const Loop> loop) {
        const auto self = weak.lock();
        if (self && self->card_ == card && self->pull_ == codecs)
          self->set_loop(Medium::Video, std::move(loop));
      });
}

void TerminalLeg::play(Tone tone) {
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

void TerminalLeg::set_loop(Medium medium, std::shared_ptr<const Loop> loop) {
  if (!loop || (course_.state == State::Ended && !lingers())) return;
  on_downlink(
      [medium, loop = std::move(loop)](Downlink &downlink) { downlink.set_loop(medium, loop); });
}

}  // namespace junctor::calls
