// SPDX-License-Identifier: LGPL-2.1-or-later
// A leg of a call: one participant, whatever it speaks.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "calls/call_server.h"
#include "calls/launch_line.h"
#include "calls/leg_media.h"
#include "calls/service.h"

namespace junctor::calls {

class Leg;

/// How a leg ended by itself.
struct LegEnd {
  EndReason reason = EndReason::Unreachable;
  int code = 0;  ///< of SIP; 0 for none
  std::string text;
};

/// What a leg tells its call. Signalling thread.
class LegListener {
 public:
  virtual ~LegListener() = default;
  virtual void on_ringing(Leg &) {}        ///< of a callee: somebody there is being alerted
  virtual void on_early_media(Leg &) {}    ///< of a callee: it sends before it answers
  virtual void on_answered(Leg &) {}       ///< of a callee
  virtual void on_media_changed(Leg &) {}  ///< what media() has, or what it holds back
  virtual void on_tracks(Leg &) {}         ///< the same, and more may follow in a moment
  /// The first of a medium that the other leg sends has come to it, or is on its way.
  virtual void on_first_packet(Leg &, Medium, Time) {}
  virtual void on_keyframe_request(Leg &) {}
  virtual void on_dtmf(Leg &, const sip::Dtmf &) {}  ///< a key was pressed there
  /// The last call.
  virtual void on_ended(Leg &, const LegEnd &) {}
};

/// How long media take at a leg, step by step; nothing is counted of steps that it has not.
struct LegLatency {
  struct Steps {
    LatencyFigures receive, reorder;  ///< of what it sends
    LatencyFigures pass_on;           ///< the same, all that is done with it at once
    LatencyFigures packetize, send;   ///< of what comes to it
  };
  std::array<Steps, 2> of;  ///< by Medium
};

/// What a leg learns of its call after each change: by it a terminal's players see and hear how the
/// call goes.
struct Course {
  State state = State::Trying;
  bool on_hold = false;       ///< the other leg takes none of the media agreed on, or sends none
  bool video = false;         ///< of the other leg, on its way to this one
  bool may_bring = false;     ///< the other leg sends no video yet, but may come to do so
  bool encoded_here = false;  ///< the video
  bool audio = false;
};

/// One participant. It is made for one side of one call. As the callee it is rung, and tells when
/// it answers; as the caller it is told how it goes by follow(), and accept()ed. Signalling thread.
class Leg {
 public:
  explicit Leg(Side side) : side_(side) {}
  virtual ~Leg() = default;
  Leg(const Leg &) = delete;
  Leg &operator=(const Leg &) = delete;

  Side side() const { return side_; }
  virtual LegKind kind() const = 0;
  void set_listener(std::weak_ptr<LegListener> listener) { listener_ = std::move(listener); }

  virtual LegMedia media() const = 0;
  /// Whether it sends the medium now, as far as is known: a phone may hold it back.
  virtual bool sends(Medium medium) const = 0;
  /// It has media agreed on, and holds all of them back.
  virtual bool holds() const { return false; }
  /// It has put the call on hold (RFC 3264 section 8.4): it takes no media, though something of its
  /// own, like music, may come from it.
  virtual bool puts_on_hold() const { return false; }
  /// Something that changes when a path has to be made anew though its line is the same.
  virtual std::string path_key() const { return {}; }
  /// Asks what this leg's pictures come from for one that stands alone; null if it cannot be asked.
  /// On the reactor.
  virtual std::function<void()> keyframe_request() const { return nullptr; }
  /// Where it was rung: a URI, and where that sent the call; both may be empty.
  struct Target {
    std::string uri, redirected_to;
  };
  virtual Target target() const { return {}; }

  /// It has ended by itself, which on_ended() is about to tell.
  virtual bool over() const { return false; }
  /// Whether nothing is gained by waiting a moment for media(), before the other leg is told.
  virtual bool settled() const { return true; }
  /// Rings the callee. It is told of what the caller gives.
  virtual Result<void> ring(const LegMedia &caller) = 0;
  /// Whether accept() makes something of the callee's media, that is worth waiting for settled().
  virtual bool accepts_with_media() const { return false; }
  /// The other leg has answered: this one, the caller, is connected.
  virtual Result<void> accept(const LegMedia & /*callee*/) { return {}; }
  /// Somebody else than the callee itself answers for it; false if that cannot be.
  virtual bool answer() { return false; }
  virtual bool rings_here() const { return false; }  ///< whether answer() would
  virtual void follow(const Course &) {}
  /// A path begins that carries the other leg's media here; `ask` is that leg's
  /// keyframe_request().
  // NOLINTNEXTLINE(performance-unnecessary-value-param): those that carry media keep it.
  virtual void receive(const Course &, std::function<void()> /*ask*/) {}
  /// No path does any more: `all` of its media are over, else another follows at once.
  virtual void part(bool /*all*/) {}
  /// Presses keys there, as the other leg would. What they are is for sip::check_dtmf(). Fails
  /// where there is nobody who hears them.
  virtual Result<void> send_dtmf(std::string_view /*digits*/, Duration /*length*/) {
    return refused("Digits go to a phone, and there is none in this call.");
  }
  /// Another callee has answered.
  virtual void give_up() { end(EndReason::CallerHangup); }
  /// Ends it, unless it has ended by itself, and tells it why.
  virtual void end(EndReason reason) = 0;
  virtual void end(EndReason reason, const std::string & /*why*/) { end(reason); }

  /// What the elements of a running line are set to.
  virtual void add_settings(std::vector<Setting> &settings) const = 0;
  /// The same for people, who run it by itself.
  virtual void add_settings_for_people(std::vector<Setting> &settings) const = 0;
  virtual void add_downlink(Downlinks &) const {}
  /// Adds what has gone through it.
  virtual void count(View &) const {}
  virtual LegSecurity security() const { return {}; }
  virtual LegLatency latency() const { return {}; }
  /// The distance of the keyframes that it sends, in ms, where it cannot be asked for any; else, or
  /// while that is not known, 0.
  virtual std::int64_t keyframe_distance() const { return 0; }

 protected:
  template <class Function, class... Arguments>
  void tell(Function function, Arguments &&...arguments) {
    if (const auto listener = listener_.lock())
      ((*listener).*function)(*this, std::forward<Arguments>(arguments)...);
  }
  std::string element(const char *suffix = "") const {
    return std::string(to_string(side_)) + suffix;
  }

 private:
  const Side side_;
  std::weak_ptr<LegListener> listener_;
};

}  // namespace junctor::calls
