// SPDX-License-Identifier: LGPL-2.1-or-later
// WebSockets (RFC 6455) in front of the rendezvous.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/endpoint.h"
#include "common/result.h"
#include "rendezvous/rendezvous.h"

using SoupServer = struct _SoupServer;

namespace junctor::rendezvous {

/// A Rendezvous at a path of one or more servers. Who shows no token of an account is refused with
/// 401 before there is a WebSocket; so are browsers' pages of other origins, and who speaks another
/// subprotocol. Signalling thread.
class Socket {
 public:
  struct Options {
    rendezvous::Options rendezvous;
    /// Whose a token is, if it is good; the error is a sentence.
    std::function<Result<Bearer>(std::string_view token)> bearer;
    std::function<void(const View &)> changed;
    /// Between two pings. libsoup sends them, but waits for no pong: who has not answered for two
    /// of them is parted here.
    Duration ping = std::chrono::seconds(15);
    /// Sent to one that has shown no life since; a client behind by more is parted.
    std::size_t unheard_bytes = 512UL * 1024;
    /// Received since the last whole message, frames of control among it; looked at twice a second.
    std::size_t unjoined_bytes = 64UL * 1024;
    std::function<Time()> now = [] { return Clock::now(); };
  };

  static std::unique_ptr<Socket> make(Options options);
  virtual ~Socket() = default;

  /// The server is to end before this does.
  virtual void serve(SoupServer *server) = 0;
  virtual Rendezvous &rendezvous() = 0;
  /// Says goodbye to everybody; `done` is called when they have gone, or in a second.
  virtual void stop(std::function<void()> done) = 0;
};

}  // namespace junctor::rendezvous
