// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/log_budget.h"

#include <gtest/gtest.h>

using namespace junctor;
using namespace std::chrono_literals;

TEST(LogBudget, LeavesOutWhatIsTooMuchInASecondAndTellsHowMuch) {
  LogBudget budget(2);
  const Time now{100s};
  EXPECT_EQ(budget.take(now), 0U);
  EXPECT_EQ(budget.take(now + 1ms), 0U);
  EXPECT_EQ(budget.take(now + 2ms), std::nullopt);
  EXPECT_EQ(budget.take(now + 999ms), std::nullopt);
  EXPECT_EQ(budget.take(now + 1000ms), 2U);
  EXPECT_EQ(budget.take(now + 1001ms), 0U);
  EXPECT_EQ(budget.take(now + 1002ms), std::nullopt);
}
