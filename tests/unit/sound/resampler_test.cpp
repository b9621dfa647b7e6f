// SPDX-License-Identifier: LGPL-2.1-or-later
// Rates, channels and sample formats by libswresample.
#include "sound/core/resampler.h"

#include <gtest/gtest.h>

#include <array>
#include <complex>
#include <vector>

#include "tone.h"

extern "C" {
#include <libavutil/samplefmt.h>
}

namespace junctor::sound {
namespace {

using test::tone_at;
using test::tone_in;

std::vector<float> tone(double hertz, int rate, std::size_t samples) {
  std::vector<float> out(samples);
  for (std::size_t n = 0; n < samples; ++n) out[n] = static_cast<float>(tone_at(hertz, rate, n));
  return out;
}

/// All of `in` in pieces of 1024, and the end of the filter.
std::vector<std::int16_t> through(Resampler &resampler, const std::vector<float> &in) {
  std::vector<std::int16_t> out, piece;
  for (std::size_t at = 0; at < in.size(); at += 1024) {
    const std::size_t samples = std::min<std::size_t>(1024, in.size() - at);
    const auto *plane = reinterpret_cast<const std::uint8_t *>(in.data() + at);
    piece.resize(resampler.most_of(samples));
    const auto written = resampler.convert(&plane, samples, piece);
    EXPECT_TRUE(written);
    out.insert(out.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(*written));
  }
  piece.resize(resampler.most_of(0));
  const auto written = resampler.flush(piece);
  EXPECT_TRUE(written);
  out.insert(out.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(*written));
  return out;
}

TEST(Resampler, AToneKeepsItsHeightAndItsPlace) {
  for (const auto &[from, to] : {std::pair{44100, 8000}, {48000, 16000}, {8000, 44100}}) {
    auto made = Resampler::create({AV_SAMPLE_FMT_FLT, from, 1, 0}, {to, 1});
    ASSERT_TRUE(made) << made.error().detail;
    const auto out = through(*made, tone(1000, from, static_cast<std::size_t>(from)));
    EXPECT_NEAR(static_cast<double>(out.size()), to, 2) << from;
    const auto found = tone_in(out, 1000, to);
    EXPECT_NEAR(std::abs(found) / 32768, 0.5, 0.01) << from;
    EXPECT_NEAR(std::arg(found), 0, 0.02) << from << ": nothing is moved by the filter's delay";
  }
}

TEST(Resampler, WhatTheLowerRateCannotCarryIsFilteredOut) {
  auto made = Resampler::create({AV_SAMPLE_FMT_FLT, 44100, 1, 0}, {8000, 1});
  ASSERT_TRUE(made);
  const auto out = through(*made, tone(5000, 44100, 44100));
  EXPECT_LT(std::abs(tone_in(out, 3000, 8000)) / 32768, 0.001) << "it would be folded to 3 kHz";
}

TEST(Resampler, TwoChannelsAreMixedWithoutClipping) {
  const std::array<std::int16_t, 4> loud{32767, 32767, 30000, -10000};
  auto made = Resampler::create({AV_SAMPLE_FMT_S16, 8000, 2, 0}, {8000, 1});
  ASSERT_TRUE(made);
  const auto *plane = reinterpret_cast<const std::uint8_t *>(loud.data());
  std::vector<std::int16_t> out(made->most_of(2));
  const auto written = made->convert(&plane, 2, out);
  ASSERT_TRUE(written);
  ASSERT_EQ(*written, 2u);
  EXPECT_NEAR(out[0], 32767, 2);
  EXPECT_NEAR(out[1], 10000, 2);
}

TEST(Resampler, PlanesOfEachChannel) {
  const std::array<float, 2> left{0.5f, 0.5f}, right{-0.25f, -0.25f};
  auto made = Resampler::create({AV_SAMPLE_FMT_FLTP, 16000, 2, 0}, {16000, 2});
  ASSERT_TRUE(made);
  const std::array<const std::uint8_t *, 2> planes{
      reinterpret_cast<const std::uint8_t *>(left.data()),
      reinterpret_cast<const std::uint8_t *>(right.data())};
  std::vector<std::int16_t> out(made->most_of(2) * 2);
  const auto written = made->convert(planes.data(), 2, out);
  ASSERT_TRUE(written);
  ASSERT_EQ(*written, 2u);
  EXPECT_EQ(out[0], 16384);
  EXPECT_EQ(out[1], -8192);
}

TEST(Resampler, AfterAFlushItBeginsAnew) {
  auto made = Resampler::create({AV_SAMPLE_FMT_FLT, 44100, 1, 0}, {8000, 1});
  ASSERT_TRUE(made);
  const auto in = tone(700, 44100, 4410);
  const auto first = through(*made, in), second = through(*made, in);
  EXPECT_EQ(first, second);
}

TEST(Resampler, HasTheDelayOfItsFilter) {
  EXPECT_EQ(Resampler::create({AV_SAMPLE_FMT_FLT, 44100, 1, 0}, {8000, 1})->delay(),
            std::chrono::milliseconds(2));
  EXPECT_EQ(Resampler::create({AV_SAMPLE_FMT_FLT, 8000, 1, 0}, {8000, 1})->delay(), Moment());
}

TEST(Resampler, RefusesWhatIsNone) {
  EXPECT_FALSE(Resampler::create({-1, 8000, 1, 0}, {8000, 1}));
  EXPECT_FALSE(Resampler::create({AV_SAMPLE_FMT_S16, 0, 1, 0}, {8000, 1}));
  EXPECT_FALSE(Resampler::create({AV_SAMPLE_FMT_S16, 8000, 0, 0}, {8000, 1}));
}

}  // namespace
}  // namespace junctor::sound
