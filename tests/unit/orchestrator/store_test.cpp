// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <atomic>
#include <future>
#include <nlohmann/json.hpp>
#include <set>

#include "../temporary_directory.h"
#include "api/http.h"
#include "broken_store.h"
#include "store/call_json.h"
#include "store/call_store.h"
#include "store/worker.h"

using namespace junctor;
using namespace junctor::store;
using namespace std::chrono_literals;
using calls::View;
using calls::WallTime;

namespace {

const WallTime kStart{std::chrono::milliseconds(1700000000123)};

std::unique_ptr<CallStore> open_store(const TemporaryDirectory &dir, WallTime now = kStart,
                                      std::vector<std::string> *log = nullptr) {
  CallStore::Options options;
  options.path = dir.path() + "/calls.db";
  options.keep_days = 30;
  options.log = [log](LogLevel level, std::string_view text) {
    EXPECT_NE(level, LogLevel::Error) << text;
    if (log) log->emplace_back(text);
  };
  auto store = CallStore::open(std::move(options), now);
  EXPECT_TRUE(store) << (store ? "" : store.error().detail);
  return store ? std::move(*store) : nullptr;
}

View example(const std::string &id, WallTime created = kStart) {
  View call;
  call.id = id;
  call.from = "alice";
  call.to = "bob";
  call.uri = "sip:bob@192.0.2.1";
  call.state = calls::State::Trying;
  call.created = created;
  return call;
}

CallStore::Found ask(CallStore &store, const std::string &id) {
  std::promise<CallStore::Found> promise;
  store.find(id, [&](CallStore::Found call) { promise.set_value(std::move(call)); });
  return promise.get_future().get();
}

std::optional<View> find(CallStore &store, const std::string &id) {
  auto call = ask(store, id);
  EXPECT_TRUE(call) << call.error().detail;
  return call ? *call : std::nullopt;
}

Result<Page> list(CallStore &store, std::size_t limit, const std::string &after = "") {
  std::promise<Result<Page>> promise;
  store.list(limit, after, [&](Result<Page> page) { promise.set_value(std::move(page)); });
  return promise.get_future().get();
}

}  // namespace

TEST(Worker, OneThreadKeepsTheOrder) {
  std::string order;
  {
    WorkerPool pool("test", 1, 100);
    for (char c = 'a'; c <= 'e'; ++c) ASSERT_TRUE(pool.post([&order, c] { order += c; }));
    pool.drain();
    EXPECT_EQ(order, "abcde");
    ASSERT_TRUE(pool.post([&] { order += '!'; }));
  }
  EXPECT_EQ(order, "abcde!") << "what is queued is done before the end";
}

TEST(Worker, QueueIsBounded) {
  std::promise<void> begun, go;
  WorkerPool pool("test", 1, 2);
  ASSERT_TRUE(pool.post([&] {
    begun.set_value();
    go.get_future().wait();
  }));
  begun.get_future().wait();
  EXPECT_TRUE(pool.post([] {}));
  EXPECT_TRUE(pool.post([] {}));
  EXPECT_FALSE(pool.post([] { FAIL(); }));
  go.set_value();
  pool.drain();
  EXPECT_TRUE(pool.post([] {}));
}

TEST(CallStore, DatabaseThatWasThereIsClosedToOthers) {
  const TemporaryDirectory dir;
  const std::string path = dir.path() + "/calls.db";
  open_store(dir).reset();
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  const auto store = open_store(dir);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST(CallStore, KeepsEverythingOfACall) {
  const TemporaryDirectory dir;
  View call = example("c1");
  call.state = calls::State::Ended;
  call.reason = EndReason::CalleeHangup;
  call.sip_code = 200;
  call.detail = "The callee hung up.";
  call.ringing = kStart + 1s;
  call.answered = kStart + 2s;
  call.ended = kStart + 3s;
  call.first_packet_to_callee_ms = 12;
  call.first_picture_to_callee_ms = 14;
  call.plan = {{"caller-to-callee", Medium::Video, "h264", "h264", false, "Both speak it.", 0.8},
               {"callee-to-caller", Medium::Audio, "pcma", "aac", true, "The player wants AAC."}};
  call.launch = "rtmpauthsrc ! sipcallsink";
  call.redirected_to = "sip:bob@192.0.2.9";
  call.audio.sent_packets = 100;
  call.audio.lost = 3;
  call.video.jitter_ms = 1.5;
  call.video.round_trip_ms = 20.5;
  call.video.reorder_wait_ms = 12;
  call.plan[0].first_picture_ms = 2000;
  call.latency = {{"caller-to-callee",
                   Medium::Video,
                   {{"receive", {7, 0.25, 1.5, 2}}, {"send", {9, 0.125, 0.5, 1}}}},
                  {"callee-to-caller", Medium::Audio, {{"reorder", {50, 0, 20, 41}}}}};
  call.digits = "12#";
  {
    auto store = open_store(dir);
    store->save(example("c1"));
    store->save(call);
  }
  auto store = open_store(dir);
  const auto found = find(*store, "c1");
  ASSERT_TRUE(found);
  EXPECT_EQ(to_json(*found, true), to_json(call, true));
  EXPECT_FALSE(found->first_packet_to_caller_ms);
  EXPECT_EQ(found->first_picture_to_callee_ms, 14);
  EXPECT_FALSE(found->first_picture_to_caller_ms);
  EXPECT_EQ(found->video.round_trip_ms, 20.5);
  EXPECT_EQ(found->video.reorder_wait_ms, 12);
  EXPECT_EQ(found->plan[0].first_picture_ms, 2000);
  ASSERT_EQ(found->latency.size(), 2U);
  EXPECT_EQ(found->latency[0].stages[1].name, "send");
  EXPECT_EQ(found->latency[0].stages[1].figures, (LatencyFigures{9, 0.125, 0.5, 1}));
  EXPECT_EQ(found->digits, "12#");
  EXPECT_EQ(found->audio.round_trip_ms, std::nullopt);
  EXPECT_FALSE(find(*store, "c2"));
  struct stat status {};
  ASSERT_EQ(::stat((dir.path() + "/calls.db").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST(CallStore, HostileTextStaysText) {
  const TemporaryDirectory dir;
  auto store = open_store(dir);
  View call = example("x'); DROP TABLE calls; --");
  call.detail = std::string("nul \0 and \xff", 11);
  store->save(call);
  const auto found = find(*store, call.id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->detail, call.detail);
  const api::Response answer = api::json_response(200, to_json(*found, true));
  const auto told = nlohmann::json::parse(answer.body, nullptr, false);
  ASSERT_TRUE(told.is_object()) << answer.body;
  EXPECT_EQ(told["detail"], std::string("nul \0 and \xef\xbf\xbd", 13)) << "U+FFFD";
}

TEST(CallStore, PagesNewestFirstWithoutGapOrDouble) {
  const TemporaryDirectory dir;
  auto store = open_store(dir);
  // Some of the same millisecond.
  for (int i = 0; i < 25; ++i)
    store->save(example("c" + std::to_string(i), kStart + std::chrono::milliseconds(i / 4)));
  std::vector<View> all;
  std::string after;
  int pages = 0;
  do {
    auto page = list(*store, 10, after);
    ASSERT_TRUE(page);
    all.insert(all.end(), page->calls.begin(), page->calls.end());
    after = page->next;
    ++pages;
  } while (!after.empty() && pages < 10);
  EXPECT_EQ(pages, 3);
  ASSERT_EQ(all.size(), 25U);
  std::set<std::string> ids;
  for (std::size_t i = 0; i < all.size(); ++i) {
    ids.insert(all[i].id);
    if (i > 0) {
      EXPECT_LE(all[i].created, all[i - 1].created);
    }
  }
  EXPECT_EQ(ids.size(), 25U);
  EXPECT_FALSE(list(*store, 10, "nonsense"));
  EXPECT_FALSE(list(*store, 10, "12"));
}

TEST(CallStore, ClosesWhatACrashLeftOpen) {
  const TemporaryDirectory dir;
  {
    auto store = open_store(dir);
    store->save(example("open"));
    View done = example("done");
    done.state = calls::State::Ended;
    done.reason = EndReason::Busy;
    done.ended = kStart + 1s;
    store->save(done);
  }
  std::vector<std::string> log;
  auto store = open_store(dir, kStart + 1h, &log);
  const auto open = find(*store, "open");
  ASSERT_TRUE(open);
  EXPECT_EQ(open->state, calls::State::Ended);
  EXPECT_EQ(open->reason, EndReason::Internal);
  EXPECT_EQ(open->ended, kStart + 1h);
  EXPECT_FALSE(open->detail.empty());
  EXPECT_EQ(find(*store, "done")->reason, EndReason::Busy);
  EXPECT_EQ(log.size(), 1U);
}

TEST(CallStore, ForgetsOldEndedCalls) {
  const TemporaryDirectory dir;
  auto store = open_store(dir);
  View old = example("old");
  old.state = calls::State::Ended;
  store->save(old);
  store->save(example("running"));
  store->prune(kStart + 29 * 24h);
  EXPECT_TRUE(find(*store, "old"));
  store->prune(kStart + 31 * 24h);
  EXPECT_FALSE(find(*store, "old"));
  EXPECT_TRUE(find(*store, "running"));
}

TEST(CallStore, RecordsOfTheFirstVersionAreKept) {
  const TemporaryDirectory dir;
  const std::string path = dir.path() + "/calls.db";
  sqlite3 *database = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
  EXPECT_EQ(
      sqlite3_exec(database,
                   "CREATE TABLE calls (id TEXT PRIMARY KEY NOT NULL, caller TEXT NOT NULL,"
                   " callee TEXT NOT NULL, uri TEXT NOT NULL, state TEXT NOT NULL, reason TEXT,"
                   " sip_code INTEGER NOT NULL, detail TEXT NOT NULL, created INTEGER NOT NULL,"
                   " ringing INTEGER, answered INTEGER, ended INTEGER, first_to_callee INTEGER,"
                   " first_to_caller INTEGER, plan TEXT NOT NULL, launch TEXT NOT NULL,"
                   " counts TEXT NOT NULL) WITHOUT ROWID;"
                   "CREATE INDEX calls_by_time ON calls (created DESC, id DESC);"
                   "CREATE INDEX calls_open ON calls (state) WHERE state <> 'ended';"
                   "INSERT INTO calls VALUES ('c1', 'alice', 'bob', 'sip:bob@192.0.2.1', 'ended',"
                   " 'busy', 486, 'Busy', 1700000000123, NULL, NULL, 1700000001123, NULL, NULL,"
                   " '[]', 'a ! b', '{}');"
                   "PRAGMA user_version = 1",
                   nullptr, nullptr, nullptr),
      SQLITE_OK);
  sqlite3_close(database);
  auto store = open_store(dir);
  ASSERT_TRUE(store);
  const auto found = find(*store, "c1");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->uri, "sip:bob@192.0.2.1");
  EXPECT_EQ(found->redirected_to, "");
  EXPECT_EQ(found->reason, EndReason::Busy);
  EXPECT_EQ(found->launch, "a ! b");
  EXPECT_EQ(list(*store, 10)->calls.size(), 1U);
}

TEST(CallStore, ADatabaseThatCannotBeAskedIsAnErrorAndNoMissingRecord) {
  const TemporaryDirectory dir;
  const auto store = std::move(*CallStore::open({dir.path() + "/calls.db", 30, {}}, kStart));
  store->save(example("c1"));
  store->flush();
  hide_calls(dir.path());
  const auto call = ask(*store, "c1");
  ASSERT_FALSE(call);
  EXPECT_EQ(call.error().fault, Fault::Internal);
}

TEST(CallStore, RefusesANewerDatabaseAndGarbage) {
  const TemporaryDirectory dir;
  open_store(dir);
  sqlite3 *database = nullptr;
  ASSERT_EQ(sqlite3_open((dir.path() + "/calls.db").c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, "PRAGMA user_version = 99", nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(database);
  auto newer = CallStore::open({dir.path() + "/calls.db", 30, {}}, kStart);
  ASSERT_FALSE(newer);
  EXPECT_NE(newer.error().detail.find("newer version"), std::string::npos);

  FILE *file = std::fopen((dir.path() + "/bad.db").c_str(), "w");
  std::fputs(std::string(5000, 'x').c_str(), file);
  std::fclose(file);
  const auto bad = CallStore::open({dir.path() + "/bad.db", 30, {}}, kStart);
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().detail.find("bad.db: file is not a database; put a copy in its place, or "
                                    "move it away and start again"),
            std::string::npos)
      << bad.error().detail;
  EXPECT_FALSE(CallStore::open({dir.path() + "/none/calls.db", 30, {}}, kStart));
}

TEST(CallJson, Times) {
  EXPECT_EQ(timestamp(kStart), "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(timestamp(WallTime{}), "1970-01-01T00:00:00.000Z");
}

TEST(CallJson, NoRoundTripIsNull) {
  View call = example("c1");
  EXPECT_TRUE(to_json(call, false)["audio"]["round_trip_ms"].is_null());
  call.audio.round_trip_ms = 12.5;
  EXPECT_EQ(to_json(call, false)["audio"]["round_trip_ms"], 12.5);

  View read;
  counts_from_text(counts_to_text(call), read);
  EXPECT_EQ(read.audio.round_trip_ms, 12.5);
  EXPECT_EQ(read.video.round_trip_ms, std::nullopt);
  // What an older version wrote where the peer had not reported.
  counts_from_text(R"({"audio": {"round_trip_ms": 0.0}, "video": {"lost": 1}})", read = {});
  EXPECT_EQ(read.audio.round_trip_ms, std::nullopt);
  EXPECT_EQ(read.video.lost, 1U);
}

TEST(CallJson, StatesRoundTrip) {
  for (int i = 0; i <= static_cast<int>(calls::State::Ended); ++i) {
    const auto state = static_cast<calls::State>(i);
    EXPECT_EQ(state_from_string(to_string(state)), state);
  }
  EXPECT_FALSE(state_from_string("asleep"));
}

TEST(CallJson, WhatIsNoPlanIsEmpty) {
  for (const char *text : {"", "{}", "[1]", "null", "[{\"direction\":"})
    EXPECT_TRUE(plan_from_text(text).empty()) << text;
}
