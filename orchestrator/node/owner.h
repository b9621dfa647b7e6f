// SPDX-License-Identifier: LGPL-2.1-or-later
// What the owner of a device lets its node do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/result.h"

namespace junctor::node {

/// Minutes of the day, local time; an end before its beginning is of the next day.
struct Hours {
  int from = 0, to = 24 * 60;
  bool operator==(const Hours &) const = default;
  bool has(int minute) const {
    return from <= to ? minute >= from && minute < to : minute >= from || minute < to;
  }
};

/// "22:00-06:30,12:00-13:00".
Result<std::vector<Hours>> parse_hours(std::string_view text);
/// "500M", "2G", "1.5T": bytes, by powers of 1000.
Result<std::uint64_t> parse_bytes(std::string_view text);

struct Battery {
  int percent = 100;
  bool discharging = false;
};
/// The emptiest one of the device; nothing where it has none. `folder` is
/// /sys/class/power_supply but in tests.
std::optional<Battery> read_battery(const std::string &folder);

/// Zero and empty set no limit.
struct OwnerLimits {
  std::uint64_t bytes = 0;   ///< that are forwarded, since the node was started
  std::vector<Hours> hours;  ///< in which it serves
  int battery = 20;          ///< percent; below it a discharging device does not serve
};

struct Usage {
  std::uint64_t bytes = 0;
  int minute_of_day = 0;
  std::optional<Battery> battery;
};

/// Why the node is to take nothing new, and what it has to move: a sentence. Nothing: it may serve.
std::optional<std::string> reason_to_rest(const OwnerLimits &limits, const Usage &usage);
/// Whether that reason will pass.
bool rests_for_good(const OwnerLimits &limits, const Usage &usage);

/// What calls that are to move away may still use: a twentieth of the bytes, and at least so many.
inline constexpr std::uint64_t kLeastOverdraft = 20'000'000;
/// In which a rendezvous that is there releases a call that has moved.
inline constexpr Duration kRelease = std::chrono::seconds(10);
/// Whether calls that a node still has are to end, moved or not, after it rested for `resting` and
/// gave them `drain_time` to move: who was to release them may be gone.
bool ends_calls(const OwnerLimits &limits, const Usage &usage, Duration resting,
                Duration drain_time);

}  // namespace junctor::node
