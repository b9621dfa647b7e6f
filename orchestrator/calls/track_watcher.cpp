// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/track_watcher.h"

#include <algorithm>
#include <utility>

#include "common/main_context.h"

namespace junctor::calls {

void TrackWatcher::on_track(const rtmp::Track &track) {
  post_to(context_, [on_track = on_track_, track] { on_track(track); });
}

void TrackWatcher::on_left_out(Medium medium, const std::string &why) {
  post_to(context_, [on_left_out = on_left_out_, medium, why] { on_left_out(medium, why); });
}

void TrackWatcher::on_publisher() {
  last_key_.reset();
  distances_ = {};
  figures_->keyframe_distance_ms = 0;
}

void TrackWatcher::on_frame(const rtmp::Frame &frame) {
  figures_->receive[static_cast<std::size_t>(frame.medium)].add(frame.waited, Clock::now());
  if (frame.medium != Medium::Video) return;
  if (!frame.key) {
    // One that is longer in coming than any before.
    if (figures_->keyframe_distance_ms > 0 && last_key_ &&
        frame.dts - *last_key_ > figures_->keyframe_distance_ms)
      figures_->keyframe_distance_ms = frame.dts - *last_key_;
    return;
  }
  const auto before = std::exchange(last_key_, frame.dts);
  if (!before || frame.dts <= *before) return;
  distances_[next_distance_++ % distances_.size()] = frame.dts - *before;
  figures_->keyframe_distance_ms = *std::ranges::max_element(distances_);
}

}  // namespace junctor::calls
