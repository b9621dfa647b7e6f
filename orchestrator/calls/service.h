// SPDX-License-Identifier: LGPL-2.1-or-later
// The calls of this orchestrator: what the API and the command line ask of them.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "calls/leg_media.h"
#include "calls/state_media.h"
#include "common/end_reason.h"
#include "common/latency.h"
#include "common/log.h"
#include "common/reactor.h"
#include "common/result.h"
#include "rtmp/core/server.h"
#include "sip/core/agent.h"

namespace junctor::calls {

enum class State : std::uint8_t { Idle, Trying, Ringing, Answered, Ended };
std::string_view to_string(State state);  ///< "idle", "trying" …

/// Between which kinds of legs a call is.
enum class Direction : std::uint8_t {
  Outgoing,  ///< a terminal calls a phone
  Incoming,  ///< a phone calls a terminal
  Internal,  ///< a terminal calls a terminal
};
std::string_view to_string(Direction direction);  ///< "outgoing" …

using WallTime = std::chrono::system_clock::time_point;

constexpr std::string_view kToCallee = "caller-to-callee", kToCaller = "callee-to-caller";

/// One medium in one direction: from which codec to which, and why.
struct PlanStep {
  std::string direction;  ///< kToCallee or kToCaller
  Medium medium = Medium::Audio;
  std::string from, to;  ///< codec names; "none" where the medium does not flow
  bool transcoded = false;
  std::string reason;      ///< a sentence
  double cpu_percent = 0;  ///< of a core, as expected of a usual call (see CodecRow)
  /// How long a receiver that missed a picture, or comes late, may wait for one that it can show:
  /// until the sender's next keyframe, if that cannot be asked for. Nothing where it can, where the
  /// sender has not shown how often they come, and for sound.
  std::optional<std::int64_t> first_picture_ms{};
};

/// The steps of media through a call, in the order of the way. `receive` is from the kernel to
/// being read, `reorder` from there on until what was missing in front has come or been given up
/// (RTP only), `decode` and `encode` include their queues, `packetize` is what remains until
/// packets or chunks are made, `send` is from there to the kernel.
constexpr std::array<std::string_view, 6> kStages = {"receive", "reorder",   "decode",
                                                     "encode",  "packetize", "send"};

/// How long one medium took through one direction of a call, step by step; of the last seconds.
struct RouteLatency {
  std::string direction;  ///< as PlanStep has it
  Medium medium = Medium::Audio;
  struct Stage {
    std::string_view name;  ///< one of kStages
    LatencyFigures figures;
  };
  std::vector<Stage> stages;  ///< those that were measured, in the order of the way
};

/// What keeps strangers out of a leg.
struct LegSecurity {
  std::string signalling;  ///< "tls" or "none"; empty: not known yet
  std::string media;       ///< "tls", "srtp AES_CM_128_HMAC_SHA1_80" … or "none"
  bool operator==(const LegSecurity &) const = default;
};

/// A call as others see it; a copy, not alive.
struct View {
  std::string id;
  std::string from, to;
  Direction direction = Direction::Outgoing;
  std::string uri;            ///< SIP URI dialled, or of the phone that called; empty: no phone
  std::string redirected_to;  ///< where the callee sent the call (3xx); empty: nowhere
  State state = State::Idle;
  std::optional<EndReason> reason;
  int sip_code = 0;
  std::string detail;  ///< what happened, for people
  WallTime created{};
  std::optional<WallTime> ringing, answered, ended;
  std::optional<std::int64_t> first_packet_to_callee_ms,
      first_packet_to_caller_ms;  ///< since answer
  /// The same, of video alone: what comes first of it can be shown.
  std::optional<std::int64_t> first_picture_to_callee_ms, first_picture_to_caller_ms;
  std::vector<Side> on_hold;  ///< whose legs have put the call on hold, while it runs
  /// Accounts whose terminals are in it now.
  std::vector<std::string> terminals;
  std::vector<PlanStep> plan;
  std::string launch;  ///< the line that runs; it can be pasted into gst-launch-1.0
  struct MediaCount {
    std::uint64_t sent_packets = 0, received_packets = 0, lost = 0;
    double jitter_ms = 0;
    std::optional<double> round_trip_ms;  ///< nothing until the peer has reported
    double reorder_wait_ms = 0;           ///< how long a gap in what the peer sends waits now
  };
  MediaCount audio, video;  ///< of the phone of the call
  /// Packets of sound that came faster than it can be heard, and were not transcoded.
  std::uint64_t surplus_sound = 0;
  LegSecurity caller_security, callee_security;
  std::vector<RouteLatency> latency;  ///< of routes where something flowed
  static constexpr std::size_t kMostDigits = 128;
  std::string digits;  ///< that phones have pressed: the first kMostDigits
};

/// A key that was pressed at one of the legs.
struct DigitHeard {
  std::string call;  ///< id
  std::string leg;   ///< "caller" or "callee"
  sip::Dtmf dtmf;
};

/// Who is meant by what a caller dials.
struct Callee {
  std::string account;  ///< whose terminal may be rung too; empty: none
  std::vector<sip::InviteOptions> phones;
};

struct Options {
  Duration watchdog_interval = std::chrono::milliseconds(1000);  ///< M
  unsigned watchdog_tries = 30;                                  ///< N
  Duration answer_timeout = std::chrono::seconds(60);
  std::string pipelines_dir;  ///< where the *.launch templates are
  std::size_t max_calls = 1000;
  /// Formats of SIP that calls offer, by the names of rtp::find_formats(); empty: all.
  std::vector<std::string> formats;
  StateMedia media;                                     ///< what is shown and heard of states
  Duration farewell = std::chrono::milliseconds(4000);  ///< see TerminalLeg::lingers()
  /// Text of a callee, or an error that says which rule forbids it.
  std::function<Result<Callee>(const std::string &from, const std::string &to)> dial;
  /// Whether there is such an account, which phones may call. Unset: none.
  std::function<bool(const std::string &account)> is_account;
  /// Encryption of the media of a phone that calls. Unset: off.
  std::function<rtp::SrtpPolicy(const sip::IncomingCall &caller)> srtp;
  LogSink log;
};

/// Called on the signalling thread.
struct Events {
  /// Each change of state, and once while answered when both first packets are known; the last
  /// has state Ended. A call that could not be started is told of once, as ended.
  std::function<void(const View &)> changed;
  std::function<void(const DigitHeard &)> heard;  ///< may be unset
};

/// All calls. Signalling thread only; it never blocks.
class Service {
 public:
  /// On the signalling thread, whose thread-default GMainContext it uses. Null if the templates
  /// cannot be read; the log says why.
  static std::shared_ptr<Service> create(std::shared_ptr<rtmp::Server> server,
                                         std::shared_ptr<sip::Agent> agent, Options options,
                                         Events events);
  virtual ~Service() = default;

  /// The server's events, passed on to the signalling thread in order.
  virtual void on_publish_started(const rtmp::Request &request) = 0;
  virtual void on_publish_ended(const rtmp::Request &request, bool finished) = 0;
  virtual void on_play_started(const rtmp::Request &request) = 0;
  virtual void on_play_ended(const rtmp::Request &request) = 0;

  /// Calls `to` on behalf of account `from`. A call of this pair that runs already is returned
  /// instead. Fails for what no rule allows, for a caller already in a call, and when full;
  /// fail_to_start() has been called then, unless a name is empty.
  virtual Result<std::string> start(const std::string &from, const std::string &to) = 0;
  /// A phone calls an account: rings its terminal, or refuses the call. Recorded either way.
  virtual void on_incoming(const sip::IncomingCall & /*incoming*/) {}
  /// Answers for a terminal that rings. An error says why not; Refused: the call is, but not so.
  virtual Result<void> answer(const std::string & /*id*/) { return bad_input("no such call"); }
  /// The same, but declines.
  virtual Result<void> decline(const std::string & /*id*/) { return bad_input("no such call"); }
  /// Records a call that cannot be started, as ended for `reason`, and tells the caller's publisher
  /// and players; these are left alone if the caller is in another call.
  virtual void fail_to_start(const std::string & /*from*/, const std::string & /*to*/,
                             EndReason /*reason*/, const std::string & /*detail*/) {}
  /// False if there is no such running call.
  virtual bool hangup(const std::string &id, EndReason reason) = 0;
  /// Presses keys at the phone of a running call. Fails with
  /// BadInput for what is no digit, Unreachable if there is no such running call, Refused where
  /// nobody hears them now.
  virtual Result<void> send_dtmf(const std::string & /*id*/, std::string_view /*digits*/,
                                 Duration /*length*/) {
    return Error{Fault::Unreachable, "There is no such call."};
  }
  virtual std::size_t running() const { return list().size(); }
  /// Running calls, without their plans and lines.
  virtual std::vector<View> list() const = 0;
  virtual std::optional<View> find(const std::string &id) const = 0;  ///< running calls
  /// Ends all with Shutdown; `done` when the last record is written.
  virtual void shutdown(std::function<void()> done) = 0;
};

}  // namespace junctor::calls
