// SPDX-License-Identifier: LGPL-2.1-or-later
// Ring and live media on one outlet.
#include "calls/downlink.h"

#include <gtest/gtest.h>

#include <functional>

#include "calls/call_server.h"
#include "fakes.h"

namespace junctor::calls {
namespace {

SharedBytes text(std::string_view content) { return SharedBytes::copy(as_bytes(content)); }

rtmp::Track track(Codec codec, std::string_view config) {
  rtmp::Track track;
  track.codec = codec;
  track.config = text(config);
  return track;
}

std::shared_ptr<const Loop> loop(Codec codec, std::string_view mark) {
  Loop loop;
  loop.track = track(codec, codec == Codec::Aac ? "aac" : mark);
  loop.units_per_packet = 1;
  loop.units_per_second = 50;
  for (int i = 0; i < 10; ++i) loop.packets.push_back({i == 0, text(mark)});
  return std::make_shared<const Loop>(loop);
}

rtmp::Frame frame(Medium medium, std::int64_t dts, bool key = false) {
  rtmp::Frame frame;
  frame.medium = medium;
  frame.dts = dts;
  frame.key = key;
  frame.data = text("live");
  return frame;
}

class DownlinkTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = Reactor::create();
    ASSERT_TRUE(made);
    reactor_ = *made;
    server_ = std::make_shared<fakes::Server>(reactor_);
    downlink_ =
        Downlink::create(reactor_, [this](Medium medium, Time) { live_.push_back(medium); });
    downlink_->open(*server_, "alice");
    downlink_->set_audience(true);
    outlet_ = server_->outlets["alice"].get();
    view_ = make_call_server(server_, {{"alice", downlink_}});
  }
  void TearDown() override { downlink_->close(); }

  /// Runs the loop until so many frames of the medium are there.
  void run_until(Medium medium, std::size_t count) {
    while (outlet_->of(medium).size() < count) reactor_->run_once(std::chrono::milliseconds(50));
  }
  /// The same with both loops, which begin here.
  void ring_until(Medium medium, std::size_t count) {
    downlink_->set_loop(Medium::Audio, loop(Codec::Aac, "tone"));
    downlink_->set_loop(Medium::Video, loop(Codec::H264, "card"));
    run_until(medium, count);
  }
  /// Packets of a loop go out with live frames of the other medium, the n-th of which `write`
  /// brings after each pause: its timer is due, but has time.
  void expect_along(Medium loop, std::chrono::milliseconds pause,
                    const std::function<void(std::int64_t n)> &write) {
    for (std::int64_t n = 1;; ++n) {
      write(n);
      const std::size_t before = outlet_->of(loop).size();
      reactor_->run_once(pause);
      // On a slow machine the timer may have had no time left: once more, then.
      if (outlet_->of(loop).size() != before) continue;
      write(++n);
      EXPECT_GT(outlet_->of(loop).size(), before);
      break;
    }
    // Where the live medium ends the loop goes on by itself.
    run_until(loop, outlet_->of(loop).size() + 3);
    expect_rising();
  }
  void expect_rising() {
    for (const Medium medium : {Medium::Audio, Medium::Video}) {
      std::int64_t last = -1;
      for (const auto &one : outlet_->of(medium)) {
        EXPECT_GT(one.dts, last) << to_string(medium);
        last = one.dts;
      }
    }
  }

  std::shared_ptr<Reactor> reactor_;
  std::shared_ptr<fakes::Server> server_;
  std::shared_ptr<Downlink> downlink_;
  fakes::Outlet *outlet_ = nullptr;
  std::shared_ptr<rtmp::Server> view_;
  std::vector<Medium> live_;
};

TEST_F(DownlinkTest, PlaysLoopsRoundAndRound) {
  ring_until(Medium::Video, 12);
  const auto video = outlet_->of(Medium::Video);
  EXPECT_TRUE(video[0].key);
  EXPECT_FALSE(video[1].key);
  EXPECT_TRUE(video[10].key) << "the loop begins again";
  EXPECT_EQ(video[10].dts - video[0].dts, 200);
  EXPECT_EQ(outlet_->tracks.size(), 2u) << "told once";
  EXPECT_EQ(outlet_->sources, 1);
  expect_rising();
}

TEST_F(DownlinkTest, OfAPictureThatStandsLongKeyframesAreEnough) {
  Loop still = *loop(Codec::H264, "card");
  still.thins_after = std::chrono::milliseconds(300);
  downlink_->set_loop(Medium::Audio, loop(Codec::Aac, "tone"));
  downlink_->set_loop(Medium::Video, std::make_shared<const Loop>(still));
  run_until(Medium::Video, 20);
  const auto all = outlet_->of(Medium::Video);
  EXPECT_LE(all[15].dts - all[0].dts, 300) << "whole at first";
  const auto keys_from = [&](std::size_t first) {
    const auto frames = outlet_->of(Medium::Video);
    for (std::size_t i = first; i < frames.size(); ++i) {
      EXPECT_TRUE(frames[i].key) << i;
      if (i == first) continue;
      EXPECT_EQ(frames[i].dts - frames[i - 1].dts, 200) << i;
    }
  };
  keys_from(17);
  // Who comes later learns it from its beginning too.
  const std::size_t before = outlet_->of(Medium::Video).size();
  downlink_->welcome();
  run_until(Medium::Video, before + 19);
  const auto again = outlet_->of(Medium::Video);
  EXPECT_TRUE(again[before].key);
  EXPECT_FALSE(again[before + 9].key);
  EXPECT_LE(again[before + 15].dts - again[before].dts, 300);
  keys_from(before + 17);
  expect_rising();
}

TEST_F(DownlinkTest, SoundAndPictureBeginTogether) {
  downlink_->set_loop(Medium::Audio, loop(Codec::Aac, "tone"));
  for (int i = 0; i < 5; ++i) reactor_->run_once(std::chrono::milliseconds(45));
  EXPECT_TRUE(outlet_->written.empty());
  downlink_->set_loop(Medium::Video, loop(Codec::H264, "card"));
  run_until(Medium::Video, 1);
  EXPECT_EQ(outlet_->tracks.size(), 2u);
}

TEST_F(DownlinkTest, LiveSoundWaitsForAPicture) {
  downlink_->set_loop(Medium::Audio, loop(Codec::Aac, "tone"));
  const auto live = view_->outlet("alice");
  live->set_track(track(Codec::Aac, "aac"));
  live->write(frame(Medium::Audio, 700000));
  EXPECT_TRUE(outlet_->written.empty());
  EXPECT_TRUE(live_.empty());
  downlink_->set_loop(Medium::Video, loop(Codec::H264, "card"));
  run_until(Medium::Video, 1);
  live->write(frame(Medium::Audio, 700020));
  EXPECT_EQ(live_, std::vector{Medium::Audio});
  EXPECT_EQ(outlet_->of(Medium::Audio).back().data, "live");
}

TEST_F(DownlinkTest, LiveSoundDoesNotWaitForAPictureThatNeverComes) {
  const auto live = view_->outlet("alice");
  live->set_track(track(Codec::Aac, "aac"));
  std::int64_t dts = 700000;
  while (outlet_->written.empty()) {
    reactor_->run_once(std::chrono::milliseconds(45));
    live->write(frame(Medium::Audio, dts += 45));
  }
  EXPECT_EQ(live_, std::vector{Medium::Audio});
}

TEST_F(DownlinkTest, EachMediumGoesLiveByItself) {
  ring_until(Medium::Video, 3);
  const auto live = view_->outlet("alice");
  live->set_track(track(Codec::Aac, "aac"));
  live->set_track(track(Codec::H264, "live sps"));
  EXPECT_EQ(outlet_->tracks.size(), 2u) << "nothing is told before the first packet";

  live->write(frame(Medium::Audio, 700000));
  EXPECT_EQ(live_, std::vector{Medium::Audio});
  EXPECT_EQ(outlet_->tracks.size(), 2u) << "the same sound configuration is not told again";
  live->write(frame(Medium::Video, 700000));
  EXPECT_EQ(live_.size(), 1u) << "a picture that is no keyframe takes nothing over";
  const std::size_t before = outlet_->of(Medium::Video).size();
  run_until(Medium::Video, before + 3);
  EXPECT_EQ(outlet_->of(Medium::Video).back().data, "card") << "the picture rings on";
  EXPECT_EQ(outlet_->of(Medium::Audio).back().data, "live") << "the tone has ended";

  live->write(frame(Medium::Video, 700040, true));
  EXPECT_EQ(live_, (std::vector{Medium::Audio, Medium::Video}));
  ASSERT_EQ(outlet_->tracks.size(), 3u);
  EXPECT_TRUE(outlet_->of(Medium::Video).back().key);
  const std::size_t all = outlet_->written.size();
  for (int i = 0; i < 4; ++i) reactor_->run_once(std::chrono::milliseconds(45));
  EXPECT_EQ(outlet_->written.size(), all) << "no loop plays on, no timer runs";
  expect_rising();
}

TEST_F(DownlinkTest, LiveSoundTakesThePictureAlong) {
  ring_until(Medium::Video, 3);
  const auto live = view_->outlet("alice");
  live->set_track(track(Codec::Aac, "aac"));
  live->write(frame(Medium::Audio, 700000));
  expect_along(Medium::Video, std::chrono::milliseconds(45),
               [&](std::int64_t n) { live->write(frame(Medium::Audio, 700000 + 20 * n)); });
}

TEST_F(DownlinkTest, LivePicturesTakeTheSoundAlong) {
  ring_until(Medium::Audio, 3);
  const auto live = view_->outlet("alice");
  live->set_track(track(Codec::H264, "live"));
  live->write(frame(Medium::Video, 700000, true));
  ASSERT_EQ(live_.size(), 1U);
  expect_along(Medium::Audio, std::chrono::milliseconds(35),
               [&](std::int64_t n) { live->write(frame(Medium::Video, 700000 + 33 * n)); });
}

TEST_F(DownlinkTest, LiveMediaKeepTheirDistanceToEachOther) {
  const auto live = view_->outlet("alice");
  live->set_track(track(Codec::Aac, "aac"));
  live->set_track(track(Codec::H264, "sps"));
  live->write(frame(Medium::Video, 50000, true));
  live->write(frame(Medium::Audio, 50015));
  live->write(frame(Medium::Audio, 50038));
  const auto audio = outlet_->of(Medium::Audio), video = outlet_->of(Medium::Video);
  EXPECT_EQ(audio[0].dts - video[0].dts, 15);
  EXPECT_EQ(audio[1].dts - audio[0].dts, 23);
}

TEST_F(DownlinkTest, ANewPipelineTakesOverWithoutABreak) {
  const auto first = view_->outlet("alice");
  first->set_track(track(Codec::H264, "sps"));
  first->write(frame(Medium::Video, 90000, true));
  const auto second = view_->outlet("alice");
  first->write(frame(Medium::Video, 90033));
  EXPECT_EQ(outlet_->written.size(), 1u) << "the old one is cut off";
  second->set_track(track(Codec::H264, "sps"));
  second->write(frame(Medium::Video, 10));
  EXPECT_EQ(outlet_->written.size(), 1u) << "waits for a keyframe";
  second->write(frame(Medium::Video, 40, true));
  EXPECT_EQ(outlet_->written.size(), 2u);
  EXPECT_EQ(live_.size(), 1u) << "the medium was live all the time";
  expect_rising();
}

TEST_F(DownlinkTest, RestsBackOnTheLoopWhenReleased) {
  downlink_->set_loop(Medium::Video, loop(Codec::H264, "card"));
  downlink_->set_loop(Medium::Audio, loop(Codec::Aac, "tone"));
  const auto live = view_->outlet("alice");
  live->set_track(track(Codec::H264, "sps"));
  live->write(frame(Medium::Video, 5, true));
  downlink_->release(Medium::Video);
  run_until(Medium::Video, 2);
  EXPECT_EQ(outlet_->of(Medium::Video).back().data, "card");
  EXPECT_TRUE(outlet_->of(Medium::Video)[1].key);
  EXPECT_EQ(outlet_->tracks.back().config.view.size(), 4u) << "the card's configuration again";
  expect_rising();
}

TEST_F(DownlinkTest, FadesToTheLoopWhereNothingComesAnyMore) {
  downlink_->set_loop(Medium::Video, loop(Codec::H264, "card"));
  downlink_->set_loop(Medium::Audio, loop(Codec::Aac, "tone"));
  const auto live = view_->outlet("alice");
  live->set_track(track(Codec::H264, "sps"));
  live->write(frame(Medium::Video, 5, true));
  // What only pauses stays as it is.
  run_until(Medium::Audio, 70);
  ASSERT_TRUE(downlink_->live(Medium::Video));
  downlink_->set_fading(true);
  run_until(Medium::Video, 2);
  EXPECT_EQ(outlet_->of(Medium::Video).back().data, "card");
  EXPECT_FALSE(downlink_->live(Medium::Video));
  live->write(frame(Medium::Video, 6000, true));
  EXPECT_TRUE(downlink_->live(Medium::Video)) << "the next keyframe is shown again";
  expect_rising();
}

TEST_F(DownlinkTest, AfterAHoldInWhichNothingCameThePictureBeginsWithAKeyframe) {
  const auto live = view_->outlet("alice");
  int asked = 0;
  live->set_keyframe_wanted([&] { ++asked; });
  live->set_track(track(Codec::H264, "sps"));
  live->write(frame(Medium::Video, 5, true));
  // Too short for the loop: the picture stands.
  downlink_->set_fading(true);
  const auto until = Clock::now() + std::chrono::milliseconds(300);
  while (Clock::now() < until) reactor_->run_once(std::chrono::milliseconds(45));
  ASSERT_TRUE(downlink_->live(Medium::Video));
  downlink_->set_fading(false);
  live->write(frame(Medium::Video, 350));
  EXPECT_EQ(outlet_->of(Medium::Video).size(), 1u) << "what it refers to has not come";
  EXPECT_EQ(asked, 1);
  live->write(frame(Medium::Video, 380, true));
  EXPECT_EQ(outlet_->of(Medium::Video).size(), 2u);
  // One that sends on while it holds lacks nothing.
  downlink_->set_fading(true);
  live->write(frame(Medium::Video, 410));
  downlink_->set_fading(false);
  live->write(frame(Medium::Video, 440));
  EXPECT_EQ(outlet_->of(Medium::Video).size(), 4u);
}

TEST_F(DownlinkTest, AsksTheCalleeUntilAKeyframeComes) {
  int asked = 0;
  downlink_->expect_video(true, [&] { ++asked; });
  while (asked < 2) reactor_->run_once(std::chrono::milliseconds(50));
  const auto live = view_->outlet("alice");
  live->set_track(track(Codec::H264, "sps"));
  live->write(frame(Medium::Video, 5, true));
  for (int i = 0; i < 3; ++i) reactor_->run_once(std::chrono::milliseconds(45));
  EXPECT_EQ(asked, 2);
}

TEST_F(DownlinkTest, AsksTheCalleeOnceThoughOurEncoderGaveAKeyframe) {
  int asked = 0;
  downlink_->expect_video(
      true, [&] { ++asked; }, true);
  const auto live = view_->outlet("alice");
  live->set_track(track(Codec::H264, "sps"));
  live->write(frame(Medium::Video, 5, true));
  live->write(frame(Medium::Video, 38));
  live->write(frame(Medium::Video, 71, true));
  EXPECT_EQ(asked, 1) << "its first picture may have come before our decoder was there";
  // Another path has another decoder.
  const auto next = view_->outlet("alice");
  next->set_track(track(Codec::H264, "sps"));
  next->write(frame(Medium::Video, 5, true));
  EXPECT_EQ(asked, 2);
}

TEST_F(DownlinkTest, AsksNobodyForWhatIsNotExpected) {
  int asked = 0;
  downlink_->expect_video(true, [&] { ++asked; });
  downlink_->expect_video(false, nullptr);
  const auto until = Clock::now() + std::chrono::milliseconds(400);
  while (Clock::now() < until) reactor_->run_once(std::chrono::milliseconds(45));
  EXPECT_EQ(asked, 0);
}

TEST_F(DownlinkTest, AsksTheLiveWriterWhosePicturesAreNotWhole) {
  int asked = 0;
  const auto live = view_->outlet("alice");
  live->set_keyframe_wanted([&] { ++asked; });
  live->set_track(track(Codec::H264, "sps"));
  live->write(frame(Medium::Video, 5));
  live->write(frame(Medium::Video, 38));
  EXPECT_EQ(asked, 1) << "at most one each half second";
}

TEST_F(DownlinkTest, APlayerThatWaitsGetsAKeyframeFromWhoeverWrites) {
  ring_until(Medium::Video, 3);
  const auto before = outlet_->of(Medium::Video).size();
  outlet_->wanted();
  run_until(Medium::Video, before + 1);
  EXPECT_TRUE(outlet_->of(Medium::Video)[before].key);

  int asked = 0;
  const auto live = view_->outlet("alice");
  live->set_keyframe_wanted([&] { ++asked; });
  live->set_track(track(Codec::H264, "sps"));
  live->write(frame(Medium::Video, 5, true));
  outlet_->wanted();
  EXPECT_EQ(asked, 1);
}

TEST_F(DownlinkTest, AWritersClockThatJumpsIsPlacedAnew) {
  const auto live = view_->outlet("alice");
  live->set_track(track(Codec::H264, "sps"));
  live->write(frame(Medium::Video, 1000, true));
  live->write(frame(Medium::Video, 900000));
  const auto video = outlet_->of(Medium::Video);
  EXPECT_LT(video[1].dts - video[0].dts, 3000);
  expect_rising();
}

TEST_F(DownlinkTest, EndsPlayersOnceAndWritesNoMore) {
  const auto live = view_->outlet("alice");
  live->end("NetStream.Play.UnpublishNotify", "a pipeline goes");
  EXPECT_TRUE(outlet_->ended.empty()) << "only the call ends its players";
  downlink_->end("NetStream.Play.Complete", "busy: The callee is busy.");
  live->set_track(track(Codec::Aac, "aac"));
  live->write(frame(Medium::Audio, 1));
  EXPECT_EQ(outlet_->ended, std::vector<std::string>{"NetStream.Play.Complete busy: The callee is "
                                                     "busy."});
  EXPECT_TRUE(outlet_->written.empty());
}

TEST_F(DownlinkTest, PlaysForSomebodyOnly) {
  downlink_->set_audience(false);
  downlink_->set_loop(Medium::Audio, loop(Codec::Aac, "tone"));
  downlink_->set_loop(Medium::Video, loop(Codec::H264, "card"));
  for (int i = 0; i < 4; ++i) reactor_->run_once(std::chrono::milliseconds(45));
  EXPECT_TRUE(outlet_->written.empty());
  downlink_->set_audience(true);
  run_until(Medium::Video, 1);
  EXPECT_TRUE(outlet_->of(Medium::Video)[0].key);
}

TEST_F(DownlinkTest, OtherNamesHaveTheirOwnOutlets) {
  const auto other = view_->outlet("bob");
  EXPECT_EQ(other.get(), server_->outlets["bob"].get());
}

}  // namespace
}  // namespace junctor::calls
