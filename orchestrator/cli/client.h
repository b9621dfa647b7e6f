// SPDX-License-Identifier: LGPL-2.1-or-later
// Speaks to a running orchestrator.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "accounts/authorities.h"
#include "common/result.h"

namespace junctor::cli {

// NOLINTNEXTLINE(bugprone-exception-escape): nlohmann's json is moved without an exception.
struct Answer {
  int status = 0;
  nlohmann::json body;  ///< null if there is none
};

/// Where the server of the data directory says it is. Only while it runs: a token must not reach
/// whoever has its port since.
Result<std::string> announced_url(const std::string &data_dir);

/// One orchestrator's REST API, with the admin token or as anybody.
class Client {
 public:
  /// `url`: where it is; empty: what the server that runs with the data directory wrote there, and
  /// Fault::Unreachable if none runs. `trust`: whom to believe about its certificate. Fails when
  /// the admin token cannot be read.
  static Result<Client> make(const std::string &url, const std::string &data_dir,
                             accounts::Trust trust = {});
  /// For what the API tells everybody: it sends no token, and needs none. The URL as above.
  static Result<Client> as_anybody(const std::string &url, const std::string &data_dir,
                                   accounts::Trust trust);

  /// Blocks. A problem document becomes an Error with its detail; no answer at all one with
  /// Fault::Unreachable that says how to start the orchestrator.
  Result<Answer> send(const std::string &method, const std::string &path,
                      const nlohmann::json &body = nullptr) const;
  const std::string &url() const { return url_; }

 private:
  Client(std::string url, std::string token, accounts::Trust trust = {})
      : url_(std::move(url)), token_(std::move(token)), trust_(std::move(trust)) {}
  std::string url_, token_;  ///< no token: anybody
  accounts::Trust trust_;
};

}  // namespace junctor::cli
