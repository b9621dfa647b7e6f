// SPDX-License-Identifier: LGPL-2.1-or-later
#include "node/owner.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>

namespace junctor::node {

namespace {

std::optional<int> parse_minute(std::string_view text) {
  const auto colon = text.find(':');
  int hour = 0, minute = 0;
  if (colon == std::string_view::npos) return std::nullopt;
  const auto number = [](std::string_view digits, int &value) {
    const auto [end, failure] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return failure == std::errc() && end == digits.data() + digits.size() && value >= 0;
  };
  if (!number(text.substr(0, colon), hour) || !number(text.substr(colon + 1), minute) ||
      minute > 59 || hour * 60 + minute > 24 * 60)
    return std::nullopt;
  return hour * 60 + minute;
}

std::string first_line(const std::filesystem::path &path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

Result<std::vector<Hours>> parse_hours(std::string_view text) {
  std::vector<Hours> all;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const std::string_view one = text.substr(0, comma);
    text = comma == std::string_view::npos ? "" : text.substr(comma + 1);
    const auto dash = one.find('-');
    const auto from = parse_minute(one.substr(0, dash));
    const auto to =
        dash == std::string_view::npos ? std::nullopt : parse_minute(one.substr(dash + 1));
    if (!from || !to || *from == *to)
      return bad_input("'" + std::string(one) +
                       "' are no hours; write for example 22:00-06:30,12:00-13:00");
    all.push_back({*from, *to});
  }
  return all;
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto wrong = [&] {
    return bad_input("'" + std::string(text) +
                     "' is no amount of bytes; write for example 1500k, 500M or 2G");
  };
  double value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || !(value >= 0)) return wrong();
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  constexpr std::string_view kUnits = "kMGT";
  double scale = 1;
  const auto power =
      unit.size() == 1 ? kUnits.find(unit[0] == 'K' ? 'k' : unit[0]) : std::string_view::npos;
  if (power != std::string_view::npos)
    scale = std::pow(1000.0, static_cast<double>(power + 1));
  else if (!unit.empty())
    return wrong();
  if (value * scale > 1e18) return wrong();
  return static_cast<std::uint64_t>(value * scale);
}

std::optional<Battery> read_battery(const std::string &folder) {
  std::optional<Battery> emptiest;
  std::error_code error;
  for (const auto &each : std::filesystem::directory_iterator(folder, error)) {
    if (first_line(each.path() / "type") != "Battery") continue;
    // A mouse has a battery as well.
    if (first_line(each.path() / "scope") == "Device") continue;
    const std::string capacity = first_line(each.path() / "capacity");
    int percent = 0;
    if (std::from_chars(capacity.data(), capacity.data() + capacity.size(), percent).ec !=
        std::errc())
      continue;
    if (!emptiest || percent < emptiest->percent)
      emptiest = Battery{percent, first_line(each.path() / "status") == "Discharging"};
  }
  return emptiest;
}

std::optional<std::string> reason_to_rest(const OwnerLimits &limits, const Usage &usage) {
  if (rests_for_good(limits, usage))
    return "the " + std::to_string(limits.bytes) + " bytes that it may forward are used up";
  if (!limits.hours.empty() && std::ranges::none_of(limits.hours, [&](const Hours &each) {
        return each.has(usage.minute_of_day);
      }))
    return "it is outside the hours in which it serves";
  if (usage.battery && usage.battery->discharging && usage.battery->percent < limits.battery)
    return "its battery is at " + std::to_string(usage.battery->percent) + " %";
  return std::nullopt;
}

bool rests_for_good(const OwnerLimits &limits, const Usage &usage) {
  return limits.bytes > 0 && usage.bytes >= limits.bytes;
}

bool ends_calls(const OwnerLimits &limits, const Usage &usage, Duration resting,
                Duration drain_time) {
  return resting >= drain_time + kRelease ||
         (rests_for_good(limits, usage) &&
          usage.bytes - limits.bytes >= std::max(limits.bytes / 20, kLeastOverdraft));
}

}  // namespace junctor::node
