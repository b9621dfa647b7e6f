// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/call.h"

#include <algorithm>
#include <sstream>

#include "calls/call_server.h"
#include "common/main_context.h"

namespace junctor::calls {

namespace {

using std::chrono::milliseconds;

/// How long the INVITE waits for a push terminal that is there to tell its picture's profile.
constexpr auto kTrackPatience = milliseconds(200);
/// Tracks come one by one: a pipeline that runs is made anew once for all of them.
constexpr auto kSettling = milliseconds(100);
/// How long after the answer the callee's picture may take before a card says that it is coming.
constexpr auto kCardPatience = milliseconds(1000);
constexpr unsigned kMostPathFailures = 3;
/// Failures before so long a time of flowing media are not held against a call.
constexpr auto kForgiveAfter = std::chrono::minutes(1);

/// Of the ends of several contacts, the one that tells the caller most.
int rank(EndReason reason) {
  switch (reason) {
    case EndReason::Declined:
      return 6;
    case EndReason::Busy:
      return 5;
    case EndReason::NoAnswer:
      return 4;
    case EndReason::NotAcceptable:
      return 3;
    case EndReason::Unauthorized:
      return 2;
    default:
      return 1;
  }
}

bool is_failure(EndReason reason) {
  return reason != EndReason::CallerHangup && reason != EndReason::CalleeHangup &&
         reason != EndReason::Admin && reason != EndReason::Shutdown;
}

/// What a picture calls the callee: an account's name, or a SIP URI without scheme and parameters.
std::string shown_name(const std::string &to) {
  const auto colon = to.find(':');
  const std::string scheme = colon == std::string::npos ? "" : to.substr(0, colon);
  const std::string rest = scheme == "sip" || scheme == "sips" ? to.substr(colon + 1) : to;
  return rest.substr(0, rest.find_first_of(";?"));
}

/// What a path is made for: it must be replaced when this changes.
std::string key_of(const std::string &line, const sip::Call &call) {
  std::ostringstream key;
  key << line << '\n' << call.id();
  for (const sip::Media &media : call.media())
    if (media.accepted) key << '\n' << media.session.get();
  return key.str();
}

std::int64_t since(Time start, Time when) {
  return std::max<std::int64_t>(0, std::chrono::duration_cast<milliseconds>(when - start).count());
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

/// One contact of the callee that is being called.
class Call::Leg : public sip::CallListener {
 public:
  Leg(std::weak_ptr<Call> owner, sip::InviteOptions invited)
      : contact(std::move(invited)), owner_(std::move(owner)) {}

  void on_ringing(sip::Call &) override {
    if (auto owner = owner_.lock()) owner->on_ringing();
  }
  void on_early_media(sip::Call &) override {
    if (auto owner = owner_.lock()) owner->on_early_media(*this);
  }
  void on_answered(sip::Call &) override {
    if (auto owner = owner_.lock()) owner->on_answered(*this);
  }
  void on_media_changed(sip::Call &) override {
    if (auto owner = owner_.lock()) owner->on_media_changed(*this);
  }
  void on_keyframe_request(sip::Call &) override {
    const auto owner = owner_.lock();
    if (owner && owner->path_) owner->path_->force_keyframe();
  }
  void on_ended(sip::Call &, EndReason reason, int code, const std::string &text) override {
    if (auto owner = owner_.lock()) owner->on_leg_ended(*this, {reason, code, text});
  }

  const sip::InviteOptions contact;
  std::shared_ptr<sip::Call> call;

 private:
  std::weak_ptr<Call> owner_;
};

std::shared_ptr<Call> Call::create(std::shared_ptr<const Surroundings> around, std::string id,
                                   std::string from, std::string to, Changed changed) {
  std::shared_ptr<Call> call(new Call(std::move(around), std::move(id), std::move(from),
                                      std::move(to), std::move(changed)));
  const auto context = call->around_->context;
  call->downlink_ =
      Downlink::create(call->around_->server->reactor(),
                       [weak = call->weak_from_this(), context](Medium medium, Time when) {
                         post_to(context, [weak, medium, when] {
                           if (const auto self = weak.lock()) self->on_live_frame(medium, when);
                         });
                       });
  call->on_downlink([server = call->around_->server, name = call->from_](Downlink &downlink) {
    downlink.open(*server, name);
  });
  return call;
}

Call::Call(std::shared_ptr<const Surroundings> around, std::string id, std::string from,
           std::string to, Changed changed)
    : around_(std::move(around)),
      id_(std::move(id)),
      from_(std::move(from)),
      to_(std::move(to)),
      changed_(std::move(changed)) {
  record_.id = id_;
  record_.from = from_;
  record_.to = to_;
  record_.created = around_->world.wall();
}

Call::~Call() {
  path_.reset();
  // Its timer belongs to the reactor, where it must end.
  around_->server->reactor()->post([downlink = std::move(downlink_)] { downlink->close(); });
}

void Call::dial(std::vector<sip::InviteOptions> contacts, bool push_present) {
  contacts_ = std::move(contacts);
  if (!contacts_.empty()) record_.uri = contacts_.front().uri;
  machine_.handle(Event::Dial);
  changed_(*this);
  if (contacts_.empty()) return end(EndReason::Unreachable, 0, "The callee is not registered.");
  update_loops();
  if (push_present && !tracks_.video)
    waiting_for_tracks_ = around_->world.after(kTrackPatience, [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->invite_all();
    });
  else
    invite_all();
}

void Call::invite_all() {
  waiting_for_tracks_.reset();
  if (invited_ || state() == State::Ended) return;
  invited_ = true;
  for (sip::InviteOptions options : contacts_) {
    options.reactor = around_->server->reactor();
    options.answer_timeout = around_->options.answer_timeout;
    if (tracks_.video && tracks_.video->codec == Codec::H264)
      options.h264 = rtp::H264Profile::from_avcc(tracks_.video->config.view);
    auto leg = std::make_shared<Leg>(weak_from_this(), options);
    auto call = around_->agent->invite(options, leg);
    if (!call) {
      around_->log(LogLevel::Warning, "call " + id_ + ": " + call.error().detail);
      worst_ = Failure{EndReason::Unreachable, 0, call.error().detail};
      continue;
    }
    leg->call = *call;
    legs_.push_back(std::move(leg));
  }
  if (legs_.empty()) end(worst_->reason, worst_->code, worst_->text);
}

void Call::on_tracks(const PushTracks &tracks) {
  tracks_ = tracks;
  if (waiting_for_tracks_ && tracks_.video) return invite_all();
  if (state() == State::Answered) schedule_update();
}

void Call::on_players(bool any, const PullCodecs &codecs) {
  if (state() == State::Ended) return;
  if (audience_ != any) {
    audience_ = any;
    on_downlink([any](Downlink &downlink) { downlink.set_audience(any); });
  }
  // When the last player goes everything stays as it is: it may be back in a moment.
  if (!any) return;
  if (pull_ != codecs) {
    pull_ = codecs;
    card_.reset();
    tone_.reset();
  }
  update_loops();
  update_media();
}

void Call::on_push_finished() {
  push_finished_ = true;
  end(EndReason::CallerHangup, 0, "The push terminal ended its stream.");
}

void Call::on_ringing() {
  if (!machine_.handle(Event::Alert)) return;
  record_.ringing = around_->world.wall();
  update_loops();
  changed_(*this);
}

void Call::on_early_media(Leg &leg) {
  if (state() == State::Answered || state() == State::Ended) return;
  const bool moved = machine_.handle(Event::EarlyMedia);
  if (moved) record_.ringing = around_->world.wall();
  if (!media_leg_)
    for (const auto &candidate : legs_)
      if (candidate.get() == &leg) media_leg_ = candidate;
  // The ring goes on until a packet really comes.
  update_loops();
  if (media_leg_.get() == &leg) update_media();
  if (moved && state() != State::Ended) changed_(*this);
}

void Call::on_answered(Leg &leg) {
  const auto found = std::find_if(legs_.begin(), legs_.end(),
                                  [&](const auto &candidate) { return candidate.get() == &leg; });
  if (found == legs_.end()) return;
  const auto winner = *found;
  if (!machine_.handle(Event::Answer)) {
    // Another contact was faster.
    if (winner != media_leg_) winner->call->hangup(EndReason::CallerHangup);
    return;
  }
  auto losers = std::move(legs_);
  legs_ = {winner};
  media_leg_ = winner;
  for (const auto &loser : losers)
    if (loser != winner) loser->call->hangup(EndReason::CallerHangup);
  answered_at_ = silent_since_ = around_->world.now();
  // Early media that goes on counts from here.
  on_downlink([](Downlink &downlink) { downlink.tell_next_frames(); });
  record_.answered = around_->world.wall();
  record_.uri = winner->contact.uri;
  update_media();
  update_loops();
  if (state() != State::Ended) changed_(*this);
}

void Call::on_media_changed(Leg &leg) {
  if (media_leg_.get() != &leg || state() == State::Ended) return;
  update_media();
  update_loops();
}

void Call::on_leg_ended(Leg &leg, Failure failure) {
  if (state() == State::Ended) return;
  const auto found = std::find_if(legs_.begin(), legs_.end(),
                                  [&](const auto &candidate) { return candidate.get() == &leg; });
  if (found == legs_.end()) return;
  const auto gone = *found;
  if (state() == State::Answered) return end(failure.reason, failure.code, failure.text);
  legs_.erase(found);
  if (!worst_ || rank(failure.reason) > rank(worst_->reason)) worst_ = failure;
  if (legs_.empty()) return end(worst_->reason, worst_->code, worst_->text);
  if (media_leg_ != gone) return;
  media_leg_.reset();
  drop_path();
  video_live_ = false;
  on_downlink([](Downlink &downlink) {
    downlink.release(Medium::Audio);
    downlink.release(Medium::Video);
  });
}

void Call::update_media() {
  pending_update_.reset();
  if (!media_leg_ || state() == State::Ended) return;
  const Plan plan = make_plan(media_leg_->call->media(), tracks_, pull_);
  // Before the answer there is only the callee's media to carry.
  if (state() != State::Answered && !plan.caller(Medium::Audio).flows &&
      !plan.caller(Medium::Video).flows)
    return drop_path();
  if (auto built = build(plan); !built) {
    around_->log(LogLevel::Error, "call " + id_ + ": " + built.error().detail);
    return end(EndReason::Internal, 0, built.error().detail);
  }
  // What the callee holds back would stand still at the player: its loop plays meanwhile.
  const bool video = plan.caller(Medium::Video).flows && callee_sends(Medium::Video);
  const bool audio = plan.caller(Medium::Audio).flows && callee_sends(Medium::Audio);
  if (!video) video_live_ = false;
  on_downlink([video, audio, ask = keyframe_request()](Downlink &downlink) {
    downlink.hold(Medium::Video, !video);
    downlink.hold(Medium::Audio, !audio);
    downlink.expect_video(video, ask);
  });
}

/// Asks the callee itself, on the reactor; for as long as its first picture has not come.
std::function<void()> Call::keyframe_request() const {
  for (const sip::Media &media : media_leg_->call->media())
    if (media.medium == Medium::Video && media.accepted && media.session)
      return [session = media.session, context = around_->context,
              call = std::weak_ptr<sip::Call>(media_leg_->call)] {
        // One that sends no picture at all (on hold, camera off) has none to make whole.
        if (session->stats().received_packets == 0 || session->request_keyframe()) return;
        post_to(context, [call] {
          if (const auto alive = call.lock()) alive->request_keyframe_by_info();
        });
      };
  return nullptr;
}

Result<void> Call::build(const Plan &plan) {
  const WatchdogSetting watchdog{around_->options.watchdog_interval,
                                 around_->options.watchdog_tries};
  auto line = make_line(around_->templates, plan, watchdog);
  if (!line) return line.error();
  const std::string key = key_of(line->text(), *media_leg_->call);
  record_.plan = plan.steps();
  record_.launch = pasteable(*line, settings_for_people());
  const std::array receives{callee_sends(Medium::Audio), callee_sends(Medium::Video)};
  // A path that was made while the callee held a medium back has no way for it; on hold the way
  // stays.
  const bool ways_there =
      (path_receives_[0] || !receives[0]) && (path_receives_[1] || !receives[1]);
  const bool sending = state() == State::Answered;
  if (path_ && key == path_key_ && ways_there) {
    if (sending && !std::exchange(sending_, true)) path_->begin_sending();
    return {};
  }

  drop_path();
  const WatchdogSetting rest{watchdog.interval, tries_left()};
  line = make_line(around_->templates, plan, rest);
  if (!line) return line.error();
  PathSpec spec;
  spec.line = *line;
  spec.sending = sending;
  spec.settings = {{"caller", "stream", from_},
                   {"player", "stream", from_},
                   {"callee", "call", media_leg_->call->id()}};
  spec.server = make_call_server(around_->server, from_, downlink_);
  spec.reactor = around_->server->reactor();
  spec.agent = around_->agent;
  PathEvents events;
  const auto weak = weak_from_this();
  events.media = [weak](const std::string &state) {
    if (auto self = weak.lock()) self->on_push_media(state);
  };
  events.first_packet = [weak](Medium, Time when) {
    if (auto self = weak.lock()) self->on_first_packet_to_callee(when);
  };
  events.failed = [weak](const std::string &element, const std::string &message) {
    if (auto self = weak.lock()) self->on_path_failed(element, message);
  };
  auto path = around_->world.make_path(spec, std::move(events));
  if (!path) return path.error();
  path_ = *std::move(path);
  path_key_ = key;
  path_receives_ = receives;
  sending_ = sending;
  around_->log(LogLevel::Debug, "call " + id_ + " runs: " + line->text());
  return {};
}

void Call::drop_path() {
  if (!path_) return;
  // First what writes to players, then the elements, last (elsewhere) the SIP handle.
  on_downlink([](Downlink &downlink) { downlink.detach_live(); });
  path_.reset();
  path_key_.clear();
  path_failed_ = false;
  flowing_since_.reset();
}

void Call::schedule_update() {
  if (pending_update_) return;
  pending_update_ = around_->world.after(kSettling, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->update_media();
  });
}

unsigned Call::tries_left() const {
  const Options &options = around_->options;
  if (!silent_since_) return options.watchdog_tries;
  const auto used = (around_->world.now() - *silent_since_) / options.watchdog_interval;
  return used >= options.watchdog_tries ? 1 : options.watchdog_tries - static_cast<unsigned>(used);
}

void Call::on_push_media(const std::string &state) {
  if (this->state() != State::Answered) return;
  if (state == "flowing") {
    silent_since_.reset();
    if (!flowing_since_) flowing_since_ = around_->world.now();
    if (path_) path_->set_watchdog_tries(around_->options.watchdog_tries);
  } else if (state == "waiting") {
    flowing_since_.reset();
    if (!silent_since_) silent_since_ = around_->world.now();
  } else if (state == "lost") {
    const auto interval =
        std::chrono::duration_cast<milliseconds>(around_->options.watchdog_interval).count();
    end(EndReason::NoPushMedia, 0,
        "No sound or picture came from the push terminal in " +
            std::to_string(around_->options.watchdog_tries) + " checks, one each " +
            std::to_string(interval) + " ms.");
  }
}

void Call::on_path_failed(const std::string &element, const std::string &message) {
  if (state() == State::Ended) return;
  around_->log(LogLevel::Error, "call " + id_ + ": " + element + ": " + message);
  // Where one element fails its neighbours do too: one failure, for which one new path is made.
  if (std::exchange(path_failed_, true)) return;
  if (flowing_since_ && around_->world.now() - *flowing_since_ >= kForgiveAfter) path_failures_ = 0;
  if (++path_failures_ > kMostPathFailures)
    return end(EndReason::Internal, 0, "The media pipeline failed: " + element + ": " + message);
  path_key_.clear();
  schedule_update();
}

void Call::on_live_frame(Medium medium, Time when) {
  if (state() == State::Ended) return;
  if (medium == Medium::Video && callee_sends(medium)) video_live_ = true;
  // Media before the answer are early; the first after it are told too.
  if (!answered_at_ || when < *answered_at_ || first_to_caller_) return;
  first_to_caller_ = when;
  tell_first_packets();
}

void Call::on_first_packet_to_callee(Time when) {
  if (state() == State::Ended || first_to_callee_) return;
  first_to_callee_ = when;
  tell_first_packets();
}

/// So that the record has them while the call runs.
void Call::tell_first_packets() {
  if (state() != State::Answered || !first_to_callee_ || !first_to_caller_) return;
  if (!std::exchange(first_packets_told_, true)) changed_(*this);
}

/// Whether the callee, which has answered with media, sends none of them.
bool Call::on_hold() const {
  if (!media_leg_) return false;
  const auto &media = media_leg_->call->media();
  return std::ranges::any_of(media, &sip::Media::accepted) && !callee_sends(Medium::Audio) &&
         !callee_sends(Medium::Video);
}

bool Call::callee_sends(Medium medium) const {
  if (!media_leg_) return false;
  for (const sip::Media &media : media_leg_->call->media())
    if (media.medium == medium && media.accepted)
      return media.direction == sip::Direction::SendRecv ||
             media.direction == sip::Direction::RecvOnly;
  return false;
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
  } else if (!callee_sends(Medium::Video)) {
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

void Call::on_downlink(std::function<void(Downlink &)> function) {
  around_->server->reactor()->post(
      [downlink = downlink_, function = std::move(function)] { function(*downlink); });
}

void Call::end(EndReason reason, int sip_code, const std::string &detail) {
  if (!machine_.end(reason)) return;
  waiting_for_tracks_.reset();
  pending_update_.reset();
  card_timer_.reset();
  record_.reason = reason;
  record_.sip_code = sip_code;
  record_.detail = detail.empty() ? std::string(describe(reason)) : detail;
  record_.ended = around_->world.wall();
  count_media(record_);
  drop_path();
  for (const auto &leg : std::exchange(legs_, {})) leg->call->hangup(reason);
  media_leg_.reset();
  tell_terminals(reason);
  changed_(*this);
}

void Call::tell_terminals(EndReason reason) {
  on_downlink([farewell = farewell_to_player(reason)](Downlink &downlink) {
    downlink.end(farewell.code, farewell.words);
  });
  // One that has left may be back already, with another call in mind.
  if (push_finished_) return;
  around_->server->reactor()->post(
      [server = around_->server, name = from_, farewell = farewell_to_publisher(reason)] {
        server->end_publisher(name, farewell.code, farewell.words);
      });
}

View Call::view() const {
  View view = record_;
  view.state = state();
  if (state() != State::Ended) count_media(view);
  if (answered_at_ && first_to_callee_)
    view.first_packet_to_callee_ms = since(*answered_at_, *first_to_callee_);
  if (answered_at_ && first_to_caller_)
    view.first_packet_to_caller_ms = since(*answered_at_, *first_to_caller_);
  return view;
}

void Call::count_media(View &view) const {
  if (!media_leg_ || !media_leg_->call) return;
  for (const sip::Media &media : media_leg_->call->media_snapshot()) {
    if (!media.session) continue;
    const rtp::Stats stats = media.session->stats();
    View::MediaCount &count = media.medium == Medium::Audio ? view.audio : view.video;
    count.sent_packets = stats.sent_packets;
    count.received_packets = stats.received_packets;
    count.lost = stats.lost;
    count.jitter_ms = stats.jitter_ms;
    count.round_trip_ms = stats.round_trip_ms;
  }
}

std::vector<Setting> Call::settings_for_people() const {
  const Endpoint rtmp = around_->server->local();
  std::vector<Setting> settings;
  for (const char *element : {"caller", "player"}) {
    settings.push_back({element, "address", rtmp.address});
    settings.push_back({element, "port", std::to_string(rtmp.port)});
    settings.push_back({element, "application", application_});
    settings.push_back({element, "stream", from_});
    settings.push_back({element, "token", "TOKEN"});
  }
  const sip::InviteOptions &contact = media_leg_ ? media_leg_->contact : contacts_.front();
  settings.push_back({"callee", "uri", contact.uri});
  settings.push_back({"callee", "from", contact.from_user.empty() ? from_ : contact.from_user});
  if (!contact.proxy.empty()) settings.push_back({"callee", "proxy", contact.proxy});
  if (!contact.user.empty()) {
    settings.push_back({"callee", "user", contact.user});
    settings.push_back({"callee", "password", "PASSWORD"});
  }
  return settings;
}

}  // namespace junctor::calls
