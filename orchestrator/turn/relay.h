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
#include "turn/look.h"

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
  /// Where our own is looked for after each start, over UDP; nothing: nowhere.
  std::optional<Endpoint> look_at{};
  /// See Look.
  Duration look_patience = std::chrono::seconds(10);
};

/// Somebody's coturn, or one that runs as our child. Signalling thread.
class Relay {
 public:
  /// One that runs by itself and knows the secret.
  explicit Relay(RelayOptions options) : options_(std::move(options)) {}
  /// One of our own, as `turnserver` of PATH, or `program`. Unreachable if it is not installed;
  /// other faults where it could not listen, as it says so to nobody itself: what has the port may
  /// be an orchestrator's that ends just now, so for that a call may take kPortPatience.
  static constexpr Duration kPortPatience = std::chrono::seconds(2);
  static Result<std::unique_ptr<Relay>> start(RelayOptions options, const CoturnOptions &coturn,
                                              LogSink log,
                                              const std::string &program = "turnserver");

  /// For an account whose right to it has been checked. Nothing while our own is known not to
  /// answer: who waits for a dead relay has no other way meanwhile.
  std::optional<Offer> offer(const std::string &account, std::int64_t now) const;
  /// A line for people: where it is, or why our own is nowhere.
  std::string description() const;
  /// Calls `told` once, as soon as it is known whether our own answers; at once if it is not ours.
  /// Not once this is gone.
  void when_known(std::function<void()> told);
  /// Whether our own runs and has answered. Nothing: it is not ours.
  std::optional<bool> up() const;
  unsigned restarts() const { return child_ ? child_->restarts() : 0; }

 private:
  enum class Seen { NotYet, Answers, Silent };
  void look();
  void see(Seen seen);
  void on_line(const std::string &line);
  void on_end(const std::string &why, Duration wait);
  std::string urls() const;
  void look_at_certificate();
  void look_later();

  RelayOptions options_;
  LogSink log_;
  std::unique_ptr<Child> child_;
  std::unique_ptr<Look> look_;
  Seen seen_ = Seen::NotYet;
  bool again_ = false;  ///< it was started again, and has not answered since
  /// The last line that it wrote, or the last that tells of an error.
  std::string last_words_;
  std::string told_;  ///< how it ended, as the log has it since it answered last
  std::vector<std::function<void()>> when_known_;
  TlsStamp stamp_;
  std::string certificate_sha256_;
  ContextTimer timer_;
};

/// SHA-256 of the first certificate of a PEM file, in DER, as lower-case hex.
Result<std::string> certificate_digest(const std::string &path);

}  // namespace junctor::turn
