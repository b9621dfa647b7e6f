// SPDX-License-Identifier: LGPL-2.1-or-later
// What joins the media of a call's two legs: the plan, the path that runs by it, and its repair.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "calls/leg.h"
#include "calls/media_path.h"
#include "calls/planner.h"
#include "calls/surroundings.h"

namespace junctor::calls {

/// Signalling thread.
class Bridge : public std::enable_shared_from_this<Bridge> {
 public:
  /// None is called by the destructor.
  struct Events {
    std::function<void()> updated;  ///< update() has run by itself
    /// Nothing can be carried, and `why` is what failed.
    std::function<void(const std::string &why)> failed;
    /// A side's push terminal has sent nothing for too long.
    std::function<void(Side)> silent;
    /// Of a medium, on its way to the phone there.
    std::function<void(Side to, Medium, Time)> first_packet;
  };

  /// `id` is the call's, for the log.
  Bridge(std::shared_ptr<const Surroundings> around, std::string id, std::shared_ptr<Leg> caller,
         Events events);

  /// Whose media flow on the callee's side from the next update() on; null for nobody's.
  void join(std::shared_ptr<Leg> callee);
  const std::shared_ptr<Leg> &callee() const { return callee_; }
  /// The call is answered at `now`: both ways are carried from the next update() on, and the
  /// watchdogs count.
  void answer(Time now);
  /// Makes what runs fit what the legs give and take.
  void update();
  /// The same in a moment, once for all that changes until then. Where peers have it build one path
  /// after the other, the next one is made after a pause that grows.
  void schedule_update();
  /// For good.
  void stop();

  /// What `side` learns of the media that come to it.
  Course course_of(Side side) const;
  void force_keyframe(Side side);
  std::vector<PlanStep> steps() const;
  /// Of every route in which something was measured in the last seconds.
  std::vector<RouteLatency> latency() const;
  const std::string &launch() const { return launch_; }
  /// Packets of sound so far that came faster than it can be heard, and were not transcoded.
  std::uint64_t surplus_sound() const;

 private:
  Result<void> build();
  void tell_plan(const Fragment &line);
  void schedule_update(Duration delay);
  Result<std::unique_ptr<MediaPath>> make_path(bool sending);
  bool leave_out_more(const std::string &why);
  void drop_path();
  void end_path();
  /// Whether it is on its way there: neither left out nor held back.
  bool reaches(Side side, Medium medium) const;
  std::string key_of(const std::string &line) const;
  std::vector<Setting> settings_for_people() const;
  WatchdogSetting watchdogs() const;
  SoundWork borrow_for_sound();
  void return_loan();
  Time next_rebuild() const;
  unsigned tries_left(Side side) const;
  void on_push_media(Side side, const std::string &state);
  void on_too_large(Side to, const std::string &size);
  void on_path_failed(const std::string &element, const std::string &message);
  const std::shared_ptr<Leg> &leg(Side side) const {
    return side == Side::Caller ? caller_ : callee_;
  }

  std::shared_ptr<const Surroundings> around_;
  const std::string id_;
  const std::shared_ptr<Leg> caller_;
  std::shared_ptr<Leg> callee_;
  Events events_;
  bool answered_ = false, stopped_ = false, hopeless_ = false;
  Plan whole_, plan_;       ///< what is to flow; the same without what is left out
  RouteSet left_out_;       ///< of `whole_`, which did not run with it
  RouteSet left_out_told_;  ///< what the log has of it
  std::string left_out_why_;
  Plan told_;           ///< what people are told of: the plan of `launch_`
  std::string launch_;  ///< what runs, or fails to
  double sound_percent_ = 0;
  Headroom::Loan sound_loan_;  ///< of `sound_percent_`; null where threads do the work
  std::unique_ptr<MediaPath> path_;
  bool sending_ = false;  ///< the path carries the caller's media too
  std::string path_key_;  ///< what the running path was made for
  std::array<std::array<bool, 2>, 2>
      path_receives_{};        ///< by Side and Medium: the leg sent it when the path was made
  std::uint64_t surplus_ = 0;  ///< packets of paths that are gone
  /// By Side that does not get them: the size of pictures that the running path leaves out.
  std::array<std::string, 2> too_large_;
  unsigned path_failures_ = 0;
  bool path_failed_ = false;  ///< the running path, which is to be replaced
  /// By Side: its push terminal's media, through the running path.
  std::array<std::optional<Time>, 2> flowing_since_;
  std::array<std::optional<Time>, 2> silent_since_;  ///< by Side
  unsigned rebuilds_ = 0;                            ///< with less than a quiet minute between them
  std::optional<Time> last_rebuild_;
  std::shared_ptr<void> pending_update_;
};

}  // namespace junctor::calls
