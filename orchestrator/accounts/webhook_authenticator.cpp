// SPDX-License-Identifier: LGPL-2.1-or-later
#include "accounts/webhook_authenticator.h"

#include <glib.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/handle.h"

namespace junctor::accounts {

namespace {

using nlohmann::json;

constexpr std::size_t kReasonBytes = 200;
/// Shorter values of parameters may stand in a reason: they are no secrets, and common words.
constexpr std::size_t kSecretBytes = 8;
constexpr unsigned kUnauthorized = 401, kNotFound = 404, kConflict = 409;

json parse_body(const WebhookAnswer &answer) {
  const bool is_json = answer.type == "application/json" || answer.type.ends_with("+json");
  if (!is_json || answer.cut) return {};
  json body = json::parse(answer.body, nullptr, false);
  return body.is_object() ? body : json();
}

std::string text_of(const json &body) {
  for (const char *name : {"reason", "detail", "title"})
    if (const auto found = body.find(name);
        found != body.end() && found->is_string() && !found->get_ref<const std::string &>().empty())
      return *found;
  return {};
}

/// One line without control characters, as UTF-8, not longer than kReasonBytes.
std::string one_line(std::string_view text) {
  const std::unique_ptr<char, Releaser<g_free>> valid(
      g_utf8_make_valid(text.data(), static_cast<gssize>(text.size())));
  std::string line;
  for (const char *at = valid.get(); *at != '\0'; at = g_utf8_next_char(at)) {
    const gunichar character = g_utf8_get_char(at);
    const bool space = g_unichar_isspace(character) || !g_unichar_isprint(character);
    if (space && (line.empty() || line.back() == ' ')) continue;
    const std::string_view whole(at, static_cast<std::size_t>(g_utf8_next_char(at) - at));
    if (line.size() + whole.size() > kReasonBytes) {
      line += "...";
      break;
    }
    line += space ? " " : whole;
  }
  while (line.ends_with(' ')) line.pop_back();
  return line;
}

void blot_out(std::string &text, const std::string &secret) {
  for (auto at = text.find(secret); at != text.npos; at = text.find(secret, at + 3))
    text.replace(at, secret.size(), "***");
}

/// What the terminal has shown, wherever the webhook says it again.
std::string without_parameters(std::string text, const rtmp::Request &request) {
  for (const auto &[name, value] : request.parameters)
    if (value.size() >= kSecretBytes && name != "to") blot_out(text, value);
  return text;
}

}  // namespace

std::string webhook_question(const rtmp::Request &request) {
  json parameters = json::object();
  for (const auto &[name, value] : request.parameters) parameters[name] = value;
  const json question = {
      {"stage", rtmp::stage_name(request)}, {"role", rtmp::to_string(request.role)},
      {"account", request.identity},        {"stream", request.stream},
      {"address", request.address.address}, {"port", request.address.port},
      {"application", request.app},         {"connection", request.connection},
      {"parameters", std::move(parameters)}};
  // What is not UTF-8 in a peer's text becomes U+FFFD.
  return question.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string webhook_reason(const WebhookAnswer &answer, const rtmp::Request &request) {
  std::string text;
  if (answer.type == "text/plain" || answer.type.empty())
    text = answer.body;
  else
    text = text_of(parse_body(answer));
  std::string reason = one_line(without_parameters(std::move(text), request));
  if (!reason.empty()) return reason;
  return "Refused by this server's operator (status " + std::to_string(answer.status) + ").";
}

WebhookAuthenticator::WebhookAuthenticator(std::shared_ptr<const Book> book,
                                           std::shared_ptr<const DialRules> rules, Options options,
                                           Seams seams)
    : house_(std::move(book), std::move(rules), options),
      options_(std::move(options)),
      seams_(std::move(seams)),
      failures_(options_.longest_delay) {}

Result<void> WebhookAuthenticator::may_ask(const rtmp::Request &request) const {
  if (request.stage == rtmp::Stage::Connect) return house_.may_connect(request);
  if (request.stage == rtmp::Stage::Start) {
    if (!request.identity.empty() && request.stream != request.identity)
      return refused("You may use the stream '" + request.identity + "' only.");
    if (auto valid = check_name(request.stream); !valid)
      return refused("The stream must bear an account's name. " + valid.error().detail);
  }
  return request.identity.empty() ? Result<void>()
                                  : house_.may_open_stream(request.identity, request.role);
}

void WebhookAuthenticator::check(const rtmp::Request &request, rtmp::Decision decision) {
  if (const auto may = may_ask(request); !may) return decision.refuse(may.error().detail);
  std::size_t &asked = asked_[address_group(request.address.address)];
  if (asked >= options_.requests_per_address)
    return decision.refuse("Too many of your address ask to be let in at once; try again later.");
  ++asked;
  const std::string what =
      std::string(rtmp::stage_name(request)) + " of " + request.address.to_string();
  seams_.ask(webhook_question(request), what,
             [weak = weak_from_this(), post = seams_.post, request, decision,
              began = seams_.now()](Result<WebhookAnswer> answer) {
               post([weak, request, decision, began, answer = std::move(answer)] {
                 if (const auto self = weak.lock())
                   self->on_answer(request, decision, began, answer);
               });
             });
}

void WebhookAuthenticator::on_answer(const rtmp::Request &request, const rtmp::Decision &decision,
                                     Time began, const Result<WebhookAnswer> &answer) {
  const auto asked = asked_.find(address_group(request.address.address));
  if (--asked->second == 0) asked_.erase(asked);
  if (!answer) return decision.refuse(answer.error().detail);
  if (answer->status / 100 == 2) {
    const auto account = accepted(request, *answer);
    return account ? decision.accept(*account)
                   : decision.refuse(without_parameters(account.error().detail, request));
  }
  const bool start = request.stage == rtmp::Stage::Start;
  const auto refusal = start && answer->status == kNotFound   ? rtmp::Refusal::UnknownStream
                       : start && answer->status == kConflict ? rtmp::Refusal::NameTaken
                                                              : rtmp::Refusal::Denied;
  const auto tell = [decision, refusal, reason = webhook_reason(*answer, request)] {
    decision.refuse(reason, refusal);
  };
  if (answer->status != kUnauthorized) return tell();
  const Time now = seams_.now();
  const Duration left = std::max<Duration>(Duration::zero(), began + options_.budget - now);
  const Duration delay = std::min(failures_.note(request.address, now), left);
  if (delay > Duration::zero())
    seams_.after(delay, tell);
  else
    tell();
}

Result<std::string> WebhookAuthenticator::accepted(const rtmp::Request &request,
                                                   const WebhookAnswer &answer) const {
  // An account may stand in what is missing.
  if (answer.cut) return refused("The answer of this server's operator is too long.");
  const json body = parse_body(answer);
  std::string account = request.identity;
  if (const auto named = body.find("account"); named != body.end() && !named->is_null()) {
    const std::string name = named->is_string() ? named->get<std::string>() : std::string();
    if (!check_name(name)) return refused("This server's operator names no proper account.");
    if (!account.empty() && name != account)
      return refused("This connection belongs to another account.");
    account = name;
  }
  const bool start = request.stage == rtmp::Stage::Start;
  if (start && account.empty()) account = request.stream;
  if (start && request.stream != account)
    return refused("You may use the stream '" + account + "' only.");
  if (const auto may = house_.may_come(request, account); !may) return may.error();
  if (request.stage == rtmp::Stage::Connect || account.empty()) return account;
  // Again: others may have started since it was asked.
  if (const auto may = house_.may_open_stream(account, request.role); !may) return may.error();
  if (!start) return account;
  if (const auto may = house_.may_start(request, account, seams_.now()); !may) return may.error();
  return account;
}

}  // namespace junctor::accounts
