// SPDX-License-Identifier: LGPL-2.1-or-later
// HTTP in front of the REST API.
#pragma once

#include <memory>

#include "api/api.h"
#include "common/endpoint.h"
#include "common/result.h"

namespace junctor::api {

/// What a client may cost.
struct ServerLimits {
  std::size_t connections = 256;
  std::size_t body_bytes = 64UL * 1024;
  /// From the first moment of a connection, or the answer before, to the whole next request.
  Duration read_time = std::chrono::seconds(30);
};

/// Serves an Api over HTTP/1.1 on the thread-default GMainContext of the thread that makes it.
class Server {
 public:
  static Result<std::unique_ptr<Server>> listen(const Endpoint &endpoint, Api &api,
                                                ServerLimits limits = {});
  virtual ~Server() = default;
  virtual Endpoint local() const = 0;  ///< with the port really bound
};

}  // namespace junctor::api
