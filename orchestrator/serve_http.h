// SPDX-License-Identifier: LGPL-2.1-or-later
// The HTTP side of the orchestrator: the API in clear and under TLS.
#pragma once

#include <functional>
#include <memory>
#include <ostream>

#include "api/server.h"
#include "config/config.h"

namespace junctor {

/// Serves one Api at --http and --https, and tells the commands of this machine where that is.
/// Signalling thread.
class HttpSide {
 public:
  struct Options {
    /// What is shown at the address that listens; asked once if HTTPS is wanted.
    std::function<Result<TlsFiles>(const Endpoint &)> certificate;
    /// Adds paths besides the API's to each server; may be unset.
    std::function<void(SoupServer *)> more;
    LogSink log;
  };

  /// Makes the Api even where neither is listened at.
  static Result<std::unique_ptr<HttpSide>> open(const config::Config &config, api::Backend backend,
                                                Options options);
  ~HttpSide();

  api::Api &api() { return *api_; }
  /// A line for each address.
  void print(std::ostream &out) const;
  /// HTTPS, where it is on, else HTTP.
  std::optional<Endpoint> secure() const;

 private:
  HttpSide(const config::Config &config, api::Backend backend, Options options);
  Result<void> listen();
  Result<void> announce();

  const config::Config &config_;
  const Options options_;
  std::unique_ptr<api::Api> api_;
  std::unique_ptr<api::Server> http_, https_;
  bool announced_ = false;
};

}  // namespace junctor
