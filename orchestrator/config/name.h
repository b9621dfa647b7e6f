// SPDX-License-Identifier: LGPL-2.1-or-later
// Names that an operator gives to parts of the configuration.
#pragma once

#include <algorithm>
#include <string_view>

namespace junctor::config {

/// 1 to 32 letters, digits, '-', '_' and '.'.
inline bool is_name(std::string_view text) {
  constexpr std::size_t kLongest = 32;
  return !text.empty() && text.size() <= kLongest && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.").find(c) != std::string_view::npos;
  });
}

}  // namespace junctor::config
