// SPDX-License-Identifier: LGPL-2.1-or-later
// An outlet on a reactor.
#include <algorithm>

#include "rtmp/core/server_core.h"

namespace junctor::rtmp {

ServerOutlet::ServerOutlet(std::shared_ptr<Reactor> reactor, const Limits &limits)
    : reactor_(std::move(reactor)), ring_(std::make_shared<OutletRing>(outlet_limits(limits))) {}

void ServerOutlet::write(const Frame &frame) {
  ring_->write(frame, reactor_->now());
  schedule_flush();
}

void ServerOutlet::set_keyframe_wanted(std::function<void()> callback) {
  keyframe_wanted_ = std::move(callback);
  schedule_flush();  // somebody may be waiting already
}

void ServerOutlet::end(const std::string &code, const std::string &description) {
  ++walking_;
  for (std::size_t i = 0, count = connections_.size(); i < count; ++i)
    if (connections_[i]) connections_[i]->end_play(this, code, description);
  --walking_;
  ring_->clear();
}

std::unique_ptr<Player> ServerOutlet::join(Connection &connection, std::uint32_t stream,
                                           TagStyle h264) {
  if (walking_ == 0) std::erase(connections_, nullptr);
  connections_.push_back(&connection);
  schedule_flush();
  return std::make_unique<Player>(ring_, stream, reactor_->now(), h264);
}

void ServerOutlet::remove(Connection &connection) {
  const auto found = std::find(connections_.begin(), connections_.end(), &connection);
  if (found == connections_.end()) return;
  *found = nullptr;
  if (walking_ == 0) std::erase(connections_, nullptr);
}

void ServerOutlet::schedule_flush() {
  if (std::exchange(flush_due_, true)) return;
  reactor_->at_end_of_turn([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->flush();
  });
}

void ServerOutlet::flush() {
  flush_due_ = false;
  ++walking_;
  for (std::size_t i = 0, count = connections_.size(); i < count; ++i)
    if (connections_[i]) connections_[i]->flush();
  if (--walking_ == 0) std::erase(connections_, nullptr);
  if (!keyframe_wanted_ || !ring_->take_keyframe_wish(reactor_->now())) return;
  const auto call = keyframe_wanted_;  // the call may replace it
  call();
}

}  // namespace junctor::rtmp
