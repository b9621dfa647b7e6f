// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/bridge.h"

#include <algorithm>
#include <utility>

#include "calls/call_latency.h"
#include "calls/call_server.h"
#include "common/picture_size.h"

namespace junctor::calls {

namespace {

using std::chrono::milliseconds;

/// Tracks come one by one: a pipeline that runs is made anew once for all of them.
constexpr auto kSettling = milliseconds(100);
constexpr unsigned kMostPathFailures = 3;
/// Failures before so long a time of flowing media are not held against a call, nor what changed
/// before so long a time without change.
constexpr auto kForgiveAfter = std::chrono::minutes(1);
/// New paths in place of running ones, which the beginning of a call may bring. What changes more
/// often has to wait ever longer: each costs the signalling thread and everybody's reactor.
constexpr unsigned kFreeRebuilds = 8;
/// The same while they fail: the tries at the whole plan, and at each part of it.
constexpr unsigned kFreeRepairs = 32;
constexpr Duration kFirstPause = milliseconds(100), kLongestPause = milliseconds(5000);
constexpr std::array kMedia{Medium::Audio, Medium::Video};

}  // namespace

Bridge::Bridge(std::shared_ptr<const Surroundings> around, std::string id,
               std::shared_ptr<Leg> caller, Events events)
    : around_(std::move(around)),
      id_(std::move(id)),
      caller_(std::move(caller)),
      events_(std::move(events)) {}

void Bridge::join(std::shared_ptr<Leg> callee) {
  if (callee_ == callee) return;
  if (!callee) {
    drop_path();
    return_loan();
    caller_->part(true);
  }
  callee_ = std::move(callee);
}

void Bridge::answer(Time now) {
  answered_ = true;
  silent_since_ = {now, now};
  // What failed of early media does not count against the call's own, nor makes them wait.
  left_out_.reset();
  path_failures_ = rebuilds_ = 0;
}

void Bridge::stop() {
  stopped_ = true;
  pending_update_.reset();
  drop_path();
  return_loan();
}

void Bridge::update() {
  pending_update_.reset();
  if (!callee_ || stopped_) return;
  // Of a leg that is over no path finds anything: what it tells in a moment ends the call.
  if (caller_->over() || callee_->over()) return;
  Plan whole = make_plan(caller_->media(), callee_->media());
  if (whole != whole_) {
    whole_ = std::move(whole);
    left_out_.reset();
  }
  for (;;) {
    plan_ = whole_.without(left_out_, left_out_why_);
    // Before the answer there is only the callee's media to carry.
    if (!answered_ && !plan_.caller(Medium::Audio).flows && !plan_.caller(Medium::Video).flows) {
      end_path();
      return_loan();
      return caller_->part(true);
    }
    // Players first: of what a new path brings the first is a keyframe, which is not to be missed.
    for (const Side side : kSides)
      leg(side)->receive(course_of(side), leg(other(side))->keyframe_request());
    const auto built = build();
    if (built) break;
    if (!leave_out_more(built.error().detail)) {
      hopeless_ = true;
      return events_.failed(left_out_why_);
    }
  }
  if (std::exchange(left_out_told_, left_out_) != left_out_)
    around_->log(LogLevel::Warning,
                 "call " + id_ +
                     (left_out_.any() ? " goes on without " + to_string(left_out_)
                                      : " goes on with nothing left out"));
}

void Bridge::schedule_update() { schedule_update(kSettling); }

void Bridge::schedule_update(Duration delay) {
  if (pending_update_) return;
  pending_update_ = around_->world.after(delay, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->update();
    if (!self->stopped_) self->events_.updated();
  });
}

Course Bridge::course_of(Side side) const {
  Course course;
  if (!callee_) return course;
  course.video = reaches(side, Medium::Video);
  course.audio = reaches(side, Medium::Audio);
  course.may_bring = plan_.to(side, Medium::Video).waits;
  course.encoded_here = plan_.to(side, Medium::Video).transcoded;
  course.on_hold = leg(other(side))->holds() || leg(other(side))->puts_on_hold();
  return course;
}

/// A plan did not run, and `why` is what failed. Leaves out of it what a call misses least of what
/// has not been tried. False if there is nothing more to leave out.
bool Bridge::leave_out_more(const std::string &why) {
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
  else if (!answered_)
    left_out_ = whole_.flowing();  // a call needs no early media; the answer tries again
  else
    return false;
  return true;
}

std::vector<PlanStep> Bridge::steps() const {
  if (launch_.empty() && !hopeless_) return {};
  auto steps = (hopeless_ ? whole_ : told_).steps();
  for (const Side side : kSides)
    if (leg(side)) tell_first_picture(steps, side, leg(side)->keyframe_distance());
  for (const Side side : kSides)
    if (const std::string &size = too_large_[index_of(side)]; !size.empty())
      tell_too_large(steps, side, size);
  return steps;
}

std::vector<RouteLatency> Bridge::latency() const {
  if (!callee_) return {};
  return route_latency({caller_->latency(), callee_->latency()},
                       path_ ? path_->coding_latency() : CodingLatency());
}

std::uint64_t Bridge::surplus_sound() const {
  return surplus_ + (path_ ? path_->surplus_sound() : 0);
}

bool Bridge::reaches(Side side, Medium medium) const {
  return plan_.to(side, medium).flows && leg(other(side))->sends(medium);
}

/// What a path is made for: it must be replaced when this changes.
std::string Bridge::key_of(const std::string &line) const {
  std::string key = line + '\n' + caller_->path_key() + '\n' + callee_->path_key();
  // Two formats whose frames sipcallsink takes out itself may have one line.
  for (const Side taker : kSides)
    for (const Medium medium : kMedia)
      if (const FormatRow *from = plan_.to(taker, medium).from_format)
        key += '\n' + std::string(from->encoding_name) + '/' + std::to_string(from->clock_rate);
  return key;
}

std::vector<Setting> Bridge::settings_for_people() const {
  std::vector<Setting> settings;
  for (const Side side : kSides) leg(side)->add_settings_for_people(settings);
  return settings;
}

WatchdogSetting Bridge::watchdogs() const {
  return {around_->options.watchdog_interval, {tries_left(Side::Caller), tries_left(Side::Callee)}};
}

/// Decided anew only when the plan's sound costs something else: a path must not be replaced for
/// what other calls do.
SoundWork Bridge::borrow_for_sound() {
  if (const double percent = plan_.sound_percent(); percent != sound_percent_) {
    sound_loan_.reset();
    sound_loan_ = around_->headroom.borrow(percent);
    sound_percent_ = percent;
  }
  return sound_loan_ ? SoundWork::OnReactor : SoundWork::InThreads;
}

void Bridge::return_loan() {
  sound_loan_.reset();
  sound_percent_ = 0;
}

/// Drops the running path, if there is one, for another or for none.
void Bridge::end_path() {
  if (!path_) return;
  const Time now = around_->world.now();
  if (last_rebuild_ && now - *last_rebuild_ >= kForgiveAfter) rebuilds_ = 0;
  ++rebuilds_;
  last_rebuild_ = now;
  drop_path();
}

/// When the next path may be made.
Time Bridge::next_rebuild() const {
  const unsigned free = path_failed_ ? kFreeRepairs : kFreeRebuilds;
  if (rebuilds_ < free) return Time::min();
  const unsigned doublings = std::min(rebuilds_ - free, 16U);
  return *last_rebuild_ + std::min(kFirstPause * (1 << doublings), kLongestPause);
}

void Bridge::tell_plan(const Fragment &line) {
  told_ = plan_;
  launch_ = pasteable(line, settings_for_people());
}

/// Runs `plan_`, unless it runs already.
Result<void> Bridge::build() {
  const unsigned tries = around_->options.watchdog_tries;
  auto line = make_line(around_->templates, plan_,
                        {around_->options.watchdog_interval, {tries, tries}}, borrow_for_sound());
  if (!line) return line.error();
  const std::string key = key_of(line->text());
  // A path that was made while a leg held a medium back has no way for it; on hold the way stays.
  decltype(path_receives_) receives;
  bool ways_there = true;
  for (const Side side : kSides)
    for (const Medium medium : kMedia) {
      const auto at = static_cast<std::size_t>(medium);
      receives[index_of(side)][at] = leg(side)->sends(medium);
      ways_there =
          ways_there && (path_receives_[index_of(side)][at] || !receives[index_of(side)][at]);
    }
  if (path_ && key == path_key_ && ways_there) {
    tell_plan(*line);
    if (answered_ && !std::exchange(sending_, true)) path_->begin_sending();
    return {};
  }

  // What a failure left out is no change of the peers'.
  const Time now = around_->world.now();
  if (const Time next = next_rebuild(); now < next && (path_ || left_out_.none())) {
    // Until then people are told of what runs.
    if (!path_) tell_plan(*line);
    schedule_update(next - now);
    return {};
  }
  end_path();
  tell_plan(*line);
  auto path = make_path(answered_);
  if (!path) return path.error();
  path_ = *std::move(path);
  path_key_ = key;
  path_receives_ = receives;
  sending_ = answered_;
  return {};
}

Result<std::unique_ptr<MediaPath>> Bridge::make_path(bool sending) {
  auto line = make_line(around_->templates, plan_, watchdogs(), borrow_for_sound());
  if (!line) return line.error();
  PathSpec spec;
  spec.line = *line;
  spec.sending = sending;
  Downlinks downlinks;
  for (const Side side : kSides) {
    leg(side)->add_settings(spec.settings);
    leg(side)->add_downlink(downlinks);
  }
  spec.server = make_call_server(around_->server, std::move(downlinks));
  spec.reactor = around_->server->reactor();
  spec.agent = around_->agent;
  PathEvents events;
  const auto weak = weak_from_this();
  events.media = [weak](Side side, const std::string &state) {
    if (auto self = weak.lock()) self->on_push_media(side, state);
  };
  events.first_packet = [weak](Side side, Medium medium, Time when) {
    if (auto self = weak.lock(); self && !self->stopped_)
      self->events_.first_packet(side, medium, when);
  };
  events.too_large = [weak](Side to, const std::string &size) {
    if (auto self = weak.lock()) self->on_too_large(to, size);
  };
  events.failed = [weak](const std::string &element, const std::string &message) {
    if (auto self = weak.lock()) self->on_path_failed(element, message);
  };
  auto path = around_->world.make_path(spec, std::move(events));
  if (path) around_->log(LogLevel::Debug, "call " + id_ + " runs: " + line->text());
  return path;
}

void Bridge::drop_path() {
  if (!path_) return;
  // First what writes to players, then the elements, last (elsewhere) the SIP handle.
  for (const Side side : kSides)
    if (leg(side)) leg(side)->part(false);
  surplus_ = surplus_sound();
  path_.reset();
  path_key_.clear();
  path_failed_ = false;
  flowing_since_ = {};
  too_large_ = {};
}

void Bridge::force_keyframe(Side side) {
  if (path_) path_->force_keyframe(side);
}

unsigned Bridge::tries_left(Side side) const {
  const Options &options = around_->options;
  const auto &silent_since = silent_since_[index_of(side)];
  if (!silent_since) return options.watchdog_tries;
  const auto used = (around_->world.now() - *silent_since) / options.watchdog_interval;
  return used >= options.watchdog_tries ? 1 : options.watchdog_tries - static_cast<unsigned>(used);
}

void Bridge::on_push_media(Side side, const std::string &state) {
  if (!answered_ || stopped_) return;
  auto &silent_since = silent_since_[index_of(side)];
  auto &flowing_since = flowing_since_[index_of(side)];
  if (state == "flowing") {
    silent_since.reset();
    if (!flowing_since) flowing_since = around_->world.now();
    if (path_) path_->set_watchdog_tries(side, around_->options.watchdog_tries);
  } else if (state == "waiting") {
    flowing_since.reset();
    if (!silent_since) silent_since = around_->world.now();
  } else if (state == "lost") {
    events_.silent(side);
  }
}

void Bridge::on_too_large(Side to, const std::string &size) {
  if (stopped_) return;
  too_large_[index_of(to)] = size;
  around_->log(LogLevel::Warning, "call " + id_ + ": pictures of " + size + " to the " +
                                      std::string(to_string(to)) + " are left out: no more than " +
                                      kMostSamples + " samples are decoded here");
}

void Bridge::on_path_failed(const std::string &element, const std::string &message) {
  if (stopped_) return;
  const std::string what = element + ": " + message;
  // Where one element fails its neighbours do too: one failure, for which one new path is made.
  if (std::exchange(path_failed_, true))
    return around_->log(LogLevel::Error, "call " + id_ + ": " + what);
  const Time now = around_->world.now();
  if (std::ranges::any_of(flowing_since_, [now](const auto &since) {
        return since && now - *since >= kForgiveAfter;
      }))
    path_failures_ = 0;
  if (path_failures_ < kMostPathFailures) {
    ++path_failures_;
    around_->log(LogLevel::Error, "call " + id_ + ": " + what);
  } else if (!leave_out_more(what)) {
    hopeless_ = true;
    return events_.failed(left_out_why_);
  }
  path_key_.clear();
  schedule_update();
}

}  // namespace junctor::calls
