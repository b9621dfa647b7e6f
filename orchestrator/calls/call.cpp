// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/call.h"

#include <algorithm>
#include <utility>

#include "calls/sentence.h"

namespace junctor::calls {

namespace {

using std::chrono::milliseconds;

/// How long the callee is rung later for a push terminal that is there to tell its picture's
/// profile, and how long a phone that calls waits for its answer.
constexpr auto kTrackPatience = milliseconds(200);
constexpr auto kAnswerPatience = milliseconds(300);

/// Of the ends of several callees, the one that tells the caller most.
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

std::int64_t since(Time start, Time when) {
  return std::max<std::int64_t>(0, std::chrono::duration_cast<milliseconds>(when - start).count());
}

}  // namespace

std::shared_ptr<Call> Call::create(std::shared_ptr<const Surroundings> around, std::string id,
                                   std::string from, std::string to, std::shared_ptr<Leg> caller,
                                   Changed changed) {
  std::shared_ptr<Call> call(new Call(std::move(around), std::move(id), std::move(from),
                                      std::move(to), std::move(caller), std::move(changed)));
  call->make_bridge();
  call->caller_->set_listener(call);
  return call;
}

Call::Call(std::shared_ptr<const Surroundings> around, std::string id, std::string from,
           std::string to, std::shared_ptr<Leg> caller, Changed changed)
    : around_(std::move(around)),
      id_(std::move(id)),
      from_(std::move(from)),
      to_(std::move(to)),
      changed_(std::move(changed)),
      caller_(std::move(caller)) {
  record_.id = id_;
  record_.from = from_;
  record_.to = to_;
  record_.created = around_->world.wall();
  record_.uri = caller_->target().uri;
  if (caller_->kind() == LegKind::Phone) record_.direction = Direction::Incoming;
}

Call::~Call() { bridge_->stop(); }

void Call::make_bridge() {
  const auto weak = weak_from_this();
  Bridge::Events events;
  events.updated = [weak] {
    if (auto self = weak.lock()) self->tell_legs();
  };
  events.failed = [weak](const std::string &why) {
    if (auto self = weak.lock())
      self->end(EndReason::Internal, 0, "The media pipeline failed: " + why);
  };
  events.silent = [weak](Side side) {
    if (auto self = weak.lock()) self->end_for_silence(side);
  };
  events.first_packet = [weak](Side side, Medium medium, Time when) {
    const auto self = weak.lock();
    const auto leg = !self                  ? nullptr
                     : side == Side::Caller ? self->caller_
                                            : self->bridge_->callee();
    if (leg) self->on_first_packet(*leg, medium, when);
  };
  bridge_ = std::make_shared<Bridge>(around_, id_, caller_, std::move(events));
}

void Call::dial(std::vector<std::shared_ptr<Leg>> callees) {
  callees_ = std::move(callees);
  if (!callees_.empty()) note(callees_.front()->target());
  if (record_.direction != Direction::Incoming && !callees_.empty() &&
      std::ranges::none_of(callees_, [](const auto &leg) { return leg->kind() == LegKind::Phone; }))
    record_.direction = Direction::Internal;
  for (const auto &leg : callees_) leg->set_listener(weak_from_this());
  machine_.handle(Event::Dial);
  changed_(*this);
  if (callees_.empty()) return end(EndReason::Unreachable, 0, "The callee is not registered.");
  tell_legs();
  if (!caller_->settled())
    waiting_for_tracks_ = around_->world.after(kTrackPatience, [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->ring_all();
    });
  else
    ring_all();
}

void Call::ring_all() {
  waiting_for_tracks_.reset();
  if (std::exchange(rung_, true) || state() == State::Ended) return;
  for (const auto &leg : std::vector(callees_)) {
    if (const auto rung = leg->ring(caller_->media()); !rung) {
      around_->log(LogLevel::Warning, "call " + id_ + ": " + rung.error().detail);
      const EndReason reason =
          rung.error().fault == Fault::Overloaded ? EndReason::Overloaded : EndReason::Unreachable;
      keep_worst({{reason, 0, rung.error().detail}, leg->target()});
      drop(*leg, reason);
    }
    if (state() == State::Ended) return;
  }
  if (callees_.empty()) fail(*worst_);
}

void Call::note(const Leg::Target &target) {
  // The phone of an incoming call is its caller.
  if (record_.direction == Direction::Incoming) return;
  record_.uri = target.uri;
  record_.redirected_to = target.redirected_to;
}

std::shared_ptr<Leg> Call::callee(const Leg &leg) const {
  const auto found = std::ranges::find(callees_, &leg, &std::shared_ptr<Leg>::get);
  return found == callees_.end() ? nullptr : *found;
}

/// It rings no more, and whoever it belongs to is told so.
void Call::drop(Leg &leg, EndReason reason) {
  std::erase_if(callees_, [&](const auto &each) { return each.get() == &leg; });
  leg.end(reason);
}

void Call::on_ringing(Leg &leg) {
  if (!machine_.handle(Event::Alert)) return;
  note(leg.target());
  record_.ringing = around_->world.wall();
  tell_legs();
  changed_(*this);
}

void Call::on_early_media(Leg &leg) {
  if (state() == State::Answered || state() == State::Ended) return;
  const bool moved = machine_.handle(Event::EarlyMedia);
  if (moved) {
    note(leg.target());
    record_.ringing = around_->world.wall();
  }
  if (!bridge_->callee()) join(callee(leg));
  // The ring goes on until a packet really comes.
  if (bridge_->callee().get() == &leg)
    update();
  else
    tell_legs();
  if (moved && state() != State::Ended) changed_(*this);
}

void Call::on_answered(Leg &leg) {
  const auto winner = callee(leg);
  if (!winner) return;
  if (answering_ || state() == State::Answered || state() == State::Ended) {
    // Another callee was faster.
    if (winner != bridge_->callee() && winner != answering_) winner->give_up();
    return;
  }
  const auto losers = std::exchange(callees_, {winner});
  for (const auto &loser : losers)
    if (loser != winner) loser->give_up();
  if (!caller_->accepts_with_media() || winner->settled()) return connect(winner);
  answering_ = winner;
  waiting_for_tracks_ = around_->world.after(kAnswerPatience, [weak = weak_from_this(), winner] {
    if (auto self = weak.lock()) self->connect(winner);
  });
}

/// What has gone through a leg that leaves stays counted.
void Call::join(const std::shared_ptr<Leg> &callee) {
  if (const auto &before = bridge_->callee(); before && before != callee) before->count(record_);
  bridge_->join(callee);
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): the caller's own may be what is reset here.
void Call::connect(std::shared_ptr<Leg> winner) {
  waiting_for_tracks_.reset();
  answering_.reset();
  if (state() == State::Ended) return;
  if (const auto accepted = caller_->accept(winner->media()); !accepted) {
    // Its end is on its way, and says whose it is.
    if (accepted.error().fault == Fault::PeerClosed) {
      caller_gone_ = true;
      return;
    }
    const Fault fault = accepted.error().fault;
    const EndReason reason = fault == Fault::Overloaded ? EndReason::Overloaded
                             : fault == Fault::Refused  ? EndReason::NotAcceptable
                                                        : EndReason::Internal;
    return end(reason, 0, accepted.error().detail);
  }
  if (!machine_.handle(Event::Answer)) return;
  join(winner);
  if (record_.direction != Direction::Incoming)
    record_.direction =
        winner->kind() == LegKind::Terminal ? Direction::Internal : Direction::Outgoing;
  answered_at_ = around_->world.now();
  bridge_->answer(*answered_at_);
  record_.answered = around_->world.wall();
  note(winner->target());
  update();
  if (state() != State::Ended) changed_(*this);
}

void Call::on_media_changed(Leg &leg) {
  if (state() == State::Ended) return;
  if (&leg == caller_.get() || &leg == bridge_->callee().get()) {
    update();
    // A phone that takes pictures again begins with one that stands alone; an encoder can make it.
    if (state() == State::Answered) bridge_->force_keyframe(leg.side());
    note_holds();
  } else if (callee(leg)) {
    tell_legs();  // what its players see and hear while it rings
  }
}

void Call::note_holds() {
  if (state() != State::Answered) return;
  std::vector<Side> now;
  for (const Leg *leg : {caller_.get(), bridge_->callee().get()})
    if (leg && leg->puts_on_hold()) now.push_back(leg->side());
  if (now == record_.on_hold) return;
  for (const Side side : {Side::Caller, Side::Callee}) {
    const bool held = std::ranges::count(now, side) > 0;
    if (held != (std::ranges::count(record_.on_hold, side) > 0))
      around_->log(LogLevel::Info, "call " + id_ + ": the " + std::string(to_string(side)) +
                                       (held ? " holds" : " goes on"));
  }
  record_.on_hold = std::move(now);
  changed_(*this);
}

void Call::on_tracks(Leg &leg) {
  if (waiting_for_tracks_ && leg.settled()) {
    if (&leg == answering_.get()) return connect(answering_);
    if (&leg == caller_.get() && !answering_) return ring_all();
  }
  if (state() == State::Answered) bridge_->schedule_update();
}

void Call::on_keyframe_request(Leg &leg) { bridge_->force_keyframe(leg.side()); }

void Call::on_dtmf(Leg &leg, const sip::Dtmf &dtmf) {
  if (state() == State::Ended) return;
  if (record_.digits.size() < View::kMostDigits) record_.digits += dtmf.digit;
  if (around_->heard) around_->heard({id_, std::string(to_string(leg.side())), dtmf});
}

Result<void> Call::send_dtmf(std::string_view digits, Duration length) {
  if (auto valid = sip::check_dtmf(digits, length); !valid) return valid;
  const auto callee = bridge_->callee();
  for (const auto &leg : {callee, caller_})
    if (leg && leg->kind() == LegKind::Phone) return leg->send_dtmf(digits, length);
  if (!callee) return refused("Digits can be sent when the call is answered.");
  return callee->send_dtmf(digits, length);
}

void Call::on_ended(Leg &leg, const LegEnd &ended) {
  if (state() == State::Ended) return;
  if (&leg == caller_.get()) return end(ended.reason, ended.code, ended.text);
  const auto gone = callee(leg);
  if (!gone) return;
  if (state() == State::Answered) return end(ended.reason, ended.code, ended.text);
  keep_worst({ended, leg.target()});
  drop(leg, ended.reason);
  if (callees_.empty()) return fail(*worst_);
  if (bridge_->callee() == gone) join(nullptr);
}

void Call::keep_worst(Failure failure) {
  if (!worst_ || rank(failure.end.reason) > rank(worst_->end.reason)) worst_ = std::move(failure);
}

void Call::fail(const Failure &failure) {
  note(failure.where);
  end(failure.end.reason, failure.end.code, failure.end.text);
}

void Call::update() {
  bridge_->update();
  tell_legs();
}

void Call::tell_legs() {
  if (state() == State::Ended) return;
  Course course = bridge_->course_of(Side::Caller);
  course.state = state();
  caller_->follow(course);
  // A callee has nothing of the caller before it answers.
  for (const auto &leg : callees_) {
    course = leg == bridge_->callee() ? bridge_->course_of(Side::Callee) : Course();
    course.state = state();
    leg->follow(course);
  }
}

void Call::on_first_packet(Leg &leg, Medium medium, Time when) {
  auto &first = first_to_[index_of(leg.side())][static_cast<std::size_t>(medium)];
  // Media before the answer are early; the first after it are told too.
  if (state() == State::Ended || !answered_at_ || when < *answered_at_ || first) return;
  first = when;
  tell_first_packets();
}

/// So that the record has them while the call runs.
void Call::tell_first_packets() {
  if (state() != State::Answered) return;
  for (const Side side : kSides)
    if (!first_packet_to(side)) return;
  if (!std::exchange(first_packets_told_, true)) changed_(*this);
}

std::optional<Time> Call::first_packet_to(Side side) const {
  const auto &[audio, video] = first_to_[index_of(side)];
  return audio && video ? std::min(*audio, *video) : audio ? audio : video;
}

void Call::end_for_silence(Side side) {
  if (state() != State::Answered) return;
  const Options &options = around_->options;
  const auto interval = std::chrono::duration_cast<milliseconds>(options.watchdog_interval).count();
  std::string why = "No sound or picture came from the push terminal of the " +
                    std::string(to_string(side)) + ", " + (side == Side::Caller ? from_ : to_) +
                    ", in " + std::to_string(options.watchdog_tries) + " checks, one each " +
                    std::to_string(interval) + " ms.";
  if (const auto leg = side == Side::Caller ? caller_ : bridge_->callee()) {
    const PushTracks tracks = leg->media().tracks;
    for (const Medium medium : {Medium::Video, Medium::Audio})
      if (const std::string &left_out = tracks.why_left_out(medium); !left_out.empty())
        why += " It sends " + std::string(to_string(medium)) + " that cannot be used: " + left_out;
  }
  end(EndReason::NoPushMedia, 0, why);
}

Result<void> Call::answer() {
  for (const auto &leg : std::vector(callees_)) {
    if (!leg->answer()) continue;
    if (state() == State::Ended) return refused(record_.detail);
    if (caller_gone_) return refused("The caller hung up before the call could be answered.");
    return {};
  }
  return rings_nowhere();
}

Error Call::rings_nowhere() { return refused("The call does not ring at a terminal."); }

bool Call::rings_at_terminal() const {
  return std::ranges::any_of(callees_, [](const auto &leg) { return leg->rings_here(); });
}

/// What changes all the time.
void Call::count(View &view) const {
  caller_->count(view);
  view.caller_security = caller_->security();
  if (const auto &callee = bridge_->callee()) {
    callee->count(view);
    view.callee_security = callee->security();
  }
  view.latency = bridge_->latency();
  view.surplus_sound = bridge_->surplus_sound();
}

View Call::view() const {
  View view = brief();
  view.plan = bridge_->steps();
  view.launch = bridge_->launch();
  return view;
}

View Call::brief() const {
  View view = record_;
  view.state = state();
  if (state() != State::Ended) {
    if (caller_->kind() == LegKind::Terminal) view.terminals.push_back(from_);
    for (const auto &leg : callees_)
      if (leg->kind() == LegKind::Terminal) view.terminals.push_back(to_);
  }
  if (state() != State::Ended) count(view);
  const auto told = [this](const std::optional<Time> &when) {
    return answered_at_ && when ? std::optional(since(*answered_at_, *when)) : std::nullopt;
  };
  constexpr auto kVideo = static_cast<std::size_t>(Medium::Video);
  view.first_packet_to_callee_ms = told(first_packet_to(Side::Callee));
  view.first_packet_to_caller_ms = told(first_packet_to(Side::Caller));
  view.first_picture_to_callee_ms = told(first_to_[index_of(Side::Callee)][kVideo]);
  view.first_picture_to_caller_ms = told(first_to_[index_of(Side::Caller)][kVideo]);
  return view;
}

void Call::end(EndReason reason, int sip_code, const std::string &detail) {
  if (!machine_.end(reason)) return;
  waiting_for_tracks_.reset();
  answering_.reset();
  record_.reason = reason;
  record_.on_hold.clear();
  record_.sip_code = sip_code;
  record_.detail = detail.empty() ? std::string(describe(reason)) : as_sentence(detail);
  record_.ended = around_->world.wall();
  count(record_);
  bridge_->stop();
  // What a phone says of its refusal ("Not Acceptable Here") tells people less than the reason
  // does.
  const std::string why = sip_code == 0 ? record_.detail : "";
  if (callees_.size() == 1) note(callees_.front()->target());
  for (const auto &leg : std::exchange(callees_, {})) leg->end(reason, why);
  caller_->end(reason, why);
  changed_(*this);
}

}  // namespace junctor::calls
