// SPDX-License-Identifier: LGPL-2.1-or-later
// HTTP in front of the REST API.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "api/api.h"
#include "common/endpoint.h"
#include "common/result.h"
#include "common/tls.h"

using SoupServer = struct _SoupServer;

namespace junctor::api {

/// What a client may cost.
struct ServerLimits {
  std::size_t connections = 256, connections_per_address = 128;
  std::size_t handshakes_per_address = 32;  ///< of HTTPS, not ended
  std::size_t body_bytes = 64UL * 1024;
  /// From the first moment of a connection, or the answer before, to the whole next request.
  Duration read_time = std::chrono::seconds(30);
};

/// What a server has besides the Api.
struct ServerExtras {
  std::optional<TlsFiles> tls{};  ///< set: HTTPS, and nothing in clear
  LogSink log{};                  ///< may be unset
  /// Adds paths of its own, which are served before those of the Api.
  std::function<void(SoupServer *)> more{};
};

/// Serves an Api over HTTP/1.1 on the thread-default GMainContext of the thread that makes it.
class Server {
 public:
  static Result<std::unique_ptr<Server>> listen(const Endpoint &endpoint, Api &api,
                                                ServerLimits limits = {}, ServerExtras extras = {});
  virtual ~Server() = default;
  virtual Endpoint local() const = 0;  ///< with the port really bound
};

}  // namespace junctor::api
