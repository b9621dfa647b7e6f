// SPDX-License-Identifier: LGPL-2.1-or-later
// One call: its legs, its course, its end.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "calls/bridge.h"
#include "calls/leg.h"
#include "calls/machine.h"
#include "calls/surroundings.h"

namespace junctor::calls {

/// Joins a caller's leg with whichever callee's leg answers first. Signalling thread only.
class Call : public LegListener, public std::enable_shared_from_this<Call> {
 public:
  /// `changed` is called after each change of state, and once more when the first packets of both
  /// directions after the answer are known.
  using Changed = std::function<void(const Call &)>;

  static std::shared_ptr<Call> create(std::shared_ptr<const Surroundings> around, std::string id,
                                      std::string from, std::string to, std::shared_ptr<Leg> caller,
                                      Changed changed);
  ~Call() override;

  /// Rings all `callees`. If more of the caller's media may be known in a moment, waits so long,
  /// so that the offer names the profile that will be sent.
  void dial(std::vector<std::shared_ptr<Leg>> callees);
  /// Answers for a terminal that rings. Refused where none does, or where the answer has come to
  /// nothing: the sentence says why.
  Result<void> answer();
  static Error rings_nowhere();
  bool rings_at_terminal() const;
  /// `detail` is for people; empty: the reason's own sentence. Further calls do nothing.
  void end(EndReason reason, int sip_code, const std::string &detail);

  /// To the phone of the call, the callee's before the caller's.
  Result<void> send_dtmf(std::string_view digits, Duration length);

  State state() const { return machine_.state(); }
  const std::string &id() const { return id_; }
  const std::string &from() const { return from_; }
  const std::string &to() const { return to_; }
  View view() const;
  View brief() const;  ///< without plan and line

  void on_ringing(Leg &leg) override;
  void on_early_media(Leg &leg) override;
  void on_answered(Leg &leg) override;
  void on_media_changed(Leg &leg) override;
  void on_tracks(Leg &leg) override;
  void on_first_packet(Leg &leg, Medium medium, Time when) override;
  void on_keyframe_request(Leg &leg) override;
  void on_dtmf(Leg &leg, const sip::Dtmf &dtmf) override;
  void on_ended(Leg &leg, const LegEnd &end) override;

 private:
  struct Failure {
    LegEnd end;
    Leg::Target where;
  };

  Call(std::shared_ptr<const Surroundings> around, std::string id, std::string from, std::string to,
       std::shared_ptr<Leg> caller, Changed changed);

  void make_bridge();
  void join(const std::shared_ptr<Leg> &callee);
  void connect(std::shared_ptr<Leg> winner);
  void ring_all();
  void note(const Leg::Target &target);
  void keep_worst(Failure failure);
  void fail(const Failure &failure);
  /// The callee that `leg` is; null if it is none any more.
  std::shared_ptr<Leg> callee(const Leg &leg) const;
  void drop(Leg &leg, EndReason reason);
  void update();
  void tell_legs();
  void note_holds();
  void count(View &view) const;
  void tell_first_packets();
  std::optional<Time> first_packet_to(Side side) const;
  void end_for_silence(Side side);

  std::shared_ptr<const Surroundings> around_;
  const std::string id_, from_, to_;
  Changed changed_;
  Machine machine_;
  View record_;  ///< what view() starts from

  const std::shared_ptr<Leg> caller_;
  std::vector<std::shared_ptr<Leg>> callees_;  ///< that may still answer, or the one that did
  std::shared_ptr<Bridge> bridge_;
  bool rung_ = false;
  std::optional<Failure> worst_;  ///< the most telling end of a callee so far
  std::shared_ptr<void> waiting_for_tracks_;
  std::shared_ptr<Leg> answering_;  ///< has answered, and its tracks are waited for
  bool caller_gone_ = false;        ///< found out at the answer; its end is on its way
  std::optional<Time> answered_at_;
  /// By Side and Medium, after the answer.
  std::array<std::array<std::optional<Time>, 2>, 2> first_to_;
  bool first_packets_told_ = false;
};

}  // namespace junctor::calls
