// SPDX-License-Identifier: LGPL-2.1-or-later
// One call: its legs, its media, its end.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "calls/downlink.h"
#include "calls/machine.h"
#include "calls/media_path.h"
#include "calls/planner.h"
#include "calls/surroundings.h"

namespace junctor::calls {

/// How an end is told to RTMP clients: the code and description of an onStatus.
struct Farewell {
  std::string code, words;
};
Farewell farewell_to_player(EndReason reason);
Farewell farewell_to_publisher(EndReason reason);

/// Joins a terminal's two RTMP streams with whichever of the callee's contacts answers first.
/// Signalling thread only.
class Call : public std::enable_shared_from_this<Call> {
 public:
  /// `changed` is called after each change of state, and once more when the first packets of both
  /// directions after the answer are known.
  using Changed = std::function<void(const Call &)>;

  static std::shared_ptr<Call> create(std::shared_ptr<const Surroundings> around, std::string id,
                                      std::string from, std::string to, Changed changed);
  ~Call();

  /// Rings all `contacts`. If the push terminal is there but has not told its picture yet, waits
  /// for that a moment, so that the offer names the profile that will be sent.
  void dial(std::vector<sip::InviteOptions> contacts, bool push_present);
  void on_tracks(const PushTracks &tracks);
  /// The application that the caller's terminals use, for the line for people.
  void set_application(const std::string &application) { application_ = application; }
  /// Whether anybody plays, and what the first of them fixed.
  void on_players(bool any, const PullCodecs &codecs);
  /// The push terminal has ended its stream by itself.
  void on_push_finished();
  /// `detail` is for people; empty: the reason's own sentence. Further calls do nothing.
  void end(EndReason reason, int sip_code, const std::string &detail);

  State state() const { return machine_.state(); }
  /// Whether anybody has played, who was then told of the end too.
  bool had_audience() const { return pull_.has_value(); }
  const std::string &id() const { return id_; }
  const std::string &from() const { return from_; }
  const std::string &to() const { return to_; }
  View view() const;

 private:
  class Leg;
  /// Where a leg rings, for the record.
  struct Target {
    std::string uri, redirected_to;
  };
  struct Failure {
    EndReason reason = EndReason::Unreachable;
    int code = 0;
    std::string text;
    Target where;
  };

  Call(std::shared_ptr<const Surroundings> around, std::string id, std::string from, std::string to,
       Changed changed);

  void invite_all();
  void on_ringing(const Leg &leg);
  void on_early_media(Leg &leg);
  void on_answered(Leg &leg);
  void on_media_changed(Leg &leg);
  void on_leg_ended(Leg &leg, Failure failure);

  static Target target_of(const Leg &leg);
  void note(const Target &target);

  void update_media();
  Result<void> build();
  bool leave_out_more(const std::string &why);
  void end_without_media();
  void drop_path();
  void schedule_update();
  unsigned tries_left() const;
  void on_push_media(const std::string &state);
  void on_live_frame(Medium medium, Time when);
  void on_first_packet_to_callee(Time when);
  void tell_first_packets();
  void on_path_failed(const std::string &element, const std::string &message);

  void update_loops();
  void show_card(Card card);
  void play_tone(Tone tone);
  void set_loop(Medium medium, std::shared_ptr<const Loop> loop);
  void on_downlink(std::function<void(Downlink &)> function);
  bool callee_sends(Medium medium) const;
  bool reaches_player(Medium medium) const;
  bool on_hold() const;
  std::function<void()> keyframe_request() const;
  void tell_terminals(EndReason reason);
  std::vector<Setting> settings_for_people() const;
  void count_media(View &view) const;

  std::shared_ptr<const Surroundings> around_;
  const std::string id_, from_, to_;
  Changed changed_;
  Machine machine_;
  View record_;  ///< what view() starts from

  std::vector<sip::InviteOptions> contacts_;
  std::vector<std::shared_ptr<Leg>> legs_;
  std::shared_ptr<Leg>
      media_leg_;  ///< whose media flows: the first with early media, or the winner
  bool invited_ = false;
  std::optional<Failure> worst_;  ///< the most telling end of a leg so far
  std::shared_ptr<void> waiting_for_tracks_, pending_update_;

  PushTracks tracks_;
  bool audience_ = false;
  std::optional<PullCodecs> pull_;  ///< once anybody has played
  Plan whole_, plan_;               ///< what is to flow; the same without what is left out
  RouteSet left_out_;               ///< of `whole_`, which did not run with it
  RouteSet left_out_told_;          ///< what the log has of it
  std::string left_out_why_;
  std::unique_ptr<MediaPath> path_;
  bool sending_ = false;                 ///< the path carries the push terminal's media too
  std::string path_key_;                 ///< what the running path was made for
  std::array<bool, 2> path_receives_{};  ///< by Medium: the callee sent it when the path was made
  unsigned path_failures_ = 0;
  bool path_failed_ = false;           ///< the running path, which is to be replaced
  std::optional<Time> flowing_since_;  ///< the push terminal's media, through the running path
  std::string application_ = "call";
  std::shared_ptr<Downlink> downlink_;
  std::optional<Time> answered_at_, silent_since_, first_to_callee_, first_to_caller_;
  bool first_packets_told_ = false;
  bool push_finished_ = false;
  std::optional<Card> card_;
  std::optional<Tone> tone_;
  bool video_live_ = false, card_due_ = false;  ///< see update_loops()
  std::shared_ptr<void> card_timer_;
};

}  // namespace junctor::calls
