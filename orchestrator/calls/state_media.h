// SPDX-License-Identifier: LGPL-2.1-or-later
// The operator's own pictures and tones, in place of those that are drawn and made here.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "calls/loop.h"
#include "calls/tones.h"
#include "common/bytes.h"
#include "common/result.h"

namespace junctor::calls {

/// What terminals see and hear of a call's states.
struct StateMedia {
  const ToneRow *country = &tone_rows().front();
  /// Raw BGRA, kCardWidth by kCardHeight.
  std::map<Card, Bytes> pictures;
  /// One channel, by samples a second: each rate that a codec of ours has.
  std::map<Tone, std::map<int, std::vector<std::int16_t>>> tones;
};

/// Reads all files of two directories; an empty name is none. A file is called after its state
/// (names() has them) and may be anything that GStreamer decodes: `busy.png`, `on-hold.ogg`. The
/// error names each file that is wrong and what to do. Blocks, for some ten seconds a file at most;
/// for the start.
Result<StateMedia> load_state_media(const std::string &country, const std::string &pictures,
                                    const std::string &tones);
/// What that error says, one by one.
std::vector<std::string> state_media_problems(const std::string &country,
                                              const std::string &pictures,
                                              const std::string &tones);

/// What files may be called, without their endings.
std::vector<std::string_view> picture_names();
std::vector<std::string_view> tone_names();

/// More than any file of these may have, in bytes; and longer than any sound may be, in seconds.
inline constexpr std::uintmax_t kLargestStateFile = std::uintmax_t{16} << 20;
inline constexpr int kLongestStateSound = 60;

}  // namespace junctor::calls
