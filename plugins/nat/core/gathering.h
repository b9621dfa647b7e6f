// SPDX-License-Identifier: LGPL-2.1-or-later
// What STUN servers see of sockets that are used for something else. Neither sockets nor a clock.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "common/clock.h"
#include "common/endpoint.h"
#include "nat/core/exchange.h"
#include "rtp/core/stun.h"

namespace junctor::nat {

struct GatheringOptions {
  /// Between the first and the second request, and then between two: a lost one costs little, for a
  /// call waits for it.
  Duration first = std::chrono::milliseconds(20), then = std::chrono::milliseconds(50);
  unsigned requests = 20;  ///< to each server that does not answer
  /// After which it asks again, so that NATs keep the mapping until there is a path.
  Duration refresh = std::chrono::seconds(15);
};

/// Asks each server from each socket of its family. One thread.
class Gathering {
 public:
  static constexpr std::size_t kMostServers = 4;

  struct Found {
    unsigned socket = 0;
    Endpoint server, external;
    bool operator==(const Found &) const = default;
  };

  explicit Gathering(GatheringOptions options = {}) : options_(options) {}

  void add_socket(unsigned number, bool v6, Time now);
  void remove_socket(unsigned number);
  /// Numeric; of more than kMostServers the first ones.
  void add_server(const Endpoint &server, Time now);
  /// Asks all anew: the network has changed.
  void restart(Time now);
  /// No more refreshes: something else keeps the mappings.
  void rest() { resting_ = true; }

  std::vector<Outgoing> poll(Time now);
  /// Whether it was an answer to one of its requests.
  bool received(unsigned socket, const Endpoint &from, ByteSpan datagram, Time now);
  std::optional<Time> next() const;

  /// What was learned or has changed since it was asked last.
  std::vector<Found> take_found();
  std::vector<Found> known() const;
  const std::vector<Endpoint> &servers() const { return servers_; }
  /// Every server has answered, or will not.
  bool settled() const;
  /// Whether servers with different addresses saw different ports of one socket.
  bool changes_with_peer() const;

 private:
  struct Ask {
    unsigned socket;
    Endpoint server;
    Time due{};
    unsigned sent = 0;  ///< in this round
    bool open = true;
    std::deque<rtp::stun::TransactionId> ids{};
    std::optional<Endpoint> external{};
  };
  void add(unsigned socket, const Endpoint &server, Time now);

  GatheringOptions options_;
  struct Socket {
    unsigned number;
    bool v6;
  };
  std::vector<Socket> sockets_;
  std::vector<Endpoint> servers_;
  std::vector<Ask> asks_;
  std::vector<Found> found_;
  bool resting_ = false;
};

}  // namespace junctor::nat
