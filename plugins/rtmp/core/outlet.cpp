// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/outlet.h"

#include <algorithm>

#include "rtmp/core/chunk_writer.h"
#include "rtmp/core/metadata.h"
#include "rtmp/core/tag.h"

namespace junctor::rtmp {

namespace {

constexpr Duration kKeyframePatience = std::chrono::milliseconds(500);
/// What a message's 24-bit length leaves when the tag's own bytes are taken off.
constexpr std::size_t kLargestFrame = 0xffffff - 16;

std::size_t index(Medium medium) { return static_cast<std::size_t>(medium); }

std::int64_t milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

WireFrame::Kind config_kind(Medium medium) {
  return medium == Medium::Audio ? WireFrame::Kind::AudioConfig : WireFrame::Kind::VideoConfig;
}

/// A message of stream 1 as everybody gets it.
Message outlet_message(MessageType type, std::uint32_t chunk_stream, std::uint32_t timestamp) {
  Message message;
  message.type = type;
  message.chunk_stream = chunk_stream;
  message.stream = 1;
  message.timestamp = timestamp;
  return message;
}

Message media_message(Medium medium, std::uint32_t timestamp) {
  return medium == Medium::Audio ? outlet_message(MessageType::Audio, kAudioChunkStream, timestamp)
                                 : outlet_message(MessageType::Video, kVideoChunkStream, timestamp);
}

}  // namespace

OutletLimits outlet_limits(const Limits &limits) {
  // 0 switches a time limit off.
  const auto time = [](int ms) -> Duration {
    return ms > 0 ? Duration(std::chrono::milliseconds(ms)) : Duration::max();
  };
  return {limits.kept_frames, limits.kept_bytes, time(limits.lag_skip_ms), time(limits.lag_jump_ms),
          time(limits.lag_part_ms)};
}

const SharedBytes &WireFrame::in(TagStyle style) const {
  if (style == TagStyle::Legacy || !h264) return bytes;
  if (enhanced.view.empty())
    enhanced = with_front(bytes, kLegacyAvcPrefix, enhanced_avc_prefix(front_of(bytes)).view(),
                          kServerChunkSize);
  return enhanced;
}

void OutletRing::begin_source() {
  for (TrackState &state : tracks_) state.stale = true;
  config_due_ = {};
  source_clock_.reset();
  waits_for_key_ = true;
  key_.reset();
  configs_ = {};
}

void OutletRing::clear() {
  begin_source();
  tracks_ = {};
}

void OutletRing::set_track(const Track &track) {
  const Medium medium = medium_of(track.codec);
  TrackState &state = tracks_[index(medium)];
  if (live(medium) && same_track(*state.track, track)) return;
  state.track = track;
  state.stale = false;
  config_due_[index(medium)] = announcement_due_ = true;
  configs_[static_cast<std::size_t>(config_kind(medium))].reset();
  if (medium == Medium::Video) {
    // No picture from before can be decoded with what follows.
    key_.reset();
    waits_for_key_ = true;
  }
}

void OutletRing::write(const Frame &frame, Time now) {
  const Medium medium = frame.medium;
  TrackState &state = tracks_[index(medium)];
  if (!state.track || frame.data.view.size() > kLargestFrame) {
    ++dropped_;
    return;
  }
  if (state.stale) {
    const Track track = *state.track;
    set_track(track);
  }
  if (medium == Medium::Video && waits_for_key_) {
    if (!frame.key) {
      ++dropped_;
      if (players_ > 0) wish_keyframe();
      return;
    }
    waits_for_key_ = false;
  }
  const std::uint32_t timestamp = place(frame, now);
  announce(timestamp, now);

  WireFrame wire;
  wire.kind = medium == Medium::Audio ? WireFrame::Kind::Audio : WireFrame::Kind::Video;
  wire.key = medium == Medium::Video && frame.key;
  wire.droppable = medium == Medium::Video && frame.droppable && !frame.key;
  wire.written = now;
  wire.h264 = state.track->codec == Codec::H264;
  const TagPrefix prefix = frame_prefix(*state.track, frame);
  const std::array<ByteSpan, 2> parts = {prefix.view(), frame.data.view};
  wire.bytes = make_wire_frame(media_message(medium, timestamp), parts, kServerChunkSize);
  if (wire.key) {
    key_wished_ = false;
    key_ = end_;
    key_configs_ = configs_;
  }
  append(std::move(wire));
  trim(now);
}

/// The frame's place on the outlet's clock: rising for each medium, whoever writes.
std::uint32_t OutletRing::place(const Frame &frame, Time now) {
  if (!epoch_) epoch_ = now;
  const std::int64_t present = milliseconds(now - *epoch_);
  const SourceClock::Reading read = source_clock_.read(frame.medium, frame.dts, present);
  if (read.anew) offset_ = std::max({present, last_[0], last_[1]}) - read.dts;
  std::int64_t &last = last_[index(frame.medium)];
  last = std::max(last, read.dts + offset_);
  // Only a frame that is older than its source's first can be below zero here.
  last = std::max<std::int64_t>(last, 0);
  return static_cast<std::uint32_t>(last);
}

/// Metadata and sequence headers, where they are due.
void OutletRing::announce(std::uint32_t timestamp, Time now) {
  const auto append_config = [&](WireFrame::Kind kind, SharedBytes bytes, bool h264,
                                 SharedBytes enhanced = {}) {
    WireFrame wire;
    wire.h264 = h264;
    wire.enhanced = std::move(enhanced);
    wire.kind = kind;
    wire.written = now;
    wire.bytes = std::move(bytes);
    wire.position = end_;
    configs_[static_cast<std::size_t>(kind)] = wire;
    append(std::move(wire));
  };
  if (announcement_due_) {
    announcement_due_ = false;
    const auto announced = [&](Medium medium) {
      return live(medium) ? tracks_[index(medium)].track : std::nullopt;
    };
    // Always at 0: in mid-stream, ffmpeg takes script data of any other time for subtitles.
    const auto audio = announced(Medium::Audio), video = announced(Medium::Video);
    const auto data = [&](TagStyle style) {
      return make_wire_frame(make_data(make_metadata(audio, video, style), 1), kServerChunkSize);
    };
    append_config(WireFrame::Kind::Metadata, data(TagStyle::Legacy),
                  video && video->codec == Codec::H264, data(TagStyle::Enhanced));
  }
  for (const Medium medium : {Medium::Video, Medium::Audio}) {
    if (!std::exchange(config_due_[index(medium)], false)) continue;
    const Bytes body = config_body(*tracks_[index(medium)].track);
    if (body.empty()) continue;
    const std::array<ByteSpan, 1> parts = {ByteSpan(body)};
    // The other medium's frame that brings it may be ahead of what follows of this one.
    last_[index(medium)] = std::max<std::int64_t>(last_[index(medium)], timestamp);
    append_config(config_kind(medium),
                  make_wire_frame(media_message(medium, timestamp), parts, kServerChunkSize),
                  tracks_[index(medium)].track->codec == Codec::H264);
  }
}

void OutletRing::append(WireFrame frame) {
  frame.position = end_++;
  if (!frame.config()) ++frames_;
  bytes_ += frame.bytes.view.size();
  ring_bytes_ += frame.bytes.view.size();
  ring_.push_back(std::move(frame));
}

void OutletRing::trim(Time now) {
  const auto forget_oldest = [this] {
    if (key_ == first()) key_.reset();
    ring_bytes_ -= ring_.front().bytes.view.size();
    ring_.pop_front();
  };
  // Players that lag less than a jump still read what is before the keyframe.
  while (ring_.size() > 1 && first() != key_ && (key_ || !has_video()) &&
         now - ring_.front().written > limits_.jump)
    forget_oldest();
  while (ring_.size() > 1 && (ring_.size() > limits_.frames || ring_bytes_ > limits_.bytes))
    forget_oldest();
}

bool OutletRing::take_keyframe_wish(Time now) {
  if (!key_wished_ || (key_asked_ && now - *key_asked_ < kKeyframePatience)) return false;
  key_wished_ = false;
  key_asked_ = now;
  return true;
}

Outlet::Stats OutletRing::stats(Time now) const {
  Outlet::Stats stats;
  stats.players = players_;
  stats.frames = frames_;
  stats.bytes = bytes_;
  stats.dropped = dropped_;
  for (std::size_t i = 0; i < send_latency_.size(); ++i)
    stats.send[i] = send_latency_[i].figures(now);
  return stats;
}

}  // namespace junctor::rtmp
