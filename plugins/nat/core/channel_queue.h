// SPDX-License-Identifier: LGPL-2.1-or-later
// What a channel sends at the end of a turn of the reactor.
#pragma once

#include <array>
#include <utility>

#include "nat/core/channel.h"

namespace junctor::nat {

struct Channel::Queued {
  static constexpr std::size_t kSlots = 32;
  struct Slot {
    std::size_t size = 0;
    alignas(std::uint64_t) std::array<std::byte, kMostPacket + rtp::Srtp::kMaxTrailer> bytes;
  };

  explicit Queued(Reactor::Function flush) : turn_end(std::move(flush)) {}

  std::array<Slot, kSlots> slots;
  std::size_t used = 0;
  Reactor::TurnEnd turn_end;
};

}  // namespace junctor::nat
