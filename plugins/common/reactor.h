// SPDX-License-Identifier: LGPL-2.1-or-later
// The event loop that serves the sockets of all calls.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/handle.h"
#include "common/result.h"

namespace junctor {

/// One epoll loop. Everything but post(), invoke(), stop() and in_thread() belongs to the thread
/// that runs it. Watches and timers die with their owners and must not outlive the reactor: who
/// holds one also holds a shared_ptr to the reactor.
class Reactor {
  struct WatchState;

 public:
  using Function = std::function<void()>;
  /// Gets the EPOLL* bits that are ready.
  using ReadyFunction = std::function<void(std::uint32_t events)>;

  /// Watches one descriptor, level-triggered, until destroyed. May be destroyed in its own
  /// callback.
  class Watch {
   public:
    Watch() = default;
    Watch(Watch &&other) noexcept;
    Watch &operator=(Watch &&other) noexcept;
    ~Watch() { reset(); }
    /// Replaces the set of events waited for (EPOLLIN, EPOLLOUT, 0).
    void set_events(std::uint32_t events);
    void reset();
    explicit operator bool() const { return state_ != nullptr; }

   private:
    friend class Reactor;
    Watch(Reactor *reactor, WatchState *state) : reactor_(reactor), state_(state) {}
    Reactor *reactor_ = nullptr;
    WatchState *state_ = nullptr;
  };

  /// Calls once, unless destroyed first. Assigning a new timer to it cancels the old one.
  class Timer {
   public:
    Timer() = default;
    Timer(Timer &&other) noexcept
        : reactor_(std::exchange(other.reactor_, nullptr)), key_(std::move(other.key_)) {}
    Timer &operator=(Timer &&other) noexcept {
      if (this != &other) {
        reset();
        reactor_ = std::exchange(other.reactor_, nullptr);
        key_ = other.key_;
      }
      return *this;
    }
    ~Timer() { reset(); }
    void reset();

   private:
    friend class Reactor;
    using Key = std::pair<Time, std::uint64_t>;
    Timer(Reactor *reactor, Key key) : reactor_(reactor), key_(key) {}
    Reactor *reactor_ = nullptr;
    Key key_;
  };

  static Result<std::shared_ptr<Reactor>> create();
  ~Reactor();
  Reactor(const Reactor &) = delete;
  Reactor &operator=(const Reactor &) = delete;

  Watch watch(int fd, std::uint32_t events, ReadyFunction ready);
  Timer after(Duration delay, Function function);
  Timer at(Time when, Function function);

  /// Runs `function` once when the events of this turn are handled.
  void at_end_of_turn(Function function) { end_of_turn_.push_back(std::move(function)); }

  /// The same again and again, without an allocation each time: the place to send in one go what
  /// a turn produced. Reactor thread, as its owner; must not outlive the reactor while requested.
  class TurnEnd {
   public:
    /// `function` must not destroy this.
    explicit TurnEnd(Function function) : function_(std::move(function)) {}
    ~TurnEnd() { cancel(); }
    TurnEnd(const TurnEnd &) = delete;
    TurnEnd &operator=(const TurnEnd &) = delete;
    /// Once at the end of this turn, however often it is asked for.
    void request(Reactor &reactor);
    void cancel();
    bool requested() const { return slot_ != nullptr; }

   private:
    friend class Reactor;
    Function function_;
    Reactor *owner_ = nullptr;
    TurnEnd **slot_ = nullptr;  // what points at this, while it is requested
    TurnEnd *next_ = nullptr;
  };

  /// The time at which this turn woke up; cheap, the same for all that the turn handles.
  Time now() const { return now_; }

  /// Any thread: runs `function` on the reactor later, in order of posting.
  void post(Function function);
  /// Any thread: runs `function` on the reactor and waits for it; inline on the reactor's own
  /// thread or when nothing runs the reactor. Never call it with a lock that `function` takes.
  void invoke(const Function &function);
  /// Any thread.
  bool in_thread() const { return thread_.load() == std::this_thread::get_id(); }

  /// Serves until stop(). What was posted before stop() is still run. Answers at once while there
  /// are fewer than 500 turns a second, within 2 ms otherwise.
  void run();
  /// One turn: waits at most `patience` for something to do. For tests.
  void run_once(Duration patience);
  /// Any thread.
  void stop();

 private:
  struct WatchState {
    int fd;
    std::uint32_t events;
    ReadyFunction ready;
    bool alive = true;
  };

  Reactor() = default;
  /// Whether there may be more to serve at once.
  bool turn(int timeout_ms);
  int milliseconds_to_next_timer() const;
  void run_timers();
  bool run_posted();
  void wake();
  bool has_posted();
  /// From here on nothing runs the reactor; false if there is still something to run.
  bool leave();
  void run_end_of_turn();
  void run_turn_ends();
  void keep_pace();

  UniqueFd epoll_;
  UniqueFd wakeup_;
  Time now_ = Clock::now();
  Time paced_{};  // until when the turns so far have used up their share
  std::uint64_t next_timer_ = 0;
  std::map<Timer::Key, Function> timers_;
  std::map<WatchState *, std::unique_ptr<WatchState>> watches_;
  std::vector<std::unique_ptr<WatchState>> retired_;  // freed when no event can point at them
  TurnEnd *turn_ends_ = nullptr;                      // a list through next_
  TurnEnd **last_turn_end_ = &turn_ends_;             // where its end is
  std::vector<Function> end_of_turn_;
  std::vector<Function> spare_end_of_turn_, spare_posted_;  // empty; for what they have allocated

  std::mutex mutex_;  // guards posted_; held where run() clears thread_
  std::vector<Function> posted_;
  std::atomic<bool> waits_ = false;  // or is about to: whoever posts wakes it
  std::atomic<bool> stopping_ = false;
  std::atomic<std::thread::id> thread_;
};

/// A reactor and the thread that runs it. Destroy it on any other thread.
class ReactorThread {
 public:
  /// `name` is what debuggers and top show; at most 15 characters.
  static Result<std::unique_ptr<ReactorThread>> start(std::string name);
  ~ReactorThread();
  const std::shared_ptr<Reactor> &reactor() const { return reactor_; }

 private:
  ReactorThread() = default;
  std::shared_ptr<Reactor> reactor_;
  std::thread thread_;
};

}  // namespace junctor
