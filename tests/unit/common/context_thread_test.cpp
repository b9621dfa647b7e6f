// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/context_thread.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <thread>

#include "common/main_context.h"

namespace junctor {
namespace {

using namespace std::chrono_literals;

TEST(ContextThread, RunsWhatIsAskedOnItsOwnThread) {
  const auto thread = ContextThread::start("test");
  std::thread::id first, second;
  thread->invoke([&] {
    first = std::this_thread::get_id();
    EXPECT_EQ(g_main_context_get_thread_default(), thread->context());
    thread->invoke([&] { second = std::this_thread::get_id(); });
  });
  EXPECT_NE(first, std::this_thread::get_id());
  EXPECT_EQ(first, second) << "inline on the thread itself";
}

TEST(ContextThread, EndsAtOnceWithNothingDone) { ContextThread::start("test"); }

TEST(ContextThread, MayLoseItsLastReferenceOnTheThread) {
  auto thread = ContextThread::start("test");
  std::promise<void> gone;
  GMainContext *context = thread->context();
  post_to(context, [thread = std::move(thread), &gone]() mutable {
    thread.reset();
    gone.set_value();
  });
  EXPECT_EQ(gone.get_future().wait_for(10s), std::future_status::ready);
}

TEST(ContextThread, WhoPostsTheLastReferenceWaitsForNothing) {
  auto thread = ContextThread::start("test");
  std::promise<void> go;
  std::promise<std::thread::id> ended;
  // Tells where what was posted ends.
  const auto tell = [&](int *) { ended.set_value(std::this_thread::get_id()); };
  auto poster = std::async(std::launch::async, [&] {
    ContextThread::post(std::move(thread), [held = std::shared_ptr<int>(nullptr, tell),
                                            go = go.get_future().share()] { go.wait(); });
    return std::this_thread::get_id();
  });
  EXPECT_EQ(poster.wait_for(20s), std::future_status::ready);
  go.set_value();
  auto where = ended.get_future();
  ASSERT_EQ(where.wait_for(20s), std::future_status::ready);
  EXPECT_NE(where.get(), poster.get());
}

/// In a fresh program each, whose first thread it is: what is to be done at exit before that is
/// done after the thread's end.
class ContextThreadAtExit : public testing::Test {
 protected:
  ContextThreadAtExit() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(ContextThreadAtExit, ThatNobodyWaitsForDoesWhatItWasAsked) {
  const auto run = [] {
    static std::atomic<bool> done = false;
    std::atexit([] {
      if (!done) _exit(3);
    });
    ContextThread::post(ContextThread::start("test"), [] {
      g_usleep(100'000);
      done = true;
    });
    std::exit(0);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(0), "");
}

TEST_F(ContextThreadAtExit, ThatGoesOnForEverIsEnded) {
  const auto run = [] {
    static std::atomic<int> turns = 0;
    std::atexit([] {
      const int before = turns;
      g_usleep(100'000);
      if (before == 0 || turns != before) _exit(3);
    });
    static auto *const held =
        new std::shared_ptr<ContextThread>(ContextThread::start("test"));  // for ever
    (*held)->invoke([] {
      GSource *source = g_timeout_source_new(1);
      g_source_set_callback(
          source,
          [](gpointer) -> gboolean {
            ++turns;
            return G_SOURCE_CONTINUE;
          },
          nullptr, nullptr);
      g_source_attach(source, (*held)->context());
      g_source_unref(source);
    });
    std::exit(0);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace junctor
