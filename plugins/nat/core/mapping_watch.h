// SPDX-License-Identifier: LGPL-2.1-or-later
// Notices when the external address of this machine changes.
#pragma once

#include <optional>
#include <utility>

#include "nat/core/exchange.h"
#include "rtp/core/retransmission.h"
#include "rtp/core/stun.h"

namespace junctor::nat {

struct WatchOptions {
  Endpoint server;
  /// Between two requests: often enough that NATs keep the mapping.
  Duration interval = std::chrono::seconds(15);
  /// Sent again at 0.25, 0.75, 1.75, 2.75 and 3.75 s; unanswered after 5.25 s.
  rtp::stun::RetransmissionTimes times{.rto = std::chrono::milliseconds(250),
                                       .requests = 6,
                                       .last_wait = 6,
                                       .longest = std::chrono::seconds(1)};
};

/// One Binding request each interval from one socket, which also keeps its mapping. Never done.
class MappingWatch : public Exchange {
 public:
  struct Event {
    enum class Kind { Seen, Changed, Silent, Back } kind = Kind::Seen;
    std::optional<Endpoint> before, now;
  };

  explicit MappingWatch(WatchOptions options) : options_(std::move(options)) {}

  unsigned sockets() const override { return 1; }
  std::vector<Outgoing> poll(Time now) override;
  void received(unsigned socket, const Endpoint &from, ByteSpan datagram, Time now) override;
  std::optional<Time> next() const override;

  /// What has happened since it was asked last.
  std::optional<Event> take_event() { return std::exchange(event_, std::nullopt); }

 private:
  WatchOptions options_;
  std::optional<rtp::stun::Retransmission> asking_;
  rtp::stun::TransactionId id_{};
  Time next_{};
  bool silent_ = false;
  std::optional<Endpoint> external_;
  std::optional<Event> event_;
};

}  // namespace junctor::nat
