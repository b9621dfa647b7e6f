// SPDX-License-Identifier: LGPL-2.1-or-later
// The M × N rule: when silence has lasted too long.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/clock.h"

namespace junctor::watchdog {

/// Idle: not armed, nothing is judged. Waiting: silent, and being counted. Flowing: media came
/// since the last check but one. Lost: silent for all tries; only media or arm() leads out.
enum class MediaState : std::uint8_t { Idle, Waiting, Flowing, Lost };

std::string_view to_string(MediaState state);  ///< "idle", "waiting", "flowing", "lost"

struct Settings {
  Duration interval = std::chrono::milliseconds(1000);  ///< M: between two checks; above 0
  unsigned tries = 30;                                  ///< N: silent checks until Lost; above 0
};

/// A change of state, to be told.
struct Report {
  MediaState state = MediaState::Idle;
  /// Since the last check that found media, or since arm() if none did: at least this long there
  /// was none. For Flowing: how long the silence was that has ended.
  Duration silent_for{};
  unsigned tries = 0;  ///< silent checks so far; for Flowing those of the silence that has ended
};

/// Counts the silence of all streams together. Reads no clock: who drives it calls check() when
/// next_check() has come. Not thread-safe.
class Rule {
 public:
  explicit Rule(Settings settings = {}) : settings_(settings) {}

  /// From the next check on; the check that is due already stays.
  void configure(Settings settings) { settings_ = settings; }
  const Settings &settings() const { return settings_; }

  /// Starts counting anew from `now`. Reports Waiting.
  Report arm(Time now);
  /// Stops judging. The state becomes Idle, which is not reported.
  void disarm();

  /// Media has come, of any stream. Once between two checks is enough. Reports Flowing if there
  /// was silence.
  std::optional<Report> media(Time now);

  /// The check due at next_check(). Reports Waiting at the first silent check after media, Lost at
  /// the last. A late call counts as one check, however late.
  std::optional<Report> check(Time now);

  MediaState state() const { return state_; }
  unsigned tries() const { return tries_; }
  /// Nothing while not armed. Lost goes on checking nothing: it needs no timer either.
  std::optional<Time> next_check() const;

 private:
  Settings settings_;
  MediaState state_ = MediaState::Idle;
  bool heard_ = false;  // media since the last check
  unsigned tries_ = 0;
  Time silent_since_{};
  Time next_{};
};

}  // namespace junctor::watchdog
