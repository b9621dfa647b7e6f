// SPDX-License-Identifier: LGPL-2.1-or-later
// What a phone's parameters of H.263 mean for what it gets.
#include "calls/receiver.h"

#include <gtest/gtest.h>

namespace junctor::calls {
namespace {

TEST(H263Receiver, IsWhatTheParametersSay) {
  const struct {
    const char *encoding, *fmtp, *size;
    int rate;
    bool takes_cif, takes_qcif, takes_4cif;
  } kRows[] = {
      {"H263-1998", "CIF=1;QCIF=1", "CIF", 30, true, true, false},
      {"H263-1998", "CIF=2; QCIF=1", "CIF", 15, true, true, false},
      {"H263-2000", "QCIF=3", "QCIF", 10, false, true, false},
      {"H263-1998", "CIF4=1;CIF=1", "CIF", 30, true, false, true},
      {"H263-1998", "CIF4=2", "4CIF", 15, false, false, true},
      {"H263-1998", "sqcif=1", "sub-QCIF", 30, false, false, false},
      // RFC 4629, 8.2.1: who names no size takes QCIF at the full rate.
      {"H263-1998", "", "QCIF", 30, false, true, false},
      {"H263-2000", "profile=0;level=10", "QCIF", 15, false, true, false},
      {"H263", "", "CIF", 30, true, true, false},
      {"H263", "CIF=0;x", "QCIF", 30, false, true, false},
      {"H263", "QCIF=2", "QCIF", 15, false, true, false},
  };
  for (const auto &row : kRows) {
    const auto receiver = H263Receiver::from_fmtp(row.encoding, row.fmtp);
    ASSERT_NE(receiver.size, nullptr) << row.fmtp;
    EXPECT_EQ(receiver.size->name, row.size) << row.encoding << " " << row.fmtp;
    EXPECT_EQ(receiver.rate, row.rate) << row.encoding << " " << row.fmtp;
    EXPECT_EQ(receiver.takes(352, 288), row.takes_cif) << row.encoding << " " << row.fmtp;
    EXPECT_EQ(receiver.takes(176, 144), row.takes_qcif) << row.encoding << " " << row.fmtp;
    EXPECT_EQ(receiver.takes(704, 576), row.takes_4cif) << row.encoding << " " << row.fmtp;
    EXPECT_FALSE(receiver.takes(640, 360));
    EXPECT_FALSE(receiver.takes_as_it_is(640, 360));
  }
}

// How fast and heavy a terminal's pictures are nobody tells.
TEST(H263Receiver, TakesAsTheyAreOnlyPicturesThatCannotBeTooMany) {
  const auto passes = [](const char *fmtp) {
    return H263Receiver::from_fmtp("H263-1998", fmtp).takes_as_it_is(352, 288);
  };
  EXPECT_TRUE(passes("CIF=1;QCIF=1"));
  EXPECT_TRUE(passes("CIF=1;MAXBR=6000"));
  EXPECT_FALSE(passes("CIF=2"));
  EXPECT_FALSE(passes("CIF=1;MAXBR=1920")) << "192 kbit/s";
  EXPECT_FALSE(passes("profile=0;level=30")) << "384 kbit/s";
}

TEST(H263Receiver, IsEncodedForAsItsRateAllows) {
  const struct {
    const char *fmtp, *size;
    int kbit, quantizer;
  } kRows[] = {
      {"CIF=1;QCIF=1", "CIF", 0, 8},
      {"CIF=1;QCIF=1;MAXBR=10000", "CIF", 1000, 8},
      {"CIF=1;QCIF=1;MAXBR=3840", "CIF", 384, 13},
      {"CIF=1;QCIF=1;MAXBR=1280", "QCIF", 128, 13},  // CIF would need 38
      {"CIF=1;MAXBR=1280", "CIF", 128, 31},
      {"QCIF=1;MAXBR=1", "QCIF", 1, 31},
  };
  for (const auto &row : kRows) {
    const auto receiver = H263Receiver::from_fmtp("H263-1998", row.fmtp);
    ASSERT_NE(receiver.size, nullptr) << row.fmtp;
    EXPECT_EQ(receiver.size->name, row.size) << row.fmtp;
    EXPECT_EQ(receiver.kbit_per_second, row.kbit) << row.fmtp;
    EXPECT_EQ(h263_quantizer(*receiver.size, receiver.kbit_per_second), row.quantizer) << row.fmtp;
  }
  EXPECT_EQ(H263Receiver::from_fmtp("H263-1998", "CIF=1;MAXBR=3840", 200).kbit_per_second, 200);
  EXPECT_EQ(H263Receiver::from_fmtp("H263-1998", "CIF=1;MAXBR=1280", 200).kbit_per_second, 128);
}

}  // namespace
}  // namespace junctor::calls
