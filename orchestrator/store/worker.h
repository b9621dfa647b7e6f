// SPDX-License-Identifier: LGPL-2.1-or-later
// Threads for what may block: files, databases, slow hashes.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace junctor::store {

/// A few threads and a bounded queue. With one thread, work is done in order of posting.
class WorkerPool {
 public:
  /// `name` is what debuggers and top show; at most 15 characters.
  WorkerPool(const std::string &name, std::size_t threads, std::size_t limit);
  /// Does what is queued, then ends the threads.
  ~WorkerPool();
  WorkerPool(const WorkerPool &) = delete;
  WorkerPool &operator=(const WorkerPool &) = delete;

  /// Any thread. False, and nothing happens, when `limit` functions wait already.
  [[nodiscard]] bool post(std::function<void()> function);
  /// Waits until nothing is queued or running. Not from one of the threads.
  void drain();

 private:
  void work();

  const std::string name_;
  const std::size_t limit_;
  std::mutex mutex_;  // guards all below but threads_
  std::condition_variable wake_, idle_;
  std::deque<std::function<void()>> queue_;
  std::size_t running_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace junctor::store
