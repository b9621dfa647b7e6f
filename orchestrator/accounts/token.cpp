// SPDX-License-Identifier: LGPL-2.1-or-later
#include "accounts/token.h"

#include <jwt.h>

#include <cstdlib>
#include <ctime>
#include <memory>
#include <stdexcept>

#include "accounts/secrets.h"
#include "common/handle.h"

namespace junctor::accounts {

namespace {

using JwtRef = std::unique_ptr<jwt_t, Releaser<jwt_free>>;

const unsigned char *data(const std::string &bytes) {
  return reinterpret_cast<const unsigned char *>(bytes.data());
}

std::string grant(jwt_t *jwt, const char *name) {
  const char *text = jwt_get_grant(jwt, name);
  return text ? text : "";
}

}  // namespace

Result<TokenKey> TokenKey::from_text(std::string_view hex) {
  std::string bytes = from_hex(hex);
  if (bytes.size() < 32) return bad_input("the key of the tokens is not 64 or more hex digits");
  return TokenKey(std::move(bytes));
}

std::string TokenKey::sign(const Claims &claims) const {
  jwt_t *raw = nullptr;
  if (jwt_new(&raw) != 0) throw std::bad_alloc();
  const JwtRef jwt(raw);
  std::string rights;
  if (claims.rights.push) rights = "push";
  if (claims.rights.pull) rights += rights.empty() ? "pull" : " pull";
  const bool failed =
      jwt_add_grant(raw, "sub", claims.subject.c_str()) != 0 ||
      jwt_add_grant(raw, "jti", claims.id.c_str()) != 0 ||
      jwt_add_grant(raw, "account", claims.account.c_str()) != 0 ||
      jwt_add_grant(raw, "rights", rights.c_str()) != 0 ||
      jwt_add_grant_int(raw, "iat", static_cast<long>(claims.issued)) != 0 ||
      jwt_add_grant_int(raw, "exp", static_cast<long>(claims.expires)) != 0 ||
      jwt_set_alg(raw, JWT_ALG_HS256, data(bytes_), static_cast<int>(bytes_.size())) != 0;
  if (failed) throw std::runtime_error("libjwt refuses the claims of a token");
  const std::unique_ptr<char, Releaser<std::free>> text(jwt_encode_str(raw));
  if (!text) throw std::runtime_error("libjwt cannot sign a token");
  return text.get();
}

std::string TokenKey::keyed_hash(std::string_view text) const {
  return accounts::keyed_hash(bytes_, text);
}

Result<Claims> TokenKey::read(std::string_view token, std::int64_t now) const {
  const Error invalid =
      refused("The token is not one of this server's, or is damaged. Ask for a new one.");
  if (token.size() > kMaxTokenBytes || token.find('\0') != token.npos) return invalid;
  jwt_t *raw = nullptr;
  const std::string text(token);
  if (jwt_decode(&raw, text.c_str(), data(bytes_), static_cast<int>(bytes_.size())) != 0)
    return invalid;
  const JwtRef jwt(raw);
  // A token that names another algorithm is nobody's of ours, whatever its signature.
  if (jwt_get_alg(raw) != JWT_ALG_HS256) return invalid;
  Claims claims;
  claims.subject = grant(raw, "sub");
  claims.id = grant(raw, "jti");
  claims.account = grant(raw, "account");
  claims.issued = jwt_get_grant_int(raw, "iat");
  claims.expires = jwt_get_grant_int(raw, "exp");
  const std::string rights = " " + grant(raw, "rights") + " ";
  claims.rights.push = rights.find(" push ") != std::string::npos;
  claims.rights.pull = rights.find(" pull ") != std::string::npos;
  if (claims.subject.empty() || claims.id.empty() || claims.expires <= 0) return invalid;
  if (claims.expires <= now)
    return refused("The token expired on " + day_and_time(claims.expires) + ". Ask for a new one.");
  return claims;
}

std::string day_and_time(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  char text[32] = "";
  if (gmtime_r(&time, &parts) != nullptr)
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

}  // namespace junctor::accounts
