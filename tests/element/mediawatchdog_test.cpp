// SPDX-License-Identifier: LGPL-2.1-or-later
// mediawatchdog on a test clock.
#include <gst/check/gstharness.h>
#include <gst/check/gsttestclock.h>

#include <thread>
#include <utility>

#include "environment.h"

namespace junctor::test {
namespace {

struct Media {
  std::string state;
  guint64 silent_for = 0;
  guint tries = 0;
};

/// Stands still until it is moved, and calls what is due with the time for which it was set, as
/// GStreamer's own clock does. (GstTestClock tells the present.)
struct StallingClock {
  GstClock parent;
  GstClockTime now;
  GstClockEntry *entry;  // owned; the last one set, or null
};
struct StallingClockClass {
  GstClockClass parent;
};
G_DEFINE_TYPE(StallingClock, stalling_clock, GST_TYPE_CLOCK)

StallingClock *stalling(gpointer clock) { return static_cast<StallingClock *>(clock); }

void forget(StallingClock *self) {
  if (self->entry != nullptr) gst_clock_id_unref(std::exchange(self->entry, nullptr));
}

void stalling_clock_init(StallingClock *) {}
void stalling_clock_class_init(StallingClockClass *klass) {
  klass->parent.get_internal_time = [](GstClock *clock) { return stalling(clock)->now; };
  klass->parent.wait_async = [](GstClock *clock, GstClockEntry *entry) {
    forget(stalling(clock));
    stalling(clock)->entry = static_cast<GstClockEntry *>(gst_clock_id_ref(entry));
    return GST_CLOCK_OK;
  };
  klass->parent.unschedule = [](GstClock *clock, GstClockEntry *entry) {
    if (stalling(clock)->entry == entry) forget(stalling(clock));
  };
}

/// Calls what is due, one after the other; returns how many that were.
int run_due(GstClock *clock) {
  int count = 0;
  for (; stalling(clock)->entry != nullptr; ++count) {
    GstClockEntry *entry = stalling(clock)->entry;
    if (GST_CLOCK_ENTRY_TIME(entry) > stalling(clock)->now) break;
    stalling(clock)->entry = nullptr;
    entry->func(clock, GST_CLOCK_ENTRY_TIME(entry), entry, entry->user_data);
    gst_clock_id_unref(entry);
  }
  return count;
}

/// One watchdog with two streams, playing on a clock that only the test moves.
class WatchdogTest : public testing::Test {
 protected:
  void SetUp() override {
    element = make("mediawatchdog");
    ASSERT_TRUE(element);
    g_object_set(element.get(), "interval", 1000u, "tries", 3u, nullptr);
    clock.reset(gst_test_clock_new());
    bus.reset(gst_bus_new());
    audio.reset(gst_harness_new_with_element(element.get(), "sink_0", "src_0"));
    video.reset(gst_harness_new_with_element(element.get(), "sink_1", "src_1"));
    // The harness has started it on the system's clock: once more, on the test's.
    gst_element_set_state(element.get(), GST_STATE_READY);
    gst_element_set_bus(element.get(), bus.get());
    gst_element_set_clock(element.get(), clock.get());
  }
  void TearDown() override {
    if (!element) return;
    gst_element_set_state(element.get(), GST_STATE_NULL);
    gst_element_set_bus(element.get(), nullptr);
  }

  void play() {
    ASSERT_NE(set_state(GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
    for (GstHarness *harness : {audio.get(), video.get()})
      gst_harness_set_src_caps_str(harness, "application/x-test");
  }
  GstStateChangeReturn set_state(GstState state) {
    return gst_element_set_state(element.get(), state);
  }

  GstTestClock *test_clock() { return GST_TEST_CLOCK(clock.get()); }
  /// Moves the clock to the next check and makes it.
  void next_check() { ASSERT_TRUE(gst_test_clock_crank(test_clock())); }
  bool check_pending() { return gst_test_clock_peek_id_count(test_clock()) != 0; }

  void push(GstHarness *harness) {
    ASSERT_EQ(gst_harness_push(harness, gst_buffer_new_allocate(nullptr, 10, nullptr)),
              GST_FLOW_OK);
  }

  /// The junctor-media messages since the last call.
  std::vector<Media> told() {
    std::vector<Media> all;
    while (MessageRef message{gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ELEMENT)}) {
      const GstStructure *structure = gst_message_get_structure(message.get());
      EXPECT_TRUE(gst_structure_has_name(structure, "junctor-media"));
      Media media{field(structure, "state")};
      EXPECT_TRUE(gst_structure_get_uint64(structure, "silent-for", &media.silent_for));
      EXPECT_TRUE(gst_structure_get_uint(structure, "tries", &media.tries));
      all.push_back(media);
    }
    return all;
  }
  std::string told_states() {
    std::string all;
    for (const Media &media : told()) all += (all.empty() ? "" : " ") + media.state;
    return all;
  }
  std::string state() {
    gchar *text = property<gchar *>(element.get(), "state");
    std::string copy = text;
    g_free(text);
    return copy;
  }

  using HarnessRef = std::unique_ptr<GstHarness, Releaser<gst_harness_teardown>>;
  ElementRef element;
  ClockRef clock;
  BusRef bus;
  HarnessRef audio, video;
};

TEST_F(WatchdogTest, DefaultsAreThirtyTriesOfASecond) {
  const ElementRef fresh = make("mediawatchdog");
  EXPECT_EQ(property<guint>(fresh.get(), "interval"), 1000u);
  EXPECT_EQ(property<guint>(fresh.get(), "tries"), 30u);
  EXPECT_TRUE(property<gboolean>(fresh.get(), "armed"));
}

TEST_F(WatchdogTest, TellsLostAfterIntervalTimesTries) {
  play();
  EXPECT_EQ(told_states(), "waiting");
  next_check();
  next_check();
  EXPECT_EQ(told_states(), "");
  next_check();
  const auto lost = told();
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost[0].state, "lost");
  EXPECT_EQ(lost[0].tries, 3u);
  EXPECT_EQ(lost[0].silent_for, 3 * GST_SECOND);
  EXPECT_EQ(gst_clock_get_time(clock.get()), 3 * GST_SECOND);
  EXPECT_FALSE(check_pending());
  EXPECT_EQ(state(), "lost");
}

TEST_F(WatchdogTest, NoPadsAtAllIsSilence) {
  const ElementRef bare = make("mediawatchdog");
  g_object_set(bare.get(), "tries", 1u, nullptr);
  gst_element_set_bus(bare.get(), bus.get());
  gst_element_set_clock(bare.get(), clock.get());
  gst_element_set_state(bare.get(), GST_STATE_PLAYING);
  next_check();
  EXPECT_EQ(told_states(), "waiting lost");
  gst_element_set_state(bare.get(), GST_STATE_NULL);
  gst_element_set_bus(bare.get(), nullptr);
}

TEST_F(WatchdogTest, MediaInTheLastTrySaves) {
  play();
  next_check();
  next_check();
  push(video.get());
  next_check();
  const auto all = told();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1].state, "flowing");
  EXPECT_EQ(all[1].tries, 2u);
  EXPECT_EQ(all[1].silent_for, 2 * GST_SECOND);
}

TEST_F(WatchdogTest, OneSilentStreamOfTwoIsNotSilence) {
  play();
  for (int i = 0; i < 20; ++i) {
    push(audio.get());
    next_check();
  }
  EXPECT_EQ(told_states(), "waiting flowing");
  EXPECT_EQ(state(), "flowing");
}

TEST_F(WatchdogTest, LaterSilenceOfAllCountsTheSameWay) {
  play();
  push(audio.get());
  push(video.get());
  next_check();
  EXPECT_EQ(told_states(), "waiting flowing");
  next_check();
  EXPECT_EQ(told_states(), "waiting");
  next_check();
  next_check();
  EXPECT_EQ(told_states(), "lost");
}

TEST_F(WatchdogTest, AfterLostMediaFlowsAndIsWatchedAgain) {
  play();
  for (int i = 0; i < 3; ++i) next_check();
  EXPECT_EQ(told_states(), "waiting lost");
  gst_test_clock_advance_time(test_clock(), 10 * GST_SECOND);
  push(audio.get());
  EXPECT_EQ(told_states(), "flowing");
  ASSERT_TRUE(check_pending());
  for (int i = 0; i < 4; ++i) next_check();
  EXPECT_EQ(told_states(), "waiting lost");
}

TEST_F(WatchdogTest, ListsAreMediaAndEventsAreNot) {
  play();
  gst_harness_push_event(audio.get(), gst_event_new_gap(0, GST_SECOND));
  EXPECT_EQ(told_states(), "waiting");
  GstBufferList *list = gst_buffer_list_new();
  gst_buffer_list_add(list, gst_buffer_new());
  gst_buffer_list_add(list, gst_buffer_new());
  const PadRef sink(gst_element_get_static_pad(element.get(), "sink_0"));
  const PadRef source(gst_pad_get_peer(sink.get()));
  EXPECT_EQ(gst_pad_push_list(source.get(), list), GST_FLOW_OK);
  EXPECT_EQ(told_states(), "flowing");
  EXPECT_EQ(gst_harness_buffers_received(audio.get()), 2u);
}

TEST_F(WatchdogTest, AStallOfTenIntervalsIsOneSilentCheck) {
  const ClockRef stalls(
      GST_CLOCK(gst_object_ref_sink(g_object_new(stalling_clock_get_type(), nullptr))));
  gst_element_set_clock(element.get(), stalls.get());
  play();
  stalling(stalls.get())->now = 10 * GST_SECOND + 900 * GST_MSECOND;
  EXPECT_EQ(run_due(stalls.get()), 1);
  EXPECT_EQ(told_states(), "waiting");
  ASSERT_NE(stalling(stalls.get())->entry, nullptr);
  EXPECT_EQ(GST_CLOCK_ENTRY_TIME(stalling(stalls.get())->entry),
            11 * GST_SECOND + 900 * GST_MSECOND);
  // Then what waited in the sockets is read.
  push(audio.get());
  EXPECT_EQ(told_states(), "flowing");
  set_state(GST_STATE_READY);
}

TEST_F(WatchdogTest, ArmedAgainWhileItStopsPlayingItCountsNothing) {
  play();
  EXPECT_EQ(told_states(), "waiting");
  bool armed = false;
  const gulong handler = g_signal_connect(
      element.get(), "notify::state", G_CALLBACK(+[](GObject *watchdog, GParamSpec *, bool *armed) {
        if (!std::exchange(*armed, true)) g_object_set(watchdog, "armed", TRUE, nullptr);
      }),
      &armed);
  set_state(GST_STATE_PAUSED);
  g_signal_handler_disconnect(element.get(), handler);
  EXPECT_TRUE(armed);
  EXPECT_FALSE(check_pending());
  EXPECT_EQ(state(), "idle");
  EXPECT_EQ(told_states(), "");
}

TEST_F(WatchdogTest, DisarmedItCountsNothingUntilArmed) {
  g_object_set(element.get(), "armed", FALSE, nullptr);
  play();
  EXPECT_FALSE(check_pending());
  push(audio.get());
  EXPECT_EQ(told_states(), "");
  EXPECT_EQ(state(), "idle");

  g_object_set(element.get(), "armed", TRUE, nullptr);
  EXPECT_EQ(told_states(), "waiting");
  for (int i = 0; i < 3; ++i) next_check();
  EXPECT_EQ(told_states(), "lost");

  g_object_set(element.get(), "armed", TRUE, nullptr);  // again: anew
  EXPECT_EQ(told_states(), "waiting");
  EXPECT_TRUE(check_pending());
  g_object_set(element.get(), "armed", FALSE, nullptr);
  EXPECT_FALSE(check_pending());
}

TEST_F(WatchdogTest, ANewIntervalIsKeptFromTheNextCheckOn) {
  play();
  g_object_set(element.get(), "interval", 100u, nullptr);
  next_check();
  EXPECT_EQ(gst_clock_get_time(clock.get()), GST_SECOND);
  next_check();
  EXPECT_EQ(gst_clock_get_time(clock.get()), GST_SECOND + 100 * GST_MSECOND);
  next_check();
  EXPECT_EQ(told_states(), "waiting lost");
}

TEST_F(WatchdogTest, PausedItStopsAndPlayingItCountsAnew) {
  play();
  next_check();
  next_check();
  set_state(GST_STATE_PAUSED);
  EXPECT_FALSE(check_pending());
  EXPECT_EQ(state(), "idle");
  set_state(GST_STATE_PLAYING);
  EXPECT_EQ(told_states(), "waiting waiting");
  next_check();
  next_check();
  EXPECT_EQ(told_states(), "");
  next_check();
  EXPECT_EQ(told_states(), "lost");
}

TEST_F(WatchdogTest, BuffersEventsAndCapsPassEachToItsOwnPad) {
  play();
  GstBuffer *buffer = gst_buffer_new_allocate(nullptr, 7, nullptr);
  GST_BUFFER_PTS(buffer) = 42;
  ASSERT_EQ(gst_harness_push(video.get(), buffer), GST_FLOW_OK);
  const BufferRef passed(gst_harness_pull(video.get()));
  EXPECT_EQ(passed.get(), buffer);  // the same one: nothing is copied
  EXPECT_EQ(GST_BUFFER_PTS(passed.get()), 42u);
  EXPECT_EQ(gst_harness_buffers_received(audio.get()), 0u);

  const PadRef source(gst_element_get_static_pad(element.get(), "src_1"));
  const CapsRef caps(gst_pad_get_current_caps(source.get()));
  ASSERT_TRUE(caps);
  EXPECT_TRUE(gst_structure_has_name(gst_caps_get_structure(caps.get(), 0), "application/x-test"));

  gst_harness_push_event(video.get(), gst_event_new_eos());
  GstEvent *last = nullptr;
  while (GstEvent *event = gst_harness_try_pull_event(video.get())) {
    gst_clear_event(&last);
    last = event;
  }
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(GST_EVENT_TYPE(last), GST_EVENT_EOS);
  gst_event_unref(last);

  // Upstream: a keyframe wish reaches the stream that it is about, and only that.
  gst_harness_push_upstream_event(
      video.get(),
      gst_event_new_custom(GST_EVENT_CUSTOM_UPSTREAM, gst_structure_new_empty("GstForceKeyUnit")));
  const auto wishes = [](GstHarness *harness) {
    int count = 0;
    while (GstEvent *event = gst_harness_try_pull_upstream_event(harness)) {
      if (gst_event_has_name(event, "GstForceKeyUnit")) ++count;
      gst_event_unref(event);
    }
    return count;
  };
  EXPECT_EQ(wishes(video.get()), 1);
  EXPECT_EQ(wishes(audio.get()), 0);
}

TEST_F(WatchdogTest, FlowOfEachPadIsItsOwn) {
  play();
  const PadRef source(gst_element_get_static_pad(element.get(), "src_1"));
  const PadRef peer(gst_pad_get_peer(source.get()));
  gst_pad_unlink(source.get(), peer.get());
  EXPECT_EQ(gst_harness_push(video.get(), gst_buffer_new()), GST_FLOW_NOT_LINKED);
  push(audio.get());
  gst_pad_link(source.get(), peer.get());
}

TEST_F(WatchdogTest, NumbersOfPadsAreAskedForOrTheNextFree) {
  const auto request = [&](const char *name) {
    return PadRef(gst_element_request_pad_simple(element.get(), name));
  };
  const PadRef named = request("sink_7");
  ASSERT_TRUE(named);
  EXPECT_STREQ(GST_PAD_NAME(named.get()), "sink_7");
  EXPECT_TRUE(PadRef(gst_element_get_static_pad(element.get(), "src_7")));
  const PadRef next = request("sink_%u");
  ASSERT_TRUE(next);
  EXPECT_STREQ(GST_PAD_NAME(next.get()), "sink_2");

  gst_element_release_request_pad(element.get(), named.get());
  EXPECT_FALSE(PadRef(gst_element_get_static_pad(element.get(), "sink_7")));
  EXPECT_FALSE(PadRef(gst_element_get_static_pad(element.get(), "src_7")));
}

TEST(Watchdog, APadIsReleasedWhileMediaPassesIt) {
  Pipeline pipeline(
      "mediawatchdog name=dog fakesrc name=from is-live=true do-timestamp=true ! dog.sink_0 "
      "dog.src_0 ! fakesink sync=false name=to signal-handoffs=true");
  pipeline.set_state(GST_STATE_PLAYING);
  pipeline.wait_element("junctor-media", [](const GstStructure *structure) {
    return field(structure, "state") == "flowing";
  });
  const ElementRef dog = pipeline["dog"];
  const PadRef sink(gst_element_get_static_pad(dog.get(), "sink_0"));
  gst_element_release_request_pad(dog.get(), sink.get());
  EXPECT_EQ(GST_ELEMENT(dog.get())->numpads, 0);
}

TEST(Watchdog, CyclesItsStatesWithoutALeakOrAHang) {
  Pipeline pipeline(
      "mediawatchdog name=dog interval=1 tries=1 fakesrc ! dog.sink_0 dog.src_0 ! fakesink");
  for (int i = 0; i < 100; ++i) {
    ASSERT_NE(pipeline.set_state(GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
    ASSERT_EQ(pipeline.set_state(i % 2 != 0 ? GST_STATE_NULL : GST_STATE_READY),
              GST_STATE_CHANGE_SUCCESS);
  }
}

}  // namespace
}  // namespace junctor::test
