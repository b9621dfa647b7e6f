// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/outlet.h"

#include <gmock/gmock.h>

#include "outlet_fixture.h"

using namespace junctor;
using namespace junctor::rtmp;
using namespace std::chrono_literals;
using namespace junctor::test;
using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(OutletTest, AFirstPlayerHearsEverythingInOrder) {
  Fake fake(ring, now);
  fake.flush(now);
  EXPECT_THAT(fake.take(), IsEmpty());
  both_tracks();
  ring->write(sound(5000), now);
  ring->write(picture(Picture::Key, 5010), now);
  ring->write(picture(Picture::Inter, 5050), now);
  fake.flush(now);
  EXPECT_THAT(fake.take(), ElementsAre("data onMetaData 0", "video config 0", "audio config 0",
                                       "audio 0", "video key 10", "video 50"));
  EXPECT_EQ(ring->stats().frames, 3U);
  EXPECT_EQ(ring->stats().players, 1U);
}

TEST_F(OutletTest, BytesAreThoseOfTheFrames) {
  Fake fake(ring, now);
  both_tracks();
  const rtmp::Frame key = picture(Picture::Key, 0, 100000);  // two chunks
  ring->write(key, now);
  fake.flush(now, SIZE_MAX, 999);
  ASSERT_EQ(fake.messages.size(), 4U);
  EXPECT_EQ(test::hex(fake.messages[1].payload.view),
            "1700000000" + test::hex(h264_track().config.view));
  EXPECT_EQ(test::hex(fake.messages[2].payload.view), "af001208");
  EXPECT_EQ(test::hex(fake.messages[3].payload.view), "1701000000" + test::hex(key.data.view));
  const auto metadata = parse_data(fake.messages[0]);
  ASSERT_TRUE(metadata);
  const AmfMembers *members = metadata->values[0].members();
  EXPECT_EQ(members->number("videocodecid"), 7);
  EXPECT_EQ(members->number("audiocodecid"), 10);
}

TEST_F(OutletTest, WhoWantsAvc1GetsTheSameFramesInIt) {
  Fake legacy(ring, now), enhanced(ring, now, 1, TagStyle::Enhanced),
      second(ring, now, 5, TagStyle::Enhanced);
  both_tracks();
  rtmp::Frame key = picture(Picture::Key, 0, 200000);  // of four chunks
  key.composition = 80;
  ring->write(key, now);
  const rtmp::Frame inter = picture(Picture::Inter, 40);
  ring->write(inter, now);
  ring->write(sound(45), now);
  for (Fake *fake : {&legacy, &enhanced, &second}) {
    fake->flush(now, SIZE_MAX, 777);
    ASSERT_EQ(fake->messages.size(), 6U);
  }
  Fake late(ring, now, 1, TagStyle::Enhanced);
  late.flush(now);
  ASSERT_EQ(late.messages.size(), 6U);
  for (Fake *fake : {&enhanced, &second, &late}) {
    const auto body = [&](std::size_t at) { return test::hex(fake->messages[at].payload.view); };
    EXPECT_EQ(parse_data(fake->messages[0])->values[0].members()->number("videocodecid"),
              0x61766331);
    EXPECT_EQ(body(1), "9061766331" + test::hex(h264_track().config.view));
    EXPECT_EQ(body(2), "af001208");
    EXPECT_EQ(body(3), "9161766331000050" + test::hex(key.data.view));
    EXPECT_EQ(body(4), "a361766331" + test::hex(inter.data.view)) << "no composition time";
    EXPECT_EQ(body(5), test::hex(legacy.messages[5].payload.view));
    for (std::size_t at = 0; at < 6; ++at) {
      EXPECT_EQ(fake->messages[at].timestamp, legacy.messages[at].timestamp);
      EXPECT_EQ(fake->messages[at].stream, fake == &second ? 5U : 1U);
    }
  }
  EXPECT_EQ(test::hex(legacy.messages[4].payload.view), "2701000000" + test::hex(inter.data.view));
}

TEST_F(OutletTest, G711HasNoSequenceHeader) {
  Fake fake(ring, now);
  ring->begin_source();
  ring->set_track(pcma_track());
  ring->write(sound(0), now);
  fake.flush(now);
  ASSERT_EQ(fake.messages.size(), 2U);
  const auto metadata = parse_data(fake.messages[0]);
  EXPECT_EQ(metadata->values[0].members()->number("audiocodecid"), 7);
  EXPECT_EQ(metadata->values[0].members()->find("videocodecid"), nullptr);
  EXPECT_EQ(test::hex(fake.messages[1].payload.view).substr(0, 2), "72");
}

TEST_F(OutletTest, ALatePlayerBeginsWithTheKeyframe) {
  both_tracks();
  pictures(30, 10);  // the newest keyframe is picture 20, at 800
  Fake late(ring, now);
  late.flush(now);
  const Words heard = late.take();
  ASSERT_EQ(heard.size(), 13U);
  EXPECT_THAT(
      Words(heard.begin(), heard.begin() + 4),
      ElementsAre("data onMetaData 0", "video config 0", "audio config 0", "video key 800"));
  EXPECT_EQ(heard.back(), "video 1160");
  EXPECT_FALSE(ring->take_keyframe_wish(now));
}

TEST_F(OutletTest, ALatePlayerOfSoundAloneBeginsAtOnce) {
  ring->begin_source();
  ring->set_track(aac_track());
  ring->write(sound(0), now);
  Fake late(ring, now);
  EXPECT_FALSE(ring->take_keyframe_wish(now));
  ring->write(sound(23), now + 23ms);
  late.flush(now + 23ms);
  EXPECT_THAT(late.take(), ElementsAre("data onMetaData 0", "audio config 0", "audio 23"));
}

TEST_F(OutletTest, OnlyTracksOfTheSourceAreAnnounced) {
  both_tracks();
  pictures(2);
  ring->begin_source();
  ring->set_track(aac_track());
  ring->write(sound(0), now);
  Fake late(ring, now);
  late.flush(now);
  const auto metadata = parse_data(late.messages.at(0));
  EXPECT_EQ(metadata->values[0].members()->find("videocodecid"), nullptr);
  EXPECT_THAT(late.take(), ElementsAre("data onMetaData 0", "audio config 80"));
  // A track of the source before that is heard after all is announced then.
  ring->write(picture(Picture::Key, 40), now + 40ms);
  late.flush(now + 40ms);
  EXPECT_THAT(late.take(), ElementsAre("data onMetaData 0", "video config 120", "video key 120"));
}

// Sound that comes first brings the configuration of the picture, and is a little ahead of it.
TEST_F(OutletTest, NoPictureIsBeforeItsConfiguration) {
  ring->begin_source();
  ring->set_track(aac_track());
  ring->write(sound(0), now);
  Fake fake(ring, now);
  ring->set_track(h264_track());
  ring->write(sound(40), now + 40ms);
  ring->write(picture(Picture::Key, 10), now + 40ms);
  ring->write(picture(Picture::Inter, 50), now + 80ms);
  fake.flush(now + 80ms);
  const Words heard = fake.take();
  EXPECT_THAT(heard, testing::IsSupersetOf({"video config 40", "video key 40", "video 50"}));
}

TEST_F(OutletTest, TimestampsBeyondThreeBytesStayWhole) {
  Fake fake(ring, now);
  both_tracks();
  ring->write(picture(Picture::Key, 0), now);
  fake.flush(now);
  fake.take();
  now += std::chrono::milliseconds(0x1000000);
  ring->write(picture(Picture::Key, 0x1000000, 200000), now);
  fake.flush(now);
  EXPECT_THAT(fake.take(), ElementsAre("video key 16777216"));
}

TEST_F(OutletTest, AChangedConfigurationIsToldOnceAndBeginsWithAKeyframe) {
  Fake fake(ring, now);
  both_tracks();
  pictures(2);
  ring->set_track(h264_track());  // the same again: nothing changes
  pictures(1, 2);
  fake.flush(now);
  fake.take();
  Track changed = h264_track();
  Bytes config(changed.config.view.begin(), changed.config.view.end());
  config.back() = std::byte{0x21};
  changed.config = SharedBytes::own(std::move(config));
  ring->set_track(changed);
  ring->write(picture(Picture::Inter, dts), now);
  ring->write(picture(Picture::Key, dts + 40), now);
  fake.flush(now);
  EXPECT_THAT(fake.take(), ElementsAre("data onMetaData 0", "video config 160", "video key 160"));
}

TEST_F(OutletTest, FramesWithoutATrackAreDropped) {
  Fake fake(ring, now);
  ring->begin_source();
  ring->write(sound(0), now);
  fake.flush(now);
  EXPECT_THAT(fake.take(), IsEmpty());
  EXPECT_EQ(ring->stats().dropped, 1U);
}

TEST_F(OutletTest, WhoWaitsForAKeyframeIsReportedEachHalfSecondAtMost) {
  both_tracks();
  ring->write(sound(0), now);
  EXPECT_FALSE(ring->take_keyframe_wish(now));  // nobody listens
  Fake fake(ring, now);
  EXPECT_TRUE(ring->take_keyframe_wish(now));
  ring->write(picture(Picture::Inter, 10), now);
  EXPECT_FALSE(ring->take_keyframe_wish(now + 499ms));
  EXPECT_TRUE(ring->take_keyframe_wish(now + 500ms));
  ring->write(picture(Picture::Inter, 20), now);
  ring->write(picture(Picture::Key, 30), now);
  EXPECT_FALSE(ring->take_keyframe_wish(now + 2s));
}

TEST_F(OutletTest, SlowPlayersSkipDroppablePictures) {
  both_tracks();
  Fake slow(ring, now);
  pictures(11);  // 400 ms
  slow.flush(now);
  // Those that wait for more than 200 ms: droppable 1, 3 and 5 of 0 … 10 (at 40, 120 and 200 ms).
  EXPECT_EQ(ring->stats().dropped, 3U);
  EXPECT_THAT(slow.take(), ElementsAre("data onMetaData 0", "video config 0", "audio config 0",
                                       "video key 0", "video 80", "video 160", "video 240",
                                       "video 280", "video 320", "video 360", "video 400"));
}

TEST_F(OutletTest, SlowerOnesJumpToTheNewestKeyframe) {
  both_tracks();
  Fake slow(ring, now);
  Fake fast(ring, now);
  for (int i = 0; i < 5; ++i) {
    pictures(6, 6);  // 240 ms, a keyframe first
    ring->write(sound(dts), now);
    fast.flush(now);
  }
  EXPECT_EQ(fast.take().size(), 3U + 30 + 5);
  EXPECT_EQ(ring->stats().dropped, 0U);
  slow.flush(now);
  const Words heard = slow.take();
  EXPECT_THAT(
      Words(heard.begin(), heard.begin() + 4),
      ElementsAre("data onMetaData 0", "video config 0", "audio config 0", "video key 960"));
  EXPECT_EQ(ring->stats().dropped, 24U + 4);
}

TEST_F(OutletTest, AJumpKeepsTheConfigurationsThatChanged) {
  both_tracks();
  Fake slow(ring, now);
  pictures(2);
  slow.flush(now);
  slow.take();
  Track changed = aac_track();
  changed.config = SharedBytes::own(test::wire("11 90"));
  ring->set_track(changed);
  ring->write(sound(dts), now);
  step(1000);
  pictures(2);
  slow.flush(now);
  EXPECT_THAT(slow.take(),
              ElementsAre("data onMetaData 0", "audio config 80", "video key 1080", "video 1120"));
}

TEST_F(OutletTest, SlowPlayersOfSoundJumpToThePresent) {
  ring->begin_source();
  ring->set_track(aac_track());
  Fake slow(ring, now);
  for (int i = 0; i < 40; ++i) {
    ring->write(sound(dts), now);
    step(20);
  }
  slow.flush(now);
  ring->write(sound(dts), now);
  slow.flush(now);
  EXPECT_THAT(slow.take(), ElementsAre("data onMetaData 0", "audio config 0", "audio 800"));
}

TEST_F(OutletTest, AMessageIsNeverCut) {
  both_tracks();
  Fake slow(ring, now);
  ring->write(picture(Picture::Key, dts, 5000), now);
  slow.flush(now, 1500);
  EXPECT_TRUE(slow.player.mid_message());
  for (int i = 0; i < 20; ++i) {
    step(100);
    ring->write(picture(i == 15 ? Picture::Key : Picture::Inter, dts, 5000), now);
  }
  // The rest of what was begun, then the jump. What cannot be read fails in Fake.
  slow.flush(now, SIZE_MAX, 17);
  EXPECT_THAT(slow.take(), ElementsAre("data onMetaData 0", "video config 0", "audio config 0",
                                       "video key 0", "video key 1600", "video 1700", "video 1800",
                                       "video 1900", "video 2000"));
}

TEST_F(OutletTest, EveryPlaceToBreakAWriteIsFine) {
  for (const std::uint32_t stream : {1U, 3U}) {
    for (std::size_t piece = 1; piece < 80; ++piece) {
      both_tracks();
      Fake fake(ring, now, stream);
      ring->write(picture(Picture::Key, dts, 70), now);
      ring->write(sound(dts), now);
      fake.flush(now, SIZE_MAX, piece);
      ASSERT_EQ(fake.messages.size(), 5U);
      EXPECT_EQ(fake.messages[3].payload.view.size(), 5 + 4 + 70U);
      for (const Message &message : fake.messages) EXPECT_EQ(message.stream, stream);
      step();
    }
  }
}

TEST_F(OutletTest, APlayerTooLateIsReported) {
  both_tracks();
  Fake stuck(ring, now);
  ring->write(picture(Picture::Key, dts, 5000), now);
  stuck.flush(now, 1500);
  for (int i = 0; i < 200; ++i) {
    step(50);
    ring->write(picture(i % 20 == 0 ? Picture::Key : Picture::Inter, dts), now);
  }
  EXPECT_FALSE(stuck.player.too_late(now));
  EXPECT_TRUE(stuck.player.too_late(now + 1ms));

  // The same for one that stopped between two messages, long after the ring has moved on.
  Fake between(ring, now);
  between.flush(now);
  const Time stopped = now;
  for (int i = 0; i < 300; ++i) {
    step(50);
    ring->write(picture(i % 20 == 0 ? Picture::Key : Picture::Inter, dts), now);
  }
  EXPECT_FALSE(between.player.too_late(stopped + 10s));
  EXPECT_TRUE(between.player.too_late(stopped + 11s));
}

TEST_F(OutletTest, ALatePlayerIsNotTakenForASlowOne) {
  both_tracks();
  pictures(100);  // 4 s behind one keyframe
  Fake late(ring, now);
  EXPECT_EQ(late.player.lag(now), 0s);
  late.flush(now + 499ms);
  EXPECT_THAT(late.take(), IsEmpty()) << "a fresh keyframe may come";
  EXPECT_EQ(late.player.lag(now + 499ms), 0s) << "it waits of itself";
  EXPECT_EQ(late.player.hold_end(), now + 500ms);
  step(510);
  late.flush(now);
  EXPECT_EQ(late.player.lag(now), 0s);
  EXPECT_EQ(late.take().size(), 103U);
  EXPECT_FALSE(late.player.hold_end());
}

TEST_F(OutletTest, APlayerBehindAnOldKeyframeAsksForAFreshOneAndBeginsWithIt) {
  both_tracks();
  pictures(14);  // the keyframe is 560 ms old
  Fake late(ring, now);
  EXPECT_TRUE(ring->take_keyframe_wish(now));
  ring->write(picture(Picture::Inter, dts), now);
  ring->write(sound(dts), now);
  late.flush(now);
  EXPECT_THAT(late.take(), IsEmpty()) << "nor does sound begin before";
  step();
  ring->write(picture(Picture::Key, dts), now);
  ring->write(sound(dts), now);
  late.flush(now);
  EXPECT_THAT(late.take(), ElementsAre("data onMetaData 0", "video config 0", "audio config 0",
                                       "video key 600", "audio 600"));
  EXPECT_FALSE(late.player.hold_end());
}

TEST_F(OutletTest, APlayerThatWaitsForAFreshKeyframeIsSentWhatThereIsWhenThatIsAll) {
  both_tracks();
  pictures(100);
  Fake late(ring, now);
  late.player.end_here();
  EXPECT_FALSE(late.player.at_end());
  late.flush(now);
  EXPECT_EQ(late.take().size(), 103U);
  EXPECT_TRUE(late.player.at_end());
}

TEST_F(OutletTest, TheRingIsBounded) {
  OutletLimits limits;
  limits.frames = 50;
  limits.bytes = 20000;
  ring = std::make_shared<OutletRing>(limits);
  both_tracks();
  pictures(15);  // of 1,000 bytes
  EXPECT_TRUE(ring->newest_key());
  pictures(10, 1000000);  // begins with a keyframe
  for (int i = 0; i < 60; ++i) {
    ring->write(picture(Picture::Inter, dts), now);
    step();
  }
  EXPECT_LE(ring->end() - ring->first(), 50U);
  EXPECT_FALSE(ring->newest_key());
  // A player that comes now, and one whose place has gone, wait for the next keyframe.
  Fake late(ring, now);
  EXPECT_TRUE(ring->take_keyframe_wish(now));
  ring->write(picture(Picture::Inter, dts), now);
  late.flush(now);
  EXPECT_THAT(late.take(), ElementsAre("data onMetaData 0", "video config 0", "audio config 0"));
  ring->write(sound(dts), now);
  ring->write(picture(Picture::Key, dts), now);
  late.flush(now);
  EXPECT_THAT(late.take(), ElementsAre("audio 3400", "video key 3400"));
}

TEST_F(OutletTest, FramesBehindTheKeyframeAreForgotten) {
  both_tracks();
  pictures(500, 25);
  EXPECT_LE(ring->end() - ring->first(), 25U + 15U);
  ring->begin_source();
  ring->set_track(aac_track());
  for (int i = 0; i < 500; ++i) {
    ring->write(sound(dts), now);
    step(20);
  }
  EXPECT_LE(ring->end() - ring->first(), 30U);
}

TEST_F(OutletTest, APausedPlayerGoesOnFromThePresent) {
  both_tracks();
  Fake fake(ring, now);
  pictures(3);
  fake.flush(now);
  fake.take();
  PlayState paused;
  paused.paused = true;
  fake.player.set_state(paused, now);
  pictures(40, 10);
  fake.flush(now);
  EXPECT_THAT(fake.take(), IsEmpty());
  EXPECT_FALSE(fake.player.too_late(now + 60s));
  fake.player.set_state({}, now);
  fake.flush(now);
  EXPECT_EQ(fake.take().front(), "video key 1320");
}

TEST_F(OutletTest, APlayerMayLeaveOutAMedium) {
  both_tracks();
  Fake fake(ring, now);
  PlayState no_video;
  no_video.video = false;
  fake.player.set_state(no_video, now);
  ring->write(picture(Picture::Key, 0), now);
  ring->write(sound(10), now);
  fake.flush(now);
  EXPECT_THAT(fake.take(),
              ElementsAre("data onMetaData 0", "video config 0", "audio config 0", "audio 10"));
  PlayState no_audio;
  no_audio.audio = false;
  fake.player.set_state(no_audio, now);
  ring->write(picture(Picture::Inter, 40), now);
  ring->write(sound(50), now);
  ring->write(picture(Picture::Key, 80), now);
  fake.flush(now);
  EXPECT_THAT(fake.take(), ElementsAre("video key 80"));
}

TEST_F(OutletTest, AnEndComesAfterWhatWasWritten) {
  both_tracks();
  Fake fake(ring, now);
  pictures(3);
  fake.player.end_here();
  ring->clear();
  EXPECT_FALSE(fake.player.at_end());
  ring->begin_source();
  ring->set_track(aac_track());
  ring->write(sound(0), now);  // another call
  fake.flush(now);
  EXPECT_TRUE(fake.player.at_end());
  EXPECT_EQ(fake.take().back(), "video 80");
}

TEST_F(OutletTest, PlayersShareTheBytes) {
  both_tracks();
  Fake one(ring, now), two(ring, now);
  ring->write(picture(Picture::Key, 0), now);
  Batch a, b;
  a.clear();
  b.clear();
  one.player.gather(a, now);
  two.player.gather(b, now);
  ASSERT_EQ(a.piece_count(), b.piece_count());
  for (std::size_t i = 0; i < a.piece_count(); ++i)
    EXPECT_EQ(a.pieces()[i].iov_base, b.pieces()[i].iov_base);
}
