// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/phone_leg.h"

#include <algorithm>
#include <sstream>

#include "calls/planner.h"
#include "common/main_context.h"

namespace junctor::calls {

namespace {

std::optional<rtp::H264Profile> pushed_profile(const LegMedia &leg) {
  const auto &video = leg.tracks.video;
  if (!video || video->codec != Codec::H264) return std::nullopt;
  return rtp::H264Profile::from_avcc(video->config.view);
}

}  // namespace

std::shared_ptr<PhoneLeg> PhoneLeg::caller(std::shared_ptr<const Surroundings> around,
                                           const sip::IncomingCall &incoming) {
  sip::InviteOptions contact;
  contact.uri = incoming.uri;
  // As whom it would be called back.
  contact.from_user = incoming.to;
  if (around->options.srtp) contact.srtp = around->options.srtp(incoming);
  auto leg =
      std::make_shared<PhoneLeg>(std::move(around), Side::Caller, std::move(contact), incoming.to);
  leg->call_ = incoming.call;
  incoming.call->set_listener(leg);
  return leg;
}

LegMedia PhoneLeg::media() const {
  return LegMedia::phone(call_ ? call_->media() : std::vector<sip::Media>());
}

bool PhoneLeg::sends(Medium medium) const {
  if (!call_) return false;
  for (const sip::Media &media : call_->media())
    if (media.medium == medium && media.accepted)
      return media.direction == sip::Direction::SendRecv ||
             media.direction == sip::Direction::RecvOnly;
  return false;
}

bool PhoneLeg::holds() const {
  return call_ && std::ranges::any_of(call_->media(), &sip::Media::accepted) &&
         !sends(Medium::Audio) && !sends(Medium::Video);
}

bool PhoneLeg::takes() const {
  return call_ && std::ranges::any_of(call_->media(), [](const sip::Media &media) {
           return media.accepted && (media.direction == sip::Direction::SendRecv ||
                                     media.direction == sip::Direction::SendOnly);
         });
}

bool PhoneLeg::puts_on_hold() const {
  return call_ && std::ranges::any_of(call_->media(), &sip::Media::accepted) && !takes() &&
         (has_taken_ || holds());
}

std::string PhoneLeg::path_key() const {
  if (!call_) return {};
  std::ostringstream key;
  key << call_->id();
  for (const sip::Media &media : call_->media())
    if (media.accepted) key << '\n' << media.session.get();
  return key.str();
}

/// For as long as its first picture has not come.
std::function<void()> PhoneLeg::keyframe_request() const {
  if (!call_) return nullptr;
  for (const sip::Media &media : call_->media())
    if (media.medium == Medium::Video && media.accepted && media.session)
      return [session = media.session, context = around_->context,
              call = std::weak_ptr<sip::Call>(call_)] {
        // One that sends no picture at all (on hold, camera off) has none to make whole.
        if (session->stats().received_packets == 0 || session->request_keyframe()) return;
        post_to(context, [call] {
          if (const auto alive = call.lock()) alive->request_keyframe_by_info();
        });
      };
  return nullptr;
}

Leg::Target PhoneLeg::target() const { return {contact_.uri, call_ ? call_->redirected_to() : ""}; }

Result<void> PhoneLeg::ring(const LegMedia &caller) {
  sip::InviteOptions options = contact_;
  options.reactor = around_->server->reactor();
  options.answer_timeout = around_->options.answer_timeout;
  options.offer = make_offer(caller, around_->options.formats);
  options.h264 = pushed_profile(caller);
  auto call = around_->agent->invite(options, weak_from_this());
  if (!call && call.error().fault == Fault::NotAcceptable) {
    tell(&LegListener::on_ended, LegEnd{EndReason::NotAcceptable, 0, call.error().detail});
    return {};
  }
  if (!call) return call.error();
  call_ = *call;
  return {};
}

Result<void> PhoneLeg::send_dtmf(std::string_view digits, Duration length) {
  if (!call_) return refused("The phone has not been called yet.");
  return call_->send_dtmf(digits, length);
}

Result<void> PhoneLeg::accept(const LegMedia &callee) {
  sip::AnswerOptions options;
  options.offer = make_offer(callee, around_->options.formats);
  options.h264 = pushed_profile(callee);
  options.srtp = contact_.srtp;
  options.reactor = around_->server->reactor();
  auto answered = call_->answer(options);
  // What we offer in our 200 is agreed on with the ACK, and told by on_media_changed().
  has_taken_ = has_taken_ || takes();
  return answered;
}

void PhoneLeg::follow(const Course &course) {
  if (side() == Side::Caller && course.state == State::Ringing) call_->alert();
}

void PhoneLeg::end(EndReason reason) {
  if (call_) call_->hangup(reason);
}

void PhoneLeg::end(EndReason reason, const std::string &why) {
  if (side() == Side::Callee) return end(reason);
  call_->hangup(reason, why);
}

void PhoneLeg::add_settings(std::vector<Setting> &settings) const {
  if (call_) settings.push_back({element(), "call", call_->id()});
}

void PhoneLeg::add_settings_for_people(std::vector<Setting> &settings) const {
  const auto [uri, moved] = target();
  settings.push_back({element(), "uri", moved.empty() ? uri : moved});
  settings.push_back(
      {element(), "from", contact_.from_user.empty() ? account_ : contact_.from_user});
  // These do not follow to another host, which the rules may have allowed.
  if (!moved.empty()) return;
  if (!contact_.proxy.empty()) settings.push_back({element(), "proxy", contact_.proxy});
  if (!contact_.user.empty()) {
    settings.push_back({element(), "user", contact_.user});
    settings.push_back({element(), "password", "PASSWORD"});
  }
}

void PhoneLeg::count(View &view) const {
  if (!call_) return;
  for (const sip::Media &media : call_->media_snapshot()) {
    if (!media.session) continue;
    const rtp::Stats stats = media.session->stats();
    View::MediaCount &count = media.medium == Medium::Audio ? view.audio : view.video;
    count.sent_packets += stats.sent_packets;
    count.received_packets += stats.received_packets;
    count.lost += stats.lost;
    count.jitter_ms = stats.jitter_ms;
    count.reorder_wait_ms = stats.reorder_wait_ms;
    if (stats.round_trip_ms > 0) count.round_trip_ms = stats.round_trip_ms;
  }
}

LegLatency PhoneLeg::latency() const {
  LegLatency latency;
  if (!call_) return latency;
  for (const sip::Media &media : call_->media_snapshot()) {
    if (!media.session) continue;
    const rtp::SessionLatency its = media.session->latency();
    latency.of[static_cast<std::size_t>(media.medium)] = {its.receive, its.reorder, its.pass_on,
                                                          its.packetize, its.send};
  }
  return latency;
}

LegSecurity PhoneLeg::security() const {
  if (!call_) return {};
  LegSecurity security{call_->transport() == "tls" ? "tls" : "none", ""};
  std::string apart;
  bool same = true;
  for (const sip::Media &media : call_->media_snapshot()) {
    if (!media.accepted) continue;
    const std::string how =
        media.srtp ? "srtp " + std::string(to_string(*media.srtp)) : std::string("none");
    same &= security.media.empty() || security.media == how;
    security.media = how;
    apart += (apart.empty() ? "" : ", ") + std::string(to_string(media.medium)) + ' ' + how;
  }
  if (!same) security.media = apart;
  return security;
}

}  // namespace junctor::calls
