// SPDX-License-Identifier: LGPL-2.1-or-later
// Cadences and frequencies of the tones of countries.
#include "calls/tones.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

namespace junctor::calls {
namespace {

constexpr int kRate = 8000;

/// The share of the power of samples that lies at `hertz`, by Goertzel's algorithm.
double share(std::span<const std::int16_t> samples, double hertz) {
  const double w = 2 * std::acos(-1.0) * hertz / kRate;
  double s1 = 0, s2 = 0, all = 1;
  for (const std::int16_t sample : samples) {
    const double s = sample + 2 * std::cos(w) * s1 - s2;
    s2 = s1;
    s1 = s;
    all += sample * sample;
  }
  return (s1 * s1 + s2 * s2 - 2 * std::cos(w) * s1 * s2) /
         (all * static_cast<double>(samples.size()) / 2);
}

std::span<const std::int16_t> part(const std::vector<std::int16_t> &samples, int from_ms,
                                   int to_ms) {
  return std::span(samples).subspan(static_cast<std::size_t>(from_ms * kRate / 1000),
                                    static_cast<std::size_t>((to_ms - from_ms) * kRate / 1000));
}

bool silent(std::span<const std::int16_t> samples) {
  return std::ranges::all_of(samples, [](std::int16_t sample) { return sample == 0; });
}

std::vector<std::int16_t> of(std::string_view country, Tone tone, int unit = 160) {
  const ToneRow *row = find_tone_row(country);
  EXPECT_NE(row, nullptr) << country;
  return render(cadence(*row, tone), kRate, unit);
}

TEST(Tones, EveryRowCanBeReadAndEndsInSilence) {
  std::set<std::string_view> countries;
  for (const ToneRow &row : tone_rows()) {
    EXPECT_TRUE(countries.insert(row.country).second) << row.country;
    EXPECT_TRUE(row.country == "itu" || row.country.size() == 2) << row.country;
    for (const std::string_view text : {row.ringback, row.busy, row.congestion}) {
      const auto read = parse_cadence(text);
      ASSERT_TRUE(read) << row.country << ": " << read.error().detail;
      EXPECT_NE(read->front().first, 0) << row.country;
      EXPECT_EQ(read->back().first, 0) << row.country;
    }
  }
  EXPECT_GE(countries.size(), 20u);
  EXPECT_EQ(tone_rows().front().country, "itu");
  EXPECT_EQ(find_tone_row("atlantis"), nullptr);
}

TEST(Tones, TheDocumentsNameAllCountries) {
  const char *source = std::getenv("JUNCTOR_SOURCE");
  ASSERT_NE(source, nullptr) << "set JUNCTOR_SOURCE to the source directory";
  std::stringstream text;
  text << std::ifstream(std::string(source) + "/docs/operations.md").rdbuf();
  std::string document = text.str(), countries = "Countries:";
  std::ranges::replace(document, '\n', ' ');
  for (const ToneRow &row : tone_rows().subspan(1)) countries += " " + std::string(row.country);
  EXPECT_NE(document.find(countries + "."), std::string::npos) << countries;
}

TEST(Tones, ReadsWhatItIsWrittenAs) {
  const auto read = parse_cadence("440+480/2000,400*25/400,0/10");
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, (std::vector<ToneStretch>{
                       {440, 480, false, 2000}, {400, 25, true, 400}, {0, 0, false, 10}}));
}

TEST(Tones, RefuseWhatIsNoCadence) {
  std::string long_one = "425/100";
  for (int i = 0; i < 16; ++i) long_one += ",0/100";
  for (const std::string &text : std::initializer_list<std::string>{
           "", "425", "425/", "/100", "425/100,", "425/5", "425/20000", "10/100", "5000/100",
           "425+/100", "425+0/100", "0+425/100", "425/100 ", "425-480/100", long_one})
    EXPECT_FALSE(parse_cadence(text)) << text;
}

TEST(Tones, GermanBusyIs480MillisecondsOnAndOff) {
  const auto samples = of("de", Tone::Busy);
  EXPECT_GT(share(part(samples, 10, 470), 425), 0.95);
  EXPECT_TRUE(silent(part(samples, 481, 959)));
  EXPECT_GT(share(part(samples, 970, 1430), 425), 0.95);
}

TEST(Tones, AmericanRingbackIsTwoFrequenciesForTwoSecondsOfSix) {
  const auto samples = of("us", Tone::Ringback);
  EXPECT_EQ(samples.size(), 6u * kRate);
  EXPECT_NEAR(share(part(samples, 100, 1900), 440), 0.5, 0.05);
  EXPECT_NEAR(share(part(samples, 100, 1900), 480), 0.5, 0.05);
  EXPECT_TRUE(silent(part(samples, 2001, 6000)));
}

TEST(Tones, BritishRingbackIsDouble) {
  const auto samples = of("gb", Tone::Ringback);
  EXPECT_NEAR(share(part(samples, 10, 390), 400), 0.5, 0.1);
  EXPECT_TRUE(silent(part(samples, 401, 599)));
  EXPECT_NEAR(share(part(samples, 610, 990), 450), 0.5, 0.1);
  EXPECT_TRUE(silent(part(samples, 1001, 2999)));
}

TEST(Tones, JapaneseRingbackIsModulated) {
  const auto sounding = of("jp", Tone::Ringback);
  EXPECT_GT(share(part(sounding, 0, 1000), 400), 0.5);
  EXPECT_GT(share(part(sounding, 0, 1000), 384), 0.05) << "a side band";
  EXPECT_GT(share(part(sounding, 0, 1000), 416), 0.05);
}

TEST(Tones, SpecialInformationRisesInThreeSteps) {
  const auto samples = of("itu", Tone::SpecialInformation);
  EXPECT_GT(share(part(samples, 10, 320), 950), 0.9);
  EXPECT_GT(share(part(samples, 340, 650), 1400), 0.9);
  EXPECT_GT(share(part(samples, 670, 980), 1800), 0.9);
  EXPECT_TRUE(silent(part(samples, 991, 1980)));
}

TEST(Tones, AnIncomingCallSoundsLikeNoTone) {
  const auto ring = of("de", Tone::Ring);
  EXPECT_GT(share(part(ring, 0, 1000), 1000), 0.5);
  EXPECT_TRUE(silent(part(ring, 1001, 4999))) << "in the country's cadence";
  EXPECT_TRUE(silent(of("de", Tone::Silence)));
}

TEST(Tones, FillWholePacketsAndStayFarFromClipping) {
  for (const ToneRow &row : tone_rows())
    for (const Tone tone : {Tone::Silence, Tone::Ringback, Tone::Ring, Tone::Hold, Tone::Busy,
                            Tone::Congestion, Tone::SpecialInformation})
      for (const int unit : {160, 320, 1024}) {
        const auto samples = of(row.country, tone, unit);
        ASSERT_GE(samples.size() + static_cast<std::size_t>(unit), 3u * kRate);
        EXPECT_LE(samples.size(), 12u * kRate);
        EXPECT_EQ(samples.size() % static_cast<std::size_t>(unit), 0u);
        EXPECT_LE(*std::ranges::max_element(samples), 7000);
      }
}

}  // namespace
}  // namespace junctor::calls
