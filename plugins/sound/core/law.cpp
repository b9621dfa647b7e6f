// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sound/core/law.h"

#include <algorithm>

#include "common/g711.h"

namespace junctor::sound {

void expand(Law law, std::span<const std::uint8_t> from, std::span<std::int16_t> to) {
  const auto with = [&](auto one) {
    std::ranges::transform(from, to.begin(),
                           [one](int code) { return static_cast<std::int16_t>(one(code)); });
  };
  if (law == Law::A)
    with([](int code) { return g711::from_alaw(code); });
  else
    with([](int code) { return g711::from_ulaw(code); });
}

void compress(Law law, std::span<const std::int16_t> from, std::span<std::uint8_t> to) {
  if (law == Law::A)
    std::ranges::transform(from, to.begin(), [](int sample) { return g711::to_alaw(sample); });
  else
    std::ranges::transform(from, to.begin(), [](int sample) { return g711::to_ulaw(sample); });
}

}  // namespace junctor::sound
