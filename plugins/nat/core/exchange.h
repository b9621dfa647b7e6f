// SPDX-License-Identifier: LGPL-2.1-or-later
// Requests and answers over UDP without sockets and clock: who asks says what to send and when to
// ask again, whoever has the sockets does it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/endpoint.h"

namespace junctor::nat {

/// A datagram to send.
struct Outgoing {
  unsigned socket = 0;
  Endpoint to;
  Bytes bytes;
};

/// One conversation. One thread.
class Exchange {
 public:
  virtual ~Exchange() = default;

  /// UDP sockets that it wants, numbered from 0, each with a port of its own.
  virtual unsigned sockets() const = 0;
  /// What to send at `now`, in this order. Call it at the start, after each received() and at
  /// next().
  virtual std::vector<Outgoing> poll(Time now) = 0;
  /// Bytes that came in on a socket. Others than what it waits for are ignored.
  virtual void received(unsigned socket, const Endpoint &from, ByteSpan datagram, Time now) = 0;
  /// The system would not send this: a sentence about why. It counts as lost.
  virtual void send_failed(const Outgoing &, const std::string &) {}

  /// Bytes for a connection of TCP, where it wants one; asked for after each poll(), told once.
  virtual std::optional<Outgoing> take_stream() { return std::nullopt; }
  /// What came over it first, a whole message; or a sentence about why nothing did.
  virtual void stream_answered(ByteSpan, Time) {}
  virtual void stream_failed(const std::string &, Time) {}

  /// When to call poll() at the latest; nothing once it is done.
  virtual std::optional<Time> next() const = 0;
  bool done() const { return !next(); }
};

}  // namespace junctor::nat
