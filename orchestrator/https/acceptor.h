// SPDX-License-Identifier: LGPL-2.1-or-later
// Takes connections of HTTP and HTTPS, before a SoupServer sees them.
#pragma once

#include <gio/gio.h>

#include <functional>
#include <memory>

#include "common/clock.h"
#include "common/endpoint.h"
#include "common/handle.h"
#include "common/log.h"
#include "common/main_context.h"
#include "common/result.h"

namespace junctor::https {

using SocketRef = std::unique_ptr<GSocket, Releaser<g_object_unref>>;

/// A connection that may speak, and where it comes from and to. The remote address holds the
/// socket, see socket_of().
using Ready = std::function<void(GIOStream *, GSocketAddress *local, GSocketAddress *remote)>;

/// The address and port in it; empty where it is none of the internet's.
Endpoint endpoint_of(GSocketAddress *address);

/// The socket of a connection that came through hand_over(); null for others.
GSocket *socket_of(GSocketAddress *remote);

/// Gives `stream`, which speaks over `socket`, to `ready`; nothing if the peer has gone.
void hand_over(GSocket *socket, GIOStream *stream, const Ready &ready);

/// Listens. While the system has no descriptor or memory for another connection it waits a little
/// and tries again; libsoup's own listener would take no more connection for good. On the
/// thread-default GMainContext of the thread that makes it.
class Acceptor {
 public:
  using Take = std::function<void(SocketRef)>;

  /// `name` begins what is logged. `take` may not destroy it.
  static Result<std::unique_ptr<Acceptor>> open(const Endpoint &endpoint, std::string name,
                                                LogSink log, Take take);
  ~Acceptor() { ignore(); }
  Acceptor(const Acceptor &) = delete;
  Acceptor &operator=(const Acceptor &) = delete;

  Endpoint local() const { return local_; }

 private:
  Acceptor(UniqueFd listener, std::string name, LogSink log, Take take);
  void watch();
  void ignore();
  void accept();
  void pause(int error);

  const UniqueFd listener_;
  const std::string name_;
  const LogSink log_;
  const Take take_;
  const Endpoint local_;
  GSource *source_ = nullptr;
  ContextTimer again_;
  Time next_complaint_{};
};

}  // namespace junctor::https
