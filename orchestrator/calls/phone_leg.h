// SPDX-License-Identifier: LGPL-2.1-or-later
// The leg of a SIP phone.
#pragma once

#include <memory>
#include <string>

#include "calls/leg.h"
#include "calls/surroundings.h"

namespace junctor::calls {

/// One contact that is rung by an INVITE, or a phone that has called.
class PhoneLeg final : public Leg,
                       public sip::CallListener,
                       public std::enable_shared_from_this<PhoneLeg> {
 public:
  /// `account` is the caller's: who the INVITE is from, unless `contact` says otherwise.
  PhoneLeg(std::shared_ptr<const Surroundings> around, Side side, sip::InviteOptions contact,
           std::string account)
      : Leg(side),
        around_(std::move(around)),
        contact_(std::move(contact)),
        account_(std::move(account)) {}

  /// The caller's leg of a call that came.
  static std::shared_ptr<PhoneLeg> caller(std::shared_ptr<const Surroundings> around,
                                          const sip::IncomingCall &incoming);

  LegKind kind() const override { return LegKind::Phone; }
  LegMedia media() const override;
  bool sends(Medium medium) const override;
  bool holds() const override;
  bool puts_on_hold() const override;
  std::string path_key() const override;
  std::function<void()> keyframe_request() const override;
  Target target() const override;
  bool over() const override { return call_ && call_->state() == sip::CallState::Ended; }
  Result<void> ring(const LegMedia &caller) override;
  Result<void> send_dtmf(std::string_view digits, Duration length) override;
  bool accepts_with_media() const override { return true; }
  Result<void> accept(const LegMedia &callee) override;
  void follow(const Course &course) override;
  /// The same with words of why, for a call that came and is refused.
  void end(EndReason reason, const std::string &why) override;
  void end(EndReason reason) override;
  void add_settings(std::vector<Setting> &settings) const override;
  void add_settings_for_people(std::vector<Setting> &settings) const override;
  void count(View &view) const override;
  LegSecurity security() const override;
  LegLatency latency() const override;

  void on_ringing(sip::Call &) override { tell(&LegListener::on_ringing); }
  void on_early_media(sip::Call &) override { tell(&LegListener::on_early_media); }
  void on_answered(sip::Call &) override {
    has_taken_ = has_taken_ || takes();
    tell(&LegListener::on_answered);
  }
  void on_media_changed(sip::Call &) override {
    has_taken_ = has_taken_ || takes();
    tell(&LegListener::on_media_changed);
  }
  void on_keyframe_request(sip::Call &) override { tell(&LegListener::on_keyframe_request); }
  void on_dtmf(sip::Call &, const sip::Dtmf &dtmf) override { tell(&LegListener::on_dtmf, dtmf); }
  void on_ended(sip::Call &, EndReason reason, int code, const std::string &text) override {
    tell(&LegListener::on_ended, LegEnd{reason, code, text});
  }

 private:
  bool takes() const;

  std::shared_ptr<const Surroundings> around_;
  const sip::InviteOptions contact_;
  const std::string account_;
  std::shared_ptr<sip::Call> call_;  ///< once it is rung
  bool has_taken_ = false;           ///< media of ours: one that never does is no phone on hold
};

}  // namespace junctor::calls
