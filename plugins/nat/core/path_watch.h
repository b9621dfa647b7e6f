// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether a way that is up still works: what comes over it tells, and questions where nothing does.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "common/clock.h"

namespace junctor::nat {

/// Does nothing itself: who has the way asks over it when told to. One thread.
class PathWatch {
 public:
  struct Options {
    /// Between two questions that keep the way open and measure it.
    Duration heartbeat = std::chrono::milliseconds(2500);
    /// Media that came all the time and then does not is asked after so soon.
    Duration silence = std::chrono::milliseconds(250);
  };
  enum class Verdict : std::uint8_t {
    Wait,    ///< until next()
    Ask,     ///< send a question now
    Silent,  ///< questions are not answered any more
  };

  explicit PathWatch(Options options) : options_(options) {}

  /// An answer came, or another way has just been found to work.
  void answered(Time now);
  /// The peer's media came, over whichever way.
  void media(Time now);
  /// The next media is waited for from now on.
  void media_begins(Time now) { last_media_ = now; }
  /// What came so far says nothing any more.
  void forget();
  /// It may just have ended: to be asked at once, and not waited for for long. Media that comes
  /// nevertheless ends the doubt.
  void doubt(Time now);
  /// Until something has come.
  bool in_doubt() const { return doubted_; }
  /// To be called at next() and after what is above.
  Verdict poll(Time now, std::optional<Duration> round_trip);
  Time next(std::optional<Duration> round_trip) const;

 private:
  Duration patience(std::optional<Duration> round_trip) const;

  Options options_;
  Time heartbeat_at_{}, last_media_{};
  unsigned media_run_ = 0;  ///< packets without a pause
  bool media_expected_ = false, asked_for_media_ = false, doubted_ = false;
  std::optional<Time> asking_since_, ask_again_;
};

/// The numbers of questions over a way, and how long each takes. The next one is asked before the
/// answer to the one before can be there where the way is long: any of the last ones counts. One
/// thread.
class Questions {
 public:
  /// What is asked for as long as PathWatch waits, where the round trip is not known, and more.
  static constexpr std::uint32_t kKept = 32;

  /// The number of the one that is sent now; the first is 1.
  std::uint32_t ask(Time now);
  /// How long the answer to this one took; nothing where it is none of the last, or where a later
  /// one has been answered before.
  std::optional<Duration> answered(std::uint32_t number, Time now);

 private:
  std::uint32_t asked_ = 0, answered_ = 0;
  std::array<Time, kKept> times_{};
};

}  // namespace junctor::nat
