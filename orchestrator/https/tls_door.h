// SPDX-License-Identifier: LGPL-2.1-or-later
// Shakes hands with connections of HTTPS, before a SoupServer sees them.
#pragma once

#include <gio/gio.h>

#include <map>
#include <memory>

#include "common/endpoint.h"
#include "common/peer_log_budget.h"
#include "https/acceptor.h"
#include "https/certificate.h"

namespace junctor::https {

/// libsoup 3.2 leaves a connection behind for each client whose handshake fails, and sets it no
/// time; here it has a bound of time and number. GIO shakes hands in the few threads that the whole
/// process shares, so that who says nothing may hold none of them: a handshake begins when the
/// client's first record is there. On the thread-default GMainContext of the thread that makes it.
class TlsDoor {
 public:
  struct Options {
    std::size_t handshakes = 256;  ///< at once; who comes then is parted
    std::size_t handshakes_per_address = 32;
    /// Of them that run at once; the others wait for their turn. Half are for addresses of which
    /// none runs.
    std::size_t threads = 8;
    std::size_t threads_per_address = 2;
    /// For the first record, then for a turn, then for the handshake: each.
    Duration handshake_time = std::chrono::seconds(10);
    /// What one that runs has in any case; then it may end for one that waits.
    Duration sure_time = std::chrono::seconds(3);
  };
  static Result<std::unique_ptr<TlsDoor>> open(const Endpoint &endpoint, TlsFiles files,
                                               LogSink log, Options options, Ready ready);
  ~TlsDoor();

  Endpoint local() const { return acceptor_->local(); }

 private:
  /// One handshake.
  struct Guest;

  TlsDoor(Options options, LogSink log, Ready ready);
  void let_in(SocketRef socket);
  bool has_room(const std::string &from);
  void warn(const std::string &from, const std::string &text);
  void on_readable(Guest *guest);
  void begin_next();
  void begin(Guest &guest);
  void on_sure_time_over(Guest &guest);
  void on_time_over(Guest &guest);
  static void on_handshake(GObject *connection, GAsyncResult *result, gpointer guest);

  const Options options_;
  const LogSink log_;
  const Ready ready_;
  std::unique_ptr<Certificate> certificate_;
  std::unique_ptr<Acceptor> acceptor_;
  PeerLogBudget log_budget_;
  std::uint64_t next_number_ = 0;
  std::map<Guest *, std::unique_ptr<Guest>> guests_;
  std::uint64_t turns_ = 0;
  /// Of each address that has a guest and has had a turn.
  std::map<std::string, std::uint64_t> last_turn_;
};

}  // namespace junctor::https
