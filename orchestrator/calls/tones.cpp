// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/tones.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>

namespace junctor::calls {

namespace {

constexpr std::array kRows{
    ToneRow{"itu", "as ITU-T E.180 recommends", "425/1000,0/4000", "425/500,0/500",
            "425/200,0/200"},
    ToneRow{"at", "Austria", "420/1000,0/5000", "420/400,0/400", "420/200,0/200"},
    ToneRow{"au", "Australia", "413+438/400,0/200,413+438/400,0/2000", "425/375,0/375",
            "425/375,0/375"},
    ToneRow{"be", "Belgium", "425/1000,0/3000", "425/500,0/500", "425/167,0/167"},
    ToneRow{"br", "Brazil", "425/1000,0/4000", "425/250,0/250", "425/250,0/250,425/750,0/250"},
    ToneRow{"ca", "Canada", "440+480/2000,0/4000", "480+620/500,0/500", "480+620/250,0/250"},
    ToneRow{"ch", "Switzerland", "425/1000,0/4000", "425/500,0/500", "425/200,0/200"},
    ToneRow{"cl", "Chile", "400/1000,0/3000", "400/500,0/500", "400/200,0/200"},
    ToneRow{"cn", "China", "450/1000,0/4000", "450/350,0/350", "450/700,0/700"},
    ToneRow{"cz", "Czechia", "425/1000,0/4000", "425/330,0/330", "425/165,0/165"},
    ToneRow{"de", "Germany", "425/1000,0/4000", "425/480,0/480", "425/240,0/240"},
    ToneRow{"dk", "Denmark", "425/1000,0/4000", "425/500,0/500", "425/200,0/200"},
    ToneRow{"ee", "Estonia", "425/1000,0/4000", "425/300,0/300", "425/200,0/200"},
    ToneRow{"es", "Spain", "425/1500,0/3000", "425/200,0/200",
            "425/200,0/200,425/200,0/200,425/200,0/600"},
    ToneRow{"fi", "Finland", "425/1000,0/4000", "425/300,0/300", "425/200,0/200"},
    ToneRow{"fr", "France", "440/1500,0/3500", "440/500,0/500", "440/250,0/250"},
    ToneRow{"gb", "United Kingdom", "400+450/400,0/200,400+450/400,0/2000", "400/375,0/375",
            "400/400,0/350,400/225,0/525"},
    ToneRow{"gr", "Greece", "425/1000,0/4000", "425/300,0/300", "425/200,0/200"},
    ToneRow{"hu", "Hungary", "425/1250,0/3750", "425/300,0/300", "425/300,0/300"},
    ToneRow{"il", "Israel", "400/1000,0/3000", "400/500,0/500", "400/250,0/250"},
    ToneRow{"in", "India", "400*25/400,0/200,400*25/400,0/2000", "400/750,0/750", "400/250,0/250"},
    ToneRow{"it", "Italy", "425/1000,0/4000", "425/500,0/500", "425/200,0/200"},
    ToneRow{"jp", "Japan", "400*16/1000,0/2000", "400/500,0/500", "400/500,0/500"},
    ToneRow{"lt", "Lithuania", "425/1000,0/4000", "425/350,0/350", "425/200,0/200"},
    ToneRow{"mx", "Mexico", "425/1000,0/4000", "425/250,0/250", "425/250,0/250"},
    ToneRow{"nl", "Netherlands", "425/1000,0/4000", "425/500,0/500", "425/250,0/250"},
    ToneRow{"no", "Norway", "425/1000,0/4000", "425/500,0/500", "425/200,0/200"},
    ToneRow{"nz", "New Zealand", "400+450/400,0/200,400+450/400,0/2000", "400/500,0/500",
            "400/250,0/250"},
    ToneRow{"pl", "Poland", "425/1000,0/4000", "425/500,0/500", "425/500,0/500"},
    ToneRow{"pt", "Portugal", "425/1000,0/5000", "425/500,0/500", "425/200,0/200"},
    ToneRow{"ru", "Russia", "425/1000,0/4000", "425/350,0/350", "425/175,0/175"},
    ToneRow{"se", "Sweden", "425/1000,0/5000", "425/250,0/250", "425/250,0/750"},
    ToneRow{"sg", "Singapore", "425*24/400,0/200,425*24/400,0/2000", "425/750,0/750",
            "425/250,0/250"},
    ToneRow{"th", "Thailand", "400/1000,0/4000", "400/500,0/500", "400/300,0/300"},
    ToneRow{"tw", "Taiwan", "440+480/1000,0/2000", "480+620/500,0/500", "480+620/250,0/250"},
    ToneRow{"us", "United States", "440+480/2000,0/4000", "480+620/500,0/500", "480+620/250,0/250"},
    ToneRow{"za", "South Africa", "400*33/400,0/200,400*33/400,0/2000", "400/500,0/500",
            "400/250,0/250"},
};

// E.180, special information tone: three rising frequencies of 330 ms, then a second of silence.
constexpr std::string_view kSpecialInformation = "950/330,1400/330,1800/330,0/1000";
// Short and rare, for it may go on for long.
constexpr std::string_view kHold = "425/200,0/3800";
constexpr double kRingerFrequency = 1000, kRingerWarble = 20;

constexpr std::size_t kMostStretches = 16;
constexpr double kLowest = 20, kLowestModulator = 10, kHighest = 4000;
constexpr double kShortestLoop = 3;  // seconds
constexpr double kLevel = 0.2;       // of full scale: some -14 dBm0, as exchanges have it
constexpr double kEdge =
    0.005;  // seconds in which a tone swells and fades, so that it never clicks

double number(std::string_view &text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return -1;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool is_frequency(double value) { return value >= kLowest && value <= kHighest; }

/// One stretch; false if it is not one.
bool parse_stretch(std::string_view text, ToneStretch &stretch) {
  stretch.first = number(text);
  if (!text.empty() && (text.front() == '+' || text.front() == '*')) {
    stretch.modulated = text.front() == '*';
    text.remove_prefix(1);
    stretch.second = number(text);
    const double lowest = stretch.modulated ? kLowestModulator : kLowest;
    if (stretch.second < lowest || stretch.second > kHighest || !is_frequency(stretch.first))
      return false;
  } else if (stretch.first != 0 && !is_frequency(stretch.first)) {
    return false;
  }
  if (text.empty() || text.front() != '/') return false;
  text.remove_prefix(1);
  const double ms = number(text);
  stretch.ms = static_cast<int>(ms);
  return text.empty() && ms >= 10 && ms <= 10000;
}

double sample_of(const ToneStretch &stretch, double seconds) {
  const auto wave = [seconds](double frequency) {
    return std::sin(2 * std::numbers::pi * frequency * seconds);
  };
  if (stretch.first == 0) return 0;
  if (stretch.second == 0) return wave(stretch.first);
  if (stretch.modulated) return wave(stretch.first) * (1 + wave(stretch.second)) / 2;
  return (wave(stretch.first) + wave(stretch.second)) / 2;
}

}  // namespace

std::span<const ToneRow> tone_rows() { return kRows; }

const ToneRow *find_tone_row(std::string_view country) {
  const auto found = std::ranges::find(kRows, country, &ToneRow::country);
  return found == kRows.end() ? nullptr : &*found;
}

Result<std::vector<ToneStretch>> parse_cadence(std::string_view text) {
  std::vector<ToneStretch> stretches;
  const Error wrong = bad_input("'" + std::string(text.substr(0, 200)) +
                                "' is no cadence, which is written like 425/1000,0/4000");
  for (bool more = true; more;) {
    const auto comma = text.find(',');
    more = comma != std::string_view::npos;
    ToneStretch stretch;
    if (stretches.size() == kMostStretches || !parse_stretch(text.substr(0, comma), stretch))
      return wrong;
    stretches.push_back(stretch);
    if (more) text.remove_prefix(comma + 1);
  }
  return stretches;
}

std::vector<ToneStretch> cadence(const ToneRow &row, Tone tone) {
  const auto read = [](std::string_view text) {
    auto stretches = parse_cadence(text);
    return stretches ? *std::move(stretches) : std::vector<ToneStretch>();
  };
  switch (tone) {
    case Tone::Silence:
      break;
    case Tone::Ringback:
      return read(row.ringback);
    case Tone::Ring: {
      auto stretches = read(row.ringback);
      for (ToneStretch &stretch : stretches)
        if (stretch.first != 0) stretch = {kRingerFrequency, kRingerWarble, true, stretch.ms};
      return stretches;
    }
    case Tone::Busy:
      return read(row.busy);
    case Tone::Congestion:
      return read(row.congestion);
    case Tone::SpecialInformation:
      return read(kSpecialInformation);
    case Tone::Hold:
      return read(kHold);
  }
  return {{0, 0, false, 1000}};
}

std::vector<std::int16_t> render(std::span<const ToneStretch> cadence, int rate, int unit) {
  std::vector<std::int16_t> samples;
  const auto whole = [unit](double count) {
    return static_cast<std::size_t>(std::llround(count / unit)) * static_cast<std::size_t>(unit);
  };
  if (cadence.empty()) return samples;
  double end = 0;  // in samples: stretches need not be a whole number of them
  while (end < kShortestLoop * rate)
    for (const ToneStretch &stretch : cadence) {
      const double length = stretch.ms * rate / 1000.0;
      const std::size_t first = samples.size();
      end += length;
      while (static_cast<double>(samples.size()) < end - 0.5) {
        const auto at = static_cast<double>(samples.size() - first) / rate;
        const double edge = std::clamp(std::min(at, length / rate - at) / kEdge, 0.0, 1.0);
        samples.push_back(
            static_cast<std::int16_t>(std::lround(32767 * kLevel * edge * sample_of(stretch, at))));
      }
    }
  // Every cadence ends in silence, so that what is added or cut is not heard.
  samples.resize(std::max<std::size_t>(whole(static_cast<double>(samples.size())),
                                       static_cast<std::size_t>(unit)));
  return samples;
}

}  // namespace junctor::calls
