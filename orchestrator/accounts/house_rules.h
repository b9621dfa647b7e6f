// SPDX-License-Identifier: LGPL-2.1-or-later
// What holds for every RTMP terminal, whoever decides its checks.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "accounts/book.h"
#include "accounts/busy.h"
#include "accounts/dialling.h"
#include "accounts/networks.h"
#include "common/clock.h"
#include "common/result.h"
#include "rtmp/core/server.h"

namespace junctor::accounts {

/// Bounds, dialling rules and what this server can do at all. It says nothing about who somebody
/// is. Each function answers why not, as a sentence for the terminal. One reactor.
class HouseRules {
 public:
  struct Options {
    std::set<std::string> applications = {"call"};
    Networks networks;  ///< that may connect; empty: all
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
  };

  HouseRules(std::shared_ptr<const Book> book, std::shared_ptr<const DialRules> rules,
             Options options)
      : book_(std::move(book)), rules_(std::move(rules)), options_(std::move(options)) {}

  /// The application is there, and the address may come.
  Result<void> may_connect(const rtmp::Request &request) const;
  /// The account may come by this way: one that requires encryption comes by RTMPS.
  Result<void> may_come(const rtmp::Request &request, const std::string &account) const;
  /// The account may have another stream, pushed or pulled. Who pushes while a push of the account
  /// runs takes its place: the terminal may have lost a connection that here seems to last.
  Result<void> may_open_stream(const std::string &account, rtmp::Role role) const;
  /// `to` may be called by the account that publishes, or what a player asks for can be played.
  /// Claims the account for the call: to be asked last.
  Result<void> may_start(const rtmp::Request &request, const std::string &account, Time now) const;

  /// Told of the streams that run, to count them for each account.
  void stream_started(const std::string &account, rtmp::Role role);
  void stream_ended(const std::string &account, rtmp::Role role);

 private:
  std::shared_ptr<const Book> book_;
  std::shared_ptr<const DialRules> rules_;
  Options options_;
  struct Streams {
    std::size_t pushed = 0, pulled = 0;
  };
  std::map<std::string, Streams> streams_;
};

}  // namespace junctor::accounts
