// SPDX-License-Identifier: LGPL-2.1-or-later
// What Sofia's TLS transport lacks.
#pragma once

#include <openssl/ssl.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/endpoint.h"
#include "common/handle.h"
#include "common/log.h"
#include "common/log_budget.h"
#include "common/result.h"
#include "common/tls.h"

namespace junctor::sip {

/// SIP over TLS (RFC 3261 section 26.3.1). TLS 1.2 at least.
struct AgentTls {
  Endpoint listen{"0.0.0.0", 5061};
  /// What is shown to others. Null: a certificate made for the moment, which nobody trusts; enough
  /// for who only calls.
  std::shared_ptr<TlsIdentity> identity;
  /// PEM: whom to believe about the servers that are called; authorities, or servers' own
  /// certificates. Empty: the system's authorities.
  std::string ca_file;
  /// Whether a server that is called must show a certificate that is believed and has its name
  /// (RFC 5922). Without, anybody on the way can listen.
  bool verify = true;
};

/// Sofia 1.12.11 reads its certificate once, from a file of a fixed name, lets protocol versions be
/// negotiated freely, knows no addresses in certificates, says nothing when it closes a connection
/// for its certificate, tells no server which name it is called by, and never frees a connection's
/// SSL object. With OpenSSL's public means
/// alone: the SSL_CTX that Sofia makes is caught as it is made, and set up here; its certificate is
/// asked for at each handshake; an SSL object whose socket Sofia has closed is freed. Sofia's
/// thread only.
class SofiaTls {
 public:
  /// Whether there is a connection that was made to a server of that name.
  using Connected = std::function<bool(const std::string &name)>;
  struct Watch {
    /// The hosts that a connection to `peer` may be made for at the moment, each once: to say which
    /// name is missing in a certificate, if it can only be one. Whether it is good enough does not
    /// depend on it.
    std::function<std::vector<std::string>(const Endpoint &peer)> awaited;
    /// The name of the server that a connection to `peer` is made for, which it is told (RFC 6066
    /// section 3): one address may serve many. Empty where that is not certain.
    std::function<std::string(const Endpoint &peer, const Connected &connected)> server_name;
    /// A connection that was made to `peer` is going to be closed. Called in the middle of it.
    std::function<void(const Endpoint &peer, const std::string &why)> refused;
    LogSink log;
  };
  static Result<std::unique_ptr<SofiaTls>> create(const AgentTls &options, Watch watch);
  /// After the nua is gone.
  ~SofiaTls();
  SofiaTls(const SofiaTls &) = delete;
  SofiaTls &operator=(const SofiaTls &) = delete;

  /// For TPTAG_CERTIFICATE: where a certificate is for Sofia to find; until end_capture().
  const std::string &directory() const { return directory_; }
  /// For TPTAG_TLS_VERIFY_POLICY.
  unsigned verify_policy() const;
  /// Around nua_create(): what it makes in this thread is ours to set up.
  void begin_capture();
  Result<void> end_capture();
  void abandon_capture();

  /// Writes to the connection of that descriptor, past Sofia: all of `text`, or, where Sofia's own
  /// waits or there is no room, nothing.
  void write(int fd, std::string_view text);

  std::size_t connections() const { return live_.size(); }  ///< not freed yet

 private:
  using StoreRef = std::unique_ptr<X509_STORE, Releaser<X509_STORE_free>>;
  using ContextRef = std::unique_ptr<SSL_CTX, Releaser<SSL_CTX_free>>;
  struct Indices;

  SofiaTls(const AgentTls &options, Watch watch);
  static const Indices &indices();
  static SofiaTls *owner_of(const SSL *ssl);
  void set_up(SSL_CTX *context);
  Result<void> make_directory();
  void remove_directory();
  void on_made(SSL *ssl);
  void on_handshake(SSL *ssl);
  void tell_name(SSL *ssl) const;
  int verify(X509_STORE_CTX *verification);
  std::string problem_with(X509 *certificate, const Endpoint &peer) const;
  void free_closed();

  AgentTls options_;
  Watch watch_;
  LogBudget budget_;
  StoreRef store_;
  std::string directory_;
  std::vector<ContextRef> contexts_;
  /// Sofia's, each with the inode of its socket once that is known.
  std::map<SSL *, std::optional<ino_t>> live_;
  std::size_t free_at_;  // so many of them
};

}  // namespace junctor::sip
