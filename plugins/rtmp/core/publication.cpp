// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/publication.h"

#include <algorithm>
#include <array>
#include <string>

namespace junctor::rtmp {

namespace {

/// What a frame may hold besides itself: a tag's header, or little enough.
constexpr std::size_t kSlack = 1024;

/// The frame's bytes on their own if they are but a small part of the block that they keep (one of
/// many in an aggregate, or behind a long header): who keeps frames counts the frames' sizes.
void compact(SharedBytes &data) {
  if (data.owner && data.owner->size() > 2 * data.view.size() + kSlack)
    data = SharedBytes::copy(data.view);
}

}  // namespace

void Publication::add(const std::shared_ptr<PublishListener> &listener) {
  remove(listener.get());
  if (telling_ == 0) std::erase_if(listeners_, [](const auto &held) { return held.expired(); });
  listeners_.push_back(listener);
  if (!source_) return;
  // Copies: a listener may end the publisher.
  const std::array<std::optional<Track>, 2> tracks = {video_, audio_};
  const auto left_out = left_out_;
  const std::vector<Frame> kept = kept_;
  listener->on_publisher();
  for (const std::optional<Track> &track : tracks)
    if (track && source_) listener->on_track(*track);
  for (const Medium medium : {Medium::Video, Medium::Audio})
    if (const std::string &why = left_out[static_cast<std::size_t>(medium)];
        !why.empty() && source_)
      listener->on_left_out(medium, why);
  for (const Frame &frame : kept)
    if (source_) listener->on_frame(frame);
}

void Publication::remove(const PublishListener *listener) {
  // Replaced, not erased: somebody may be in the middle of telling them.
  for (auto &held : listeners_)
    if (held.lock().get() == listener) held.reset();
}

bool Publication::heard() const {
  return std::any_of(listeners_.begin(), listeners_.end(),
                     [](const auto &held) { return !held.expired(); });
}

/// Those who come while it tells are not told: add() does that.
template <class Call>
void Publication::tell(const Call &call) {
  ++telling_;
  for (std::size_t i = 0, count = listeners_.size(); i < count; ++i)
    if (const auto listener = listeners_[i].lock()) call(*listener);
  --telling_;
}

void Publication::begin() {
  source_.emplace();
  audio_.reset();
  video_.reset();
  left_out_ = {};
  forget();
  frames_ = bytes_ = 0;
  last_frame_ = {};
  unruly_ = false;
  tell([](PublishListener &listener) { listener.on_publisher(); });
}

Result<void> Publication::take(const Message &message, Time now, Duration waited) {
  if (!source_ || unruly_) return {};
  if (message.type == MessageType::DataAmf0 || message.type == MessageType::DataAmf3) {
    const auto data = parse_data(message);
    // No broken media: of data nothing matters but sizes, and encoders send what they like.
    if (!data) return refused(data.error().detail);
    if (const auto metadata = parse_metadata(*data)) source_->metadata = *metadata;
    return {};
  }
  if (message.payload.view.empty()) return {};
  const Medium medium = message.type == MessageType::Audio ? Medium::Audio : Medium::Video;
  TagReader &reader = medium == Medium::Audio ? source_->audio : source_->video;
  auto content = reader.read(message.payload, source_->clock.unwrap(message.timestamp));
  if (!content) {
    if (content.error().fault == Fault::Refused) leave_out(medium, content.error().detail);
    return content.error();
  }
  if (content->track)
    if (auto told = tell_track(std::move(*content->track), now); !told) return told;
  // A listener may have ended it all.
  if (content->frame && source_) {
    Frame &frame = *content->frame;
    compact(frame.data);
    frame.waited = waited;
    ++frames_;
    bytes_ += frame.data.view.size();
    last_frame_ = now;
    keep(frame);
    tell([&](PublishListener &listener) { listener.on_frame(frame); });
  }
  return {};
}

Result<void> Publication::tell_track(Track track, Time now) {
  if (!changes_.may(now)) {
    unruly_ = true;
    return bad_input("the codec of a track changes too often: " + std::to_string(kMostChanges) +
                     " times at once, and then once a second, are taken");
  }
  changes_.take(now);
  const bool video = medium_of(track.codec) == Medium::Video;
  const Metadata &metadata = source_->metadata;
  if (video && track.width == 0) {
    track.width = metadata.width;
    track.height = metadata.height;
  }
  if (!video && track.rate == 0) track.rate = metadata.audio_rate;
  if (!video && track.channels == 0) track.channels = metadata.audio_channels;
  // Pictures from before cannot be decoded with what follows.
  if (video) forget();
  const Medium medium = medium_of(track.codec);
  track_of(medium) = track;
  left_out_[static_cast<std::size_t>(medium)].clear();
  tell([&](PublishListener &listener) { listener.on_track(track); });
  return {};
}

void Publication::leave_out(Medium medium, const std::string &why) {
  std::string &left_out = left_out_[static_cast<std::size_t>(medium)];
  if (!left_out.empty() || track_of(medium)) return;
  left_out = why;
  tell([&](PublishListener &listener) { listener.on_left_out(medium, why); });
}

void Publication::keep(const Frame &frame) {
  if (frame.medium == Medium::Video && frame.key) {
    forget();
  } else if (kept_.empty()) {
    return;
  }
  kept_size_ += frame.data.view.size();
  if (kept_.size() >= kept_frames_ || kept_size_ > kept_bytes_) {
    // A part without its beginning or end serves nobody.
    forget();
    return;
  }
  kept_.push_back(frame);
}

void Publication::forget() {
  kept_.clear();
  kept_size_ = 0;
}

void Publication::end(bool finished) {
  if (!source_) return;
  source_.reset();
  forget();
  tell([finished](PublishListener &listener) { listener.on_publisher_gone(finished); });
}

Server::PublishStats Publication::stats() const {
  Server::PublishStats stats;
  stats.present = source_.has_value();
  stats.audio = audio_;
  stats.video = video_;
  stats.frames = frames_;
  stats.bytes = bytes_;
  stats.last_frame = last_frame_;
  return stats;
}

}  // namespace junctor::rtmp
