// SPDX-License-Identifier: LGPL-2.1-or-later
// Logins with name and password: nothing but the one right answer is let in, and nothing of the
// peer's but a proper name or our own challenge is told back.
#include <algorithm>

#include "../unit/temporary_directory.h"
#include "accounts/builtin_authenticator.h"
#include "accounts/secrets.h"
#include "input.h"
#include "rtmp/core/locator.h"

using namespace junctor;
using namespace junctor::accounts;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static const junctor::TemporaryDirectory dir;
  static const auto book = [] {
    auto made = *Book::open(dir.path(), "");
    (void)made->add("alice", "correct horse", 0);
    return made;
  }();
  static const auto rules = std::make_shared<DialRules>(*DialRules::compile({}));
  const auto locator = rtmp::parse_locator({reinterpret_cast<const char *>(data), size});
  if (!locator) return 0;
  BuiltinAuthenticator authenticator(
      book, rules, {},
      {[] { return std::int64_t{1}; }, [] { return Time{}; },
       [](Duration, const std::function<void()> &function) { function(); }});
  rtmp::Request request;
  request.app = "call";
  request.address = {"192.0.2.1", 5};
  request.parameters = locator->parameters;
  authenticator.check(
      request, rtmp::Decision([&](rtmp::Verdict verdict) {
        // It cannot know the key of a token, nor have been told a challenge.
        fuzz::require(!verdict.accepted && !verdict.reason.empty());
        fuzz::require(verdict.description.size() <= 255);
        fuzz::require(std::none_of(
            verdict.description.begin(), verdict.description.end(),
            [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }));
        if (const auto login = rtmp::adobe_login(request.parameters);
            login && request.parameters["token"].empty() && !check_name(login->user))
          fuzz::require(verdict.description == rtmp::adobe_failure(""));
      }));
  return 0;
}
