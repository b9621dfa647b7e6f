// SPDX-License-Identifier: LGPL-2.1-or-later
// The codecs that a pull terminal's play fixes.
#pragma once

#include <map>
#include <string>

#include "common/codec.h"
#include "common/result.h"

namespace junctor::calls {

/// What a pull terminal gets for its whole play, ring media and live alike: a player ignores a
/// track whose codec changes.
struct PullCodecs {
  Codec audio = Codec::Aac;
  Codec video = Codec::H264;
  bool operator==(const PullCodecs &) const = default;
};

/// As in "aac and h264".
std::string to_string(const PullCodecs &codecs);

/// From the parameters `audio` and `video` of a play; the defaults where absent. An error names
/// what this build cannot write and what it can.
Result<PullCodecs> pull_codecs(const std::map<std::string, std::string> &parameters);

}  // namespace junctor::calls
