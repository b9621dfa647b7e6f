// SPDX-License-Identifier: LGPL-2.1-or-later
// The media of one call as its state machine sees them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "calls/launch_line.h"
#include "common/clock.h"
#include "common/reactor.h"
#include "rtmp/core/server.h"
#include "sip/core/agent.h"

namespace junctor::calls {

/// What a path is made of.
struct PathSpec {
  Fragment line;
  bool sending = true;            ///< false: as before begin_sending()
  std::vector<Setting> settings;  ///< written to the line's named elements
  std::shared_ptr<Reactor> reactor;
  std::shared_ptr<rtmp::Server> server;
  std::shared_ptr<sip::Agent> agent;
};

/// On the signalling thread; never after the path is destroyed.
struct PathEvents {
  /// The watchdog's word: "waiting", "flowing" or "lost".
  std::function<void(const std::string &state)> media;
  /// The first packet of a medium is on its way to the callee.
  std::function<void(Medium, Time)> first_packet;
  /// An element failed; the path carries nothing reliably from here on.
  std::function<void(const std::string &element, const std::string &message)> failed;
};

/// Media of one call under way: made running, stopped by its destructor. Signalling thread.
class MediaPath {
 public:
  virtual ~MediaPath() = default;
  /// Lets the push terminal's media flow to the callee, and arms the watchdog.
  virtual void begin_sending() = 0;
  /// Changes how many tries the watchdog has from now on.
  virtual void set_watchdog_tries(unsigned tries) = 0;
  /// A keyframe for the callee, where an encoder of ours makes its picture.
  virtual void force_keyframe() = 0;
};

using PathFactory = std::function<Result<std::unique_ptr<MediaPath>>(const PathSpec &, PathEvents)>;

}  // namespace junctor::calls
