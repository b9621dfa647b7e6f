// SPDX-License-Identifier: LGPL-2.1-or-later
// Escapes of URLs and URIs.
#include "common/percent.h"

#include <gtest/gtest.h>

namespace junctor {
namespace {

TEST(PercentDecode, TakesEscapesAndLeavesTheRest) {
  EXPECT_EQ(percent_decode(""), "");
  EXPECT_EQ(percent_decode("bob%20b"), "bob b");
  EXPECT_EQ(percent_decode("%41%4a%4A"), "AJJ");
  EXPECT_EQ(percent_decode("%00"), std::string(1, '\0'));
  EXPECT_EQ(percent_decode("+49"), "+49");  // a telephone number, not a space
}

TEST(PercentDecode, WhatIsNoEscapeStays) {
  for (const char *text : {"%", "%4", "a%", "%zz", "%4g", "%%", "100%"})
    EXPECT_EQ(percent_decode(text), text);
  EXPECT_EQ(percent_decode("%4%zz%41%"), "%4%zzA%");
  EXPECT_EQ(percent_decode("%%41"), "%A");
  EXPECT_EQ(percent_decode("%2541"), "%41");  // once only
}

}  // namespace
}  // namespace junctor
