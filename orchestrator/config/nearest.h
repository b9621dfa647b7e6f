// SPDX-License-Identifier: LGPL-2.1-or-later
// The known word that somebody may have meant.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace junctor::config {

/// How many letters must be changed, added, left out or swapped with their neighbour.
std::size_t distance(std::string_view a, std::string_view b);

/// The word nearest to `text`, if it is near enough to be a slip of the finger.
std::optional<std::string> nearest(std::string_view text, const std::vector<std::string> &words);

}  // namespace junctor::config
