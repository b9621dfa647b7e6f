// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs an Exchange on a reactor: its sockets, its timer, and its connection of TCP.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "common/handle.h"
#include "common/reactor.h"
#include "common/result.h"
#include "nat/core/exchange.h"

namespace junctor::nat {

/// UDP sockets with a port each, and what they are for this machine.
struct ExchangeSockets {
  std::vector<UniqueFd> sockets;
  std::vector<Endpoint> local;  ///< with the address that this machine sends to `towards` from

  static Result<ExchangeSockets> open(unsigned count, const Endpoint &towards);
};

/// Reactor thread only, or while nothing runs the reactor. Stops where it is destroyed.
class ExchangeRunner {
 public:
  /// `exchange` and what `progressed` refers to outlive the runner. `progressed` is called each
  /// time after something was sent or received, also when it is done; it must not destroy the
  /// runner.
  ExchangeRunner(std::shared_ptr<Reactor> reactor, ExchangeSockets sockets, Exchange &exchange,
                 std::function<void()> progressed);
  ~ExchangeRunner();
  ExchangeRunner(const ExchangeRunner &) = delete;
  ExchangeRunner &operator=(const ExchangeRunner &) = delete;

 private:
  void step();
  void send(const Outgoing &out);
  void read(unsigned socket);
  void connect(Outgoing request);
  void write_stream();
  void read_stream();
  void fail_stream(const std::string &why);

  std::shared_ptr<Reactor> reactor_;
  ExchangeSockets sockets_;
  Exchange &exchange_;
  const std::function<void()> progressed_;
  std::vector<Reactor::Watch> watches_;
  Reactor::Timer timer_;
  UniqueFd stream_;
  Outgoing request_;  ///< for the stream
  Bytes input_;       ///< of the stream
  Reactor::Watch stream_watch_;
};

}  // namespace junctor::nat
