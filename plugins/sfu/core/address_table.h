// SPDX-License-Identifier: LGPL-2.1-or-later
// Who is at an address: one look at memory for a packet, where std::unordered_map needs three.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "sfu/core/address.h"

namespace junctor::sfu {

/// Open addressing with linear probing, at most half full.
template <class Value>
class AddressTable {
 public:
  /// Null where nobody is.
  Value *find(const AddressKey &key) const {
    for (std::size_t at = place(key);; at = next(at))
      if (!slots_[at].value || slots_[at].key == key) return slots_[at].value;
  }
  /// `key` is not in it.
  void insert(const AddressKey &key, Value &value) {
    if (++count_ * 2 > slots_.size()) {
      std::vector<Slot> old(slots_.size() * 2);
      old.swap(slots_);
      for (const Slot &slot : old)
        if (slot.value) put(slot);
    }
    put({key, &value});
  }
  void erase(const AddressKey &key) {
    std::size_t hole = place(key);
    while (slots_[hole].value && !(slots_[hole].key == key)) hole = next(hole);
    if (!slots_[hole].value) return;
    --count_;
    // Those behind it that would be found no more move up.
    for (std::size_t at = next(hole); slots_[at].value; at = next(at)) {
      const std::size_t distance = (at - place(slots_[at].key)) & mask();
      if (distance < ((at - hole) & mask())) continue;
      slots_[hole] = slots_[at];
      hole = at;
    }
    slots_[hole] = {};
  }

 private:
  struct Slot {
    AddressKey key;
    Value *value = nullptr;
  };
  std::size_t next(std::size_t at) const { return (at + 1) & mask(); }
  std::size_t mask() const { return slots_.size() - 1; }
  std::size_t place(const AddressKey &key) const { return AddressKey::Hash()(key) & mask(); }
  void put(const Slot &slot) {
    std::size_t at = place(slot.key);
    while (slots_[at].value) at = next(at);
    slots_[at] = slot;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(16);
  std::size_t count_ = 0;
};

}  // namespace junctor::sfu
