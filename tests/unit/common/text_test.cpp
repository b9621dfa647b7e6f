// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/text.h"

#include <gtest/gtest.h>

#include <limits>

namespace junctor {
namespace {

TEST(Text, HasNoSpaceAroundIt) {
  EXPECT_EQ(trimmed(" \t a b\r\n"), "a b");
  EXPECT_EQ(trimmed(" \r\n"), "");
}

TEST(Text, IsCutBetweenCharacters) {
  EXPECT_EQ(shortened("abc", 3), "abc");
  EXPECT_EQ(shortened("abc", 2), "ab");
  EXPECT_EQ(shortened("aé", 3), "aé");
  EXPECT_EQ(shortened("aé", 2), "a");
  EXPECT_EQ(shortened("a€b", 3), "a");
  EXPECT_EQ(shortened("a€b", 4), "a€");
  EXPECT_EQ(shortened("€", 2), "");
  EXPECT_EQ(shortened("€", 0), "");
}

TEST(Text, IsANumberAndNothingElse) {
  EXPECT_EQ(number("42"), 42U);
  EXPECT_EQ(number<int>("-1"), -1);
  for (const char *none : {"", "4 ", " 4", "4x", "-1", "99999999999"})
    EXPECT_FALSE(number(none)) << none;
}

TEST(Text, TellsPeopleNumbersBriefly) {
  EXPECT_EQ(brief(0), "0.0");
  EXPECT_EQ(brief(3.74), "3.7");
  EXPECT_EQ(brief(9.94), "9.9");
  EXPECT_EQ(brief(9.96), "10");
  EXPECT_EQ(brief(37.6), "38");
  EXPECT_EQ(brief(-0.5), "-0.5");
  EXPECT_EQ(brief(std::numeric_limits<double>::max()).size(), 309U);
}

}  // namespace
}  // namespace junctor
