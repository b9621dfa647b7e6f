// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sfu/core/backlog.h"

#include <algorithm>

namespace junctor::sfu {

void Backlog::remove(std::size_t kind) {
  Queue &queue = queues_[kind];
  const std::uint16_t index = queue.first;
  Slot &slot = slots_[index];
  queue.first = slot.next;
  if (queue.first == kNone) queue.last = kNone;
  if (slot.owner) --slot.owner->waiting;
  slot.owner = nullptr;
  slot.next = free_;
  free_ = index;
  --size_;
}

void Backlog::give_up(std::size_t kind) {
  Owner *owner = slots_[queues_[kind].first].owner;
  if (owner) ++owner->counters.dropped[kind];
  remove(kind);
}

bool Backlog::make_room(Class kind) {
  if (free_ != kNone) return true;
  for (std::size_t lower = kClasses; --lower > static_cast<std::size_t>(kind);)
    if (queues_[lower].first != kNone) {
      give_up(lower);
      return true;
    }
  return false;
}

void Backlog::push(Owner &owner, ByteSpan bytes, Class kind, Time now) {
  if (slots_.empty()) {
    slots_.resize(kPackets);
    bytes_.resize(kPackets * kSlot);
    for (std::size_t i = kPackets; i-- > 0; free_ = static_cast<std::uint16_t>(i))
      slots_[i].next = free_;
  }
  const auto at = static_cast<std::size_t>(kind);
  if (bytes.size() > kSlot || owner.waiting >= kShare || !make_room(kind)) {
    ++owner.counters.dropped[at];
    return;
  }
  const std::uint16_t index = free_;
  Slot &slot = slots_[index];
  free_ = slot.next;
  slot = {&owner, static_cast<std::uint16_t>(bytes.size()), kNone, kind, now};
  std::ranges::copy(bytes, bytes_.begin() + static_cast<std::ptrdiff_t>(index * kSlot));
  Queue &queue = queues_[at];
  if (queue.last == kNone)
    queue.first = index;
  else
    slots_[queue.last].next = index;
  queue.last = index;
  ++owner.waiting;
  ++size_;
}

std::optional<Backlog::Packet> Backlog::front(Time now) {
  for (std::size_t kind = 0; kind < kClasses; ++kind) {
    while (queues_[kind].first != kNone) {
      const std::uint16_t index = queues_[kind].first;
      const Slot &slot = slots_[index];
      if (slot.owner && now - slot.since <= kAge)
        return Packet{slot.owner, ByteSpan(&bytes_[index * kSlot], slot.size)};
      give_up(kind);
    }
  }
  return std::nullopt;
}

void Backlog::pop() {
  for (std::size_t kind = 0; kind < kClasses; ++kind)
    if (queues_[kind].first != kNone) return remove(kind);
}

void Backlog::forget(const Owner &owner) {
  for (Slot &slot : slots_)
    if (slot.owner == &owner) slot.owner = nullptr;
}

}  // namespace junctor::sfu
