// SPDX-License-Identifier: LGPL-2.1-or-later
// The three checks of RTMP terminals, decided by an operator's own HTTP server.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "accounts/authenticator.h"
#include "accounts/failures.h"
#include "accounts/house_rules.h"
#include "accounts/webhook_client.h"
#include "common/clock.h"

namespace junctor::accounts {

/// The question of one check: stage (connect, createStream, publish, play), role, account, stream,
/// address and parameters, all as the peer said it; and port, application, connection.
std::string webhook_question(const rtmp::Request &request);

/// Why a webhook refused, as one sentence for the terminal and the log: the member reason, detail
/// or title of a JSON body, or a body of plain text; without control characters, cut, and without
/// what the terminal gave as a parameter, for that may be its token.
std::string webhook_reason(const WebhookAnswer &answer, const rtmp::Request &request);

/// Every check is asked of a webhook: 2xx accepts; anything else refuses, with its reason, and so
/// does what cannot be reached or takes too long. The house rules hold all the same; what they
/// refuse at connect is never asked. The account is the one that a 2xx answer names in its JSON
/// member `account`, else the one of an earlier check, else the stream's name at publish and play;
/// it need not be in the book. A stream always bears its account's name.
/// On the reactor that calls check(), but for the asking.
class WebhookAuthenticator : public Authenticator,
                             public std::enable_shared_from_this<WebhookAuthenticator> {
 public:
  struct Options : HouseRules::Options {
    /// Of a refusal with status 401, which counts as a wrong guess.
    Duration longest_delay = std::chrono::seconds(3);
    /// From check() to the decision, with that delay.
    Duration budget = std::chrono::seconds(4);
    /// Checks of one address that wait for an answer, so that no flood from there keeps others out.
    std::size_t requests_per_address = 16;
  };
  struct Seams {
    std::function<Time()> now;
    /// Calls the function on the reactor after a while.
    std::function<void(Duration, std::function<void()>)> after;
    /// Any thread: calls the function on the reactor.
    std::function<void(std::function<void()>)> post;
    /// WebhookClient::post().
    std::function<void(std::string json, std::string what, WebhookClient::Done)> ask;
  };

  WebhookAuthenticator(std::shared_ptr<const Book> book, std::shared_ptr<const DialRules> rules,
                       Options options, Seams seams);

  void check(const rtmp::Request &request, rtmp::Decision decision) override;
  void stream_started(const std::string &account, rtmp::Role role) override {
    house_.stream_started(account, role);
  }
  void stream_ended(const std::string &account, rtmp::Role role) override {
    house_.stream_ended(account, role);
  }

 private:
  Result<void> may_ask(const rtmp::Request &request) const;
  void on_answer(const rtmp::Request &request, const rtmp::Decision &decision, Time began,
                 const Result<WebhookAnswer> &answer);
  /// What follows from 2xx: the account.
  Result<std::string> accepted(const rtmp::Request &request, const WebhookAnswer &answer) const;

  HouseRules house_;
  Options options_;
  Seams seams_;
  FailureTable failures_;
  std::map<std::string, std::size_t> asked_;  ///< of each address
};

}  // namespace junctor::accounts
