// SPDX-License-Identifier: LGPL-2.1-or-later
// Codes of an AudioSpecificConfig (ISO/IEC 14496-3).
#pragma once

#include <array>

namespace junctor {

/// Table 1.18: Hz, by samplingFrequencyIndex. 13 and 14 are reserved; 15: the rate follows, in 24
/// bits.
inline constexpr std::array<int, 13> kAacRates{96000, 88200, 64000, 48000, 44100, 32000, 24000,
                                               22050, 16000, 12000, 11025, 8000,  7350};
inline constexpr unsigned kExplicitAacRate = 15;

/// Table 1.19: channels, by channelConfiguration. 0: they are described elsewhere; -1: reserved.
inline constexpr std::array<int, 16> kAacChannels{0,  1,  2,  3, 4, 5,  6, 8,
                                                  -1, -1, -1, 7, 8, -1, 8, -1};

}  // namespace junctor
