// SPDX-License-Identifier: LGPL-2.1-or-later
// Names with queries, as clients put them into app and stream name.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/result.h"

namespace junctor::rtmp {

inline constexpr std::size_t kMaxNameBytes = 256;
inline constexpr std::size_t kMaxQueryBytes = 8192;
inline constexpr std::size_t kMaxParameters = 64;

/// "NAME?key=value&…", taken apart. The name is as the peer sent it, without slashes at its ends.
struct Locator {
  std::string name;
  std::map<std::string, std::string> parameters;  ///< percent-decoded; the last of a key wins
};

/// BadInput for what exceeds the bounds above and for control characters in the name. A '+' stays
/// a '+': callees are telephone numbers.
Result<Locator> parse_locator(std::string_view text);

/// What follows the first '?' of a URL; empty if there is none.
std::string_view query_of(std::string_view url);

/// Text of a peer made fit for one line of a log: control characters and quotes replaced, cut.
std::string printable(std::string_view text, std::size_t longest = 128);

}  // namespace junctor::rtmp
