// SPDX-License-Identifier: LGPL-2.1-or-later
// The media of a call: the path that carries them, what is told of it, and the counts.
#include <algorithm>
#include <sstream>

#include "calls/call_leg.h"
#include "calls/call_server.h"
#include "common/main_context.h"

namespace junctor::calls {

namespace {

using std::chrono::milliseconds;

/// Tracks come one by one: a pipeline that runs is made anew once for all of them.
constexpr auto kSettling = milliseconds(100);
constexpr unsigned kMostPathFailures = 3;
/// Failures before so long a time of flowing media are not held against a call.
constexpr auto kForgiveAfter = std::chrono::minutes(1);

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

void Call::update_media() {
  pending_update_.reset();
  if (!media_leg_ || state() == State::Ended) return;
  Plan whole = make_plan(media_leg_->call->media(), tracks_, pull_);
  if (whole != whole_) {
    whole_ = std::move(whole);
    left_out_.reset();
  }
  for (;;) {
    plan_ = whole_.without(left_out_, left_out_why_);
    // Before the answer there is only the callee's media to carry.
    if (state() != State::Answered && !plan_.caller(Medium::Audio).flows &&
        !plan_.caller(Medium::Video).flows) {
      drop_path();
      return on_downlink([](Downlink &downlink) {
        downlink.release(Medium::Audio);
        downlink.release(Medium::Video);
      });
    }
    const auto built = build();
    if (built) break;
    if (!leave_out_more(built.error().detail)) return end_without_media();
  }
  if (std::exchange(left_out_told_, left_out_) != left_out_)
    around_->log(LogLevel::Warning,
                 "call " + id_ +
                     (left_out_.any() ? " goes on without " + to_string(left_out_)
                                      : " goes on with nothing left out"));
  // What the callee holds back would stand still at the player: its loop plays meanwhile.
  const bool video = reaches_player(Medium::Video);
  const bool audio = reaches_player(Medium::Audio);
  if (!video) video_live_ = false;
  const bool encoded_here = plan_.caller(Medium::Video).transcoded;
  on_downlink([video, audio, encoded_here, ask = keyframe_request()](Downlink &downlink) {
    downlink.hold(Medium::Video, !video);
    downlink.hold(Medium::Audio, !audio);
    downlink.expect_video(video, ask, encoded_here);
  });
  update_loops();
}

/// A plan did not run, and `why` is what failed. Leaves out of it what a call misses least of what
/// has not been tried. False if there is nothing more to leave out.
bool Call::leave_out_more(const std::string &why) {
  const bool first = left_out_.none();
  // Of the tries that follow a failure the same is to be expected, and only how they end told.
  around_->log(first || why != left_out_why_ ? LogLevel::Error : LogLevel::Debug,
               "call " + id_ + ": " + why);
  if (first) left_out_why_ = why;
  const auto sets = reductions(whole_);
  auto next = sets.begin();
  if (!first) next = std::find(sets.begin(), sets.end(), left_out_);
  if (!first && next != sets.end()) ++next;
  if (next != sets.end())
    left_out_ = *next;
  else if (state() != State::Answered)
    left_out_ = whole_.flowing();  // a call needs no early media; the answer tries again
  else
    return false;
  return true;
}

void Call::end_without_media() {
  record_.plan = whole_.steps();
  end(EndReason::Internal, 0, "The media pipeline failed: " + left_out_why_);
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

/// Runs `plan_`, unless it runs already.
Result<void> Call::build() {
  const WatchdogSetting watchdog{around_->options.watchdog_interval,
                                 around_->options.watchdog_tries};
  auto line = make_line(around_->templates, plan_, watchdog);
  if (!line) return line.error();
  const std::string key = key_of(line->text(), *media_leg_->call);
  record_.plan = plan_.steps();
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
  line = make_line(around_->templates, plan_, rest);
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
  const std::string what = element + ": " + message;
  // Where one element fails its neighbours do too: one failure, for which one new path is made.
  if (std::exchange(path_failed_, true))
    return around_->log(LogLevel::Error, "call " + id_ + ": " + what);
  if (flowing_since_ && around_->world.now() - *flowing_since_ >= kForgiveAfter) path_failures_ = 0;
  if (path_failures_ < kMostPathFailures) {
    ++path_failures_;
    around_->log(LogLevel::Error, "call " + id_ + ": " + what);
  } else if (!leave_out_more(what)) {
    return end_without_media();
  }
  path_key_.clear();
  schedule_update();
}

void Call::on_live_frame(Medium medium, Time when) {
  if (state() == State::Ended) return;
  if (medium == Medium::Video && reaches_player(medium)) video_live_ = true;
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

bool Call::callee_sends(Medium medium) const {
  if (!media_leg_) return false;
  for (const sip::Media &media : media_leg_->call->media())
    if (media.medium == medium && media.accepted)
      return media.direction == sip::Direction::SendRecv ||
             media.direction == sip::Direction::RecvOnly;
  return false;
}

/// Whether it is on its way there: neither left out nor held back.
bool Call::reaches_player(Medium medium) const {
  return plan_.caller(medium).flows && callee_sends(medium);
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
    if (stats.round_trip_ms > 0) count.round_trip_ms = stats.round_trip_ms;
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
  const std::string moved = media_leg_ ? media_leg_->call->redirected_to() : "";
  settings.push_back({"callee", "uri", moved.empty() ? contact.uri : moved});
  settings.push_back({"callee", "from", contact.from_user.empty() ? from_ : contact.from_user});
  // These do not follow to another host, which the rules may have allowed.
  if (!moved.empty()) return settings;
  if (!contact.proxy.empty()) settings.push_back({"callee", "proxy", contact.proxy});
  if (!contact.user.empty()) {
    settings.push_back({"callee", "user", contact.user});
    settings.push_back({"callee", "password", "PASSWORD"});
  }
  return settings;
}

}  // namespace junctor::calls
