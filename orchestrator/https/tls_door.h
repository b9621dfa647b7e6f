// SPDX-License-Identifier: LGPL-2.1-or-later
// Takes connections of HTTPS and shakes hands, before a SoupServer sees them.
#pragma once

#include <gio/gio.h>

#include <functional>
#include <map>
#include <memory>

#include "common/endpoint.h"
#include "common/peer_log_budget.h"
#include "https/certificate.h"

namespace junctor::https {

/// The address and port in it; empty where it is none of the internet's.
Endpoint endpoint_of(GSocketAddress *address);

/// libsoup 3.2 leaves a connection behind for each client whose handshake fails, and sets it no
/// time; here it has a bound of time and number. On the thread-default GMainContext of the thread
/// that makes it.
class TlsDoor {
 public:
  struct Options {
    std::size_t handshakes = 256;  ///< at once; who comes then is parted
    std::size_t handshakes_per_address = 32;
    Duration handshake_time = std::chrono::seconds(10);
  };
  /// A connection that may speak, and where it comes from and to. The remote address holds the
  /// socket, see socket_of().
  using Ready = std::function<void(GIOStream *, GSocketAddress *local, GSocketAddress *remote)>;

  static Result<std::unique_ptr<TlsDoor>> open(const Endpoint &endpoint, TlsFiles files,
                                               LogSink log, Options options, Ready ready);
  ~TlsDoor();

  Endpoint local() const { return local_; }

  /// The socket of a connection that came through here; null for others.
  static GSocket *socket_of(GSocketAddress *remote);

 private:
  /// One handshake.
  struct Guest;

  TlsDoor(Options options, LogSink log, Ready ready);
  static gboolean on_knock(GSocket *, GIOCondition, gpointer self);
  void let_in();
  bool has_room(const std::string &from);
  static void on_handshake(GObject *connection, GAsyncResult *result, gpointer guest);

  const Options options_;
  const LogSink log_;
  const Ready ready_;
  Endpoint local_;
  std::unique_ptr<Certificate> certificate_;
  std::unique_ptr<GSocket, Releaser<g_object_unref>> socket_;
  GSource *source_ = nullptr;
  PeerLogBudget log_budget_;
  std::map<Guest *, std::unique_ptr<Guest>> guests_;
};

}  // namespace junctor::https
