// SPDX-License-Identifier: LGPL-2.1-or-later
// Pieces of text from the network.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace junctor {

/// Without spaces, tabs and line ends around it.
inline std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

/// A decimal number and nothing else; nothing if it does not fit into `Number`.
template <class Number = unsigned>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace junctor
