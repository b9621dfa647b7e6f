// SPDX-License-Identifier: LGPL-2.1-or-later
// What a STUN server answers (RFC 8489), with the tests of RFC 5780 where it has more than one
// address or port. No sockets and no clock: bytes in, bytes out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/endpoint.h"
#include "common/peer_log_budget.h"
#include "rtp/core/stun.h"

namespace junctor::nat {

/// The server's sockets, by number: kOtherPort and kOtherAddress are bits of it, 0 is the first.
inline constexpr unsigned kOtherPort = 1, kOtherAddress = 2, kDoors = 4;
/// Where each is bound: the first alone, both of its address, or all four. The address may be the
/// wildcard where there is but one.
using Doors = std::array<std::optional<Endpoint>, kDoors>;

/// What one source, an address_group(), may ask.
struct StunLimits {
  unsigned per_second = 100;
  unsigned burst = 400;         ///< at once, where it was quiet before
  std::size_t sources = 65536;  ///< that are remembered; others share the limit of one
};

enum class StunOutcome : std::uint8_t {
  Answered,  ///< with success
  Refused,   ///< with an error
  Limited,   ///< with nothing: this source asks too much
  Dropped,   ///< with nothing: no request, or none of Binding
};

/// A datagram to send, or bytes for the stream that the request came over.
struct StunReply {
  Bytes bytes;
  unsigned door = 0;
  Endpoint from;  ///< of the door; its address is never the wildcard
  Endpoint to;
};

struct StunAnswer {
  StunOutcome outcome = StunOutcome::Dropped;
  std::optional<StunReply> reply;
};

/// Answers Binding requests. What it sends goes to the address that asked, once for each request,
/// and is no longer than addresses need: with one address 12 bytes longer than the shortest
/// request, with two, where RFC 5780 wants three addresses more, 48. A second port alone is told,
/// as OTHER-ADDRESS, only to who asks to be answered from another address and is refused. Not
/// thread-safe.
class StunResponder {
 public:
  explicit StunResponder(Doors doors, StunLimits limits = {});

  /// `source` asked at the door `door`, whose address as the source sees it is `local`.
  StunAnswer datagram(ByteSpan bytes, const Endpoint &source, unsigned door, const Endpoint &local,
                      Time now);
  /// A whole message of a stream. CHANGE-REQUEST and its like have no meaning there.
  StunAnswer stream(ByteSpan message, const Endpoint &source, const Endpoint &local, Time now);

  std::size_t sources() const { return sources_.size(); }

 private:
  struct Asked {
    const Endpoint &source, &local;
    unsigned door;
    bool stream;
    Time now;
  };
  StunAnswer answer(ByteSpan bytes, const Asked &asked);
  std::optional<StunReply> reply(rtp::stun::Writer &writer, const rtp::stun::Message &request,
                                 const Asked &asked, unsigned door, std::uint16_t port) const;
  Endpoint address_of(unsigned door, const Asked &asked) const;
  /// Whether this source may cause `count` answers now; then they are counted.
  bool may(const std::string &address, unsigned count, Time now);

  Doors doors_;
  StunLimits limits_;
  bool behaviour_ = false;  ///< CHANGE-REQUEST and its like are understood
  bool full_ = false;       ///< RFC 5780 is spoken: there is another address as well
  std::unordered_map<std::string, Throttle> sources_;
  Time cleaned_{};
};

}  // namespace junctor::nat
