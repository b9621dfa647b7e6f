// SPDX-License-Identifier: LGPL-2.1-or-later
// Who decides the checks of RTMP terminals.
#pragma once

#include <string>

#include "rtmp/core/server.h"

namespace junctor::accounts {

/// Decides one check. check() is called on a reactor and must return at once; the decision may be
/// given then or later, from any thread.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  virtual void check(const rtmp::Request &request, rtmp::Decision decision) = 0;
  /// Told, on the reactor, of the streams that run, to count them for each account.
  virtual void stream_started(const std::string &account, rtmp::Role role) = 0;
  virtual void stream_ended(const std::string &account, rtmp::Role role) = 0;
};

}  // namespace junctor::accounts
