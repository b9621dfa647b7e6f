// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/reorder.h"

#include <algorithm>

#include "common/unwrap.h"

namespace junctor::rtp {

void ReorderBuffer::start_at(std::uint64_t sequence) {
  started_ = true;
  next_ = sequence;
  highest_ = sequence - 1;
  seen_.reset();
  far_.reset();
  gaps_.clear();
}

void ReorderBuffer::open_gap(std::uint64_t first, std::uint64_t last, Time now) {
  if (gaps_.size() >= kMaxGaps) gaps_.erase(gaps_.begin());
  gaps_.push_back({first, last, now});
}

/// One that others had overtaken, whether its gap still waits or not.
void ReorderBuffer::on_missing_came(std::uint64_t sequence, Time now) {
  for (auto gap = gaps_.rbegin(); gap != gaps_.rend(); ++gap)
    if (gap->first <= sequence && sequence <= gap->last)
      return wait_.on_filled(now - gap->opened, now);
}

bool ReorderBuffer::is_of_gap(std::uint64_t sequence) const {
  return sequence + seen_.size() > highest_ && std::ranges::any_of(gaps_, [&](const Gap &gap) {
           return gap.first <= sequence && sequence <= gap.last;
         });
}

std::uint64_t ReorderBuffer::extend(std::uint16_t sequence) const {
  if (!started_) return 65536U + sequence;
  return static_cast<std::uint64_t>(nearest(static_cast<std::int64_t>(next_), sequence));
}

ReorderBuffer::Arrival ReorderBuffer::push(IncomingPacket packet,
                                           std::vector<IncomingPacket> &out) {
  const Time arrival = packet.arrival;
  if (!started_) {
    start_at(65536U + packet.sequence);
    wait_.begin(arrival);
  }
  const std::uint64_t sequence = extend(packet.sequence);
  const auto distance = static_cast<std::int64_t>(sequence - next_);
  const bool misplaced = distance < -static_cast<std::int64_t>(kMaxMisorder);
  // What is missing may come that late, above all as the answer to a NACK over a long way.
  if (distance >= kMaxDropout || (misplaced && !is_of_gap(sequence)))
    return push_far(std::move(packet), out);
  far_.reset();

  if (distance < 0) {
    if (seen_[sequence % seen_.size()]) {
      ++counters_.duplicates;
      return Arrival::Duplicate;
    }
    seen_.set(sequence % seen_.size());
    ++counters_.late;
    on_missing_came(sequence, arrival);
    return Arrival::Late;
  }
  if (sequence > highest_) {
    if (sequence - highest_ >= seen_.size()) {
      seen_.reset();
    } else {
      for (std::uint64_t between = highest_ + 1; between <= sequence; ++between)
        seen_.reset(between % seen_.size());
    }
    if (sequence - highest_ > 1) open_gap(highest_ + 1, sequence - 1, arrival);
    highest_ = sequence;
  } else if (seen_[sequence % seen_.size()]) {
    ++counters_.duplicates;
    return Arrival::Duplicate;
  } else {
    ++counters_.reordered;
    on_missing_came(sequence, arrival);
  }
  seen_.set(sequence % seen_.size());

  if (distance == 0) {
    const bool filled_gap = !held_.empty();
    pass(std::move(packet), out);
    if (filled_gap) drain(out);
    return Arrival::Passed;
  }
  if (held_.empty()) gap_since_ = arrival;
  held_.emplace(sequence, std::move(packet));
  while (!held_.empty() && sequence - next_ >= kWindow && sequence >= next_) give_up_first_gap(out);
  expire(arrival, out);
  return held_.empty() ? Arrival::Passed : Arrival::Held;
}

ReorderBuffer::Arrival ReorderBuffer::push_far(IncomingPacket &&packet,
                                               std::vector<IncomingPacket> &out) {
  const bool follows = far_ && static_cast<std::uint16_t>(far_->sequence + 1) == packet.sequence;
  if (!follows) {
    far_ = std::move(packet);
    return Arrival::Probation;
  }
  flush(out);
  IncomingPacket first = std::move(*far_);
  // Always onwards, so that extended numbers never fall: the next cycle if it lies behind.
  std::uint64_t sequence = extend(first.sequence);
  if (sequence < next_) sequence += 65536;
  start_at(sequence);
  ++restarts_;
  lost_before_next_ = true;
  push(std::move(first), out);
  return push(std::move(packet), out);
}

void ReorderBuffer::pass(IncomingPacket &&packet, std::vector<IncomingPacket> &out) {
  packet.discontinuity = packet.discontinuity || lost_before_next_;
  lost_before_next_ = false;
  ++next_;
  out.push_back(std::move(packet));
}

void ReorderBuffer::drain(std::vector<IncomingPacket> &out) {
  while (!held_.empty() && held_.begin()->first == next_) {
    pass(std::move(held_.begin()->second), out);
    held_.erase(held_.begin());
  }
  if (held_.empty()) return;
  // The next gap opened when the first of what lies behind it came.
  gap_since_ = std::ranges::min_element(held_, {}, [](const auto &entry) {
                 return entry.second.arrival;
               })->second.arrival;
}

void ReorderBuffer::give_up_first_gap(std::vector<IncomingPacket> &out) {
  const std::uint64_t first = held_.begin()->first;
  counters_.lost += first - next_;
  next_ = first;
  lost_before_next_ = true;
  drain(out);
}

void ReorderBuffer::flush(std::vector<IncomingPacket> &out) {
  while (!held_.empty()) give_up_first_gap(out);
}

void ReorderBuffer::expire(Time now, std::vector<IncomingPacket> &out) {
  while (!held_.empty() && gap_since_ + wait_.at(gap_since_) <= now) {
    wait_.on_given_up(gap_since_, now);
    give_up_first_gap(out);
  }
}

std::optional<Time> ReorderBuffer::deadline() const {
  if (held_.empty()) return std::nullopt;
  return gap_since_ + wait_.at(gap_since_);
}

std::vector<std::uint16_t> ReorderBuffer::missing(std::size_t limit) const {
  std::vector<std::uint16_t> sequences;
  std::uint64_t expected = next_;
  for (const auto &[sequence, packet] : held_) {
    for (; expected < sequence && sequences.size() < limit; ++expected)
      sequences.push_back(static_cast<std::uint16_t>(expected));
    expected = sequence + 1;
  }
  return sequences;
}

void ReorderBuffer::restart(std::vector<IncomingPacket> &out) {
  flush(out);
  started_ = false;
  far_.reset();
  lost_before_next_ = false;
}

}  // namespace junctor::rtp
