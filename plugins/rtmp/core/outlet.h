// SPDX-License-Identifier: LGPL-2.1-or-later
// What players of one name hear: one ring of wire frames, and each player's place in it.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/latency.h"
#include "rtmp/core/media.h"
#include "rtmp/core/server.h"
#include "rtmp/core/session.h"
#include "rtmp/core/source_clock.h"
#include "rtmp/core/tag.h"

namespace junctor::rtmp {

/// One message, ready-chunked for message stream 1 and kServerChunkSize; the same bytes serve all
/// players that want the same form.
struct WireFrame {
  enum class Kind : std::uint8_t { Metadata, VideoConfig, AudioConfig, Audio, Video };
  Kind kind = Kind::Audio;
  bool key = false;        ///< video: starts a decodable picture
  bool droppable = false;  ///< video: no other picture refers to it
  std::uint64_t position = 0;
  Time written;
  SharedBytes bytes;
  bool h264 = false;  ///< its tag has another form for players that want it
  /// That form, from when it is first wanted on; metadata has it from the beginning.
  mutable SharedBytes enhanced{};

  /// As a player wants it.
  const SharedBytes &in(TagStyle style) const;

  bool config() const { return kind <= Kind::AudioConfig; }
  bool video() const { return kind == Kind::Video; }
};

/// What a decoder needs first: the latest metadata and sequence headers, by WireFrame::Kind.
using Configs = std::array<std::optional<WireFrame>, 3>;

/// How far a ring reaches, and what lag means.
struct OutletLimits {
  std::size_t frames = 1024;
  std::size_t bytes = 4UL * 1024 * 1024;
  Duration skip = std::chrono::milliseconds(200);
  Duration jump = std::chrono::milliseconds(500);
  Duration part = std::chrono::seconds(10);
};
OutletLimits outlet_limits(const Limits &limits);

/// The ring of one name, and the clock that all its sources share. Holds what came since the newest
/// keyframe, and a little more for players that lag. Everything costs the same however many players
/// there are. No socket, and time is an argument; one thread, but stats() is for any.
class OutletRing {
 public:
  explicit OutletRing(OutletLimits limits) : limits_(limits) {}
  OutletRing(const OutletRing &) = delete;
  OutletRing &operator=(const OutletRing &) = delete;

  /// As Outlet says.
  void begin_source();
  void set_track(const Track &track);
  void write(const Frame &frame, Time now);
  /// Counts, and latencies of the last seconds before `now` if that is given.
  Outlet::Stats stats(Time now = {}) const;

  /// A player waits for a keyframe.
  void wish_keyframe() { key_wished_ = true; }
  /// Whether the source is to be asked for a keyframe now: somebody wishes it, and it was not asked
  /// within the last 500 ms.
  bool take_keyframe_wish(Time now);
  /// No more tracks: what follows begins with begin_source(). Players keep what they have to read.
  void clear();

  const OutletLimits &limits() const { return limits_; }
  /// Positions of the oldest frame held and of the next to come.
  std::uint64_t first() const { return end_ - ring_.size(); }
  std::uint64_t end() const { return end_; }
  /// `position` from first() to end() - 1.
  const WireFrame &at(std::uint64_t position) const { return ring_[position - first()]; }
  /// Whether a source that is heard now has video.
  bool has_video() const { return live(Medium::Video); }
  /// The newest keyframe that a player can start from, and the configurations before it.
  std::optional<std::uint64_t> newest_key() const { return key_; }
  const Configs &key_configs() const { return key_configs_; }
  const Configs &configs() const { return configs_; }

  // Counted by players.
  void count_dropped(std::uint64_t frames) { dropped_ += frames; }
  /// A frame, or its beginning, has gone to the kernel, so long after it was written.
  void count_sent(Medium medium, Duration after, Time now) {
    send_latency_[static_cast<std::size_t>(medium)].add(after, now);
  }
  void count_player(int change) { players_ += static_cast<std::size_t>(change); }

 private:
  struct TrackState {
    std::optional<Track> track;
    bool stale = true;  ///< of the source before: announced again only when it is heard
  };

  bool live(Medium medium) const {
    const TrackState &state = tracks_[static_cast<std::size_t>(medium)];
    return state.track && !state.stale;
  }
  std::uint32_t place(const Frame &frame, Time now);
  void announce(std::uint32_t timestamp, Time now);
  void append(WireFrame frame);
  void trim(Time now);

  OutletLimits limits_;
  std::deque<WireFrame> ring_;
  std::uint64_t end_ = 0;
  std::size_t ring_bytes_ = 0;
  std::optional<std::uint64_t> key_;
  Configs configs_, key_configs_;

  std::array<TrackState, 2> tracks_;  ///< by Medium
  std::array<bool, 2> config_due_{};  ///< by Medium: the track's configuration has to be written
  bool announcement_due_ = false;     ///< metadata has to be written
  bool waits_for_key_ = true;         ///< the source's video has not begun

  std::optional<Time> epoch_;  ///< when the outlet's clock showed 0
  SourceClock source_clock_;
  std::int64_t offset_ = 0;                     ///< from the source's clock to the outlet's, ms
  std::array<std::int64_t, 2> last_{{-1, -1}};  ///< latest timestamp written, by Medium

  bool key_wished_ = false;
  std::optional<Time> key_asked_;
  std::atomic<std::size_t> players_ = 0;
  std::atomic<std::uint64_t> frames_ = 0, bytes_ = 0, dropped_ = 0;
  std::array<LatencyMeter, 2> send_latency_;  ///< by Medium, of all players
};

class Player;

/// What one system call is to send: pieces of frames in order. Reused from call to call.
class Batch {
 public:
  static constexpr std::size_t kPieces = 64;
  static constexpr std::size_t kEnough = 128UL * 1024;  ///< bytes

  void clear() { count_ = pieces_ = bytes_ = 0; }
  const iovec *pieces() const { return vectors_.data(); }
  std::size_t piece_count() const { return pieces_; }
  std::size_t bytes() const { return bytes_; }
  void add(ByteSpan bytes);

 private:
  friend class Player;
  struct Cursor {
    std::uint64_t position = 0;  ///< next frame of the ring
    std::uint32_t prelude = 0;   ///< next frame of the prelude
    std::uint32_t skipped = 0;   ///< frames left out so far
    bool waits_for_key = false;
  };
  struct Entry {
    const WireFrame *frame;  ///< null for the rest of a message that was begun before
    std::size_t size;
    Cursor after;
  };
  /// At most two pieces a frame.
  bool full() const { return pieces_ + 2 > kPieces || bytes_ >= kEnough; }

  std::array<iovec, kPieces> vectors_;
  std::array<std::array<std::byte, 12>, kPieces> headers_;  ///< for message streams other than 1
  std::array<Entry, kPieces> entries_;
  std::size_t count_ = 0, pieces_ = 0, bytes_ = 0;
};

/// One player's place in a ring: which frame, which byte. It skips and jumps when it lags, and
/// never stops inside a message. Same thread as its ring.
class Player {
 public:
  /// Begins at the newest keyframe that the ring holds, else at its end. One that is older than
  /// what is lag elsewhere would show the past, and a program that keeps time by timestamps would
  /// stay there: a fresh one is asked for, and waited for until hold_end().
  Player(std::shared_ptr<OutletRing> ring, std::uint32_t stream, Time now,
         TagStyle style = TagStyle::Legacy);
  ~Player();
  Player(const Player &) = delete;
  Player &operator=(const Player &) = delete;

  /// Adds what is to be sent next, as much as a batch takes. Where the player lags, skips or jumps
  /// first.
  void gather(Batch &batch, Time now);
  /// Adds the rest of a message that is sent in part, and nothing else.
  void gather_rest(Batch &batch);
  /// `written` bytes of what gather() or gather_rest() added were sent; the ring has not changed in
  /// between. Returns how many of them were not this player's.
  std::size_t advance(const Batch &batch, std::size_t written, Time now) {
    return advance(batch, written, now, now);
  }
  /// The same, where `sent` is more exact than the turn's time.
  std::size_t advance(const Batch &batch, std::size_t written, Time now, Time sent);

  /// A message is sent in part: nothing else may be sent before its rest.
  bool mid_message() const { return static_cast<bool>(rest_.owner); }
  /// That rest.
  ByteSpan rest() const { return rest_.view; }

  /// How long what comes next has been waiting to be sent; 0 if there is nothing.
  Duration lag(Time now) const;
  bool too_late(Time now) const { return lag(now) > ring_->limits().part; }

  void set_state(const PlayState &state, Time now);
  /// Until when nothing is sent unless a fresh keyframe comes; none where it has begun.
  std::optional<Time> hold_end() const { return held_until_; }

  /// Reads no further than what has been written by now.
  void end_here() { end_ = ring_->end(); }
  /// Everything up to end_here() is sent.
  bool at_end() const;
  std::uint32_t stream() const { return stream_; }

 private:
  using Cursor = Batch::Cursor;

  void catch_up(Time now);
  bool held(Time now);
  void jump(std::uint64_t position, const Configs &configs, bool waits_for_key);
  const WireFrame *next(Cursor &cursor, Time now) const;
  void settle(const Cursor &cursor);
  void add(Batch &batch, const WireFrame &frame, const Cursor &after);
  std::uint64_t limit() const { return end_ ? std::min(*end_, ring_->end()) : ring_->end(); }
  Duration lag_of(const WireFrame &frame, Time now) const {
    return now - std::max(frame.written, since_);
  }

  std::shared_ptr<OutletRing> ring_;
  std::uint32_t stream_;
  TagStyle style_;
  Time since_;     ///< frames older than that count as written then
  Time progress_;  ///< when something was sent last
  std::optional<Time> held_until_;
  Cursor cursor_;
  std::vector<WireFrame> prelude_;      ///< at most one of each configuration
  std::array<std::uint64_t, 3> has_{};  ///< 1 + position of each configuration sent
  SharedBytes rest_;
  Time rest_written_;
  PlayState state_;
  std::optional<std::uint64_t> end_;
};

}  // namespace junctor::rtmp
