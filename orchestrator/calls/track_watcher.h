// SPDX-License-Identifier: LGPL-2.1-or-later
// Tells the signalling thread what a push terminal sends.
#pragma once

#include <glib.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/latency.h"
#include "rtmp/core/server.h"

namespace junctor::calls {

/// What is measured of a push terminal's stream. One thread writes, any reads.
struct PushFigures {
  /// By Medium: how long frames were in the kernel before they were read.
  std::array<LatencyMeter, 2> receive;
  /// The longest from one keyframe to the next, of the last few, in ms of the publisher's clock; 0
  /// until there were two.
  std::atomic<std::int64_t> keyframe_distance_ms = 0;
};

/// Listens to one published stream and posts its tracks to a context, in order. Made anywhere,
/// called by the server on its reactor.
class TrackWatcher : public rtmp::PublishListener {
 public:
  using OnTrack = std::function<void(const rtmp::Track &)>;
  using OnLeftOut = std::function<void(Medium, const std::string &why)>;

  /// Both run on the thread that iterates `context`, and may come after the watcher's end.
  TrackWatcher(GMainContext *context, OnTrack on_track, OnLeftOut on_left_out)
      : context_(context), on_track_(std::move(on_track)), on_left_out_(std::move(on_left_out)) {}

  /// Any thread.
  std::shared_ptr<const PushFigures> figures() const { return figures_; }

  void on_publisher() override;
  void on_track(const rtmp::Track &track) override;
  void on_left_out(Medium medium, const std::string &why) override;
  void on_frame(const rtmp::Frame &frame) override;
  void on_publisher_gone(bool) override {}

 private:
  GMainContext *context_;
  OnTrack on_track_;
  OnLeftOut on_left_out_;
  std::shared_ptr<PushFigures> figures_ = std::make_shared<PushFigures>();
  std::optional<std::int64_t> last_key_;     // ms
  std::array<std::int64_t, 4> distances_{};  // of the last keyframes, in ms
  std::size_t next_distance_ = 0;
};

}  // namespace junctor::calls
