// SPDX-License-Identifier: LGPL-2.1-or-later
// The server's side of TLS (RFC 8446, RFC 5246), by OpenSSL.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "common/clock.h"
#include "common/handle.h"
#include "common/log.h"
#include "common/result.h"
#include "common/stream_socket.h"

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;

namespace junctor {

struct TlsFiles {
  std::string certificate;  ///< PEM: the server's, then those between it and the root
  std::string key;          ///< PEM, without a passphrase
  bool operator==(const TlsFiles &) const = default;
};

/// What tells that a certificate or its key is another one than it was.
struct TlsStamp {
  struct File {
    long long seconds = 0, nanoseconds = 0, inode = 0, size = 0;
    bool operator==(const File &) const = default;
  };
  File certificate, key;
  bool operator==(const TlsStamp &) const = default;

  /// As the files are now; a file that is not there has a stamp too.
  static TlsStamp of(const TlsFiles &files);
};

/// A certificate with its key, from files that may be renewed at any time: connections made from
/// then on use the new one. TLS 1.2 at least. Any thread.
class TlsIdentity {
 public:
  /// BadInput that names the file and what is wrong with it. `log` is told of renewals, and of
  /// renewed files that cannot be used; the old ones hold meanwhile.
  static Result<std::shared_ptr<TlsIdentity>> load(TlsFiles files, LogSink log);
  ~TlsIdentity();

  /// A connection whose handshake is still to come, with receive() and send(). It looks at the
  /// files, at most once a second.
  std::unique_ptr<StreamSocket> accept(UniqueFd fd, Time now);
  /// Gives a connection of somebody else's, before its handshake, what accept() would show. It
  /// looks at the files as well. False if OpenSSL will not have it.
  bool use_for(SSL *ssl, Time now);

 private:
  using Context = std::shared_ptr<SSL_CTX>;

  TlsIdentity(TlsFiles files, LogSink log);
  static Result<Context> read(const TlsFiles &files);
  void look_for_renewal(Time now);

  const TlsFiles files_;
  const LogSink log_;
  std::mutex mutex_;
  Context context_;
  TlsStamp stamp_;
  Time look_again_{};
};

/// What OpenSSL says of the last failure on this thread, or the system where that failed it; taken
/// off its list.
std::string openssl_reason();

/// PEM texts of a new P-256 key and of a certificate by itself for a host name or address, which
/// nobody trusts unless told to; localhost is in it, too. Valid from a day ago for `days`.
struct SelfSigned {
  std::string certificate, key;
};
Result<SelfSigned> make_self_signed(const std::string &host, int days);

}  // namespace junctor
