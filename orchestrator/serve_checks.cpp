// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve_checks.h"

#include <algorithm>
#include <chrono>

#include "accounts/builtin_authenticator.h"
#include "accounts/webhook_authenticator.h"
#include "calls/pull_codecs.h"
#include "serve_common.h"

namespace junctor {

namespace {

using namespace std::chrono_literals;

Result<std::unique_ptr<accounts::WebhookClient>> make_webhook(const config::Config &config,
                                                              const LogSink &log) {
  const config::Accounts &wanted = config.accounts;
  if (wanted.webhook_timeout.count() >= config.rtmp.limits.verdict_ms)
    return bad_input("accounts.webhook-timeout-ms is " +
                     std::to_string(wanted.webhook_timeout.count()) +
                     "; it must be less than rtmp.verdict-ms, which is " +
                     std::to_string(config.rtmp.limits.verdict_ms));
  accounts::WebhookOptions options;
  options.url = wanted.webhook;
  options.timeout = wanted.webhook_timeout;
  options.requests = wanted.webhook_requests;
  options.log = log;
  if (!wanted.webhook_secret_file.empty()) {
    auto secret = accounts::read_webhook_secret(wanted.webhook_secret_file);
    if (!secret) return at("accounts.webhook-secret-file", secret.error());
    options.secret = *secret;
  }
  if (accounts::travels_in_clear(wanted.webhook))
    log(LogLevel::Warning,
        "the webhook is asked over plain HTTP: tokens of terminals travel in clear to it");
  options.ca_file = wanted.webhook_ca_file;
  auto client = accounts::WebhookClient::create(std::move(options));
  if (!client) return at("accounts.webhook-ca-file", client.error());
  return std::move(*client);
}

}  // namespace

Result<Checks> make_checks(const config::Config &config, const ChecksWorld &world) {
  auto networks = accounts::Networks::parse(config.rtmp.networks);
  if (!networks) return bad_input("rtmp.networks: " + networks.error().detail);
  accounts::HouseRules::Options house;
  house.applications = {config.rtmp.applications.begin(), config.rtmp.applications.end()};
  house.networks = *networks;
  house.streams_per_account = config.rtmp.streams_per_account;
  house.calls = config.listen.sip.has_value();
  house.busy = world.busy;
  house.may_play = [](const auto &parameters) -> Result<void> {
    if (auto codecs = calls::pull_codecs(parameters); !codecs) return codecs.error();
    return {};
  };
  const auto now = [] { return Clock::now(); };
  // The server refuses by itself, with a poorer reason, what has no verdict in time.
  const Duration patience = std::chrono::milliseconds(config.rtmp.limits.verdict_ms);
  if (config.accounts.webhook.empty()) {
    accounts::BuiltinAuthenticator::Options options{std::move(house)};
    options.late_identity = config.rtmp.identity == config::Identity::AtPublish;
    options.longest_delay = std::min<Duration>(3s, patience * 3 / 4);
    return Checks{nullptr,
                  std::make_shared<accounts::BuiltinAuthenticator>(
                      world.book, world.rules, std::move(options),
                      accounts::BuiltinAuthenticator::Seams{seconds_now, now, world.after})};
  }
  auto webhook = make_webhook(config, world.log);
  if (!webhook) return webhook.error();
  accounts::WebhookAuthenticator::Options options{std::move(house)};
  options.budget = patience * 9 / 10;
  options.requests_per_address = (config.accounts.webhook_requests + 3) / 4;
  auto authenticator = std::make_shared<accounts::WebhookAuthenticator>(
      world.book, world.rules, std::move(options),
      accounts::WebhookAuthenticator::Seams{
          now, world.after,
          [reactor = world.reactor](std::function<void()> function) {
            reactor->post(std::move(function));
          },
          [client = webhook->get()](std::string json, std::string what,
                                    accounts::WebhookClient::Done done) {
            client->post(std::move(json), std::move(what), std::move(done));
          }});
  return Checks{*std::move(webhook), std::move(authenticator)};
}

}  // namespace junctor
