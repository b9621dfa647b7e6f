// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/playfeed.h"

#include <utility>

namespace junctor::rtmp {

namespace {
/// What may wait for the reactor: some seconds of a call.
constexpr std::size_t kWaitingFrames = 512;
constexpr std::size_t kWaitingBytes = std::size_t{8} * 1024 * 1024;
}  // namespace

PlayFeed::PlayFeed(std::shared_ptr<Server> server, std::string name,
                   std::function<void()> keyframe_wanted)
    : server_(std::move(server)),
      name_(std::move(name)),
      keyframe_wanted_(std::move(keyframe_wanted)) {}

/// On the reactor: now if this is its thread, else posted.
void PlayFeed::run(std::function<void(PlayFeed &)> function) {
  if (closed_) return;
  if (server_->reactor()->in_thread()) {
    function(*this);
    return;
  }
  server_->reactor()->post([self = shared_from_this(), function = std::move(function)] {
    if (!self->closed_) function(*self);
  });
}

/// On the reactor. Taken with the first that is to be written, so that who writes to this name
/// until then (a ring tone) is not cut off by silence.
Outlet *PlayFeed::outlet() {
  if (outlet_) return outlet_.get();
  auto outlet = server_->outlet(name_);
  outlet->begin_source();
  outlet->set_keyframe_wanted([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && !self->closed_) self->keyframe_wanted_();
  });
  const std::lock_guard lock(mutex_);
  outlet_ = std::move(outlet);
  return outlet_.get();
}

void PlayFeed::set_track(const Track &track) {
  run([track](PlayFeed &self) { self.outlet()->set_track(track); });
}

void PlayFeed::begin_source() {
  run([](PlayFeed &self) {
    if (self.outlet_) self.outlet_->begin_source();
  });
}

void PlayFeed::write(const Frame &frame) {
  if (closed_) return;
  if (server_->reactor()->in_thread()) {
    outlet()->write(frame);
    return;
  }
  const bool video = frame.medium == Medium::Video;
  const std::size_t size = frame.data.view.size();
  const bool full = waiting_frames_ >= kWaitingFrames || waiting_bytes_ + size > kWaitingBytes;
  if (full || (video && video_broken_ && !frame.key)) {
    if (video) video_broken_ = true;
    ++dropped_;
    return;
  }
  if (video) video_broken_ = false;
  ++waiting_frames_;
  waiting_bytes_ += size;
  server_->reactor()->post([self = shared_from_this(), frame, size] {
    --self->waiting_frames_;
    self->waiting_bytes_ -= size;
    if (!self->closed_) self->outlet()->write(frame);
  });
}

void PlayFeed::close(bool end) {
  if (closed_.exchange(true)) return;
  server_->reactor()->post([self = shared_from_this(), end] {
    if (end && self->outlet_)
      self->outlet_->end("NetStream.Play.Complete", "The stream has ended.");
    const std::lock_guard lock(self->mutex_);
    self->outlet_.reset();
  });
}

Outlet::Stats PlayFeed::stats() const {
  const std::lock_guard lock(mutex_);
  return outlet_ ? outlet_->stats() : Outlet::Stats();
}

}  // namespace junctor::rtmp
