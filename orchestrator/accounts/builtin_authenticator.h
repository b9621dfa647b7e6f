// SPDX-License-Identifier: LGPL-2.1-or-later
// The three checks of RTMP terminals against the built-in accounts.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "accounts/authenticator.h"
#include "accounts/book.h"
#include "accounts/busy.h"
#include "accounts/dialling.h"
#include "accounts/failures.h"
#include "accounts/networks.h"
#include "common/clock.h"

namespace junctor::accounts {

/// Each check verifies the identity anew, from the token that travels with connect:
/// - connect: the application is there, the address may come, the token is good;
/// - createStream: the token has not expired or been revoked since, and the account may have
///   another stream;
/// - publish, play: again, and the token has the right, the stream bears the account's name, the
///   callee may be called, and the codecs that are asked for can be played.
/// All of it on the reactor that calls check().
class BuiltinAuthenticator : public Authenticator {
 public:
  struct Options {
    std::set<std::string> applications = {"call"};
    Networks networks;  ///< that may connect; empty: all
    /// Accept who says only at publish or play who it is.
    bool late_identity = false;
    std::size_t streams_per_account = 16;
    /// Whether anybody can be called; if not, a publish that names a callee is refused.
    bool calls = true;
    /// A publish that names another callee than that of the account's call is refused: accepted, it
    /// would take the place of the one that feeds the call. One that is accepted claims the account
    /// here. Null: not asked.
    std::shared_ptr<BusyTable> busy;
    /// Whether what the parameters of a play ask for can be played; the error is a sentence for the
    /// player. Unset: not asked. On the reactor, so it must be quick.
    std::function<Result<void>(const std::map<std::string, std::string> &parameters)> may_play;
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

  /// Told of the streams that run, to count them for each account.
  void stream_started(const std::string &account) { ++streams_[account]; }
  void stream_ended(const std::string &account);

 private:
  rtmp::Verdict decide(const rtmp::Request &request, bool &guess) const;
  rtmp::Verdict decide_start(const rtmp::Request &request, const Claims &claims) const;

  std::shared_ptr<const Book> book_;
  std::shared_ptr<const DialRules> rules_;
  Options options_;
  Seams seams_;
  FailureTable failures_;
  std::map<std::string, std::size_t> streams_;
};

}  // namespace junctor::accounts
