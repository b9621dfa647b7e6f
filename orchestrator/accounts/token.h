// SPDX-License-Identifier: LGPL-2.1-or-later
// Tokens of accounts: JSON Web Tokens signed with the orchestrator's own key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace junctor::accounts {

/// What a token lets its bearer do.
struct Rights {
  bool push = false, pull = false;
  bool operator==(const Rights &) const = default;
};

/// The content of a token (RFC 7519). Times are seconds since 1970.
struct Claims {
  std::string subject;  ///< the account
  std::string id;       ///< jti: names the token when it is revoked
  Rights rights;
  std::int64_t issued = 0, expires = 0;
  std::string account;  ///< Account::id that it was issued for
};

/// A longer token is refused unread.
inline constexpr std::size_t kMaxTokenBytes = 2048;

/// Signs and reads tokens with HS256. Immutable; any thread.
class TokenKey {
 public:
  /// `hex` is at least 256 bits as hex digits.
  static Result<TokenKey> from_text(std::string_view hex);

  std::string sign(const Claims &claims) const;
  /// The claims of a token whose signature is right and that has not expired at `now`. The reason
  /// why not is for people and holds nothing of the token.
  Result<Claims> read(std::string_view token, std::int64_t now) const;

  /// HMAC-SHA256 of `text` as lower-case hex: what only the holder of the key can tell.
  std::string keyed_hash(std::string_view text) const;

 private:
  explicit TokenKey(std::string bytes) : bytes_(std::move(bytes)) {}
  std::string bytes_;
};

/// "2025-01-31 12:00 UTC".
std::string day_and_time(std::int64_t seconds);

}  // namespace junctor::accounts
