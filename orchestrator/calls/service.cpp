// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/service.h"

#include <map>
#include <utility>

#include "calls/call.h"
#include "calls/phone_leg.h"
#include "calls/pipeline.h"
#include "calls/pull_codecs.h"
#include "calls/sentence.h"
#include "calls/surroundings.h"
#include "calls/terminal.h"
#include "calls/terminal_leg.h"
#include "calls/track_watcher.h"
#include "common/handle.h"
#include "common/log_budget.h"
#include "common/main_context.h"
#include "common/peer_log_budget.h"

namespace junctor::calls {

namespace {

constexpr auto kUntold = std::chrono::seconds(3);
/// Failed calls from one account or trunk, or from all strangers together, that are recorded and
/// logged. Who calls again and again fills no disk.
constexpr unsigned kRefusalBurst = 60;
constexpr auto kRefusalInterval = std::chrono::seconds(10);

std::string account_of(const rtmp::Request &request) {
  return request.stream.empty() ? request.identity : request.stream;
}

class ServiceImpl : public Service, public std::enable_shared_from_this<ServiceImpl> {
 public:
  ServiceImpl(std::shared_ptr<Surroundings> around, Events events)
      : around_(std::move(around)), events_(std::move(events)) {}

  ~ServiceImpl() override {
    for (auto &[name, terminal] : terminals_) stop_watching(name, terminal);
  }

  void on_publish_started(const rtmp::Request &request) override {
    const std::string account = account_of(request);
    Terminal &terminal = terminals_[account];
    terminal.publisher = request.connection;
    terminal.publisher_secure = request.secure;
    terminal.tell_security();
    if (terminal.leg) terminal.leg->on_publisher(terminal.publisher);
    use_application(terminal, request);
    // Another program, or the same in another stream, may send other tracks. A running call is not
    // told before the first of them is known: if they are the same its pipeline goes on.
    if (std::exchange(terminal.tracks_of, request.connection) != request.connection)
      terminal.tracks = {};
    watch(account, terminal);
    const std::string *to = request.parameter("to");
    // Who is being called answers by publishing, or by calling back.
    if (const auto leg = terminal.leg;
        leg && leg->rings_here() && (!to || *to == terminal.call->from())) {
      leg->on_tracks(terminal.tracks);
      leg->answer();
      return;
    }
    if (!to) return;
    const auto started = start(account, *to);
    // One that is in a call and asks for another: start() leaves the running one alone.
    if (const auto after = terminals_.find(account);
        !started && after != terminals_.end() && after->second.call) {
      tell_publisher(account, {farewell_to_publisher(EndReason::Busy).code,
                               words(EndReason::Busy, started.error().detail)});
      // Its end, which comes of that, hangs nothing up.
      after->second.publisher = 0;
      after->second.tell_security();
      after->second.leg->on_publisher(0);
    }
  }

  void on_publish_ended(const rtmp::Request &request, bool finished) override {
    const std::string account = account_of(request);
    const auto found = terminals_.find(account);
    if (found == terminals_.end() || found->second.publisher != request.connection) return;
    found->second.publisher = 0;
    found->second.tracks_of = 0;
    if (const auto leg = found->second.leg) {
      leg->on_publisher(0);
      // A lost connection is silence: the watchdog counts, and the terminal may come back.
      if (finished) leg->on_push_finished();
    }
    tidy(account);
  }

  void on_play_started(const rtmp::Request &request) override {
    const std::string account = account_of(request);
    Terminal &terminal = terminals_[account];
    use_application(terminal, request);
    auto codecs = pull_codecs(request.parameters);
    if (!codecs) {
      tell_play(account, codecs.error().detail + "; it gets the defaults");
      codecs = PullCodecs{};
    }
    if (terminal.players.empty())
      terminal.pull = *codecs;
    else if (terminal.pull != *codecs)
      tell_play(account, "it asks for " + to_string(*codecs) + ", but gets " +
                             to_string(terminal.pull) + ", as another player of " + account +
                             " is there, which fixed them");
    terminal.players.push_back({request.connection, request.secure});
    terminal.tell_security();
    if (const auto leg = terminal.leg ? terminal.leg : terminal.leaving)
      return leg->on_players(true, terminal.pull);
    if (!terminal.untold) return;
    tell_players(account, *std::exchange(terminal.untold, {}));
  }

  void on_play_ended(const rtmp::Request &request) override {
    const std::string account = account_of(request);
    const auto found = terminals_.find(account);
    if (found == terminals_.end()) return;
    found->second.end_play(request.connection);
    if (const auto leg = found->second.leg ? found->second.leg : found->second.leaving)
      leg->on_players(!found->second.players.empty(), found->second.pull);
    tidy(account);
  }

  Result<std::string> start(const std::string &from, const std::string &to) override {
    if (from.empty() || to.empty()) return bad_input("A call needs a caller and a callee.");
    if (stopping_)
      return failed(from, to, EndReason::Shutdown,
                    refused(std::string(describe(EndReason::Shutdown))));
    if (const auto found = terminals_.find(from); found != terminals_.end() && found->second.call) {
      const Call &running = *found->second.call;
      const bool calls = found->second.leg->side() == Side::Caller;
      const std::string &other = calls ? running.to() : running.from();
      if (other == to) return running.id();
      return failed(from, to, EndReason::Busy,
                    refused("The caller is in a call with " + other + " already; end that first."));
    }
    if (running_.size() >= around_->options.max_calls)
      return failed(from, to, EndReason::Overloaded,
                    refused(std::string(describe(EndReason::Overloaded))));
    auto meant = around_->options.dial(from, to);
    if (!meant)
      return failed(
          from, to,
          meant.error().fault == Fault::Internal ? EndReason::Internal : EndReason::Unreachable,
          meant.error());
    // Nobody's terminals ring for their own call.
    const std::string callee = meant->account == from ? "" : meant->account;
    const Presence terminal = presence(callee);
    if (meant->phones.empty() && terminal != Presence::Free) {
      if (terminal == Presence::Busy)
        return failed(from, to, EndReason::Busy,
                      refused("The account '" + callee + "' is in another call."));
      return failed(
          from, to, EndReason::Unreachable,
          Error{Fault::Unreachable,
                "No phone of '" + to + "' is registered now, and " +
                    (meant->account == from ? "nobody's terminal rings for their own call."
                                            : "no terminal of it is connected.")});
    }

    const auto leg = make_leg(Side::Caller, from, to);
    const auto call = make_call(from, to, leg);
    take_part(leg, call);
    std::vector<std::shared_ptr<Leg>> callees;
    for (sip::InviteOptions &contact : meant->phones)
      callees.push_back(
          std::make_shared<PhoneLeg>(around_, Side::Callee, std::move(contact), from));
    if (terminal == Presence::Free) {
      const auto rung = make_leg(Side::Callee, callee, from);
      take_part(rung, call);
      callees.push_back(rung);
    }
    call->dial(std::move(callees));
    return call->id();
  }

  void on_incoming(const sip::IncomingCall &incoming) override {
    const std::string from = incoming.account.empty() ? incoming.uri : incoming.account;
    const std::string &to = incoming.to;
    const auto refuse = [&](EndReason reason, const std::string &why) {
      incoming.call->hangup(reason, why);
      if (!may_record(incoming.account, incoming.trunk)) return;
      record_failure(from, to, reason, why, Direction::Incoming, incoming.uri);
    };
    if (stopping_) return refuse(EndReason::Shutdown, std::string(describe(EndReason::Shutdown)));
    if (!around_->options.is_account || !around_->options.is_account(to)) {
      // Nobody has missed it: who tries names is told in the log alone.
      const char *why = "There is no account of this name to call.";
      incoming.call->hangup(EndReason::Unreachable, why);
      if (const auto left_out = unknown_names_.take(around_->world.now()))
        around_->log(
            LogLevel::Warning,
            "the call from " + from + " to " + to + " is refused: " + why +
                (*left_out > 0 ? " " + std::to_string(*left_out) + " more such calls." : ""));
      return;
    }
    // First, for it holds whoever is there: the caller can mend it.
    if (around_->options.srtp)
      if (auto can = incoming.call->can_encrypt(around_->options.srtp(incoming)); !can)
        return refuse(EndReason::NotAcceptable, as_sentence(can.error().detail));
    const Presence terminal = presence(to);
    if (terminal == Presence::Absent)
      return refuse(EndReason::Unreachable, "No terminal of '" + to + "' is connected now.");
    if (terminal == Presence::Busy)
      return refuse(EndReason::Busy, "The account '" + to + "' is in another call.");
    if (running_.size() >= around_->options.max_calls)
      return refuse(EndReason::Overloaded, std::string(describe(EndReason::Overloaded)));
    const auto call = make_call(from, to, PhoneLeg::caller(around_, incoming));
    const auto rung = make_leg(Side::Callee, to, from, incoming.display);
    take_part(rung, call);
    call->dial({rung});
  }

  Result<void> answer(const std::string &id) override {
    const auto found = running_.find(id);
    if (found == running_.end()) return bad_input("There is no such running call.");
    return std::shared_ptr(found->second)->answer();
  }

  Result<void> decline(const std::string &id) override {
    const auto found = running_.find(id);
    if (found == running_.end()) return bad_input("There is no such running call.");
    if (!found->second->rings_at_terminal()) return Call::rings_nowhere();
    std::shared_ptr(found->second)->end(EndReason::Declined, 0, "");
    return {};
  }

  void fail_to_start(const std::string &from, const std::string &to, EndReason reason,
                     const std::string &told) override {
    const std::string detail = as_sentence(told);
    const auto found = terminals_.find(from);
    if (found == terminals_.end() || !found->second.call) {
      const std::string text = words(reason, detail);
      tell_publisher(from, {farewell_to_publisher(reason).code, text});
      const Farewell farewell{farewell_to_player(reason).code, text};
      const auto leg = make_leg(Side::Caller, from, to);
      Terminal &terminal = terminals_[from];
      leg->on_players(!terminal.players.empty(), terminal.pull);
      if (leg->linger(reason, farewell))
        linger(from, leg);
      else
        remember(from, farewell);
    }
    if (may_record(from, "")) record_failure(from, to, reason, detail, Direction::Outgoing, "");
  }

  bool hangup(const std::string &id, EndReason reason) override {
    const auto found = running_.find(id);
    if (found == running_.end()) return false;
    std::shared_ptr(found->second)->end(reason, 0, "");
    return true;
  }

  Result<void> send_dtmf(const std::string &id, std::string_view digits, Duration length) override {
    const auto found = running_.find(id);
    if (found == running_.end()) return Error{Fault::Unreachable, "There is no such running call."};
    return found->second->send_dtmf(digits, length);
  }

  std::size_t running() const override { return running_.size(); }

  std::vector<View> list() const override {
    std::vector<View> views;
    views.reserve(running_.size());
    for (const auto &[id, call] : running_) views.push_back(call->brief());
    return views;
  }

  std::optional<View> find(const std::string &id) const override {
    const auto found = running_.find(id);
    if (found == running_.end()) return std::nullopt;
    return found->second->view();
  }

  void shutdown(std::function<void()> done) override {
    stopping_ = true;
    const auto running = running_;
    for (const auto &[id, call] : running) call->end(EndReason::Shutdown, 0, "");
    std::vector<std::string> leaving;
    for (const auto &[account, terminal] : terminals_)
      if (terminal.leaving) leaving.push_back(account);
    for (const std::string &account : leaving) part(account);
    // Behind what the ends have posted to this thread.
    post_to(around_->context, std::move(done));
  }

 private:
  std::shared_ptr<Call> make_call(const std::string &from, const std::string &to,
                                  std::shared_ptr<Leg> caller) {
    std::unique_ptr<char, Releaser<g_free>> id(g_uuid_string_random());
    auto call = Call::create(around_, id.get(), from, to, std::move(caller),
                             [weak = weak_from_this()](const Call &changed) {
                               if (auto self = weak.lock()) self->on_changed(changed);
                             });
    running_[call->id()] = call;
    return call;
  }

  /// Of the leg that was there before the players are taken over: it lets go of them first.
  std::shared_ptr<TerminalLeg> make_leg(Side side, const std::string &account,
                                        const std::string &peer, const std::string &display = {}) {
    make_way(terminals_[account]);
    return TerminalLeg::create(around_, side, account, peer, display);
  }

  /// The account's terminal belongs to the call until the leg is over.
  void take_part(const std::shared_ptr<TerminalLeg> &leg, const std::shared_ptr<Call> &call) {
    Terminal &terminal = terminals_[leg->account()];
    watch(leg->account(), terminal);
    terminal.call = call;
    terminal.leg = leg;
    leg->set_over([weak = weak_from_this()](TerminalLeg &gone, std::optional<EndReason> reason) {
      if (auto self = weak.lock()) self->on_over(gone, reason);
    });
    leg->set_application(terminal.application);
    terminal.tell_security();
    leg->on_publisher(terminal.publisher);
    leg->on_tracks(terminal.tracks);
    leg->on_players(!terminal.players.empty(), terminal.pull);
  }

  void on_over(TerminalLeg &leg, std::optional<EndReason> reason) {
    const auto terminal = terminals_.find(leg.account());
    if (terminal == terminals_.end() || terminal->second.leg.get() != &leg) return;
    // Kept until this turn is over: they are still on the stack.
    post_to(around_->context, [leg = std::exchange(terminal->second.leg, {}),
                               call = std::exchange(terminal->second.call, {})] {});
    // Of a caller's failed call the pull, which may come when it is all over, has to be told; who
    // comes after any other waits for the next.
    if (leg.lingers() && !stopping_)
      linger(leg.account(), leg.shared_from_this());
    else if (leg.failed_unseen())
      remember(leg.account(), farewell_to_player(*reason));
    tidy(leg.account());
  }

  /// Whether the account's terminal can be rung now.
  enum class Presence : std::uint8_t { Absent, Busy, Free };
  Presence presence(const std::string &account) const {
    const auto found = terminals_.find(account);
    if (found == terminals_.end()) return Presence::Absent;
    if (found->second.call) return Presence::Busy;
    return found->second.present() ? Presence::Free : Presence::Absent;
  }

  /// Of another failed call of that account or trunk, both empty for strangers.
  bool may_record(const std::string &account, const std::string &trunk) {
    const Time now = around_->world.now();
    auto &budget = refusals_.try_emplace(account + '\n' + trunk, kRefusalBurst, kRefusalInterval)
                       .first->second;
    if (!budget.may(now)) return false;
    budget.take(now);
    return true;
  }

  void record_failure(const std::string &from, const std::string &to, EndReason reason,
                      const std::string &detail, Direction direction, const std::string &uri) {
    around_->log(LogLevel::Warning, "the call from " + from + " to " + to + " cannot be made (" +
                                        std::string(to_string(reason)) + "): " + detail);
    if (!events_.changed) return;
    std::unique_ptr<char, Releaser<g_free>> id(g_uuid_string_random());
    View view;
    view.id = id.get();
    view.from = from;
    view.to = to;
    view.direction = direction;
    view.uri = uri;
    view.state = State::Ended;
    view.reason = reason;
    view.detail = detail;
    view.created = around_->world.wall();
    view.ended = view.created;
    events_.changed(view);
  }

  void watch(const std::string &account, Terminal &terminal) {
    if (terminal.watcher) return;
    terminal.watcher = std::make_shared<TrackWatcher>(
        around_->context,
        [weak = weak_from_this(), account](const rtmp::Track &track) {
          if (auto self = weak.lock()) self->on_track(account, track);
        },
        [weak = weak_from_this(), account](Medium medium, const std::string &why) {
          if (auto self = weak.lock()) self->on_left_out(account, medium, why);
        });
    around_->server->reactor()->post(
        [server = around_->server, account, watcher = terminal.watcher] {
          server->listen_to(account, watcher);
        });
  }

  void stop_watching(const std::string &account, Terminal &terminal) {
    if (!terminal.watcher) return;
    around_->server->reactor()->post(
        [server = around_->server, account, watcher = std::move(terminal.watcher)] {
          server->stop_listening(account, watcher.get());
        });
  }

  void on_track(const std::string &account, const rtmp::Track &track) {
    const auto found = terminals_.find(account);
    if (found == terminals_.end()) return;
    PushTracks &tracks = found->second.tracks;
    const Medium medium = medium_of(track.codec);
    (medium == Medium::Audio ? tracks.audio : tracks.video) = track;
    tracks.left_out[static_cast<std::size_t>(medium)].clear();
    if (found->second.watcher) tracks.figures = found->second.watcher->figures();
    if (const auto leg = found->second.leg) leg->on_tracks(tracks);
  }

  void on_left_out(const std::string &account, Medium medium, const std::string &why) {
    const auto found = terminals_.find(account);
    if (found == terminals_.end()) return;
    PushTracks &tracks = found->second.tracks;
    tracks.left_out[static_cast<std::size_t>(medium)] = why;
    if (const auto leg = found->second.leg) leg->on_tracks(tracks);
  }

  void on_changed(const Call &call) {
    const View view = call.view();
    const bool flowing = view.state == State::Answered && view.first_packet_to_callee_ms &&
                         view.first_packet_to_caller_ms;
    if (flowing)
      around_->log(LogLevel::Info,
                   "call " + view.id + ": first packets after the answer: " +
                       std::to_string(*view.first_packet_to_callee_ms) + " ms to the callee, " +
                       std::to_string(*view.first_packet_to_caller_ms) + " ms to the caller");
    else
      around_->log(LogLevel::Info,
                   "call " + view.id + " from " + view.from + " to " + view.to + " is " +
                       std::string(to_string(view.state)) +
                       (view.reason ? " (" + std::string(to_string(*view.reason)) + ")" : "") +
                       (view.detail.empty() ? "" : ": " + view.detail));
    if (view.state == State::Ended) {
      // Kept until this turn is over: the call is still on the stack.
      const auto found = running_.find(view.id);
      if (found != running_.end()) {
        post_to(around_->context, [kept = found->second] {});
        running_.erase(found);
      }
    }
    if (events_.changed) events_.changed(view);
  }

  Error failed(const std::string &from, const std::string &to, EndReason reason, Error error) {
    fail_to_start(from, to, reason, error.detail);
    return error;
  }

  /// The players of a call that did not come about are shown why, or who called, for a while.
  void linger(const std::string &account, std::shared_ptr<TerminalLeg> leg) {
    Terminal &terminal = terminals_[account];
    const Duration lingering = leg->lingering();
    terminal.leaving = std::move(leg);
    terminal.leaving_timer = around_->world.after(lingering, [weak = weak_from_this(), account] {
      if (const auto self = weak.lock()) self->part(account);
    });
  }

  /// The while is over.
  void part(const std::string &account) {
    const auto found = terminals_.find(account);
    if (found == terminals_.end() || !found->second.leaving) return;
    const auto leg = std::exchange(found->second.leaving, {});
    // Its own function may be what runs: it ends when this turn does.
    post_to(around_->context, [timer = std::exchange(found->second.leaving_timer, {})] {});
    leg->leave_players();
    tidy(account);
  }

  /// What comes next is for the same players: they see it at once.
  static void make_way(Terminal &terminal) {
    terminal.leaving_timer.reset();
    if (const auto leg = std::exchange(terminal.leaving, {})) leg->make_way();
  }

  static std::string words(EndReason reason, const std::string &detail) {
    return std::string(to_string(reason)) + ": " + detail;
  }

  static void use_application(Terminal &terminal, const rtmp::Request &request) {
    if (request.app.empty()) return;
    terminal.application = request.app;
    if (terminal.leg) terminal.leg->set_application(request.app);
  }

  /// The one that is known to be there, if any.
  void tell_publisher(const std::string &account, const Farewell &farewell) {
    const auto found = terminals_.find(account);
    if (found == terminals_.end() || found->second.publisher == 0) return;
    around_->server->reactor()->post(
        [server = around_->server, account, connection = found->second.publisher, farewell] {
          server->end_publisher(account, connection, farewell.code, farewell.words);
        });
  }

  /// In the log, that it does not get what it asks for.
  void tell_play(const std::string &account, const std::string &what) {
    const auto left_out = plays_told_.take(account, around_->world.now());
    if (!left_out) return;
    around_->log(LogLevel::Warning, "the play of " + account + ": " + what +
                                        (*left_out > 0 ? " (" + std::to_string(*left_out) +
                                                             " others left out of the log)"
                                                       : ""));
  }

  void tell_players(const std::string &account, const Farewell &farewell) {
    around_->server->reactor()->post([server = around_->server, account, farewell] {
      server->outlet(account)->end(farewell.code, farewell.words);
    });
  }

  /// Push and pull of one caller are two programs: the pull may come when it is all over.
  void remember(const std::string &account, Farewell farewell) {
    Terminal &terminal = terminals_[account];
    if (!terminal.players.empty()) return tell_players(account, farewell);
    terminal.untold = std::move(farewell);
    terminal.forgetting = around_->world.after(kUntold, [weak = weak_from_this(), account] {
      const auto self = weak.lock();
      if (!self) return;
      if (const auto found = self->terminals_.find(account); found != self->terminals_.end())
        found->second.untold.reset();
      self->tidy(account);
    });
  }

  /// Forgets a terminal that has nothing running.
  void tidy(const std::string &account) {
    const auto found = terminals_.find(account);
    if (found == terminals_.end()) return;
    if (found->second.publisher == 0 && !found->second.call) {
      stop_watching(account, found->second);
      found->second.tracks = {};
    }
    if (found->second.idle()) terminals_.erase(found);
  }

  std::shared_ptr<Surroundings> around_;
  Events events_;
  std::map<std::string, Terminal> terminals_;
  std::map<std::string, std::shared_ptr<Call>> running_;  ///< by id
  /// By who called, as far as that is known for sure: there are no more than accounts and trunks.
  std::map<std::string, Throttle> refusals_;
  LogBudget unknown_names_{2};
  PeerLogBudget plays_told_;  ///< by account
  bool stopping_ = false;
};

}  // namespace

std::shared_ptr<Service> create_service(std::shared_ptr<Surroundings> around, Events events) {
  around->heard = events.heard;
  return std::make_shared<ServiceImpl>(std::move(around), std::move(events));
}

std::shared_ptr<Service> Service::create(std::shared_ptr<rtmp::Server> server,
                                         std::shared_ptr<sip::Agent> agent, Options options,
                                         Events events) {
  auto around = std::make_shared<Surroundings>();
  GMainContext *context = g_main_context_get_thread_default();
  around->context = context;
  around->server = std::move(server);
  around->agent = std::move(agent);
  around->options = std::move(options);
  auto templates = Templates::load(around->options.pipelines_dir);
  if (!templates) {
    around->log(LogLevel::Error, templates.error().detail);
    return nullptr;
  }
  around->templates = *std::move(templates);
  World &world = around->world;
  world.now = [] { return Clock::now(); };
  world.wall = [] { return std::chrono::system_clock::now(); };
  world.after = [context](Duration delay, std::function<void()> function) {
    return std::make_shared<ContextTimer>(context, delay, std::move(function));
  };
  world.make_path = [context](const PathSpec &spec, PathEvents path_events) {
    return make_pipeline(context, spec, std::move(path_events));
  };
  auto loops = std::make_shared<LoopCache>(context, around->templates, around->options.log,
                                           std::exchange(around->options.media, {}));
  world.picture = [loops](Card card, const std::string &name, Codec codec, World::LoopReady ready) {
    loops->picture(card, name, codec, std::move(ready));
  };
  world.tone = [loops](Tone tone, Codec codec, World::LoopReady ready) {
    loops->tone(tone, codec, std::move(ready));
  };
  // Loads what calls need, so that the first one does not wait for it, and tells what is missing.
  for (const Plan &plan : every_plan()) {
    auto line = make_line(around->templates, plan, {});
    auto tried = line ? try_line(*line) : Result<void>(line.error());
    if (!tried) around->log(LogLevel::Error, tried.error().detail);
  }
  // Made before anybody rings: these are the same for all callees.
  for (const Tone tone : {Tone::Silence, Tone::Ringback, Tone::Ring, Tone::Busy})
    loops->tone(tone, PullCodecs{}.audio, [](const std::shared_ptr<const Loop> &) {});
  return create_service(std::move(around), std::move(events));
}

}  // namespace junctor::calls
