// SPDX-License-Identifier: LGPL-2.1-or-later
// Pieces of text from the network, and numbers as text for people.
#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

namespace junctor {

/// Without spaces, tabs and line ends around it.
inline std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

/// At most `most` bytes of UTF-8, and no half of a character.
inline std::string_view shortened(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
  return text.substr(0, most);
}

/// A decimal number and nothing else; nothing if it does not fit into `Number`.
template <class Number = unsigned>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// For people: "3.7" or "38", one digit behind the point below 10 and none from there.
inline std::string brief(double value) {
  // Every double fits: it has at most 309 digits.
  std::array<char, 320> text;
  const auto [end, failure] = std::to_chars(text.data(), text.data() + text.size(), value,
                                            std::chars_format::fixed, std::abs(value) < 9.95);
  return failure == std::errc() ? std::string(text.data(), end) : std::string();
}

}  // namespace junctor
