// SPDX-License-Identifier: LGPL-2.1-or-later
// Which of several STUN servers is nearest: round trips to all of them, measured at once.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nat/core/exchange.h"
#include "rtp/core/stun.h"

namespace junctor::nat {

/// A STUN server, and what its place is called.
struct Region {
  std::string name;
  Endpoint stun;
};

struct NearestOptions {
  unsigned samples = 3;                                 ///< round trips of each that are enough
  unsigned requests = 8;                                ///< to each at most
  Duration interval = std::chrono::milliseconds(50);    ///< between two requests to the same
  Duration deadline = std::chrono::milliseconds(1500);  ///< of all
  /// Who is farther than the nearest by this much need not be waited for.
  Duration patience = std::chrono::milliseconds(200);
};

/// Asks all regions at the same time from one socket. A lost request costs an interval, not a
/// time-out: each is asked until it has answered often enough. The shortest round trip counts, for
/// queues only add to it.
class NearestRegion : public Exchange {
 public:
  static constexpr std::size_t kMostRegions = 64;

  struct Measured {
    Region region;
    std::optional<Duration> round_trip;  ///< nothing: no answer
    unsigned answers = 0, requests = 0;
    std::optional<Endpoint> external;  ///< of the socket, as this region's server sees it
  };

  /// Of more than kMostRegions the first ones.
  explicit NearestRegion(std::vector<Region> regions, NearestOptions options = {});

  unsigned sockets() const override { return 1; }
  std::vector<Outgoing> poll(Time now) override;
  void received(unsigned socket, const Endpoint &from, ByteSpan datagram, Time now) override;
  std::optional<Time> next() const override;

  /// The nearest first; those without an answer last, as they were given. Also before the end.
  std::vector<Measured> ranking() const;

 private:
  struct Sent {
    std::size_t region = 0;
    Time when{};
  };
  std::optional<Time> due(const Measured &measured, std::size_t index) const;
  std::optional<Time> end() const;

  NearestOptions options_;
  std::vector<Measured> measured_;
  std::vector<Time> last_sent_;
  std::map<rtp::stun::TransactionId, Sent> sent_;
  std::optional<Time> start_;
  std::optional<Time> first_complete_;  ///< when one had all its samples
  bool ended_ = false;
};

}  // namespace junctor::nat
