// SPDX-License-Identifier: LGPL-2.1-or-later
// The tones of telephone networks, country by country, as data.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "calls/loop.h"
#include "common/result.h"

namespace junctor::calls {

/// A stretch of a cadence: frequencies sounding together, or one modulated by another, or silence.
struct ToneStretch {
  double first = 0, second = 0;  ///< Hz; 0 for none
  bool modulated = false;        ///< `first` by `second`, instead of their sum
  int ms = 0;
  bool operator==(const ToneStretch &) const = default;
};

/// What a country's exchanges sound like (ITU-T Rec. E.180 and its Supplement 2). A cadence is
/// written as stretches between commas, each FREQUENCY/MILLISECONDS: two frequencies with `+` sound
/// together, with `*` the first is modulated by the second, 0 is silence. It is repeated.
struct ToneRow {
  std::string_view country;  ///< ISO 3166-1, in small letters; "itu" for what E.180 recommends
  std::string_view name;
  std::string_view ringback, busy, congestion;
};

/// "itu" first.
std::span<const ToneRow> tone_rows();
/// Null for a country that no row names.
const ToneRow *find_tone_row(std::string_view country);

/// Reads a cadence. At most 16 stretches, 20 to 4000 Hz, 10 to 10,000 ms each.
Result<std::vector<ToneStretch>> parse_cadence(std::string_view text);
/// What `tone` is in that country. The special information tone (unreachable) and the reminder of
/// one on hold are the same everywhere; a terminal rings in the cadence of the ringback, at
/// frequencies of its own.
std::vector<ToneStretch> cadence(const ToneRow &row, Tone tone);

/// The cadence, repeated for three seconds at least, as samples of one channel at `rate` Hz. The
/// last stretch is made longer or shorter so that they are a multiple of `unit` samples.
std::vector<std::int16_t> render(std::span<const ToneStretch> cadence, int rate, int unit);

}  // namespace junctor::calls
