// SPDX-License-Identifier: LGPL-2.1-or-later
#include "api/http.h"

#include <nlohmann/json.hpp>

namespace junctor::api {

namespace {

std::string dump(const nlohmann::json &value) {
  return value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

Response json_response(int status, const nlohmann::json &body) {
  return {status, {}, "application/json", dump(body)};
}

Response problem(int status, std::string_view detail) {
  const nlohmann::json body = {{"type", "about:blank"},
                               {"title", std::string(status_phrase(status))},
                               {"status", status},
                               {"detail", std::string(detail)}};
  return {status, {}, "application/problem+json", dump(body)};
}

std::string_view status_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 422:
      return "Unprocessable Content";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

}  // namespace junctor::api
