// SPDX-License-Identifier: LGPL-2.1-or-later
// Digits in the bodies of INFO.
#include "sip/core/dtmf_info.h"

#include <gtest/gtest.h>

namespace junctor::sip {
namespace {

using namespace std::chrono_literals;

TEST(DtmfInfo, RelaysOfPhonesAreRead) {
  struct Row {
    const char *body;
    char digit;
    Duration length;
  };
  for (const Row &row :
       {Row{"Signal=5\r\nDuration=160\r\n", '5', 160ms},
        Row{"Signal= 1\nDuration= 250", '1', 250ms}, Row{"signal=*\r\n\r\n", '*', kUsualDigit},
        Row{"Duration=100\r\nSIGNAL = d", 'D', 100ms},
        Row{"Signal=11\r\nDuration=x\r\n", '#', kUsualDigit}, Row{"Signal=10", '*', kUsualDigit},
        Row{"Signal=#\r\nDuration=4000000000\r\n", '#', kLongestDigit},
        Row{"Signal=1\r\nSignal=2\r\n", '1', kUsualDigit}}) {
    const auto digit = read_dtmf_relay(row.body);
    ASSERT_TRUE(digit) << row.body;
    EXPECT_EQ(digit->digit, row.digit) << row.body;
    EXPECT_EQ(digit->length, row.length) << row.body;
  }
  for (const char *wrong : {"", "Signal=", "Signal", "Signal=x", "Signal=16", "Signal=055", "5",
                            "NoSignal=5", "Signal=5 5", "Duration=160"})
    EXPECT_FALSE(read_dtmf_relay(wrong)) << wrong;
}

TEST(DtmfInfo, DigitsAloneAreRead) {
  EXPECT_EQ(read_dtmf("7")->digit, '7');
  EXPECT_EQ(read_dtmf(" #\r\n")->digit, '#');
  EXPECT_EQ(read_dtmf("12\r\n")->digit, 'A');
  for (const char *wrong : {"", "\r\n", "77", "16", "x", "-1"}) EXPECT_FALSE(read_dtmf(wrong));
}

TEST(DtmfInfo, WhatIsWrittenIsRead) {
  EXPECT_EQ(write_dtmf_relay({'#', 160ms}), "Signal=#\r\nDuration=160\r\n");
  for (const char each : rtp::kDigits) {
    const auto back = read_dtmf_relay(write_dtmf_relay({each, 95ms}));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->digit, each);
    EXPECT_EQ(back->length, 95ms);
  }
}

}  // namespace
}  // namespace junctor::sip
