// SPDX-License-Identifier: LGPL-2.1-or-later
// Asks an HTTP server of the operator's, in a thread of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/log.h"
#include "common/result.h"

namespace junctor::accounts {

/// What the webhook answered.
struct WebhookAnswer {
  unsigned status = 0;  ///< of HTTP
  std::string type;     ///< media type in lower case, without parameters; empty if there is none
  std::string body;     ///< cut at WebhookOptions::body_bytes
  bool cut = false;     ///< there was more
};

struct WebhookOptions {
  std::string url;     ///< that check_webhook_url() lets pass
  std::string secret;  ///< sent as a bearer token; empty: none
  /// PEM file of the authorities that a server's certificate is verified with; empty: the system's.
  std::string ca_file;
  Duration timeout = std::chrono::seconds(3);  ///< from post() to the end of the answer
  std::size_t requests = 64;                   ///< at once; more fail
  std::size_t body_bytes = 8192;
  LogSink log;  ///< of what goes wrong; may be unset
};

/// http or https with a host, and neither name nor password in it: those belong in the secret.
Result<void> check_webhook_url(std::string_view url);
/// Whether what is sent there can be read on the way: plain HTTP to another machine.
bool travels_in_clear(std::string_view url);

/// The secret in a file that only its owner may read: one line of visible ASCII.
Result<std::string> read_webhook_secret(const std::string &path);

/// Posts JSON. Redirects are not followed, nothing is kept (cookies, caches), and no proxy is used.
class WebhookClient {
 public:
  /// Called once in the client's thread; never after the client is destroyed. The error is a
  /// sentence for people that says nothing of the webhook's address; the log has more.
  using Done = std::function<void(Result<WebhookAnswer>)>;

  /// Fails if the authorities cannot be read.
  static Result<std::unique_ptr<WebhookClient>> create(WebhookOptions options);
  /// Drops what has no answer yet, and waits for the thread.
  ~WebhookClient();
  WebhookClient(const WebhookClient &) = delete;
  WebhookClient &operator=(const WebhookClient &) = delete;

  /// Any thread; returns at once. `what` is for the log.
  void post(std::string json, std::string what, Done done);

  struct Stats {
    std::uint64_t accepted = 0;  ///< answered with 2xx
    std::uint64_t refused = 0;   ///< with anything else
    std::uint64_t failed = 0;    ///< not answered: not reached, too late, too many at once
    std::size_t waiting = 0;
  };
  /// Any thread.
  Stats stats() const;

 private:
  class Worker;
  explicit WebhookClient(std::shared_ptr<Worker> worker);
  std::shared_ptr<Worker> worker_;
};

}  // namespace junctor::accounts
