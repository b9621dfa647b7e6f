// SPDX-License-Identifier: LGPL-2.1-or-later
// The launch line of a call, for GStreamer and for people.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "calls/launch_template.h"
#include "calls/planner.h"
#include "common/clock.h"

namespace junctor::calls {

/// All templates of the pipelines/ directory, read once.
struct Templates {
  /// How one kind of leg stands in a line: its elements, and where a medium leaves and enters it.
  struct OfLeg {
    LaunchTemplate elements, from, to;
  };
  LaunchTemplate call, route, unused, transcode_audio, transcode_video, hand_over;
  std::array<OfLeg, 2> legs;  ///< by LegKind
  LaunchTemplate loop_picture, loop_own_picture, loop_tone;
  static Result<Templates> load(const std::string &directory);
};

/// What the watchdogs of a call are told.
struct WatchdogSetting {
  Duration interval = std::chrono::milliseconds(1000);
  std::array<unsigned, 2> tries{30, 30};  ///< by Side
  bool operator==(const WatchdogSetting &) const = default;
};

/// What fills the holes of a route's codec fragments.
Holes encoder_holes(const Route &route);

/// Where sound is transcoded.
enum class SoundWork : std::uint8_t {
  InThreads,  ///< one for each direction
  OnReactor,  ///< where it arrives
};

/// The line of a call by its plan. Elements of a side are named after it, `caller` for example: of
/// a phone `caller` alone, of a terminal `caller` (its push), `caller_watchdog`, and
/// `caller_player` (its pull).
Result<Fragment> make_line(const Templates &templates, const Plan &plan,
                           const WatchdogSetting &watchdog, SoundWork sound = SoundWork::InThreads);

/// Plans that between them use every row of the codec table and every template, for a check that
/// all of them can run.
std::vector<Plan> every_plan();

/// A property of a named element, whose value need not be ours.
struct Setting {
  std::string element, property, value;
  bool operator==(const Setting &) const = default;
};

/// `line` as a shell command's arguments, with the settings written in: each value quoted for
/// gst-launch-1.0 and for a POSIX shell. Settings of elements that the line has not are left out.
std::string pasteable(const Fragment &line, const std::vector<Setting> &settings);

}  // namespace junctor::calls
