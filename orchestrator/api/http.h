// SPDX-License-Identifier: LGPL-2.1-or-later
// Requests and answers of the REST API, without a transport.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/endpoint.h"

namespace junctor::api {

/// A request with its whole body, bounded by the transport. Names of headers are lower-case.
struct Request {
  std::string method;
  std::string path;  ///< percent-decoded, without query
  std::map<std::string, std::string> query;
  std::map<std::string, std::string> headers;
  std::string body;
  Endpoint peer;

  /// Empty if there is no such header.
  std::string_view header(const std::string &name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string_view() : found->second;
  }
};

/// The way to a client whose answer has no end. Signalling thread.
class Feed {
 public:
  virtual ~Feed() = default;
  /// What the client is told first, however much that is; before send(). False: it has gone.
  virtual bool begin(std::string_view text) { return send(text); }
  /// False once the client has gone, or was parted because it takes nothing.
  virtual bool send(std::string_view text) = 0;
  virtual void end() = 0;
};

struct Response {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string content_type;  ///< empty: no body
  std::string body;
  /// Set: the body is what is sent from now on. Called at once, or never.
  std::function<void(std::shared_ptr<Feed>)> stream = nullptr;
};

/// Called once, on the signalling thread, now or later.
using Reply = std::function<void(Response)>;

Response json_response(int status, const nlohmann::json &body);

/// An RFC 9457 problem document: `detail` is a sentence that says what to do.
Response problem(int status, std::string_view detail);

/// The phrase of a status, "Not Found".
std::string_view status_phrase(int status);

}  // namespace junctor::api
