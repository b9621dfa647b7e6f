// SPDX-License-Identifier: LGPL-2.1-or-later
// Digest authentication, the server's side.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.h"

namespace junctor::sip {

/// MD5 of `text` in lower-case hex.
std::string md5_hex(std::string_view text);

/// What the password of `user` is kept as: MD5(user:realm:password) in hex (RFC 2617 3.2.2.2).
std::string digest_ha1(std::string_view user, std::string_view realm, std::string_view password);

/// The response that proves knowledge of `ha1` (RFC 2617 section 3.2.2.1); without qop (RFC 2069)
/// where `qop` is empty.
std::string digest_response(std::string_view ha1, std::string_view nonce, std::string_view nc,
                            std::string_view cnonce, std::string_view qop, std::string_view method,
                            std::string_view uri);

/// Checks credentials against challenges that it issued. A nonce is its time of issue and a random
/// part, signed together with the client's address: outstanding challenges need no memory, and only
/// who received a nonce at an address can use it from there. Only a nonce that proved right is
/// remembered, with its highest count, so that nothing is accepted twice.
class DigestVerifier {
 public:
  struct Options {
    std::string realm;
    Duration nonce_life = std::chrono::minutes(5);
    std::size_t max_nonces = 20000;  ///< remembered; the oldest go first
  };
  enum class Verdict : std::uint8_t {
    Accepted,
    /// Challenge again, stale=true. The nonce is too old, not ours or not for this client, whatever
    /// the rest says: nothing is told of the password, and somebody else may have sent it under the
    /// client's address. Or the password is right and the nonce was used.
    Stale,
    Refused  ///< wrong, malformed, or no such user; not to be told apart
  };
  using Ha1 = std::function<std::optional<std::string>(const std::string &user)>;

  explicit DigestVerifier(Options options);

  /// Value of WWW-Authenticate. `client` is the address, or what stands for it, that it goes to.
  std::string challenge(std::string_view client, Time now, bool stale);
  /// `parameters` are those of the Authorization header, keys in lower case, values unquoted.
  Verdict verify(const std::map<std::string, std::string> &parameters, std::string_view method,
                 const Ha1 &ha1, std::string_view client, Time now);

 private:
  struct Used {
    std::uint32_t count = 0;
    Time expires{};
  };
  std::string sign(std::string_view text) const;
  std::string sign_nonce(std::string_view body, std::string_view client) const;
  /// Nothing if the nonce is not one of ours, for this client.
  std::optional<Time> issue_time(std::string_view nonce, std::string_view client) const;
  bool use(const std::string &nonce, std::uint32_t count, Time expires, Time now);

  Options options_;
  std::array<unsigned char, 32> secret_;
  std::string unknown_;  ///< HA1 for users that are not there, so that the work is the same
  std::map<std::string, Used> used_;
};

}  // namespace junctor::sip
