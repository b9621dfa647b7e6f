// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/main_context.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>

#include "common/bytes.h"
#include "common/handle.h"

using namespace junctor;
using namespace std::chrono_literals;

namespace {

using ContextRef = std::unique_ptr<GMainContext, Releaser<g_main_context_unref>>;

ContextRef make() { return ContextRef(g_main_context_new()); }

}  // namespace

TEST(PostTo, RunsInOrderAndNeverInline) {
  auto context = make();
  std::string order;
  post_to(context.get(), [&] { order += 'a'; });
  post_to(context.get(), [&] { order += 'b'; });
  EXPECT_EQ(order, "");
  while (order.size() < 2) g_main_context_iteration(context.get(), TRUE);
  EXPECT_EQ(order, "ab");
}

TEST(PostTo, WakesTheContextFromAnotherThread) {
  auto context = make();
  bool called = false;
  std::thread poster([&] { post_to(context.get(), [&] { called = true; }); });
  while (!called) g_main_context_iteration(context.get(), TRUE);
  poster.join();
  EXPECT_TRUE(called);
}

TEST(PostTo, DestroysWhatItsContextNeverRan) {
  auto context = make();
  const auto held = std::make_shared<int>(0);
  std::thread([&] { post_to(context.get(), [held] { ++*held; }); }).join();
  EXPECT_EQ(held.use_count(), 2);
  context.reset();
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(*held, 0);
}

TEST(ContextTimer, ForLongerThanGLibCountsIsNotForNothing) {
  auto context = make();
  bool early = false, late = false;
  const ContextTimer far(context.get(), std::chrono::milliseconds(1ULL << 32),
                         [&] { early = true; });
  const ContextTimer near(context.get(), 1ms, [&] { late = true; });
  while (!late) g_main_context_iteration(context.get(), TRUE);
  EXPECT_FALSE(early);
}

TEST(ContextTimer, CallsOnceAndMayDestroyItself) {
  auto context = make();
  int calls = 0;
  ContextTimer timer;
  timer = ContextTimer(context.get(), 0ms, [&] {
    ++calls;
    timer.reset();
  });
  while (calls == 0) g_main_context_iteration(context.get(), TRUE);
  g_main_context_iteration(context.get(), FALSE);
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(timer);
}

TEST(ContextTimer, DestroyedNeverFires) {
  auto context = make();
  bool fired = false;
  {
    ContextTimer timer(context.get(), 0ms, [&] { fired = true; });
  }
  EXPECT_FALSE(g_main_context_iteration(context.get(), FALSE));
  EXPECT_FALSE(fired);
}

TEST(ByteReader, ReadsBigEndianAndRemembersFailure) {
  const Bytes bytes{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}, std::byte{5}};
  ByteReader reader(bytes);
  EXPECT_EQ(reader.u24(), 0x010203U);
  EXPECT_EQ(reader.left(), 2U);
  EXPECT_EQ(reader.u32(), 0U);
  EXPECT_TRUE(reader.failed());
  EXPECT_EQ(reader.u8(), 0U) << "a failed reader yields nothing more";
}

TEST(ByteWriter, WritesWhatTheReaderReads) {
  Bytes bytes;
  ByteWriter(bytes).u8(7).u16(0x1234).u24(0x56789a).u32_little(0x01020304).f64(-2.5).text("ok");
  ByteReader reader(bytes);
  EXPECT_EQ(reader.u8(), 7U);
  EXPECT_EQ(reader.u16(), 0x1234U);
  EXPECT_EQ(reader.u24(), 0x56789aU);
  EXPECT_EQ(reader.u32_little(), 0x01020304U);
  EXPECT_EQ(reader.f64(), -2.5);
  EXPECT_EQ(reader.rest().size(), 2U);
  EXPECT_FALSE(reader.failed());
}
