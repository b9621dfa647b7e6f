// SPDX-License-Identifier: LGPL-2.1-or-later
// Digest challenges of others (401, 407) and what Sofia answers them with.
#pragma once

#include <sofia-sip/sip.h>

#include <string>
#include <vector>

#include "common/result.h"

namespace junctor::sip {

/// The quoted realm of the first challenge that Sofia can answer: MD5, and no escapes in the realm
/// (it would match none). Null if there is none.
const char *answerable_realm(const sip_t *sip, int status);

/// Whose challenges one request has answered: each hop on its way may have one of its own (RFC 3261
/// section 22.3), and one that comes again refuses what it was told.
class AnsweredRealms {
 public:
  static constexpr std::size_t kMost = 4;
  /// False if it was answered before, or enough others were.
  bool take(const char *realm);
  bool empty() const { return realms_.empty(); }
  void clear() { realms_.clear(); }

 private:
  std::vector<std::string> realms_;
};

/// For NUTAG_AUTH().
std::string credentials_for(const char *realm, const std::string &user,
                            const std::string &password);

/// Sofia cuts passwords at colons and puts the user into the header as it is.
Result<void> check_credentials(const std::string &user, const std::string &password);

}  // namespace junctor::sip
