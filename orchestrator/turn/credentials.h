// SPDX-License-Identifier: LGPL-2.1-or-later
// What lets an account use the relay for a while.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace junctor::turn {

/// Good until `expires`, seconds since 1970. The password is never to be logged.
struct Credentials {
  std::string username, password;
  std::int64_t expires = 0;
};

/// By the REST scheme (draft-uberti-behave-turn-rest-00 section 2.2): the name is
/// "EXPIRES:ACCOUNT", the password its HMAC-SHA1 under the secret that the relay has too, in
/// Base64. The relay so needs no list of accounts, and what it is given is worth nothing tomorrow.
Credentials issue(std::string_view secret, std::string_view account, std::int64_t now,
                  std::chrono::seconds life);

}  // namespace junctor::turn
