// SPDX-License-Identifier: LGPL-2.1-or-later
#include "store/call_store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "common/handle.h"
#include "store/call_json.h"
#include "store/worker.h"

namespace junctor::store {

namespace {

using calls::View;
using calls::WallTime;

using Database = std::unique_ptr<sqlite3, Releaser<sqlite3_close>>;
using Statement = std::unique_ptr<sqlite3_stmt, Releaser<sqlite3_finalize>>;

constexpr std::size_t kMaxQueued = 100000;

/// A step brings a database from the version of its index to the next; never changed, only added.
constexpr const char *kMigrations[] = {
    "CREATE TABLE calls ("
    "  id TEXT PRIMARY KEY NOT NULL,"
    "  caller TEXT NOT NULL, callee TEXT NOT NULL, uri TEXT NOT NULL,"
    "  state TEXT NOT NULL, reason TEXT, sip_code INTEGER NOT NULL, detail TEXT NOT NULL,"
    "  created INTEGER NOT NULL, ringing INTEGER, answered INTEGER, ended INTEGER,"
    "  first_to_callee INTEGER, first_to_caller INTEGER,"
    "  plan TEXT NOT NULL, launch TEXT NOT NULL, counts TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX calls_by_time ON calls (created DESC, id DESC);"
    "CREATE INDEX calls_open ON calls (state) WHERE state <> 'ended';",
    "ALTER TABLE calls ADD COLUMN redirected_to TEXT NOT NULL DEFAULT '';",
    "ALTER TABLE calls ADD COLUMN direction TEXT NOT NULL DEFAULT 'outgoing';",
};

constexpr const char *kColumns =
    "id, caller, callee, uri, state, reason, sip_code, detail, created, ringing, answered, ended,"
    " first_to_callee, first_to_caller, counts, redirected_to, direction, plan, launch";

std::int64_t to_ms(WallTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

WallTime from_ms(std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }

std::string column_text(sqlite3_stmt *row, int column) {
  const auto *text = reinterpret_cast<const char *>(sqlite3_column_text(row, column));
  return text ? std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(row, column)))
              : std::string();
}

std::optional<std::int64_t> column_number(sqlite3_stmt *row, int column) {
  if (sqlite3_column_type(row, column) == SQLITE_NULL) return std::nullopt;
  return sqlite3_column_int64(row, column);
}

std::optional<WallTime> column_time(sqlite3_stmt *row, int column) {
  const auto ms = column_number(row, column);
  return ms ? std::optional(from_ms(*ms)) : std::nullopt;
}

View read_row(sqlite3_stmt *row) {
  View call;
  call.id = column_text(row, 0);
  call.from = column_text(row, 1);
  call.to = column_text(row, 2);
  call.uri = column_text(row, 3);
  call.state = state_from_string(column_text(row, 4)).value_or(calls::State::Ended);
  call.reason = end_reason_from_string(column_text(row, 5));
  call.sip_code = sqlite3_column_int(row, 6);
  call.detail = column_text(row, 7);
  call.created = from_ms(sqlite3_column_int64(row, 8));
  call.ringing = column_time(row, 9);
  call.answered = column_time(row, 10);
  call.ended = column_time(row, 11);
  call.first_packet_to_callee_ms = column_number(row, 12);
  call.first_packet_to_caller_ms = column_number(row, 13);
  counts_from_text(column_text(row, 14), call);
  call.redirected_to = column_text(row, 15);
  call.direction = direction_from_string(column_text(row, 16)).value_or(calls::Direction::Outgoing);
  if (sqlite3_column_count(row) > 17) {
    call.plan = plan_from_text(column_text(row, 17));
    call.launch = column_text(row, 18);
  }
  return call;
}

// Not named bind: argument-dependent lookup would find std::bind.
void put(sqlite3_stmt *statement, int index, const std::string &text) {
  sqlite3_bind_text(statement, index, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
}

void put(sqlite3_stmt *statement, int index, const std::optional<std::int64_t> &number) {
  if (number) sqlite3_bind_int64(statement, index, *number);
}

void put(sqlite3_stmt *statement, int index, const std::optional<WallTime> &time) {
  if (time) sqlite3_bind_int64(statement, index, to_ms(*time));
}

class SqliteStore : public CallStore {
 public:
  explicit SqliteStore(Options options) : options_(std::move(options)) {}

  Result<void> open_database(WallTime now) {
    // Made here, so that its mode is right from the first moment; SQLite gives the same mode to
    // the files beside it.
    const UniqueFd file(::open(options_.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file) return internal_error("cannot open " + options_.path + "; is it writable?");
    if (auto closed = close_to_others(); !closed) return closed;
    sqlite3 *raw = nullptr;
    const int opened = sqlite3_open_v2(options_.path.c_str(), &raw,
                                       SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    database_.reset(raw);
    if (opened != SQLITE_OK) return failure("open");
    sqlite3_busy_timeout(raw, 5000);
    if (!run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")) return failure("open");
    if (auto migrated = migrate(); !migrated) return migrated;
    if (auto closed = close_left_open(now); !closed) return closed;
    prune_now(now);
    worker_ = std::make_unique<WorkerPool>("junctor-store", 1, kMaxQueued);
    return {};
  }

  ~SqliteStore() override { worker_.reset(); }

  Result<void> look() {
    if (::access(options_.path.c_str(), R_OK | W_OK) != 0)
      return internal_error("cannot open " + options_.path + "; is it writable?");
    // Whoever reads a WAL makes the files beside it, where they are not there.
    const bool open = ::access((options_.path + "-shm").c_str(), F_OK) == 0;
    std::string uri = "file:";
    for (const char c : std::filesystem::absolute(options_.path).string())
      uri += c == '%' ? "%25" : c == '?' ? "%3f" : c == '#' ? "%23" : std::string(1, c);
    uri += open ? "?mode=ro" : "?mode=ro&immutable=1";
    sqlite3 *raw = nullptr;
    const int opened = sqlite3_open_v2(
        uri.c_str(), &raw, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, nullptr);
    database_.reset(raw);
    if (opened != SQLITE_OK) return failure("open");
    sqlite3_busy_timeout(raw, 5000);
    sqlite3_db_config(raw, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    const auto version = read_version();
    if (!version) return version.error();
    if (!run("SELECT count(*) FROM sqlite_master")) return failure("read");
    return {};
  }

  void save(const View &call) override {
    post([this, call] { write(call); });
  }

  void find(const std::string &id, std::function<void(Found)> done) override {
    post([this, id, done] { done(read(id)); }, [done] { done(too_slow()); });
  }

  void list(std::size_t limit, const std::string &after,
            std::function<void(Result<Page>)> done) override {
    post([this, limit, after, done] { done(read_page(limit, after)); },
         [done] { done(too_slow()); });
  }

  void prune(WallTime now) override {
    post([this, now] { prune_now(now); });
  }

  void flush() override {
    if (worker_) worker_->drain();
  }

 private:
  static Error too_slow() { return internal_error("The database is too slow; try again later."); }

  void post(std::function<void()> function, const std::function<void()> &otherwise = {}) {
    if (worker_ && worker_->post(std::move(function))) return;
    log(LogLevel::Error, "the database of calls lags behind by " + std::to_string(kMaxQueued) +
                             " steps; a record is lost");
    if (otherwise) otherwise();
  }

  void log(LogLevel level, const std::string &text) const {
    if (options_.log) options_.log(level, text);
  }

  /// Files that were there already may be open to others: from a copy, or another umask.
  Result<void> close_to_others() const {
    for (const char *suffix : {"", "-wal", "-shm"}) {
      const std::string path = options_.path + suffix;
      struct stat status {};
      if (::stat(path.c_str(), &status) < 0 || (status.st_mode & 077) == 0) continue;
      if (::chmod(path.c_str(), 0600) < 0)
        return refused(path + " is open to other users; close it with: chmod 600 " + path);
    }
    return {};
  }

  bool run(const char *sql) {
    return sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK;
  }

  Error failure(const std::string &what) const {
    // SQLite tells a full disk as an error of input or output, where it maps a file.
    struct statvfs disk {};
    if (::statvfs(options_.path.c_str(), &disk) == 0 && disk.f_bavail < 16)
      return internal_error("cannot " + what + " the database of calls " + options_.path +
                            ": the disk is full");
    const int code = database_ ? sqlite3_errcode(database_.get()) & 0xff : SQLITE_NOMEM;
    const bool damaged = code == SQLITE_NOTADB || code == SQLITE_CORRUPT;
    return internal_error("cannot " + what + " the database of calls " + options_.path + ": " +
                          (database_ ? sqlite3_errmsg(database_.get()) : "no memory") +
                          (damaged ? "; put a copy in its place, or move it away and start again, "
                                     "without the records of calls so far"
                                   : ""));
  }

  Statement prepare(const std::string &sql) {
    sqlite3_stmt *raw = nullptr;
    if (sqlite3_prepare_v2(database_.get(), sql.c_str(), -1, &raw, nullptr) != SQLITE_OK)
      log(LogLevel::Error, failure("ask").detail);
    return Statement(raw);
  }

  Result<int> read_version() {
    int version = 0;
    if (const auto statement = prepare("PRAGMA user_version");
        statement && sqlite3_step(statement.get()) == SQLITE_ROW)
      version = sqlite3_column_int(statement.get(), 0);
    else
      return failure("read");
    constexpr int kNewest = std::size(kMigrations);
    if (version > kNewest)
      return bad_input(options_.path + " was written by a newer version of Junctor");
    return version;
  }

  Result<void> migrate() {
    const auto read = read_version();
    if (!read) return read.error();
    constexpr int kNewest = std::size(kMigrations);
    for (int version = *read; version < kNewest; ++version) {
      const std::string step = std::string("BEGIN IMMEDIATE;") + kMigrations[version] +
                               "PRAGMA user_version = " + std::to_string(version + 1) + "; COMMIT;";
      if (!run(step.c_str())) {
        const Error error = failure("migrate");
        run("ROLLBACK");
        return error;
      }
    }
    return {};
  }

  Result<void> close_left_open(WallTime now) {
    const auto statement = prepare(
        "UPDATE calls SET state = 'ended', reason = 'internal', ended = ?1,"
        " detail = 'The orchestrator ended without closing this call.' WHERE state <> 'ended'");
    if (!statement) return failure("read");
    sqlite3_bind_int64(statement.get(), 1, to_ms(now));
    if (sqlite3_step(statement.get()) != SQLITE_DONE) return failure("write");
    if (const int count = sqlite3_changes(database_.get()); count > 0)
      log(LogLevel::Warning,
          std::to_string(count) + " calls of an earlier run were left open; closed as internal");
    return {};
  }

  void prune_now(WallTime now) {
    const auto oldest = now - std::chrono::hours(24) * options_.keep_days;
    const auto statement = prepare("DELETE FROM calls WHERE state = 'ended' AND created < ?1");
    if (!statement) return;
    sqlite3_bind_int64(statement.get(), 1, to_ms(oldest));
    if (sqlite3_step(statement.get()) != SQLITE_DONE) log(LogLevel::Error, failure("prune").detail);
  }

  void write(const View &call) {
    if (!write_)
      write_ =
          prepare(std::string("INSERT OR REPLACE INTO calls (") + kColumns +
                  ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19)");
    sqlite3_stmt *s = write_.get();
    if (!s) return;
    put(s, 1, call.id);
    put(s, 2, call.from);
    put(s, 3, call.to);
    put(s, 4, call.uri);
    put(s, 5, std::string(to_string(call.state)));
    if (call.reason) put(s, 6, std::string(to_string(*call.reason)));
    sqlite3_bind_int(s, 7, call.sip_code);
    put(s, 8, call.detail);
    sqlite3_bind_int64(s, 9, to_ms(call.created));
    put(s, 10, call.ringing);
    put(s, 11, call.answered);
    put(s, 12, call.ended);
    put(s, 13, call.first_packet_to_callee_ms);
    put(s, 14, call.first_packet_to_caller_ms);
    put(s, 15, counts_to_text(call));
    put(s, 16, call.redirected_to);
    put(s, 17, std::string(to_string(call.direction)));
    put(s, 18, plan_to_text(call.plan));
    put(s, 19, call.launch);
    if (sqlite3_step(s) != SQLITE_DONE)
      log(LogLevel::Error,
          failure("write").detail + "; the record of call " + call.id + " is lost");
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
  }

  Found read(const std::string &id) {
    const auto statement = prepare(std::string("SELECT ") + kColumns + " FROM calls WHERE id = ?1");
    if (!statement) return failure("read");
    put(statement.get(), 1, id);
    const int step = sqlite3_step(statement.get());
    if (step == SQLITE_DONE) return std::optional<View>();
    if (step != SQLITE_ROW) return failure("read");
    return std::optional(read_row(statement.get()));
  }

  Result<Page> read_page(std::size_t limit, const std::string &after) {
    limit = std::clamp<std::size_t>(limit, 1, 500);
    std::int64_t created = INT64_MAX;
    std::string id;
    if (!after.empty()) {
      // "MILLISECONDS-ID" of the last call of the part before.
      const char *last = after.data() + after.size();
      const auto [end, wrong] = std::from_chars(after.data(), last, created);
      if (wrong != std::errc() || end == last || *end != '-')
        return bad_input("'after' is not what 'next' of an earlier answer was");
      id.assign(end + 1, last);
    }
    const std::string columns(kColumns);
    const auto statement =
        prepare("SELECT " + columns.substr(0, columns.find(", plan")) +
                " FROM calls WHERE (created, id) < (?1, ?2) ORDER BY created DESC, id DESC"
                " LIMIT ?3");
    if (!statement) return failure("read");
    sqlite3_bind_int64(statement.get(), 1, created);
    put(statement.get(), 2, id);
    sqlite3_bind_int64(statement.get(), 3, static_cast<std::int64_t>(limit) + 1);
    Page page;
    int step = SQLITE_ROW;
    while ((step = sqlite3_step(statement.get())) == SQLITE_ROW)
      page.calls.push_back(read_row(statement.get()));
    if (step != SQLITE_DONE) return failure("read");
    if (page.calls.size() > limit) {
      page.calls.pop_back();
      const View &last = page.calls.back();
      page.next = std::to_string(to_ms(last.created)) + "-" + last.id;
    }
    return page;
  }

  const Options options_;
  Database database_;
  Statement write_;
  std::unique_ptr<WorkerPool> worker_;  // last: it ends before what it uses
};

}  // namespace

Result<std::unique_ptr<CallStore>> CallStore::open(Options options, WallTime now) {
  auto store = std::make_unique<SqliteStore>(std::move(options));
  if (auto opened = store->open_database(now); !opened) return opened.error();
  return std::unique_ptr<CallStore>(std::move(store));
}

Result<void> CallStore::look(const std::string &path) {
  if (::access(path.c_str(), F_OK) != 0) return {};
  return SqliteStore({.path = path, .log = {}}).look();
}

}  // namespace junctor::store
