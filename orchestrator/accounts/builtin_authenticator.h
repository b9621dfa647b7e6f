// SPDX-License-Identifier: LGPL-2.1-or-later
// The three checks of RTMP terminals against the built-in accounts.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "accounts/authenticator.h"
#include "accounts/book.h"
#include "accounts/challenges.h"
#include "accounts/dialling.h"
#include "accounts/failures.h"
#include "accounts/house_rules.h"
#include "common/clock.h"
#include "rtmp/core/adobe.h"

namespace junctor::accounts {

/// Each check verifies the identity anew, from the token that travels with connect:
/// - connect: the application is there, the address may come, the token is good;
/// - createStream: the token has not expired or been revoked since, and the account may have
///   another stream;
/// - publish, play: again, and the token has the right, the stream bears the account's name, the
///   callee may be called, and the codecs that are asked for can be played.
/// Or from name and password by the `adobe` login (rtmp/core/adobe.h), which gives the rights to
/// push and to pull; createStream, publish and play then look whether the account is still the one
/// that logged in. All of it on the reactor that calls check().
class BuiltinAuthenticator : public Authenticator {
 public:
  struct Options : HouseRules::Options {
    /// Accept who says only at publish or play who it is. Nobody is asked for a password then:
    /// that is done by refusing a connect.
    bool late_identity = false;
    Duration longest_delay = std::chrono::seconds(3);  ///< of a refusal
  };
  /// Time and waiting, so that a test turns the clock.
  struct Seams {
    std::function<std::int64_t()> seconds;  ///< since 1970
    std::function<Time()> now;
    /// Calls the function on the reactor after a while.
    std::function<void(Duration, std::function<void()>)> after;
  };

  BuiltinAuthenticator(std::shared_ptr<const Book> book, std::shared_ptr<const DialRules> rules,
                       Options options, Seams seams);

  void check(const rtmp::Request &request, rtmp::Decision decision) override;

  void stream_started(const std::string &account, rtmp::Role role) override {
    house_.stream_started(account, role);
  }
  void stream_ended(const std::string &account, rtmp::Role role) override {
    house_.stream_ended(account, role);
  }

 private:
  rtmp::Verdict decide(const rtmp::Request &request, bool &guess);
  rtmp::Verdict decide_without_token(const rtmp::Request &request, bool &guess);
  rtmp::Verdict log_in(const rtmp::Request &request, const rtmp::AdobeLogin &login, bool &guess);
  /// Whether the account that logged in with a password is still the same.
  bool still_there(const rtmp::Request &request) const;
  rtmp::Verdict decide_stage(const rtmp::Request &request, const std::string &account,
                             Rights rights) const;

  std::shared_ptr<const Book> book_;
  HouseRules house_;
  bool late_identity_;
  Seams seams_;
  FailureTable failures_;
  Challenges challenges_;
};

}  // namespace junctor::accounts
