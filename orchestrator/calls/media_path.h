// SPDX-License-Identifier: LGPL-2.1-or-later
// The media of one call as its state machine sees them.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "calls/launch_line.h"
#include "common/clock.h"
#include "common/latency.h"
#include "common/reactor.h"
#include "rtmp/core/server.h"
#include "sip/core/agent.h"

namespace junctor::calls {

/// What a path is made of.
struct PathSpec {
  Fragment line;
  bool sending = true;            ///< false: the caller's media wait for begin_sending()
  std::vector<Setting> settings;  ///< written to the line's named elements
  std::shared_ptr<Reactor> reactor;
  std::shared_ptr<rtmp::Server> server;
  std::shared_ptr<sip::Agent> agent;
};

/// On the signalling thread; never after the path is destroyed.
struct PathEvents {
  /// The watchdog's word on a side's push terminal: "waiting", "flowing" or "lost".
  std::function<void(Side, const std::string &state)> media;
  /// The first packet of a medium is on its way to the phone of that side.
  std::function<void(Side, Medium, Time)> first_packet;
  /// Pictures on their way to that side are left out: they are larger than what may be decoded
  /// (common/picture_size.h). `size` as in "16000x16000". Once for a path and a side.
  std::function<void(Side to, const std::string &size)> too_large;
  /// An element failed; the path carries nothing reliably from here on.
  std::function<void(const std::string &element, const std::string &message)> failed;
};

/// How long a path decodes and encodes; of a route that passes through nothing is counted.
struct CodingLatency {
  struct Steps {
    LatencyFigures
        decode;  ///< from the beginning of the route, queue included, to the decoder's end
    LatencyFigures encode;  ///< from there to the end of the route: scaling, a payloader
  };
  std::array<std::array<Steps, 2>, 2> to;  ///< by Side that takes it, and Medium
};

/// Media of one call under way: made running, stopped by its destructor. Signalling thread.
class MediaPath {
 public:
  virtual ~MediaPath() = default;
  /// Lets the caller's media flow to the callee, and arms its watchdog.
  virtual void begin_sending() = 0;
  /// Changes how many tries the watchdog of a side has from now on.
  virtual void set_watchdog_tries(Side side, unsigned tries) = 0;
  /// A keyframe for the phone of a side, where an encoder of ours makes its picture.
  virtual void force_keyframe(Side side) = 0;
  /// Of the last seconds.
  virtual CodingLatency coding_latency() const { return {}; }
  /// Packets of sound that came faster than it can be heard, and were not transcoded.
  virtual std::uint64_t surplus_sound() const { return 0; }
};

using PathFactory = std::function<Result<std::unique_ptr<MediaPath>>(const PathSpec &, PathEvents)>;

}  // namespace junctor::calls
