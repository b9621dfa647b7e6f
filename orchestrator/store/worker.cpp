// SPDX-License-Identifier: LGPL-2.1-or-later
#include "store/worker.h"

#include <pthread.h>

#include <csignal>

namespace junctor::store {

WorkerPool::WorkerPool(const std::string &name, std::size_t threads, std::size_t limit)
    : name_(name.substr(0, 15)), limit_(limit) {
  // Signals are for the main thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  for (auto &thread : threads_) thread.join();
}

bool WorkerPool::post(std::function<void()> function) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= limit_) return false;
    queue_.push_back(std::move(function));
  }
  wake_.notify_one();
  return true;
}

void WorkerPool::drain() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return queue_.empty() && running_ == 0; });
}

void WorkerPool::work() {
  pthread_setname_np(pthread_self(), name_.c_str());
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return ending_ || !queue_.empty(); });
    if (queue_.empty()) return;
    auto function = std::move(queue_.front());
    queue_.pop_front();
    ++running_;
    lock.unlock();
    function();
    function = nullptr;  // what it holds is let go before anybody is told that it is done
    lock.lock();
    --running_;
    if (queue_.empty() && running_ == 0) idle_.notify_all();
  }
}

}  // namespace junctor::store
