// SPDX-License-Identifier: LGPL-2.1-or-later
// A STUN server on a reactor: UDP on up to four sockets (RFC 5780), TCP on the first.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/endpoint.h"
#include "common/handle.h"
#include "common/log.h"
#include "common/reactor.h"
#include "common/result.h"
#include "nat/core/stun_responder.h"

namespace junctor::nat {

struct StunServerOptions {
  Endpoint listen;
  /// Another port, and best another address too: behaviour discovery needs both for all its tests.
  /// One with the address of `listen` makes two sockets, else there are four.
  std::optional<Endpoint> alternate;
  StunLimits limits;
  LogSink log;  ///< may be unset
};

/// Answers strangers; see StunResponder for what and how much. At most kConnections over TCP, of
/// kConnectionsPerSource each, each closed when it has been silent for kPatience.
class StunServer {
 public:
  static constexpr std::size_t kConnections = 256, kConnectionsPerSource = 16;
  static constexpr Duration kPatience = std::chrono::seconds(10);

  struct Stats {
    std::uint64_t answered = 0, refused = 0, limited = 0, dropped = 0;
  };

  /// Any thread. The error says what cannot be bound, or what is wrong with `alternate`.
  static Result<std::shared_ptr<StunServer>> listen(const std::shared_ptr<Reactor> &reactor,
                                                    StunServerOptions options);
  ~StunServer();
  StunServer(const StunServer &) = delete;
  StunServer &operator=(const StunServer &) = delete;

  /// With the ports that were got. Any thread.
  const Doors &doors() const { return doors_; }
  Endpoint local() const { return *doors_[0]; }
  /// The address and port of the alternate, where there is one.
  std::optional<Endpoint> alternate() const;
  Stats stats() const;
  /// Stops; any thread. Nothing is answered after it has returned.
  void close();

 private:
  struct Connection;

  StunServer(std::shared_ptr<Reactor> reactor, StunServerOptions options);
  Result<void> open();
  Result<void> open_door(unsigned door, const Endpoint &endpoint);
  void start();
  void read(unsigned door);
  void send(const StunReply &reply);
  void accept();
  void serve(Connection &connection);
  void drop(Connection &connection);
  void note(StunOutcome outcome, const Endpoint &source);

  std::shared_ptr<Reactor> reactor_;
  const StunServerOptions options_;
  Doors doors_;
  std::array<UniqueFd, kDoors> sockets_;
  UniqueFd listener_;
  std::unique_ptr<StunResponder> responder_;
  std::array<Reactor::Watch, kDoors> watches_;
  Reactor::Watch accepting_;
  Reactor::Timer pause_;  ///< of accepting
  std::list<Connection> connections_;
  std::map<std::string, std::size_t> per_source_;  ///< connections of an address_group()
  Time warned_{};
  std::array<std::atomic<std::uint64_t>, 4> counts_{};
};

}  // namespace junctor::nat
