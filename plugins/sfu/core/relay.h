// SPDX-License-Identifier: LGPL-2.1-or-later
// A router on a socket: one UDP port that serves all legs.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "common/bytes.h"
#include "common/endpoint.h"
#include "common/reactor.h"
#include "common/result.h"
#include "sfu/core/batch_socket.h"
#include "sfu/core/outbox.h"
#include "sfu/core/router.h"

namespace junctor::sfu {

struct RelayStats : RouterStats {
  std::uint64_t turns = 0;          ///< wake-ups in which something came
  std::uint64_t send_calls = 0;     ///< of the system
  std::uint64_t sent_messages = 0;  ///< given to it; many packets may be in one
};

/// Reactor thread, or while nothing runs the reactor. RTP leaves byte for byte as it came, RTCP
/// ends here and is made anew for each hop. What comes from an address that no leg has is dropped;
/// STUN is for on_stun() wherever it comes from.
class Relay {
 public:
  /// Called on the reactor. May add, move and remove legs.
  using StunFunction = std::function<void(const Endpoint &from, ByteSpan datagram)>;

  struct Options {
    std::size_t max_legs = 1024;
    /// Whether the kernel may cut up what goes to one peer; off where it cannot, by itself.
    bool segments = true;
  };
  static Result<std::unique_ptr<Relay>> listen(std::shared_ptr<Reactor> reactor,
                                               const Endpoint &endpoint, Options options);
  ~Relay();
  Relay(const Relay &) = delete;
  Relay &operator=(const Relay &) = delete;

  Endpoint local() const { return socket_->local(); }
  /// It serves IPv4 and IPv6: it listens on "::".
  bool is_dual() const { return socket_->is_dual(); }

  Result<LegId> add_leg(LegOptions options);
  /// Where the leg is from now on; only for who has shown that it is there.
  Result<void> set_remote(LegId leg, const Endpoint &remote);
  void clear_remote(LegId leg) { router_.clear_remote(leg); }
  Result<void> route(LegId from, LegId to) { return router_.route(from, to); }
  void unroute(LegId from, LegId to) { router_.unroute(from, to); }
  void remove_leg(LegId leg) { router_.remove_leg(leg); }

  void request_keyframes(LegId receiver);

  void on_stun(StunFunction function) { on_stun_ = std::move(function); }
  /// From the relay's port, now or never; false where the system does not take it.
  bool send(const Endpoint &to, ByteSpan bytes);
  /// RTP or RTCP of a leg that has no address, as though it had come from there. The bytes may be
  /// written to; they are not needed afterwards.
  void inject(LegId leg, std::span<std::byte> packet);
  /// The same of many, which leave together.
  void inject(LegId leg, std::span<const std::span<std::byte>> packets);

  std::optional<LegStats> stats(LegId leg) const { return router_.stats(leg); }
  RelayStats stats() const;

 private:
  Relay(std::shared_ptr<Reactor> reactor, std::unique_ptr<BatchSocket> socket,
        const Options &options);
  void ready(std::uint32_t events);
  void finish(Time now);
  void arm();

  std::shared_ptr<Reactor> reactor_;
  std::unique_ptr<BatchSocket> socket_;
  Outbox outbox_;
  Router router_;
  StunFunction on_stun_;
  std::optional<Time> armed_;
  Reactor::Timer timer_;
  std::uint64_t turns_ = 0;
  Reactor::Watch watch_;
};

}  // namespace junctor::sfu
