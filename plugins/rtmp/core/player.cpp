// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "rtmp/core/outlet.h"

namespace junctor::rtmp {

namespace {

/// A type 0 chunk's header on a chunk stream below 64: basic header, timestamp, length, type,
/// message stream (little-endian, at 8; RTMP 1.0, 5.3.1.2.1).
constexpr std::size_t kHeaderSize = 12;
constexpr std::size_t kStreamAt = 8;
/// So long a fresh keyframe may take that was asked for: not every source can make one.
constexpr Duration kHold = std::chrono::milliseconds(500);

}  // namespace

void Batch::add(ByteSpan bytes) {
  if (bytes.empty() || pieces_ == kPieces) return;
  // writev() takes pointers to non-const, and only reads.
  vectors_[pieces_++] = {const_cast<std::byte *>(bytes.data()), bytes.size()};
  bytes_ += bytes.size();
}

Player::Player(std::shared_ptr<OutletRing> ring, std::uint32_t stream, Time now, TagStyle style)
    : ring_(std::move(ring)), stream_(stream), style_(style), since_(now), progress_(now) {
  ring_->count_player(+1);
  if (const auto key = ring_->newest_key()) {
    jump(*key, ring_->key_configs(), false);
    if (now - ring_->at(*key).written > ring_->limits().jump) {
      held_until_ = now + kHold;
      ring_->wish_keyframe();
    }
  } else {
    jump(ring_->end(), ring_->configs(), true);
    if (ring_->has_video()) ring_->wish_keyframe();
  }
}

Player::~Player() { ring_->count_player(-1); }

/// Goes on at `position`, after those configurations that the player does not have.
void Player::jump(std::uint64_t position, const Configs &configs, bool waits_for_key) {
  cursor_ = {position, 0, cursor_.skipped, waits_for_key};
  prelude_.clear();
  for (std::size_t kind = 0; kind < configs.size(); ++kind)
    if (configs[kind] && has_[kind] != configs[kind]->position + 1)
      prelude_.push_back(*configs[kind]);
}

/// Whether a fresh keyframe is waited for still; begins with it, or with the old one.
bool Player::held(Time now) {
  if (!held_until_) return false;
  const auto key = ring_->newest_key();
  const bool fresh = key && *key > cursor_.position && *key < limit();
  if (!fresh && !end_ && now < *held_until_) return true;
  held_until_.reset();
  since_ = now;
  if (fresh) jump(*key, ring_->key_configs(), false);
  return false;
}

/// Leaves out what a player that lags has no time for.
void Player::catch_up(Time now) {
  const std::uint64_t from = cursor_.position;
  const auto key = ring_->newest_key();
  const bool fell_off = from < ring_->first();
  if (!fell_off && (from >= limit() || lag_of(ring_->at(from), now) <= ring_->limits().jump))
    return;
  if (key && *key > from && *key <= limit()) {
    jump(*key, ring_->key_configs(), false);
  } else if (!key && !ring_->has_video()) {
    jump(limit(), ring_->configs(), true);
  } else if (fell_off) {
    // The ring reaches no keyframe: sound goes on, pictures with the next.
    jump(std::min(ring_->first(), limit()), ring_->configs(), true);
  } else {
    return;
  }
  // Configurations on the way are in the prelude.
  const std::uint64_t passed = cursor_.position - from;
  ring_->count_dropped(passed - std::min<std::uint64_t>(passed, prelude_.size()));
}

/// The next frame for this player from `cursor` on, which then stands behind it; null if there is
/// none yet.
const WireFrame *Player::next(Cursor &cursor, Time now) const {
  if (cursor.prelude < prelude_.size()) return &prelude_[cursor.prelude++];
  while (cursor.position < limit()) {
    const WireFrame &frame = ring_->at(cursor.position);
    ++cursor.position;
    if (frame.config()) {
      // A jump may have brought it in the prelude.
      const auto kind = static_cast<std::size_t>(frame.kind);
      const bool in_prelude = std::any_of(prelude_.begin(), prelude_.end(), [&](const auto &held) {
        return held.position == frame.position;
      });
      if (in_prelude || has_[kind] == frame.position + 1) continue;
      return &frame;
    }
    if (!frame.video()) {
      if (state_.audio) return &frame;
      continue;
    }
    if (!state_.video) continue;
    if (cursor.waits_for_key) {
      if (!frame.key) continue;
      cursor.waits_for_key = false;
    }
    if (frame.droppable && lag_of(frame, now) > ring_->limits().skip) {
      ++cursor.skipped;
      continue;
    }
    return &frame;
  }
  return nullptr;
}

void Player::add(Batch &batch, const WireFrame &frame, const Cursor &after) {
  const ByteSpan bytes = frame.in(style_).view;
  batch.entries_[batch.count_++] = {&frame, bytes.size(), after};
  if (stream_ == 1) {
    batch.add(bytes);
    return;
  }
  auto &header = batch.headers_[batch.pieces_];
  std::copy_n(bytes.begin(), kHeaderSize, header.begin());
  for (std::size_t i = 0; i < 4; ++i)
    header[kStreamAt + i] = static_cast<std::byte>(stream_ >> 8 * i);
  batch.add(header);
  batch.add(bytes.subspan(kHeaderSize));
}

void Player::gather_rest(Batch &batch) {
  if (!mid_message()) return;
  batch.entries_[batch.count_++] = {nullptr, rest_.view.size(), cursor_};
  batch.add(rest_.view);
}

void Player::gather(Batch &batch, Time now) {
  if (held(now)) return;
  if (!state_.paused || end_) catch_up(now);
  gather_rest(batch);
  if (state_.paused && !end_) return;
  Cursor cursor = cursor_;
  while (!batch.full()) {
    const WireFrame *frame = next(cursor, now);
    if (!frame) break;
    add(batch, *frame, cursor);
  }
  if (cursor.waits_for_key && state_.video && ring_->has_video()) ring_->wish_keyframe();
  // Nothing here is for this player: what was passed over is done with.
  if (batch.count_ == 0) settle(cursor);
}

/// The player stands at `cursor` now.
void Player::settle(const Cursor &cursor) {
  ring_->count_dropped(cursor.skipped - cursor_.skipped);
  cursor_ = cursor;
}

std::size_t Player::advance(const Batch &batch, std::size_t written, Time now, Time sent) {
  if (written > 0) progress_ = now;
  for (std::size_t i = 0; i < batch.count_ && written > 0; ++i) {
    const Batch::Entry &entry = batch.entries_[i];
    const std::size_t taken = std::min(written, entry.size);
    written -= taken;
    settle(entry.after);
    if (entry.frame == nullptr) {
      rest_ = taken < entry.size ? rest_.from(taken) : SharedBytes();
      continue;
    }
    if (entry.frame->config())
      has_[static_cast<std::size_t>(entry.frame->kind)] = entry.frame->position + 1;
    if (!entry.frame->config())
      ring_->count_sent(entry.frame->video() ? Medium::Video : Medium::Audio,
                        sent - std::max(entry.frame->written, since_), sent);
    if (taken == entry.size) continue;
    rest_written_ = std::max(entry.frame->written, since_);
    if (stream_ != 1 && taken < kHeaderSize) {
      // The shared bytes carry another stream's number: this rest is the player's own.
      const ByteSpan shared = entry.frame->in(style_).view;
      Bytes own(shared.begin(), shared.end());
      for (std::size_t k = 0; k < 4; ++k)
        own[kStreamAt + k] = static_cast<std::byte>(stream_ >> 8 * k);
      rest_ = SharedBytes::own(std::move(own)).from(taken);
    } else {
      rest_ = entry.frame->in(style_).from(taken);
    }
  }
  return written;
}

Duration Player::lag(Time now) const {
  if (mid_message()) return now - rest_written_;
  if (held_until_) return std::max(now - *held_until_, Duration::zero());  // before, of itself
  if (state_.paused && !end_) return Duration::zero();
  Cursor cursor = cursor_;
  if (cursor.position < ring_->first()) return now - progress_;
  const WireFrame *frame = next(cursor, now);
  return frame ? std::max(lag_of(*frame, now), Duration::zero()) : Duration::zero();
}

void Player::set_state(const PlayState &state, Time now) {
  const PlayState before = state_;
  state_ = state;
  held_until_.reset();
  const bool resumed = before.paused && !state.paused;
  if (resumed || (!before.video && state.video)) {
    // What came meanwhile is not to be heard late: from the newest keyframe that is left, else on.
    since_ = now;
    if (const auto key = ring_->newest_key(); key && resumed && *key >= cursor_.position) {
      jump(*key, ring_->key_configs(), false);
    } else {
      jump(ring_->end(), ring_->configs(), true);
    }
  }
}

bool Player::at_end() const {
  if (!end_ || mid_message()) return false;
  Cursor cursor = cursor_;
  if (cursor.position >= ring_->first()) return next(cursor, since_) == nullptr;
  return *end_ <= ring_->first();
}

}  // namespace junctor::rtmp
