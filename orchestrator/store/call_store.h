// SPDX-License-Identifier: LGPL-2.1-or-later
// The records of all calls, in SQLite.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "calls/service.h"
#include "common/log.h"
#include "common/result.h"

namespace junctor::store {

/// A part of the list of calls, newest first.
struct Page {
  std::vector<calls::View> calls;  ///< without plan and launch line
  std::string next;                ///< for the part that follows; empty at the end
};

/// Keeps a record of each call: written when it is made, again at each change, and when it has
/// ended. Every function may be called on any thread and returns at once; one worker thread does
/// the work in order, so that find() after save() finds it. Callbacks run on that thread.
class CallStore {
 public:
  struct Options {
    std::string path;  ///< of the database; made with mode 0600
    unsigned keep_days = 365;
    LogSink log;
  };
  /// Blocks. Closes what an earlier run left open, as `internal`, at the time `now`; forgets what
  /// ended more than keep_days ago.
  static Result<std::unique_ptr<CallStore>> open(Options options, calls::WallTime now);
  /// Whether open() would find a database there that it can use, or none. Makes and changes
  /// nothing, whether or not a server has it open.
  static Result<void> look(const std::string &path);
  virtual ~CallStore() = default;

  /// Inserts or replaces the record.
  virtual void save(const calls::View &call) = 0;
  /// Nothing where there is no such record; an error where the database could not be asked.
  using Found = Result<std::optional<calls::View>>;
  virtual void find(const std::string &id, std::function<void(Found)> done) = 0;
  /// `after`: what `next` of the part before was, or empty. `limit`: 1 to 500.
  virtual void list(std::size_t limit, const std::string &after,
                    std::function<void(Result<Page>)> done) = 0;
  /// Deletes ended calls older than keep_days, seen from `now`.
  virtual void prune(calls::WallTime now) = 0;
  /// Blocks until all that was asked so far is done.
  virtual void flush() = 0;
};

}  // namespace junctor::store
