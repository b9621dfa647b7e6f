// SPDX-License-Identifier: LGPL-2.1-or-later
// What the service knows of an account's terminals.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "calls/call.h"
#include "calls/leg_media.h"
#include "calls/pull_codecs.h"
#include "calls/terminal_leg.h"
#include "calls/track_watcher.h"

namespace junctor::calls {

/// What is known of one account's terminals, in a call or not.
struct Terminal {
  std::uint64_t publisher = 0;  ///< connection; 0: none
  PushTracks tracks;
  std::uint64_t tracks_of = 0;  ///< the connection that sends `tracks`; 0: its stream is over
  std::string application = "call";
  std::shared_ptr<TrackWatcher> watcher;
  struct Player {
    std::uint64_t connection;
    bool secure;
  };
  std::vector<Player> players;  ///< in order of their plays; a connection may have several
  /// Fixed by the first of the players that are there.
  PullCodecs pull;
  std::shared_ptr<Call> call;
  std::shared_ptr<TerminalLeg> leg;  ///< of `call`
  /// Of a call that is over, while its players are shown that, and the timer that ends it.
  std::shared_ptr<TerminalLeg> leaving;
  std::shared_ptr<void> leaving_timer;
  /// How a call ended that no player was there for, kept a moment for one that is on its way.
  std::optional<Farewell> untold;
  std::shared_ptr<void> forgetting;  ///< the timer of `untold`

  bool publisher_secure = false;
  /// Whoever went last leaves what it had: a call's record tells of it.
  void tell_security() const {
    if (!leg || (publisher == 0 && players.empty())) return;
    leg->set_secure((publisher == 0 || publisher_secure) &&
                    std::ranges::all_of(players, &Player::secure));
  }

  /// One of the connection's.
  void end_play(std::uint64_t connection) {
    const auto found = std::ranges::find(players, connection, &Player::connection);
    if (found != players.end()) players.erase(found);
  }

  /// Whether a call can ring here.
  bool present() const { return publisher != 0 || !players.empty(); }
  bool idle() const { return publisher == 0 && players.empty() && !call && !leaving && !untold; }
};

}  // namespace junctor::calls
