// SPDX-License-Identifier: LGPL-2.1-or-later
// What the owner of a device lets its node do.
#include "node/owner.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "../../temporary_directory.h"

namespace junctor::node {
namespace {

TEST(Owner, HoursAreReadAndRunOverMidnight) {
  const auto hours = parse_hours("22:00-06:30,12:00-13:00");
  ASSERT_TRUE(hours);
  EXPECT_EQ(*hours, (std::vector<Hours>{{1320, 390}, {720, 780}}));
  EXPECT_TRUE((*hours)[0].has(1320));
  EXPECT_TRUE((*hours)[0].has(0));
  EXPECT_TRUE((*hours)[0].has(389));
  EXPECT_FALSE((*hours)[0].has(390));
  EXPECT_FALSE((*hours)[1].has(780));
  EXPECT_TRUE(parse_hours("00:00-24:00"));
  EXPECT_TRUE(parse_hours("")->empty());
  for (const char *wrong : {"22", "22:00", "22:00-", "22:60-23:00", "24:01-3:00", "a:b-c:d",
                            "8:00-8:00", "8:00-9:00,x", "-1:00-2:00"})
    EXPECT_FALSE(parse_hours(wrong)) << wrong;
}

TEST(Owner, BytesAreRead) {
  EXPECT_EQ(*parse_bytes("0"), 0U);
  EXPECT_EQ(*parse_bytes("1500"), 1500U);
  EXPECT_EQ(*parse_bytes("1500k"), 1'500'000U);
  EXPECT_EQ(*parse_bytes("1500K"), 1'500'000U);
  EXPECT_EQ(*parse_bytes("500M"), 500'000'000U);
  EXPECT_EQ(*parse_bytes("1.5T"), 1'500'000'000'000U);
  for (const char *wrong : {"", "G", "-1", "5X", "5GB", "1e300", "nan"})
    EXPECT_FALSE(parse_bytes(wrong)) << wrong;
}

TEST(Owner, RestsWhenALimitIsReached) {
  OwnerLimits limits;
  limits.bytes = 1000;
  limits.hours = *parse_hours("08:00-18:00");
  Usage usage;
  usage.minute_of_day = 9 * 60;
  EXPECT_FALSE(reason_to_rest(limits, usage));
  usage.minute_of_day = 19 * 60;
  EXPECT_NE(reason_to_rest(limits, usage)->find("hours"), std::string::npos);
  EXPECT_FALSE(rests_for_good(limits, usage));
  usage.minute_of_day = 9 * 60;
  usage.battery = Battery{19, true};
  EXPECT_NE(reason_to_rest(limits, usage)->find("19 %"), std::string::npos);
  usage.battery->discharging = false;
  EXPECT_FALSE(reason_to_rest(limits, usage));
  usage.bytes = 1000;
  EXPECT_NE(reason_to_rest(limits, usage)->find("1000 bytes"), std::string::npos);
  EXPECT_TRUE(rests_for_good(limits, usage));
  limits.bytes = 0;
  EXPECT_FALSE(rests_for_good(limits, usage));
}

TEST(Owner, CallsThatDoNotMoveAwayEnd) {
  using std::chrono::seconds;
  OwnerLimits limits;
  Usage usage;
  EXPECT_FALSE(ends_calls(limits, usage, seconds(24), seconds(15)));
  EXPECT_TRUE(ends_calls(limits, usage, seconds(25), seconds(15)));
  // What is used up is used up, however soon.
  limits.bytes = 1'000'000'000;
  usage.bytes = 1'049'000'000;
  EXPECT_FALSE(ends_calls(limits, usage, seconds(1), seconds(15)));
  usage.bytes = 1'050'000'000;
  EXPECT_TRUE(ends_calls(limits, usage, seconds(0), seconds(15)));
  limits.bytes = 1000;
  usage.bytes = 19'000'000;
  EXPECT_FALSE(ends_calls(limits, usage, seconds(1), seconds(15))) << "they are given time";
  usage.bytes = 21'000'000;
  EXPECT_TRUE(ends_calls(limits, usage, seconds(1), seconds(15)));
  usage.bytes = 999;
  EXPECT_FALSE(ends_calls(limits, usage, seconds(1), seconds(15)));
}

TEST(Owner, TheEmptiestBatteryOfTheDeviceCounts) {
  const TemporaryDirectory folder;
  EXPECT_FALSE(read_battery(folder.path()));
  EXPECT_FALSE(read_battery(folder.path() + "/nothing"));
  const auto supply = [&](const std::string &name, const std::string &type,
                          const std::string &capacity, const std::string &status,
                          const std::string &scope = "") {
    const auto path = std::filesystem::path(folder.path()) / name;
    std::filesystem::create_directory(path);
    for (const auto &[file, text] : {std::pair<std::string, std::string>{"type", type},
                                     {"capacity", capacity},
                                     {"status", status},
                                     {"scope", scope}})
      if (!text.empty()) std::ofstream(path / file) << text << "\n";
  };
  supply("AC", "Mains", "", "");
  EXPECT_FALSE(read_battery(folder.path()));
  supply("BAT0", "Battery", "80", "Discharging");
  supply("BAT1", "Battery", "15", "Discharging");
  supply("mouse", "Battery", "3", "Discharging", "Device");
  const auto battery = read_battery(folder.path());
  ASSERT_TRUE(battery);
  EXPECT_EQ(battery->percent, 15);
  EXPECT_TRUE(battery->discharging);
}

}  // namespace
}  // namespace junctor::node
