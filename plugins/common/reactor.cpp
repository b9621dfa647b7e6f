// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/reactor.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <future>
#include <thread>

namespace junctor {

namespace {

constexpr int kEventsPerTurn = 256;

/// A loop that wakes for each packet spends more on waking, with cold caches, than on the packets.
/// Below 500 turns a second it wakes at once; a busier one lets what comes gather up to 2 ms.
constexpr Duration kPace = std::chrono::milliseconds(2);
constexpr Duration kPaceCredit = 16 * kPace;  // saved up in quiet times, for bursts

}  // namespace

Result<std::shared_ptr<Reactor>> Reactor::create() {
  std::shared_ptr<Reactor> reactor(new Reactor);
  reactor->epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  reactor->wakeup_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!reactor->epoll_ || !reactor->wakeup_)
    return internal_error(std::string("cannot make an event loop: ") + std::strerror(errno));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;  // stands for the wake-up descriptor
  if (::epoll_ctl(reactor->epoll_.get(), EPOLL_CTL_ADD, reactor->wakeup_.get(), &event) < 0)
    return internal_error(std::string("epoll_ctl: ") + std::strerror(errno));
  return reactor;
}

Reactor::~Reactor() = default;

Reactor::Watch::Watch(Watch &&other) noexcept
    : reactor_(std::exchange(other.reactor_, nullptr)),
      state_(std::exchange(other.state_, nullptr)) {}

Reactor::Watch &Reactor::Watch::operator=(Watch &&other) noexcept {
  if (this != &other) {
    reset();
    reactor_ = std::exchange(other.reactor_, nullptr);
    state_ = std::exchange(other.state_, nullptr);
  }
  return *this;
}

void Reactor::Watch::set_events(std::uint32_t events) {
  if (!state_ || state_->events == events) return;
  state_->events = events;
  epoll_event event{};
  event.events = events;
  event.data.ptr = state_;
  ::epoll_ctl(reactor_->epoll_.get(), EPOLL_CTL_MOD, state_->fd, &event);
}

void Reactor::Watch::reset() {
  if (!state_) return;
  ::epoll_ctl(reactor_->epoll_.get(), EPOLL_CTL_DEL, state_->fd, nullptr);
  state_->alive = false;
  auto found = reactor_->watches_.find(state_);
  reactor_->retired_.push_back(std::move(found->second));
  reactor_->watches_.erase(found);
  state_ = nullptr;
  reactor_ = nullptr;
}

void Reactor::Timer::reset() {
  if (reactor_) reactor_->timers_.erase(key_);
  reactor_ = nullptr;
}

Reactor::Watch Reactor::watch(int fd, std::uint32_t events, ReadyFunction ready) {
  auto state = std::make_unique<WatchState>(WatchState{fd, events, std::move(ready)});
  WatchState *pointer = state.get();
  epoll_event event{};
  event.events = events;
  event.data.ptr = pointer;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) return {};
  watches_.emplace(pointer, std::move(state));
  return {this, pointer};
}

Reactor::Timer Reactor::after(Duration delay, Function function) {
  return at(Clock::now() + delay, std::move(function));
}

Reactor::Timer Reactor::at(Time when, Function function) {
  const Timer::Key key{when, next_timer_++};
  timers_.emplace(key, std::move(function));
  return {this, key};
}

void Reactor::post(Function function) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(function));
  }
  wake();
}

/// A loop that is not about to wait will look for itself. Without the lock, which it takes first.
void Reactor::wake() {
  if (!waits_.exchange(false)) return;
  const std::uint64_t one = 1;
  // A full counter would wake the loop just as well, so a failed write loses nothing.
  [[maybe_unused]] const auto written = ::write(wakeup_.get(), &one, sizeof one);
}

void Reactor::invoke(const Function &function) {
  if (in_thread()) {
    function();
    return;
  }
  std::promise<void> done;
  {
    // Held over both, so that run() cannot end in between and leave the function lying.
    std::unique_lock lock(mutex_);
    if (thread_.load() == std::thread::id()) {
      lock.unlock();
      function();
      return;
    }
    posted_.emplace_back([&] {
      function();
      done.set_value();
    });
  }
  wake();
  done.get_future().wait();
}

bool Reactor::has_posted() {
  const std::lock_guard lock(mutex_);
  return !posted_.empty();
}

bool Reactor::leave() {
  const std::lock_guard lock(mutex_);
  if (!posted_.empty()) return false;
  thread_ = std::thread::id();
  return true;
}

void Reactor::run() {
  thread_ = std::this_thread::get_id();
  bool more = false;  // than one turn takes
  while (!stopping_) {
    if (!more) keep_pace();
    more = turn(milliseconds_to_next_timer());
  }
  do {
    while (run_posted()) run_end_of_turn();
  } while (!leave());
}

void Reactor::keep_pace() {
  const Time now = Clock::now();
  paced_ = std::max(paced_, now - kPaceCredit) + kPace;
  if (paced_ > now) std::this_thread::sleep_until(paced_);
}

void Reactor::run_once(Duration patience) {
  thread_ = std::this_thread::get_id();
  const auto longest =
      static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(patience).count());
  const int next = milliseconds_to_next_timer();
  turn(next < 0 ? longest : std::min(next, longest));
  thread_ = std::thread::id();
}

void Reactor::stop() {
  stopping_ = true;
  post([] {});
}

int Reactor::milliseconds_to_next_timer() const {
  if (timers_.empty()) return -1;
  const auto wait = timers_.begin()->first.first - Clock::now();
  if (wait <= Duration::zero()) return 0;
  // Rounded up: a turn that wakes a fraction early would spin until the timer is due.
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
  return ms > INT_MAX ? INT_MAX : static_cast<int>(ms);
}

bool Reactor::turn(int timeout_ms) {
  std::array<epoll_event, kEventsPerTurn> events;
  // In this order: who posts after the look finds that the loop waits.
  waits_ = true;
  if (has_posted()) timeout_ms = 0;
  const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, timeout_ms);
  waits_ = false;
  now_ = Clock::now();
  for (int i = 0; i < count; ++i) {
    auto *state = static_cast<WatchState *>(events[i].data.ptr);
    if (state == nullptr) {
      std::uint64_t ignored;
      [[maybe_unused]] const auto read = ::read(wakeup_.get(), &ignored, sizeof ignored);
    } else if (state->alive) {
      state->ready(events[i].events);
    }
  }
  run_posted();
  run_timers();
  run_end_of_turn();
  retired_.clear();
  return count == kEventsPerTurn;
}

void Reactor::run_timers() {
  while (!timers_.empty() && timers_.begin()->first.first <= now_) {
    // Taken out first: the call may destroy or re-arm its owner.
    const Function function = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    function();
  }
}

bool Reactor::run_posted() {
  // Two vectors take turns and keep what they have allocated; a nested call finds none to spare.
  std::vector<Function> batch = std::exchange(spare_posted_, {});
  {
    const std::lock_guard lock(mutex_);
    batch.swap(posted_);
  }
  const bool any = !batch.empty();
  for (Function &function : batch) {
    function();
    function = nullptr;
  }
  batch.clear();
  spare_posted_ = std::move(batch);
  return any;
}

void Reactor::TurnEnd::request(Reactor &reactor) {
  if (requested()) return;
  owner_ = &reactor;
  slot_ = reactor.last_turn_end_;
  next_ = nullptr;
  *slot_ = this;
  reactor.last_turn_end_ = &next_;
}

void Reactor::TurnEnd::cancel() {
  if (!requested()) return;
  *slot_ = next_;
  if (next_)
    next_->slot_ = slot_;
  else
    owner_->last_turn_end_ = slot_;
  slot_ = nullptr;
}

void Reactor::run_turn_ends() {
  while (turn_ends_) {
    TurnEnd &first = *turn_ends_;
    first.cancel();  // it may ask again
    first.function_();
  }
}

void Reactor::run_end_of_turn() {
  run_turn_ends();
  if (end_of_turn_.empty()) return;
  std::vector<Function> batch = std::exchange(spare_end_of_turn_, {});
  while (!end_of_turn_.empty()) {
    batch.swap(end_of_turn_);
    for (const Function &function : batch) function();
    batch.clear();
    run_turn_ends();
  }
  spare_end_of_turn_ = std::move(batch);
}

Result<std::unique_ptr<ReactorThread>> ReactorThread::start(std::string name) {
  auto reactor = Reactor::create();
  if (!reactor) return reactor.error();
  std::unique_ptr<ReactorThread> self(new ReactorThread);
  self->reactor_ = *reactor;
  std::promise<void> running;
  self->thread_ = std::thread([&running, loop = *reactor, name = std::move(name)] {
    pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
    loop->post([&running] { running.set_value(); });
    loop->run();
  });
  running.get_future().wait();
  return self;
}

ReactorThread::~ReactorThread() {
  reactor_->stop();
  thread_.join();
}

}  // namespace junctor
