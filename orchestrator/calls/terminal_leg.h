// SPDX-License-Identifier: LGPL-2.1-or-later
// The leg of an RTMP terminal: a push and a pull of one account.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "calls/downlink.h"
#include "calls/leg.h"
#include "calls/surroundings.h"

namespace junctor::calls {

/// How an end is told to RTMP clients: the code and description of an onStatus.
struct Farewell {
  std::string code, words;
};
Farewell farewell_to_player(EndReason reason);
Farewell farewell_to_publisher(EndReason reason);

/// Its players see cards and hear tones while nothing comes from the other leg: a caller how the
/// callee rings, a callee that it is called, which it answers by publishing or by answer().
class TerminalLeg final : public Leg, public std::enable_shared_from_this<TerminalLeg> {
 public:
  /// `peer` is whom the cards name; behind it comes what the peer calls itself, which nothing
  /// proves.
  static std::shared_ptr<TerminalLeg> create(std::shared_ptr<const Surroundings> around, Side side,
                                             std::string account, std::string peer,
                                             const std::string &display = {});
  ~TerminalLeg() override;

  const std::string &account() const { return account_; }
  /// After end(): whether a call of its own has not come about, and nobody has played who was told.
  bool failed_unseen() const { return failed_ && !pull_; }

  /// After end(): its players, those too who come now, are shown why the call has not come about,
  /// or who has called, until leave_players() or make_way().
  bool lingers() const { return last_words_.has_value(); }
  /// For so long.
  Duration lingering() const;
  /// The same for a call that could not even be begun; whether it lingers. Without a word to the
  /// publisher. `reason` is nothing where another callee answered.
  bool linger(std::optional<EndReason> reason, Farewell farewell);
  /// Tells a caller's players that it is over. A callee's, who had no part in it, wait for the next
  /// call.
  void leave_players();
  /// Leaves the players to whoever writes to them next.
  void make_way();

  void on_tracks(const PushTracks &tracks);
  /// The push terminal's connection, whose tracks may be known later; 0: there is none.
  void on_publisher(std::uint64_t connection) { publisher_ = connection; }
  /// The push terminal has ended its stream by itself.
  void on_push_finished();
  /// Whether anybody plays, and what the first of them fixed.
  void on_players(bool any, const PullCodecs &codecs);
  /// Whether all of its connections are under TLS; nothing: there is none.
  void set_secure(std::optional<bool> secure) { secure_ = secure; }
  /// The application that the terminals use, for the line for people.
  void set_application(const std::string &application) { application_ = application; }

  LegKind kind() const override { return LegKind::Terminal; }
  /// Called once, when the call is over for it; `reason` is nothing where another callee answered.
  using Over = std::function<void(TerminalLeg &, std::optional<EndReason> reason)>;
  void set_over(Over over) { over_ = std::move(over); }

  LegMedia media() const override { return LegMedia::terminal(tracks_, pull_); }
  bool sends(Medium) const override { return true; }
  bool settled() const override;
  Result<void> ring(const LegMedia &caller) override;
  bool answer() override;
  bool rings_here() const override { return ringing_; }
  void give_up() override;
  void follow(const Course &course) override;
  void receive(const Course &course, std::function<void()> ask) override;
  void part(bool all) override;
  void end(EndReason reason) override { end(reason, ""); }
  /// `why` is told where the reason alone could mean many things.
  void end(EndReason reason, const std::string &why) override;
  void add_settings(std::vector<Setting> &settings) const override;
  void add_settings_for_people(std::vector<Setting> &settings) const override;
  LegLatency latency() const override;
  LegSecurity security() const override;
  std::int64_t keyframe_distance() const override;
  void add_downlink(Downlinks &downlinks) const override { downlinks[account_] = downlink_; }

 private:
  struct LastWords {
    Card card;
    Tone tone;
  };
  std::optional<LastWords> last_words(std::optional<EndReason> reason) const;

  TerminalLeg(std::shared_ptr<const Surroundings> around, Side side, std::string account,
              std::string peer);
  void open();
  void part_players();
  void finish(const Farewell &farewell, std::optional<EndReason> reason);
  void on_downlink(std::function<void(Downlink &)> function);
  void on_live_frame(Medium medium, Time when);

  // What players see and hear meanwhile.
  void update_loops();
  void show(Card card);
  void play(Tone tone);
  void set_loop(Medium medium, std::shared_ptr<const Loop> loop);
  void wait_with_card();

  std::shared_ptr<const Surroundings> around_;
  const std::string account_, peer_;
  std::string application_ = "call";
  std::shared_ptr<Downlink> downlink_;
  std::shared_ptr<rtmp::Outlet> outlet_;  ///< for its figures
  PushTracks tracks_;
  std::uint64_t publisher_ = 0;
  std::optional<bool> secure_;
  bool push_finished_ = false;
  bool ringing_ = false, answered_ = false;
  Over over_;
  std::shared_ptr<void> answer_timer_;
  bool audience_ = false;
  std::optional<PullCodecs> pull_;  ///< once anybody has played
  Course course_;
  std::optional<LastWords> last_words_;
  bool failed_ = false;  ///< the call that it made, before any answer
  Farewell farewell_;    ///< once it has ended
  std::optional<Card> card_;
  std::optional<Tone> tone_;
  bool video_live_ = false, card_due_ = false;  ///< see update_loops()
  std::shared_ptr<void> card_timer_;
};

}  // namespace junctor::calls
