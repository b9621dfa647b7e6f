// SPDX-License-Identifier: LGPL-2.1-or-later
// A moment in time inside a picture.
#pragma once

#include <time.h>

#include <cstdint>
#include <cstdio>
#include <string_view>

namespace junctor::bench {

/// Marks the user data (SEI, H.264 annex D) that holds a time; no byte of it or of the sixteen hex
/// digits that follow is zero, so it needs no emulation prevention.
inline constexpr std::string_view kStampMark = "junctor-bench-at";
inline constexpr std::size_t kStampDigits = 16;
/// NAL header, SEI type 5, size, mark, digits, stop bit.
inline constexpr std::size_t kStampNal = 3 + 16 + kStampDigits + 1;
static_assert(kStampMark.size() == 16);

inline std::uint64_t to_ns(const timespec &time) {
  return std::uint64_t(time.tv_sec) * 1'000'000'000 + std::uint64_t(time.tv_nsec);
}

/// CLOCK_MONOTONIC, or of stamps CLOCK_REALTIME, which the kernel notes on packets that arrive.
inline std::uint64_t now_ns(clockid_t clock = CLOCK_MONOTONIC) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return to_ns(time);
}

}  // namespace junctor::bench
