// SPDX-License-Identifier: LGPL-2.1-or-later
// Answers of a webhook: whatever it sends, a reason is one clean line without what the terminal
// showed, and only 2xx accepts, as an account that is a proper name.
#include <glib.h>

#include <algorithm>

#include "../unit/temporary_directory.h"
#include "accounts/webhook_authenticator.h"
#include "input.h"

using namespace junctor;
using namespace junctor::accounts;

namespace {

constexpr char kSecret[] = "abcdefghijkl";
constexpr std::size_t kMaxReason = 203;

void check_reason(const std::string &reason) {
  fuzz::require(!reason.empty() && reason.size() <= kMaxReason);
  fuzz::require(g_utf8_validate(reason.data(), static_cast<gssize>(reason.size()), nullptr));
  fuzz::require(std::none_of(reason.begin(), reason.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
  }));
  fuzz::require(reason.find(kSecret) == reason.npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size < 3) return 0;
  WebhookAnswer answer;
  answer.status = 100U + data[0] % 5U * 100U + data[0] / 5U;
  constexpr const char *kTypes[] = {"", "application/json", "application/problem+json",
                                    "text/plain", "text/html"};
  answer.type = kTypes[data[1] % 5];
  answer.cut = (data[1] & 0x80) != 0;
  answer.body.assign(reinterpret_cast<const char *>(data + 3), size - 3);

  rtmp::Request request;
  request.stage = static_cast<rtmp::Stage>(data[2] % 3);
  request.role = (data[2] & 0x80) != 0 ? rtmp::Role::Push : rtmp::Role::Pull;
  request.app = "call";
  request.address = {"192.0.2.1", 5};
  if ((data[2] & 0x40) != 0) request.identity = "alice";
  if (request.stage == rtmp::Stage::Start) request.stream = "alice";
  request.parameters["key"] = kSecret;
  check_reason(webhook_reason(answer, request));

  static const junctor::TemporaryDirectory dir;
  static const auto book = *Book::open(dir.path(), "");
  static const auto rules = std::make_shared<DialRules>(*DialRules::compile({}));
  const auto authenticator = std::make_shared<WebhookAuthenticator>(
      book, rules, WebhookAuthenticator::Options(),
      WebhookAuthenticator::Seams{
          [] { return Time{}; },
          [](Duration, const std::function<void()> &function) { function(); },
          [](const std::function<void()> &function) { function(); },
          [&](const std::string &, const std::string &, const WebhookClient::Done &done) {
            done(answer);
          }});
  bool decided = false;
  authenticator->check(request, rtmp::Decision([&](rtmp::Verdict verdict) {
                         decided = true;
                         if (!verdict.accepted) return check_reason(verdict.reason);
                         fuzz::require(answer.status / 100 == 2 && !answer.cut);
                         if (verdict.identity.empty())
                           fuzz::require(request.stage != rtmp::Stage::Start);
                         else
                           fuzz::require(static_cast<bool>(check_name(verdict.identity)));
                         if (!request.identity.empty() || request.stage == rtmp::Stage::Start)
                           fuzz::require(verdict.identity == "alice");
                       }));
  fuzz::require(decided);
  return 0;
}
