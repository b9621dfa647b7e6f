// SPDX-License-Identifier: LGPL-2.1-or-later
// Frames of sink pads on their way to players.
#pragma once

#include <gst/gst.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "rtmp/core/server.h"

namespace junctor::rtmp {

/// Writes to the outlet of one name: at once on the reactor, from other threads by one post for
/// each frame. What waits for the reactor is bounded; beyond that it is dropped, pictures up to the
/// next keyframe.
class PlayFeed : public std::enable_shared_from_this<PlayFeed> {
 public:
  /// `keyframe_wanted` is called on the reactor when a player waits for one.
  PlayFeed(std::shared_ptr<Server> server, std::string name, std::function<void()> keyframe_wanted);

  /// Streaming threads, each medium from one at a time.
  void set_track(const Track &track);
  void write(const Frame &frame);
  /// What is written next has another clock.
  void begin_source();
  /// Any thread: nothing more is written; with `end` the players are told that it is over. Does
  /// not wait.
  void close(bool end);

  Outlet::Stats stats() const;                        ///< any thread
  std::uint64_t dropped() const { return dropped_; }  ///< for want of the reactor's time

 private:
  void run(std::function<void(PlayFeed &)> function);
  Outlet *outlet();

  const std::shared_ptr<Server> server_;
  const std::string name_;
  std::atomic<bool> closed_ = false;
  std::atomic<std::size_t> waiting_frames_ = 0, waiting_bytes_ = 0;
  std::atomic<bool> video_broken_ = false;  // pictures were dropped: until a keyframe
  std::atomic<std::uint64_t> dropped_ = 0;

  mutable std::mutex mutex_;  // guards outlet_ against stats(); written on the reactor
  std::shared_ptr<Outlet> outlet_;
  std::function<void()> keyframe_wanted_;  // reactor
};

}  // namespace junctor::rtmp
