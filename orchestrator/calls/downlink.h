// SPDX-License-Identifier: LGPL-2.1-or-later
// What a pull terminal gets: ring media until live media is there.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "calls/loop.h"
#include "common/reactor.h"
#include "rtmp/core/server.h"

namespace junctor::calls {

/// The one writer of a call's outlet. Each medium comes either from its loop or from the live
/// input; the live input takes a medium over with its first frame (video: its first keyframe) and
/// keeps it until release(). Timestamps of both are moved onto one clock, the reactor's, so that
/// they rise across every switch. Players learn their tracks from what comes first, so live sound
/// is left out until there is a picture, for a second at most. Create it anywhere, use it on the
/// reactor.
class Downlink : public std::enable_shared_from_this<Downlink> {
 public:
  /// On the reactor, each time that a medium goes from its loop to live media, and with the next
  /// live frame after tell_next_frames().
  using LiveEvent = std::function<void(Medium, Time)>;

  static std::shared_ptr<Downlink> create(std::shared_ptr<Reactor> reactor, LiveEvent live);

  /// Starts writing to the outlet of `name`.
  void open(rtmp::Server &server, const std::string &name);
  /// Whether anybody plays: loops are played for somebody only. At first: nobody.
  void set_audience(bool audience);
  /// One more plays, or may: it gets a loop's picture from its beginning.
  void welcome();
  /// What the medium shows or sounds while nothing is live; null for nothing.
  void set_loop(Medium medium, std::shared_ptr<const Loop> loop);
  /// Back to the loop until the next live frame.
  void release(Medium medium);
  /// While held, live frames of the medium are dropped and its loop plays.
  void hold(Medium medium, bool held);
  /// Whether a medium that is live goes back to its loop when nothing of it has come for a second.
  /// When that is over and no picture has come for a while, video waits for a keyframe.
  void set_fading(bool fading);
  /// Has each medium's next live frame told, though it may be live already.
  void tell_next_frames();
  /// An outlet for the live writer. The one given before is cut off. Media that are live stay so;
  /// video waits for a keyframe.
  std::shared_ptr<rtmp::Outlet> attach_live();
  /// Whether live video should be coming. Until its keyframe is there, `ask` is called after 250 ms
  /// and then ever more rarely. `encoded_here`: a keyframe that comes says nothing of the callee's
  /// pictures, so it is asked for one then all the same.
  void expect_video(bool expected, std::function<void()> ask, bool encoded_here = false);
  /// Cuts the live writer off.
  void detach_live();
  /// Ends playing for all players and writes no more.
  void end(const std::string &code, const std::string &description);
  /// Writes no more, leaves the players.
  void close();
  /// The same, and until somebody writes again who comes to play sees nothing of what was.
  void rest();

  bool live(Medium medium) const { return lane(medium).live; }

 private:
  class LiveInput;
  struct Lane {
    std::shared_ptr<const Loop> loop;
    std::uint64_t next = 0;           ///< packet of the loop
    Time loop_start{}, loop_since{};  ///< when its first packet was due; when it began
    bool live = false;
    bool held = false;
    bool tell_next = false;
    bool waiting_key = true;  ///< the live input has not given a keyframe yet
    Time last_live{};
    std::int64_t last_dts = -1;
    std::optional<rtmp::Track> shown, coming;  ///< what players were told; what live will need
  };

  Downlink(std::shared_ptr<Reactor> reactor, LiveEvent live)
      : reactor_(std::move(reactor)), on_live_(std::move(live)) {}

  Lane &lane(Medium medium) { return lanes_[static_cast<std::size_t>(medium)]; }
  const Lane &lane(Medium medium) const { return lanes_[static_cast<std::size_t>(medium)]; }
  void live_source_begins();
  void live_track(const rtmp::Track &track);
  void live_frame(const rtmp::Frame &frame);
  void live_keyframe_callback(std::function<void()> callback);
  void keyframe_wanted();
  void ask_for_keyframe();
  void begin_asking();

  std::int64_t milliseconds(Time time) const;
  void show(Lane &lane, const rtmp::Track &track);
  void restart_loop(Medium medium);
  void play_loop(Medium medium, Time now);
  void tick();
  void keep_ticking();

  std::shared_ptr<Reactor> reactor_;
  LiveEvent on_live_;
  std::shared_ptr<rtmp::Outlet> outlet_;
  std::array<Lane, 2> lanes_;  ///< by Medium
  std::shared_ptr<LiveInput> input_;
  std::optional<std::int64_t> live_offset_;  ///< ms from the live writer's clock to ours
  std::function<void()> ask_live_for_keyframe_, ask_callee_for_keyframe_;
  bool video_expected_ = false, encoded_here_ = false;
  Time asked_{}, ask_next_{};
  Duration ask_pause_{};
  Time epoch_{}, audience_since_{};
  bool audience_ = false, fading_ = false;
  Reactor::Timer timer_;
  Time tick_due_{};
  bool ticking_ = false;
};

}  // namespace junctor::calls
