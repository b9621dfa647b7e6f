// SPDX-License-Identifier: LGPL-2.1-or-later
// The relay that clients of this orchestrator may use when nothing else connects them.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/log.h"
#include "common/main_context.h"
#include "common/result.h"
#include "common/tls.h"
#include "turn/child.h"
#include "turn/coturn_config.h"
#include "turn/credentials.h"

namespace junctor::turn {

/// What a client needs to use it.
struct Offer {
  /// RFC 7065: "turn:HOST:PORT?transport=udp", the one to be tried first in front.
  std::vector<std::string> urls;
  Credentials credentials;
  std::chrono::seconds life{};
  /// SHA-256 of the certificate at `turns:`, where nobody but us vouches for it; else empty.
  std::string certificate_sha256;
};

/// Where clients reach it, and with what.
struct RelayOptions {
  std::vector<std::string> urls;
  std::string secret;
  std::chrono::seconds life{3600};
  TlsFiles files{};  ///< what our own shows under TLS; empty: it does not
  bool pin = false;  ///< clients cannot verify that certificate otherwise
};

/// Somebody's coturn, or one that runs as our child. Signalling thread.
class Relay {
 public:
  /// One that runs by itself and knows the secret.
  explicit Relay(RelayOptions options) : options_(std::move(options)) {}
  /// One of our own, as `turnserver` of PATH, or `program`. Unreachable if it is not installed.
  static Result<std::unique_ptr<Relay>> start(RelayOptions options, const CoturnOptions &coturn,
                                              LogSink log,
                                              const std::string &program = "turnserver");

  /// For an account whose right to it has been checked.
  Offer offer(const std::string &account, std::int64_t now) const;
  /// A line for people: where it is, and whether it runs.
  std::string description() const;
  /// Nothing: it is not ours.
  const Child *child() const { return child_.get(); }

 private:
  void look_at_certificate();
  void look_later();

  RelayOptions options_;
  std::unique_ptr<Child> child_;
  TlsStamp stamp_;
  std::string certificate_sha256_;
  ContextTimer timer_;
};

/// SHA-256 of the first certificate of a PEM file, in DER, as lower-case hex.
Result<std::string> certificate_digest(const std::string &path);

}  // namespace junctor::turn
