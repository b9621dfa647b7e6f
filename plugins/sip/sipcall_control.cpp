// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sip/sipcall_control.h"

namespace junctor::sipcall {

namespace {

GstStructure *change(const char *state, const std::string &call_id) {
  return gst_structure_new("junctor-sip-call", "state", G_TYPE_STRING, state, "call-id",
                           G_TYPE_STRING, call_id.c_str(), nullptr);
}

EndReason reason_of(Fault fault) {
  switch (fault) {
    case Fault::Unreachable:
    case Fault::PeerClosed:
      return EndReason::Unreachable;
    case Fault::Refused:
    case Fault::Overloaded:
      return EndReason::Overloaded;
    case Fault::NotAcceptable:
      return EndReason::NotAcceptable;
    case Fault::Timeout:
      return EndReason::NoAnswer;
    default:
      return EndReason::Internal;
  }
}

}  // namespace

Control::Control(std::shared_ptr<Line> line, Owner &owner, GstElement *element)
    : line_(std::move(line)), owner_(owner), element_(GST_ELEMENT(gst_object_ref(element))) {}

Control::~Control() { gst_object_unref(element_); }

std::shared_ptr<sip::Call> Control::call() const {
  const std::lock_guard lock(mutex_);
  return call_;
}

std::string Control::call_id() const {
  const auto call = this->call();
  return call ? call->id() : std::string();
}

void Control::invite(sip::InviteOptions options) {
  line_->run([self = shared_from_this(), options = std::move(options)](sip::Agent &agent) {
    self->begin(agent, options);
  });
}

void Control::begin(sip::Agent &agent, const sip::InviteOptions &options) {
  if (closing_ || ended_) return;
  auto call = agent.invite(options, weak_from_this());
  if (!call) {
    ended(reason_of(call.error().fault), 0, call.error().detail);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    call_ = *call;
  }
  owner_.post_change(change("trying", (*call)->id()));
}

void Control::attach(std::shared_ptr<sip::Call> call) {
  attached_ = true;
  const std::lock_guard lock(mutex_);
  call_ = std::move(call);
}

void Control::hangup(EndReason reason) {
  line_->run([self = shared_from_this(), reason](sip::Agent &) {
    if (const auto call = self->call())
      call->hangup(reason);
    else if (!self->ended_)
      self->ended(reason, 0, "The call was ended before it was made.");
  });
}

void Control::send_dtmf(std::string digits, Duration length) {
  line_->run([self = shared_from_this(), digits = std::move(digits), length](sip::Agent &) {
    const auto call = self->call();
    const auto sent = call ? call->send_dtmf(digits, length)
                           : Result<void>(refused("Digits can be sent when there is a call."));
    if (!sent) self->warn_unsent(digits.size(), sent.error().detail);
  });
}

void Control::warn_unsent(std::size_t digits, const std::string &why) {
  GST_ELEMENT_WARNING(element_, RESOURCE, WRITE, ("%s", why.c_str()),
                      // Not which: they may be somebody's PIN.
                      ("of %" G_GSIZE_FORMAT " digits", digits));
}

void Control::request_keyframe_by_info() {
  line_->run([self = shared_from_this()](sip::Agent &) {
    if (const auto call = self->call()) call->request_keyframe_by_info();
  });
}

void Control::after(Duration delay, std::function<void()> function) {
  line_->run([self = shared_from_this(), delay, function = std::move(function)](sip::Agent &) {
    GMainContext *context = self->line_->context();
    if (self->closing_ || context == nullptr) return;
    // Closing resets the timer, and with it this hold on ourselves.
    self->timer_ = ContextTimer(context, delay, [self, function] {
      if (!self->closing_) function();
    });
  });
}

void Control::close() {
  if (closing_.exchange(true)) return;
  line_->run([self = shared_from_this()](sip::Agent &) {
    self->timer_.reset();
    if (self->attached_) return;
    if (const auto call = self->call()) call->hangup(EndReason::CallerHangup);
  });
}

void Control::tell_media(const char *state, sip::Call &call) {
  owner_.apply(call.media());
  GstStructure *structure = change(state, call.id());
  for (const sip::Media &media : call.media()) {
    const std::string name(to_string(media.medium));
    const bool accepted = media.accepted && media.format != nullptr;
    const std::string codec =
        accepted ? std::string(to_string(media.format->codec)) : std::string("none");
    const std::string direction(to_string(accepted ? media.direction : sip::Direction::Inactive));
    gst_structure_set(structure, name.c_str(), G_TYPE_STRING, codec.c_str(),
                      (name + "-direction").c_str(), G_TYPE_STRING, direction.c_str(), nullptr);
  }
  owner_.post_change(structure);
}

void Control::on_ringing(sip::Call &call) {
  owner_.post_change(change("ringing", call.id()));
  owner_.emit_ringing();
}

void Control::on_early_media(sip::Call &call) {
  tell_media("early-media", call);
  owner_.emit_early_media();
}

void Control::on_answered(sip::Call &call) {
  answered_ = true;
  tell_media("answered", call);
  owner_.emit_answered();
  // The callee's decoder knows nothing yet: its first picture must be a whole one.
  owner_.force_keyframe();
}

void Control::on_media_changed(sip::Call &call) {
  tell_media("media-changed", call);
  owner_.force_keyframe();
}

void Control::on_keyframe_request(sip::Call &) { owner_.force_keyframe(); }

void Control::on_dtmf(sip::Call &call, const sip::Dtmf &dtmf) {
  const char text[2] = {dtmf.digit, '\0'};
  const auto length = std::chrono::duration_cast<std::chrono::milliseconds>(dtmf.length);
  owner_.post_change(gst_structure_new(kDtmfMessage, "digit", G_TYPE_STRING, text, "duration",
                                       G_TYPE_UINT, static_cast<guint>(length.count()), "method",
                                       G_TYPE_STRING, std::string(to_string(dtmf.method)).c_str(),
                                       "call-id", G_TYPE_STRING, call.id().c_str(), nullptr));
}

void Control::on_ended(sip::Call &, EndReason reason, int code, const std::string &text) {
  ended(reason, code, text);
}

void Control::ended(EndReason reason, int code, const std::string &text) {
  if (ended_) return;
  ended_ = true;
  timer_.reset();
  GstStructure *structure = change("ended", call_id());
  gst_structure_set(structure, "reason", G_TYPE_STRING, std::string(to_string(reason)).c_str(),
                    "code", G_TYPE_INT, code, "text", G_TYPE_STRING, text.c_str(), nullptr);
  owner_.post_change(structure);
  owner_.emit_ended(code, reason);
  if (closing_) return;
  const bool wanted = reason == EndReason::CallerHangup ||
                      (answered_ && (reason == EndReason::CalleeHangup ||
                                     reason == EndReason::Admin || reason == EndReason::Shutdown));
  owner_.finish(!wanted, reason, code, text);
}

}  // namespace junctor::sipcall
