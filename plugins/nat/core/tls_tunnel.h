// SPDX-License-Identifier: LGPL-2.1-or-later
// A TCP port on loopback whose one connection goes through TLS to a server: real TLS for libraries
// that have none.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/context_thread.h"
#include "common/endpoint.h"
#include "common/result.h"

namespace junctor::nat {

struct TlsTunnelOptions {
  std::string host;  ///< also what the certificate must be for
  std::uint16_t port = 0;
  /// See TurnServer.
  std::string certificate_sha256{};
};

/// Any thread. It takes one connection, once; who else knows the port within that time gets no
/// further than the server's own login. Closed when destroyed.
class TlsTunnel {
 public:
  /// `failed` is called at most once, on the thread: a sentence about why there is no connection
  /// to the server.
  static Result<std::unique_ptr<TlsTunnel>> open(std::shared_ptr<ContextThread> thread,
                                                 TlsTunnelOptions options,
                                                 std::function<void(std::string)> failed);
  ~TlsTunnel();
  TlsTunnel(const TlsTunnel &) = delete;
  TlsTunnel &operator=(const TlsTunnel &) = delete;

  Endpoint local() const { return local_; }

 private:
  class Worker;
  explicit TlsTunnel(std::shared_ptr<Worker> worker, Endpoint local)
      : worker_(std::move(worker)), local_(std::move(local)) {}
  std::shared_ptr<Worker> worker_;
  Endpoint local_;
};

}  // namespace junctor::nat
