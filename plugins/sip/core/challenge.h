// SPDX-License-Identifier: LGPL-2.1-or-later
// Digest challenges of others (401, 407) and what Sofia answers them with.
#pragma once

#include <sofia-sip/nua.h>
#include <sofia-sip/sip.h>

#include <string>
#include <vector>

#include "common/result.h"

namespace junctor::sip {

/// Who asks for a digest: a proxy on the way or the server at its end, which may both be of one
/// realm.
struct Challenge {
  bool of_proxy;
  std::string realm;  ///< in its quotes
  bool operator==(const Challenge &) const = default;
};

inline bool is_challenge(int status) { return status == 401 || status == 407; }

/// All of a response: a proxy that forks gathers those of its branches, of both headers (RFC 3261
/// section 22.3). Empty if Sofia cannot answer one of them, for then it answers none: it knows MD5
/// alone, and a realm with escapes would match none.
std::vector<Challenge> answerable_challenges(const sip_t *sip);

/// Which challenges one request has answered: each hop on its way may have one of its own, and one
/// that comes again refuses what it was told.
class AnsweredChallenges {
 public:
  static constexpr std::size_t kMost = 4;
  /// False if none of them is new, or enough others were answered.
  bool take(const std::vector<Challenge> &challenges);
  bool empty() const { return answered_.empty(); }
  void clear() { answered_.clear(); }
  /// Of one of them.
  bool has_realm(const std::string &realm) const;
  std::vector<std::string> realms() const;

 private:
  std::vector<Challenge> answered_;
};

/// Sends the request of `handle` that waits for it once more, with the credentials that
/// `challenges`, at most AnsweredChallenges::kMost, ask for.
void give_credentials(nua_handle_t *handle, const std::vector<Challenge> &challenges,
                      const std::string &user, const std::string &password);

/// Sofia cuts passwords at colons and puts the user into the header as it is.
Result<void> check_credentials(const std::string &user, const std::string &password);

}  // namespace junctor::sip
