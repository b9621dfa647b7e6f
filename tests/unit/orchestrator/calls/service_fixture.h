// SPDX-License-Identifier: LGPL-2.1-or-later
// A service of calls in a world that tests move by hand.
#pragma once

#include <glib.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "calls/surroundings.h"
#include "fakes.h"
#include "media_fixture.h"

namespace junctor::calls {

struct FakePath : MediaPath {
  struct Log {
    PathSpec spec;
    PathEvents events;
    bool alive = true;
    std::array<std::vector<unsigned>, 2> tries;  ///< by Side
    std::array<int, 2> keyframes{};              ///< by Side
    int begun = 0;                               ///< calls of begin_sending()
  };
  explicit FakePath(std::shared_ptr<Log> kept) : log(std::move(kept)) {}
  ~FakePath() override { log->alive = false; }
  void begin_sending() override { ++log->begun; }
  void set_watchdog_tries(Side side, unsigned tries) override {
    log->tries[index_of(side)].push_back(tries);
  }
  void force_keyframe(Side side) override { ++log->keyframes[index_of(side)]; }
  std::shared_ptr<Log> log;
};

class ServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    context_ = g_main_context_new();
    auto reactor = Reactor::create();
    ASSERT_TRUE(reactor);
    reactor_ = *reactor;
    server_ = std::make_shared<fakes::Server>(reactor_);
    agent_ = std::make_shared<fakes::Agent>();
    around_ = std::make_shared<Surroundings>();
    around_->context = context_;
    around_->server = server_;
    around_->agent = agent_;
    const char *directory = std::getenv("JUNCTOR_PIPELINES");
    auto templates = Templates::load(directory ? directory : "pipelines");
    ASSERT_TRUE(templates) << templates.error().detail;
    around_->templates = *templates;
    around_->options.watchdog_interval = std::chrono::milliseconds(1000);
    around_->options.watchdog_tries = 30;
    around_->options.max_calls = 3;
    around_->options.log = [this](LogLevel, std::string_view text) { (logged_ += text) += '\n'; };
    around_->options.dial = [this](const std::string &, const std::string &to) -> Result<Callee> {
      const auto found = book_.find(to);
      if (found == book_.end()) return refused("no rule allows " + to);
      Callee callee{to, {}};
      for (const std::string &uri : found->second) callee.phones.emplace_back().uri = uri;
      return callee;
    };
    World &world = around_->world;
    world.now = [this] { return now_; };
    world.wall = [this] { return WallTime(now_.time_since_epoch()); };
    world.after = [this](Duration delay, std::function<void()> function) {
      auto handle = std::make_shared<int>(0);
      timers_.push_back({now_ + delay, std::move(function), handle});
      return std::shared_ptr<void>(handle);
    };
    world.make_path = [this](const PathSpec &spec,
                             PathEvents events) -> Result<std::unique_ptr<MediaPath>> {
      if (path_error_) return *path_error_;
      for (const auto &[part, error] : unable_)
        if (spec.line.text().find(part) != std::string::npos) return internal_error(error);
      auto log = std::make_shared<FakePath::Log>();
      log->spec = spec;
      log->events = std::move(events);
      paths_.push_back(log);
      if (path_begins_) spec.reactor->post(path_begins_);
      return std::unique_ptr<MediaPath>(std::make_unique<FakePath>(log));
    };
    world.picture = [this](Card card, const std::string &name, Codec, World::LoopReady) {
      card_ = card;
      card_name_ = name;
    };
    world.tone = [this](Tone tone, Codec codec, World::LoopReady) {
      tone_ = tone;
      tone_codec_ = codec;
    };
    Events events;
    events.changed = [this](const View &view) {
      changes_.push_back(view);
      if (on_change_) on_change_(view);
    };
    events.heard = [this](const DigitHeard &heard) { heard_.push_back(heard); };
    service_ = create_service(around_, events);
  }

  void TearDown() override {
    service_.reset();
    pump();
    g_main_context_unref(context_);
  }
  /// What a test's own phones and players post as they go.
  ~ServiceTest() override {
    timers_.clear();
    around_.reset();
    for (int i = 0; reactor_ && i < 4; ++i) reactor_->run_once(Duration::zero());
  }

  /// Lets both threads' queues run empty.
  void pump() {
    for (int i = 0; i < 4; ++i) {
      reactor_->run_once(Duration::zero());
      while (g_main_context_iteration(context_, FALSE)) {
      }
    }
  }

  void pass(Duration time) {
    now_ += time;
    const auto due = std::move(timers_);
    timers_.clear();
    for (const auto &timer : due) {
      if (timer.handle.expired()) continue;
      if (timer.when <= now_)
        timer.function();
      else
        timers_.push_back(timer);
    }
    pump();
  }

  static rtmp::Request request(std::uint64_t connection, rtmp::Role role,
                               std::map<std::string, std::string> parameters = {},
                               const std::string &account = "alice") {
    rtmp::Request request;
    request.connection = connection;
    request.stage = rtmp::Stage::Start;
    request.role = role;
    request.identity = request.stream = account;
    request.parameters = std::move(parameters);
    return request;
  }
  void publish(std::uint64_t connection = 1, const std::string &to = "bob") {
    if (std::exchange(play_from_start_, false)) play(100);
    service_->on_publish_started(request(connection, rtmp::Role::Push, {{"to", to}}));
    pump();
  }
  void unpublish(bool finished, std::uint64_t connection = 1) {
    service_->on_publish_ended(request(connection, rtmp::Role::Push), finished);
    pump();
  }
  void play(std::uint64_t connection, std::map<std::string, std::string> parameters = {}) {
    service_->on_play_started(request(connection, rtmp::Role::Pull, std::move(parameters)));
    pump();
  }

  void video_track(std::uint8_t profile = 66) {
    rtmp::Track track;
    track.codec = Codec::H264;
    track.config = avcc(profile, profile == 66 ? 0xc0 : 0, 30);
    tell(track);
  }
  void audio_track(Codec codec = Codec::Aac) {
    rtmp::Track track;
    track.codec = codec;
    tell(track);
  }
  void leave_out(Medium medium, const std::string &why) {
    const auto listener = server_->listeners["alice"].lock();
    ASSERT_NE(listener, nullptr);
    listener->on_left_out(medium, why);
    pump();
  }
  void tell(const rtmp::Track &track, const std::string &account = "alice") {
    const auto listener = server_->listeners[account].lock();
    ASSERT_NE(listener, nullptr);
    listener->on_track(track);
    pump();
  }

  static std::vector<sip::Media> both() {
    return {media(Codec::Pcma), media(Codec::H264, "profile-level-id=42e01f;packetization-mode=1")};
  }
  /// A call from alice to bob up to its 200, both tracks known.
  void answered_call() {
    publish();
    video_track();
    audio_track();
    ASSERT_EQ(agent_->invited.size(), 1u);
    sip(0).ring();
    sip(0).answer(both());
    pump();
  }
  /// A frame from the callee through the running path.
  void live(Medium medium, bool key = true) {
    auto &outlet = live_outlets_[paths_.size()];
    if (!outlet) outlet = path().spec.server->outlet("alice");
    rtmp::Frame frame;
    frame.medium = medium;
    frame.key = key && medium == Medium::Video;
    frame.dts = live_dts_ += 20;
    frame.data = SharedBytes::copy(as_bytes("live"));
    outlet->write(frame);
    pump();
  }
  fakes::Call &sip(std::size_t index) { return *agent_->invited[index]; }
  FakePath::Log &path() { return *paths_.back(); }
  const std::string &line() { return paths_.back()->spec.line.text(); }
  bool line_has(const std::string &text) { return line().find(text) != std::string::npos; }
  /// The running path fails, and what comes of it.
  void fail_path(const std::string &element, const std::string &message) {
    path().events.failed(element, message);
    pass(std::chrono::milliseconds(100));
  }
  /// Of the call as it is now.
  std::string why(const char *direction, Medium medium) {
    const auto view = service_->find(last().id);
    for (const PlanStep &step : view ? view->plan : last().plan)
      if (step.direction == direction && step.medium == medium) return step.reason;
    return "";
  }
  State state() { return changes_.empty() ? State::Idle : changes_.back().state; }
  const View &last() { return changes_.back(); }
  void expect_ended(EndReason reason) {
    ASSERT_EQ(state(), State::Ended);
    EXPECT_EQ(last().reason, reason);
    EXPECT_TRUE(last().ended.has_value());
    EXPECT_FALSE(last().detail.empty());
    EXPECT_TRUE(service_->list().empty());
    EXPECT_FALSE(service_->find(last().id).has_value());
    for (const auto &made : paths_) EXPECT_FALSE(made->alive);
  }

  struct Timer {
    Time when;
    std::function<void()> function;
    std::weak_ptr<int> handle;
  };
  GMainContext *context_ = nullptr;
  std::shared_ptr<Reactor> reactor_;
  std::shared_ptr<fakes::Server> server_;
  std::shared_ptr<fakes::Agent> agent_;
  std::shared_ptr<Surroundings> around_;
  std::shared_ptr<Service> service_;
  std::map<std::string, std::vector<std::string>> book_{
      {"bob", {"sip:bob@192.0.2.1"}},
      {"carol", {"sip:carol@192.0.2.2", "sip:carol@192.0.2.3"}},
      {"nobody", {}}};
  std::vector<View> changes_;
  std::vector<DigitHeard> heard_;
  std::function<void(const View &)> on_change_;
  std::function<void()> path_begins_;  ///< what each new path does first, on the reactor
  std::vector<std::shared_ptr<FakePath::Log>> paths_;
  std::optional<Error> path_error_;
  std::map<std::string, std::string> unable_;  ///< what no line may hold: the error it makes
  std::map<std::size_t, std::shared_ptr<rtmp::Outlet>> live_outlets_;  ///< by paths so far
  std::int64_t live_dts_ = 0;
  Time now_{std::chrono::hours(1)};
  std::vector<Timer> timers_;
  bool play_from_start_ = true;  ///< a player is there before the first publish
  std::optional<Card> card_;
  std::optional<Tone> tone_;
  std::optional<Codec> tone_codec_;
  std::string card_name_;
  std::string logged_;  ///< a line each
};

}  // namespace junctor::calls
