// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/temporal_reference.h"

namespace junctor {

namespace {

/// Start code, or start code and version, and the reference end in the fourth byte.
constexpr std::size_t kShortest = 4;

/// Both kinds have 16 zero bits and a one; H.263 then five zeros, Sorenson version 0 or 1.
bool begins_picture(ByteSpan bytes) {
  if (bytes.size() < kShortest || bytes[0] != std::byte{0} || bytes[1] != std::byte{0})
    return false;
  const auto third = std::to_integer<unsigned>(bytes[2]) >> 2;
  return third == 0b100000 || third == 0b100001;
}

std::int64_t ticks(std::chrono::nanoseconds time) {
  // 30000/1001 of a second's, without 64 bits running over: whole periods of 1001 s first.
  constexpr std::int64_t kPeriod = 1'001'000'000'000, kTicks = 30'000;
  const std::int64_t whole = time.count() / kPeriod, rest = time.count() % kPeriod;
  return whole * kTicks + (rest * kTicks + kPeriod / 2) / kPeriod;
}

}  // namespace

std::optional<std::uint8_t> temporal_reference(ByteSpan picture) {
  if (!begins_picture(picture)) return std::nullopt;
  const auto high = std::to_integer<unsigned>(picture[2]) & 3;
  const auto low = std::to_integer<unsigned>(picture[3]) >> 2;
  return static_cast<std::uint8_t>(high << 6 | low);
}

bool set_temporal_reference(std::span<std::byte> picture, std::uint8_t value) {
  if (!begins_picture(picture)) return false;
  picture[2] = (picture[2] & std::byte{0xFC}) | std::byte(value >> 6);
  picture[3] = (picture[3] & std::byte{0x03}) | std::byte(static_cast<std::uint8_t>(value << 2));
  return true;
}

std::uint8_t PictureClock::next(std::chrono::nanoseconds time) {
  std::int64_t now = ticks(time) + ahead_;
  if (!begun_ || now <= last_) {
    const std::int64_t least = begun_ ? last_ + 1 : 0;
    ahead_ += least - now;
    now = least;
  }
  begun_ = true;
  last_ = now;
  return static_cast<std::uint8_t>(now);
}

}  // namespace junctor
