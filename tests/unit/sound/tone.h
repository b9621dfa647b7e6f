// SPDX-License-Identifier: LGPL-2.1-or-later
// A tone, and how much of it is in a sound.
#pragma once

#include <cmath>
#include <complex>
#include <cstddef>
#include <numbers>
#include <vector>

namespace junctor::sound::test {

/// The sample at `n` of a tone with half of the greatest amplitude, which is 1.
inline double tone_at(double hertz, int rate, std::size_t n) {
  return 0.5 * std::sin(2 * std::numbers::pi * hertz * static_cast<double>(n) / rate);
}

/// What `sound` has of a tone from its sample `from` on: the magnitude is the amplitude in units of
/// the samples, the argument how far it is turned.
template <class Sample>
std::complex<double> tone_in(const std::vector<Sample> &sound, double hertz, int rate,
                             std::size_t from = 0) {
  std::complex<double> sum;
  for (std::size_t n = from; n < sound.size(); ++n) {
    const double turn = 2 * std::numbers::pi * hertz * static_cast<double>(n) / rate;
    sum += static_cast<double>(sound[n]) * std::complex(std::sin(turn), std::cos(turn));
  }
  return sum * 2.0 / static_cast<double>(sound.size() - from);
}

}  // namespace junctor::sound::test
