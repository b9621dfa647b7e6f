// SPDX-License-Identifier: LGPL-2.1-or-later
// Who decides about what RTMP terminals ask, as the configuration wants it.
#pragma once

#include <functional>
#include <memory>

#include "accounts/authenticator.h"
#include "accounts/book.h"
#include "accounts/busy.h"
#include "accounts/dialling.h"
#include "accounts/webhook_client.h"
#include "common/reactor.h"
#include "config/config.h"

namespace junctor {

struct Checks {
  std::unique_ptr<accounts::WebhookClient> webhook;  ///< null without; outlives who asks it
  std::shared_ptr<accounts::Authenticator> authenticator;
};

/// What the checks rest on, and what they use of the reactor that they run on.
struct ChecksWorld {
  std::shared_ptr<accounts::Book> book;
  std::shared_ptr<const accounts::DialRules> rules;
  std::shared_ptr<accounts::BusyTable> busy;
  std::shared_ptr<Reactor> reactor;
  /// Calls the function on the reactor after the delay, but not once the orchestrator stops.
  std::function<void(Duration, std::function<void()>)> after;
  LogSink log;
};

/// By the accounts' own rules, or by a webhook. Fails with the name of the setting that is wrong.
/// Signalling thread.
Result<Checks> make_checks(const config::Config &config, const ChecksWorld &world);

}  // namespace junctor
