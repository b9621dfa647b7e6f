// SPDX-License-Identifier: LGPL-2.1-or-later
// What every call needs around it.
#pragma once

#include <glib.h>

#include <functional>
#include <memory>
#include <string>

#include "calls/headroom.h"
#include "calls/launch_line.h"
#include "calls/loop_cache.h"
#include "calls/media_path.h"
#include "calls/service.h"

namespace junctor::calls {

/// The parts of the world that tests replace: time and GStreamer.
struct World {
  std::function<Time()> now;
  std::function<WallTime()> wall;
  /// Calls once after the delay, on the signalling thread, unless the handle is dropped first.
  std::function<std::shared_ptr<void>(Duration, std::function<void()>)> after;
  PathFactory make_path;
  using LoopReady = LoopCache::Ready;
  std::function<void(Card, const std::string &name, Codec, LoopReady)> picture;
  std::function<void(Tone, Codec, LoopReady)> tone;
};

/// Of the reactor's core: what is left is for the sockets of all calls.
inline constexpr double kHeadroomPercent = 40;

struct Surroundings {
  GMainContext *context = nullptr;
  std::shared_ptr<rtmp::Server> server;
  std::shared_ptr<sip::Agent> agent;
  Options options;
  Templates templates;
  Headroom headroom{kHeadroomPercent};
  World world;
  std::function<void(const DigitHeard &)> heard;  ///< of Events; may be unset

  void log(LogLevel level, const std::string &text) const {
    if (options.log) options.log(level, text);
  }
};

/// As Service::create, with the world given. Templates must be loaded.
std::shared_ptr<Service> create_service(std::shared_ptr<Surroundings> around, Events events);

}  // namespace junctor::calls
