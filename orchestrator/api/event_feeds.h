// SPDX-License-Identifier: LGPL-2.1-or-later
// Those who watch calls change as it happens.
#pragma once

#include <glib.h>

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "api/http.h"
#include "calls/service.h"
#include "common/main_context.h"

namespace junctor::api {

/// Server-sent events (WHATWG HTML, 9.2): `event: call` with the call as the list of calls
/// shows it, `event: dtmf` for a key that was pressed, `event: channel` for a channel. A comment
/// each 15 s tells a watcher that we live, and us that he does. Signalling thread only.
class EventFeeds {
 public:
  static constexpr std::size_t kMost = 32;
  static constexpr Duration kHeartbeat = std::chrono::seconds(15);

  explicit EventFeeds(GMainContext *context, Duration heartbeat = kHeartbeat)
      : context_(context), heartbeat_(heartbeat) {}

  bool full();
  /// The watcher is told first of the calls that run.
  void add(std::shared_ptr<Feed> feed, const std::vector<calls::View> &running);
  void tell(const calls::View &call);
  void tell(const calls::DigitHeard &heard);
  /// `event: NAME` with a JSON object.
  void tell(std::string_view event, const nlohmann::json &data);
  void close();

 private:
  void send(const std::string &text);
  void beat();

  GMainContext *context_;
  Duration heartbeat_;
  std::vector<std::shared_ptr<Feed>> feeds_;
  ContextTimer timer_;
};

}  // namespace junctor::api
