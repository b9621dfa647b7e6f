// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/downlink.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace junctor::calls {

namespace {

using std::chrono::milliseconds;

constexpr auto kTick = milliseconds(40);  // two packets of 20 ms each time
// Live sound comes at least so often, and takes the pictures of a loop along; a live picture, which
// is to take sound along, comes 33 ms after the one before, as a rule.
constexpr auto kTickSlack = milliseconds(24);
constexpr auto kTickEarly = milliseconds(10);
constexpr auto kAhead = milliseconds(20);  // so that no packet is later than it should be
constexpr auto kLongestStall = milliseconds(1000);
constexpr auto kLongestWait = milliseconds(1000);
constexpr auto kFadesAfter = milliseconds(1000);
/// Pictures come more often than that, from who sends any.
constexpr auto kBreak = milliseconds(200);
constexpr auto kBetweenRequests = milliseconds(500);
/// A callee sends a keyframe by itself when it begins; later requests are for what was lost.
constexpr auto kFirstRequest = milliseconds(250);
constexpr auto kRarestRequests = milliseconds(8000);
/// A live writer whose clock is this far off the present has begun anew without saying so.
constexpr std::int64_t kLargestDrift = 3000;

}  // namespace

/// What the live writer sees. It may outlive its place: then it does nothing.
class Downlink::LiveInput : public rtmp::Outlet {
 public:
  LiveInput(std::weak_ptr<Downlink> owner, std::shared_ptr<rtmp::Outlet> outlet)
      : owner_(std::move(owner)), outlet_(std::move(outlet)) {}

  void begin_source() override {
    if (auto owner = current()) owner->live_source_begins();
  }
  void set_track(const rtmp::Track &track) override {
    if (auto owner = current()) owner->live_track(track);
  }
  void write(const rtmp::Frame &frame) override {
    if (auto owner = current()) owner->live_frame(frame);
  }
  void set_keyframe_wanted(std::function<void()> callback) override {
    if (auto owner = current()) owner->live_keyframe_callback(std::move(callback));
  }
  // The call ends its players, with its own words; a pipeline that is rebuilt must not.
  void end(const std::string &, const std::string &) override {}
  Stats stats() const override { return outlet_ ? outlet_->stats() : Stats{}; }

 private:
  std::shared_ptr<Downlink> current() const {
    auto owner = owner_.lock();
    return owner && owner->input_.get() == this && owner->outlet_ ? owner : nullptr;
  }
  const std::weak_ptr<Downlink> owner_;
  const std::shared_ptr<rtmp::Outlet> outlet_;  ///< for stats(), which any thread may call
};

std::shared_ptr<Downlink> Downlink::create(std::shared_ptr<Reactor> reactor, LiveEvent live) {
  return std::shared_ptr<Downlink>(new Downlink(std::move(reactor), std::move(live)));
}

void Downlink::open(rtmp::Server &server, const std::string &name) {
  outlet_ = server.outlet(name);
  epoch_ = reactor_->now();
  outlet_->begin_source();
  outlet_->set_keyframe_wanted([weak = weak_from_this()] {
    if (auto self = weak.lock()) self->keyframe_wanted();
  });
  keep_ticking();
}

void Downlink::set_audience(bool audience) {
  if (audience_ == audience) return;
  audience_ = audience;
  audience_since_ = reactor_->now();
  for (const Medium medium : {Medium::Audio, Medium::Video})
    if (audience && !lane(medium).live) restart_loop(medium);
}

void Downlink::welcome() {
  if (!lane(Medium::Video).live) restart_loop(Medium::Video);
}

void Downlink::set_loop(Medium medium, std::shared_ptr<const Loop> loop) {
  Lane &at = lane(medium);
  if (at.loop == loop) return;
  at.loop = std::move(loop);
  if (!at.live) restart_loop(medium);
}

void Downlink::release(Medium medium) {
  Lane &at = lane(medium);
  at.waiting_key = true;
  if (!at.live) return;
  at.live = false;
  restart_loop(medium);
}

void Downlink::hold(Medium medium, bool held) {
  lane(medium).held = held;
  if (held) release(medium);
}

void Downlink::set_fading(bool fading) {
  fading_ = fading;
  const Time now = reactor_->now();
  // Pictures that were not sent meanwhile are missed by those that follow.
  Lane &video = lane(Medium::Video);
  if (!fading && video.live && now - video.last_live > kBreak &&
      !std::exchange(video.waiting_key, true))
    begin_asking();
  for (Lane &at : lanes_) at.last_live = now;
  keep_ticking();
}

void Downlink::tell_next_frames() {
  for (Lane &at : lanes_) at.tell_next = true;
}

std::shared_ptr<rtmp::Outlet> Downlink::attach_live() {
  input_ = std::make_shared<LiveInput>(weak_from_this(), outlet_);
  ask_live_for_keyframe_ = nullptr;
  live_source_begins();
  return input_;
}

void Downlink::expect_video(bool expected, std::function<void()> ask, bool encoded_here) {
  video_expected_ = expected;
  encoded_here_ = encoded_here;
  ask_callee_for_keyframe_ = std::move(ask);
  begin_asking();
  keep_ticking();
}

void Downlink::detach_live() {
  input_.reset();
  lane(Medium::Video).waiting_key = true;
  ask_live_for_keyframe_ = nullptr;
}

void Downlink::end(const std::string &code, const std::string &description) {
  if (outlet_) outlet_->end(code, description);
  close();
}

void Downlink::close() {
  detach_live();
  expect_video(false, nullptr);
  timer_.reset();
  ticking_ = false;
  fading_ = false;
  if (outlet_) outlet_->set_keyframe_wanted(nullptr);
  outlet_.reset();
}

void Downlink::rest() {
  if (outlet_) outlet_->begin_source();
  close();
}

void Downlink::begin_asking() {
  ask_pause_ = kFirstRequest;
  ask_next_ = reactor_->now() + ask_pause_;
}

void Downlink::live_source_begins() {
  live_offset_.reset();
  if (!std::exchange(lane(Medium::Video).waiting_key, true)) begin_asking();
  keep_ticking();
}

void Downlink::live_track(const rtmp::Track &track) {
  Lane &at = lane(medium_of(track.codec));
  at.coming = track;
  // Pictures that the new configuration decodes start with a keyframe; sound may change at once.
  if (medium_of(track.codec) == Medium::Video) at.waiting_key = true;
}

void Downlink::live_frame(const rtmp::Frame &frame) {
  Lane &at = lane(frame.medium);
  if (at.held) return;
  const Time now = reactor_->now();
  // Of a phone that answers at once sound is there before any picture: see tick().
  if (frame.medium == Medium::Audio && audience_ && lane(Medium::Video).last_dts < 0 &&
      now - audience_since_ <= kLongestWait)
    return;
  if (frame.medium == Medium::Video && at.waiting_key) {
    if (!frame.key) {
      ask_for_keyframe();
      return;
    }
    at.waiting_key = false;
    // A copy: the callback may replace itself.
    if (const auto ask = ask_callee_for_keyframe_; ask && encoded_here_) ask();
  }
  const std::int64_t present = milliseconds(now);
  if (!live_offset_ || std::llabs(frame.dts + *live_offset_ - present) > kLargestDrift)
    live_offset_ = present - frame.dts;
  if (at.coming) show(at, *at.coming);
  const bool tell = std::exchange(at.tell_next, false) || !at.live;
  at.live = true;
  at.last_live = now;
  rtmp::Frame moved = frame;
  moved.dts = std::max(frame.dts + *live_offset_, at.last_dts + 1);
  at.last_dts = moved.dts;
  outlet_->write(moved);
  // Not the reactor's time, which may lie before what another thread has just timed.
  if (tell && on_live_) on_live_(frame.medium, Clock::now());
  const Duration early = frame.medium == Medium::Video ? Duration(kTickEarly) : Duration::zero();
  if (ticking_ && now >= tick_due_ - early) {
    timer_.reset();
    ticking_ = false;
    tick();
  }
}

void Downlink::live_keyframe_callback(std::function<void()> callback) {
  ask_live_for_keyframe_ = std::move(callback);
}

void Downlink::keyframe_wanted() {
  if (lane(Medium::Video).live)
    ask_for_keyframe();
  else
    restart_loop(Medium::Video);
}

void Downlink::ask_for_keyframe() {
  const Time now = reactor_->now();
  if (!ask_live_for_keyframe_ || now - asked_ < kBetweenRequests) return;
  asked_ = now;
  // A copy: the callback may replace itself.
  const auto ask = ask_live_for_keyframe_;
  ask();
}

std::int64_t Downlink::milliseconds(Time time) const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time - epoch_).count();
}

void Downlink::show(Lane &at, const rtmp::Track &track) {
  if (at.shown && rtmp::same_track(*at.shown, track)) return;
  at.shown = track;
  outlet_->set_track(track);
}

void Downlink::restart_loop(Medium medium) {
  Lane &at = lane(medium);
  at.next = 0;
  at.loop_start = at.loop_since = reactor_->now();
  keep_ticking();
}

void Downlink::play_loop(Medium medium, Time now) {
  Lane &at = lane(medium);
  if (at.live || !at.loop || at.loop->packets.empty()) return;
  if (now - (at.loop_start + at.loop->due(at.next)) > kLongestStall) {
    at.next = 0;
    at.loop_start = now;
  }
  for (Time due = at.loop_start + at.loop->due(at.next); due <= now + kAhead;
       due = at.loop_start + at.loop->due(at.next)) {
    const Loop::Packet &packet = at.loop->packet(at.next++);
    const Duration whole = at.loop->thins_after;
    if (!packet.key && whole != Duration::zero() && due - at.loop_since > whole) continue;
    rtmp::Frame frame;
    frame.medium = medium;
    frame.key = medium == Medium::Video && packet.key;
    frame.dts = std::max(milliseconds(due), at.last_dts + 1);
    frame.data = packet.data;
    at.last_dts = frame.dts;
    outlet_->write(frame);
  }
}

void Downlink::tick() {
  const Time now = reactor_->now();
  for (const Medium medium : {Medium::Audio, Medium::Video})
    if (fading_ && lane(medium).live && now - lane(medium).last_live > kFadesAfter) release(medium);
  // Players learn their tracks from what comes first: sound and picture begin together, unless one
  // of them is long in coming.
  const bool complete = std::ranges::all_of(
      lanes_, [](const Lane &at) { return at.live || (at.loop && !at.loop->packets.empty()); });
  if (audience_ && (complete || now - audience_since_ > kLongestWait)) {
    for (Lane &at : lanes_)
      if (!at.live && at.loop && !at.loop->packets.empty()) show(at, at.loop->track);
    for (const Medium medium : {Medium::Audio, Medium::Video}) play_loop(medium, now);
  }
  if (video_expected_ && lane(Medium::Video).waiting_key && now >= ask_next_) {
    ask_pause_ = std::min<Duration>(2 * ask_pause_, kRarestRequests);
    ask_next_ = now + ask_pause_;
    if (const auto ask = ask_callee_for_keyframe_) ask();
  }
  keep_ticking();
}

void Downlink::keep_ticking() {
  if (!outlet_ || ticking_) return;
  bool needed = video_expected_ && lane(Medium::Video).waiting_key;
  for (const Lane &at : lanes_)
    needed = needed || (audience_ && !at.live && at.loop) || (fading_ && at.live);
  if (!needed) return;
  ticking_ = true;
  tick_due_ = reactor_->now() + kTick;
  const bool any_live = std::ranges::any_of(lanes_, &Lane::live);
  const Duration slack = any_live ? Duration(kTickSlack) : Duration::zero();
  timer_ = reactor_->after(kTick + slack, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->ticking_ = false;
    self->tick();
  });
}

}  // namespace junctor::calls
