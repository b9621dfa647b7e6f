// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve_http.h"

#include <unistd.h>

#include "accounts/secrets.h"
#include "config/places.h"

namespace junctor {

namespace {

Error at(const char *what, const Error &error) {
  return {error.fault, std::string(what) + ": " + error.detail};
}

bool is_loopback(const Endpoint &endpoint) {
  return endpoint.address.starts_with("127.") || endpoint.address == "::1";
}

}  // namespace

HttpSide::HttpSide(const config::Config &config, api::Backend backend, Options options)
    : config_(config),
      options_(std::move(options)),
      api_(std::make_unique<api::Api>(std::move(backend))) {}

HttpSide::~HttpSide() {
  if (announced_) ::unlink(config::api_url_path(config_.data_dir).c_str());
}

Result<std::unique_ptr<HttpSide>> HttpSide::open(const config::Config &config, api::Backend backend,
                                                 Options options) {
  std::unique_ptr<HttpSide> self(new HttpSide(config, std::move(backend), std::move(options)));
  if (auto done = self->listen(); !done) return done.error();
  if (auto done = self->announce(); !done) return done.error();
  return self;
}

Result<void> HttpSide::listen() {
  if (const auto &clear = config_.listen.http) {
    auto server =
        api::Server::listen(*clear, *api_, {}, {.log = options_.log, .more = options_.more});
    if (!server) return at("HTTP (--http)", server.error());
    http_ = std::move(*server);
    if (!is_loopback(http_->local()) && options_.log)
      options_.log(LogLevel::Warning,
                   "the REST API on " + http_->local().to_string() +
                       " is reachable from outside, and its token travels in clear; --https "
                       "ADDRESS:PORT is for that");
  }
  if (const auto &secure = config_.listen.https) {
    auto files = options_.certificate(*secure);
    if (!files) return at("HTTPS (--https)", files.error());
    auto server = api::Server::listen(*secure, *api_, {},
                                      {.tls = *files, .log = options_.log, .more = options_.more});
    if (!server) return at("HTTPS (--https)", server.error());
    https_ = std::move(*server);
  }
  return {};
}

Result<void> HttpSide::announce() {
  if (!http_) return {};
  const Endpoint local = http_->local();
  const std::string host = local.address == "0.0.0.0" ? "127.0.0.1"
                           : local.address == "::"    ? "::1"
                                                      : local.address;
  auto written =
      accounts::write_private_file(config::api_url_path(config_.data_dir),
                                   "http://" + Endpoint{host, local.port}.to_string() + "\n");
  announced_ = static_cast<bool>(written);
  return written;
}

void HttpSide::print(std::ostream &out) const {
  if (http_) out << "  HTTP  http://" << http_->local().to_string() << "/api/v1\n";
  if (https_) out << "  HTTPS https://" << https_->local().to_string() << "/api/v1\n";
}

std::optional<Endpoint> HttpSide::secure() const {
  if (https_) return https_->local();
  if (http_) return http_->local();
  return std::nullopt;
}

}  // namespace junctor
