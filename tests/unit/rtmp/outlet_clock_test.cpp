// SPDX-License-Identifier: LGPL-2.1-or-later
// Where sources with clocks of their own are placed on an outlet's.
#include <gmock/gmock.h>

#include "outlet_fixture.h"

using namespace junctor;
using namespace junctor::rtmp;
using namespace std::chrono_literals;
using namespace junctor::test;
using testing::ElementsAre;

TEST_F(OutletTest, TimestampsRiseAcrossSources) {
  Fake fake(ring, now);
  both_tracks();
  ring->write(picture(Picture::Key, 90000), now);
  ring->write(sound(90020), now);
  fake.flush(now);
  EXPECT_EQ(fake.take().size(), 5U);
  now += 2500ms;  // nothing comes meanwhile
  both_tracks();
  ring->write(sound(7), now);                     // its clock is another
  ring->write(picture(Picture::Inter, 17), now);  // no keyframe yet
  ring->write(sound(30), now + 23ms);
  ring->write(picture(Picture::Key, 50), now + 43ms);
  fake.flush(now + 50ms);
  EXPECT_THAT(fake.take(),
              ElementsAre("data onMetaData 0", "video config 2500", "audio config 2500",
                          "audio 2500", "audio 2523", "video key 2543"));
  EXPECT_EQ(ring->stats().dropped, 1U);
}

TEST_F(OutletTest, ASourceIsNeverPlacedBeforeWhatWasSent) {
  Fake fake(ring, now);
  both_tracks();
  ring->write(picture(Picture::Key, 0), now);
  ring->write(sound(1500), now);  // a burst: ahead of the present
  both_tracks();
  ring->write(picture(Picture::Key, 100), now + 10ms);
  ring->write(sound(60), now + 10ms);  // older than the source's first
  fake.flush(now + 10ms);
  EXPECT_THAT(fake.take(), testing::IsSupersetOf({"audio 1500", "video key 1500"}));
  Words second;
  ring->write(sound(130), now + 40ms);
  fake.flush(now + 40ms);
  EXPECT_THAT(fake.take(), ElementsAre("audio 1530"));
}

TEST_F(OutletTest, AClockThatIsSetAnewInMidSourceIsPlacedAgain) {
  Fake fake(ring, now);
  ring->begin_source();
  ring->set_track(aac_track());
  ring->write(sound(100000), now);
  ring->write(sound(0), now + 20ms);        // falls back
  ring->write(sound(4000000), now + 40ms);  // runs ahead
  ring->write(sound(4000000), now + 60ms);  // stands still
  fake.flush(now + 60ms);
  ring->write(sound(4060000), now + 60060ms);  // was silent for a minute: that is no jump
  fake.flush(now + 60060ms);
  EXPECT_THAT(fake.take(), ElementsAre("data onMetaData 0", "audio config 0", "audio 0", "audio 20",
                                       "audio 40", "audio 40", "audio 60040"));
}

TEST_F(OutletTest, SoundAndPictureFarApartKeepToTheTimeThatPasses) {
  for (const int apart : {-70000, -5000, 5000, 70000}) {
    ring = std::make_shared<OutletRing>(OutletLimits{});
    Fake fake(ring, now);
    both_tracks();
    for (int i = 0; i < 100; ++i) {
      ring->write(sound(dts), now);
      ring->write(picture(i == 0 ? Picture::Key : Picture::Inter, dts + apart), now);
      step();
      fake.flush(now);
    }
    std::uint32_t latest = 0;
    for (const Message &message : fake.messages) latest = std::max(latest, message.timestamp);
    EXPECT_GE(latest, 99U * 40) << apart;
    EXPECT_LE(latest, 99U * 40 + 10000) << apart;
    EXPECT_EQ(fake.take().back(), apart == 5000 ? "video 8960" : "video 3960");
  }
}

TEST_F(OutletTest, AClockThatIsSetAnewTakesBothMediaAlong) {
  Fake fake(ring, now);
  both_tracks();
  ring->write(picture(Picture::Key, 100000), now);
  ring->write(sound(100010), now + 10ms);
  fake.flush(now);
  fake.take();
  ring->write(picture(Picture::Inter, 20), now + 40ms);  // anew
  ring->write(sound(100040), now + 40ms);                // was still on its way
  ring->write(sound(30), now + 50ms);
  ring->write(picture(Picture::Inter, 60), now + 80ms);
  fake.flush(now + 80ms);
  EXPECT_THAT(fake.take(), ElementsAre("video 40", "audio 40", "audio 50", "video 80"));
}

TEST(SourceClock, EachMediumIsComparedWithItself) {
  SourceClock clock;
  EXPECT_TRUE(clock.read(Medium::Video, 10000, 0).anew);
  EXPECT_FALSE(clock.read(Medium::Audio, 15000, 0).anew);
  EXPECT_FALSE(clock.read(Medium::Video, 8000, 0).anew);
  EXPECT_FALSE(clock.read(Medium::Video, 18000, 0).anew);
  EXPECT_FALSE(clock.read(Medium::Video, 29000, 1000).anew);  // a second has passed
  EXPECT_FALSE(clock.read(Medium::Audio, 15020, 1000).anew);
  EXPECT_TRUE(clock.read(Medium::Video, 26999, 1000).anew);
  EXPECT_TRUE(clock.read(Medium::Video, 37000, 1000).anew);  // by 10001
  clock.reset();
  EXPECT_TRUE(clock.read(Medium::Audio, 37000, 1000).anew);
}

TEST(SourceClock, AMediumFarFromTheOtherIsLaidBesideIt) {
  SourceClock clock;
  clock.read(Medium::Video, 100000, 0);
  EXPECT_EQ(clock.read(Medium::Audio, 7, 0).dts, 100000);
  EXPECT_EQ(clock.read(Medium::Audio, 27, 20).dts, 100020);
  EXPECT_EQ(clock.read(Medium::Video, 100040, 40).dts, 100040);
}
