// SPDX-License-Identifier: LGPL-2.1-or-later
// A contact of the callee that a call rings.
#pragma once

#include <memory>
#include <string>

#include "calls/call.h"

namespace junctor::calls {

/// One contact of the callee that is being called.
class Call::Leg : public sip::CallListener {
 public:
  Leg(std::weak_ptr<Call> owner, sip::InviteOptions invited)
      : contact(std::move(invited)), owner_(std::move(owner)) {}

  void on_ringing(sip::Call &) override {
    if (auto owner = owner_.lock()) owner->on_ringing(*this);
  }
  void on_early_media(sip::Call &) override {
    if (auto owner = owner_.lock()) owner->on_early_media(*this);
  }
  void on_answered(sip::Call &) override {
    if (auto owner = owner_.lock()) owner->on_answered(*this);
  }
  void on_media_changed(sip::Call &) override {
    if (auto owner = owner_.lock()) owner->on_media_changed(*this);
  }
  void on_keyframe_request(sip::Call &) override {
    const auto owner = owner_.lock();
    if (owner && owner->path_) owner->path_->force_keyframe();
  }
  void on_ended(sip::Call &, EndReason reason, int code, const std::string &text) override {
    if (auto owner = owner_.lock()) owner->on_leg_ended(*this, {reason, code, text, {}});
  }

  const sip::InviteOptions contact;
  std::shared_ptr<sip::Call> call;

 private:
  std::weak_ptr<Call> owner_;
};

}  // namespace junctor::calls
