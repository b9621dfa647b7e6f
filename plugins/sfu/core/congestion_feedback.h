// SPDX-License-Identifier: LGPL-2.1-or-later
// What receivers say of the rate that reaches them: transport-wide feedback
// (draft-holmer-rmcat-transport-wide-cc-extensions-01) and REMB (draft-alvestrand-rmcat-remb-03).
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "common/bytes.h"

namespace junctor::sfu {

/// Times on the wire are counted in quarters of a millisecond.
using Quarters = std::int64_t;

/// Arrivals of packets numbered from `base` on.
struct TransportFeedback {
  std::uint32_t sender = 0, media = 0;
  std::uint16_t base = 0;
  std::uint8_t number = 0;  ///< of this feedback among others
  /// By the receiver's clock, which wraps after 12 days; nothing for one that has not come.
  std::vector<std::optional<Quarters>> arrivals;

  static constexpr std::size_t kMostPackets = 4096;  ///< that those of one datagram may tell of
  bool operator==(const TransportFeedback &) const = default;
};

struct Remb {
  std::uint32_t sender = 0;
  std::uint64_t bits_per_second = 0;
  std::vector<std::uint32_t> ssrcs;  ///< at most 255
  bool operator==(const Remb &) const = default;
};

using CongestionItem = std::variant<TransportFeedback, Remb>;

/// Those of a compound packet; others, and those that contradict themselves, are skipped. So is
/// feedback that tells of more than `packets`, with what was told before it: 20 bytes may tell of
/// thousands.
std::vector<CongestionItem> read_congestion(ByteSpan compound,
                                            std::size_t packets = TransportFeedback::kMostPackets);

/// Each appends one RTCP packet. The first arrival is taken to the 64 ms before it; an arrival too
/// far from the one before (8.19 s) is left out.
void append(Bytes &out, const TransportFeedback &feedback);
void append(Bytes &out, const Remb &remb);

}  // namespace junctor::sfu
