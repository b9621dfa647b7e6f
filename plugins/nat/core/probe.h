// SPDX-License-Identifier: LGPL-2.1-or-later
// Test packets and their ACKs: STUN Binding requests and successes (RFC 8489) that only the two
// ends of a channel can make.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/bytes.h"
#include "common/endpoint.h"
#include "nat/core/agreement.h"
#include "rtp/core/stun.h"

namespace junctor::nat {

/// Comprehension-optional, of the range without registration: the number of the request among all
/// of its sender, 64 bits; what stands behind it has no meaning but its size.
inline constexpr auto kProbeNumber = static_cast<rtp::stun::Type>(0xFF4A);

/// Bytes of a request without and with padding. The padded one has as many as an ACK and an
/// unpadded request have together, so that both may answer it without sending more than was got.
inline constexpr std::size_t kProbeSize = 96, kPaddedProbeSize = 184;
/// Bytes of an ACK at most: to an IPv6 address.
inline constexpr std::size_t kMostAckSize = 88;
static_assert(kMostAckSize + kProbeSize <= kPaddedProbeSize);

/// A request to the one whose tag is `receiver`, under the sender's key.
Bytes make_probe(const rtp::stun::TransactionId &id, std::string_view receiver,
                 std::uint64_t number, bool padded, const ProbeKey &key);
/// The number of a request to `own_tag` under `key`, the peer's; nothing if it is none.
std::optional<std::uint64_t> read_probe(const rtp::stun::Message &message, std::string_view own_tag,
                                        const ProbeKey &key);

/// An ACK of a request that came from `from`, under the key of the request's sender.
Bytes make_ack(const rtp::stun::Message &request, const Endpoint &from, const ProbeKey &key);
/// What the peer saw as our address, in an ACK of a request of ours; nothing if it is none.
std::optional<Endpoint> read_ack(const rtp::stun::Message &message, const ProbeKey &key);

/// Which numbers came before (as RFC 4303 section 3.4.3 and RFC 6479 do it). Numbers that are too
/// old to tell count as seen, and so does what was sent before the first that came: nobody can tell
/// it from what was recorded before there were keys.
class ReplayWindow {
 public:
  /// At 1,000 probes a second one way may be about a second slower than another.
  static constexpr unsigned kSize = 1024;
  /// Whether `number` is new; then it is seen.
  bool take(std::uint64_t number) {
    if (number == 0) return false;
    if (highest_ == 0) seen_.fill(~std::uint64_t{0});
    if (number > highest_) {
      const std::uint64_t from = highest_ / 64, to = number / 64;
      if (highest_ != 0)
        for (std::uint64_t word = from + 1; word <= to && word <= from + kWords; ++word)
          seen_[word % kWords] = 0;
      else
        seen_[to % kWords] = ~std::uint64_t{0} >> (63 - number % 64);
      highest_ = number;
    } else if (highest_ - number >= kSize || (word(number) & bit(number)) != 0) {
      return false;
    }
    word(number) |= bit(number);
    return true;
  }

 private:
  /// One more than the size: the oldest word is cleared as a whole.
  static constexpr unsigned kWords = kSize / 64 + 1;
  static std::uint64_t bit(std::uint64_t number) { return std::uint64_t{1} << number % 64; }
  std::uint64_t &word(std::uint64_t number) { return seen_[number / 64 % kWords]; }

  std::uint64_t highest_ = 0;
  std::array<std::uint64_t, kWords> seen_{};
};

}  // namespace junctor::nat
