// SPDX-License-Identifier: LGPL-2.1-or-later
// Bytes of the wire as tests write them.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "common/bytes.h"

namespace junctor::test {

/// "02 00 'abc' ff": hexadecimal digits, spaces where wanted, text in quotes.
inline Bytes wire(std::string_view text) {
  Bytes bytes;
  std::string digits;
  bool quoted = false;
  for (const char c : text) {
    if (c == '\'') {
      quoted = !quoted;
    } else if (quoted) {
      bytes.push_back(static_cast<std::byte>(c));
    } else if (c != ' ' && c != '\n') {
      digits += c;
      if (digits.size() < 2) continue;
      bytes.push_back(static_cast<std::byte>(std::stoi(digits, nullptr, 16)));
      digits.clear();
    }
  }
  EXPECT_TRUE(digits.empty() && !quoted) << "badly written bytes: " << text;
  return bytes;
}

inline std::string hex(ByteSpan bytes) {
  std::string text;
  for (const std::byte b : bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += kDigits[std::to_integer<unsigned>(b) >> 4];
    text += kDigits[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}

inline SharedBytes shared(std::string_view text) { return SharedBytes::own(wire(text)); }

/// `count` bytes that count up from `first`.
inline Bytes counting(std::size_t count, unsigned first = 0) {
  Bytes bytes;
  for (std::size_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::byte>(first + i));
  return bytes;
}

inline Bytes operator+(Bytes a, ByteSpan b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// A file below tests/, whole.
inline Bytes test_file(const std::string &path) {
  const char *source = std::getenv("JUNCTOR_SOURCE");
  std::ifstream file(std::string(source ? source : ".") + "/tests/" + path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  const std::string content((std::istreambuf_iterator<char>(file)), {});
  const ByteSpan bytes = as_bytes(content);
  return Bytes(bytes.begin(), bytes.end());
}

}  // namespace junctor::test
