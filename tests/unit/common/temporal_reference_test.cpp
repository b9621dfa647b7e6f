// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/temporal_reference.h"

#include <gtest/gtest.h>

#include <vector>

namespace junctor {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

Bytes bytes(std::initializer_list<int> values) {
  Bytes made;
  for (const int value : values) made.push_back(static_cast<std::byte>(value));
  return made;
}

// The beginnings of pictures that ffmpeg 5.1 made, 352x288 at 10 a second: its encoders round down.
TEST(TemporalReference, IsReadFromRealPictures) {
  EXPECT_EQ(temporal_reference(bytes({0, 0, 0x80, 0x02, 0x0c, 0x04})), 0);
  EXPECT_EQ(temporal_reference(bytes({0, 0, 0x80, 0x0a, 0x0e, 0x02})), 2);
  EXPECT_EQ(temporal_reference(bytes({0, 0, 0x80, 0x16, 0x0e, 0x02})), 5);
  EXPECT_EQ(temporal_reference(bytes({0, 0, 0x84, 0x01, 0x12, 0x1e})), 0);
  EXPECT_EQ(temporal_reference(bytes({0, 0, 0x84, 0x0d, 0x31, 0x02})), 3);
  EXPECT_EQ(temporal_reference(bytes({0, 0, 0x84, 0x19, 0x31, 0x02})), 6);
}

TEST(TemporalReference, IsWrittenAndNothingElseChanges) {
  for (const auto &picture :
       {bytes({0, 0, 0x80, 0x02, 0x0c, 0x04}), bytes({0, 0, 0x80, 0x0a, 0x0e, 0x02}),
        bytes({0, 0, 0x84, 0x01, 0x12, 0x1e}), bytes({0, 0, 0x80, 0x03})})
    for (int value = 0; value < 256; ++value) {
      Bytes changed = picture;
      ASSERT_TRUE(set_temporal_reference(changed, static_cast<std::uint8_t>(value)));
      EXPECT_EQ(temporal_reference(changed), value);
      ASSERT_TRUE(set_temporal_reference(changed, *temporal_reference(picture)));
      EXPECT_EQ(changed, picture);
    }
  Bytes second = bytes({0, 0, 0x80, 0x02, 0x0c, 0x04});
  set_temporal_reference(second, 2);
  EXPECT_EQ(second, bytes({0, 0, 0x80, 0x0a, 0x0c, 0x04}));
  set_temporal_reference(second, 255);
  EXPECT_EQ(second, bytes({0, 0, 0x83, 0xfe, 0x0c, 0x04}));
}

TEST(TemporalReference, IsOfPicturesAlone) {
  for (const auto &other :
       {bytes({}), bytes({0, 0, 0x80}), bytes({0, 0, 0, 1}), bytes({0, 1, 0x80, 2, 0x0c}),
        bytes({0, 0, 0x88, 2, 0x0c}),  // a later version of Sorenson's
        bytes({0, 0, 0xc0, 2, 0x0c}),  // a group of blocks (H.263, 5.2.2)
        bytes({0, 0, 0xfc, 2, 0x0c}),  // end of sequence (5.1.27)
        bytes({0x9d, 1, 0x2a, 0x40})}) {
    Bytes changed = other;
    EXPECT_FALSE(set_temporal_reference(changed, 9));
    EXPECT_EQ(changed, other);
    EXPECT_FALSE(temporal_reference(other));
  }
}

std::vector<int> references(std::initializer_list<nanoseconds> times) {
  PictureClock clock;
  std::vector<int> made;
  for (const nanoseconds time : times) made.push_back(clock.next(time));
  return made;
}

TEST(PictureClock, CountsWhatIsLeftOut) {
  EXPECT_EQ(references({milliseconds(0), milliseconds(100), milliseconds(200), milliseconds(1001)}),
            (std::vector{0, 3, 6, 30}));
  EXPECT_EQ(references({milliseconds(0), milliseconds(40), milliseconds(80), milliseconds(120),
                        milliseconds(160)}),
            (std::vector{0, 1, 2, 4, 5}));
}

TEST(PictureClock, IsOfEightBits) {
  // 1001 s are 30,000 ticks, 48 of them beyond 117 times 256.
  EXPECT_EQ(references({seconds(0), seconds(1001), seconds(1001 * 1'000'000)}),
            (std::vector{0, 48, 48'000'000 % 256}));
}

TEST(PictureClock, NeverStandsNorGoesBack) {
  EXPECT_EQ(references({seconds(10), seconds(10), seconds(3), seconds(3) + milliseconds(100),
                        milliseconds(0)}),
            (std::vector{0, 1, 2, 5, 6}));
}

// Pictures at 30 a second are faster than the clock by one in a thousand.
TEST(PictureClock, GoesOneAtATimeAtThirtyASecond) {
  PictureClock clock;
  for (int i = 0; i < 5000; ++i)
    ASSERT_EQ(clock.next(nanoseconds(1'000'000'000LL * i / 30)), i % 256) << i;
  PictureClock twice;
  for (int i = 0; i < 5000; ++i)
    ASSERT_EQ(twice.next(nanoseconds(1'000'000'000LL * i / 60)), i % 256) << i;
}

}  // namespace
}  // namespace junctor
