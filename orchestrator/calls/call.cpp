// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/call.h"

#include <algorithm>

#include "calls/call_leg.h"
#include "calls/sentence.h"
#include "common/main_context.h"

namespace junctor::calls {

namespace {

using std::chrono::milliseconds;

/// How long the INVITE waits for a push terminal that is there to tell its picture's profile.
constexpr auto kTrackPatience = milliseconds(200);

/// Of the ends of several contacts, the one that tells the caller most.
int rank(EndReason reason) {
  switch (reason) {
    case EndReason::Declined:
      return 6;
    case EndReason::Busy:
      return 5;
    case EndReason::NoAnswer:
      return 4;
    case EndReason::NotAcceptable:
      return 3;
    case EndReason::Unauthorized:
      return 2;
    default:
      return 1;
  }
}

bool is_failure(EndReason reason) {
  return reason != EndReason::CallerHangup && reason != EndReason::CalleeHangup &&
         reason != EndReason::Admin && reason != EndReason::Shutdown;
}

}  // namespace

Farewell farewell_to_player(EndReason reason) {
  return {is_failure(reason) ? "NetStream.Play.Failed" : "NetStream.Play.Complete",
          std::string(to_string(reason)) + ": " + std::string(describe(reason))};
}

Farewell farewell_to_publisher(EndReason reason) {
  return {is_failure(reason) ? "NetStream.Publish.Failed" : "NetStream.Unpublish.Success",
          std::string(to_string(reason)) + ": " + std::string(describe(reason))};
}

std::shared_ptr<Call> Call::create(std::shared_ptr<const Surroundings> around, std::string id,
                                   std::string from, std::string to, Changed changed) {
  std::shared_ptr<Call> call(new Call(std::move(around), std::move(id), std::move(from),
                                      std::move(to), std::move(changed)));
  const auto context = call->around_->context;
  call->downlink_ =
      Downlink::create(call->around_->server->reactor(),
                       [weak = call->weak_from_this(), context](Medium medium, Time when) {
                         post_to(context, [weak, medium, when] {
                           if (const auto self = weak.lock()) self->on_live_frame(medium, when);
                         });
                       });
  call->on_downlink([server = call->around_->server, name = call->from_](Downlink &downlink) {
    downlink.open(*server, name);
  });
  return call;
}

Call::Call(std::shared_ptr<const Surroundings> around, std::string id, std::string from,
           std::string to, Changed changed)
    : around_(std::move(around)),
      id_(std::move(id)),
      from_(std::move(from)),
      to_(std::move(to)),
      changed_(std::move(changed)) {
  record_.id = id_;
  record_.from = from_;
  record_.to = to_;
  record_.created = around_->world.wall();
}

Call::~Call() {
  path_.reset();
  // Its timer belongs to the reactor, where it must end.
  around_->server->reactor()->post([downlink = std::move(downlink_)] { downlink->close(); });
}

void Call::dial(std::vector<sip::InviteOptions> contacts, bool push_present) {
  contacts_ = std::move(contacts);
  if (!contacts_.empty()) record_.uri = contacts_.front().uri;
  machine_.handle(Event::Dial);
  changed_(*this);
  if (contacts_.empty()) return end(EndReason::Unreachable, 0, "The callee is not registered.");
  update_loops();
  if (push_present && !tracks_.video)
    waiting_for_tracks_ = around_->world.after(kTrackPatience, [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->invite_all();
    });
  else
    invite_all();
}

void Call::invite_all() {
  waiting_for_tracks_.reset();
  if (invited_ || state() == State::Ended) return;
  invited_ = true;
  for (sip::InviteOptions options : contacts_) {
    options.reactor = around_->server->reactor();
    options.answer_timeout = around_->options.answer_timeout;
    options.offer = make_offer(tracks_, around_->options.formats);
    if (tracks_.video && tracks_.video->codec == Codec::H264)
      options.h264 = rtp::H264Profile::from_avcc(tracks_.video->config.view);
    auto leg = std::make_shared<Leg>(weak_from_this(), options);
    auto call = around_->agent->invite(options, leg);
    if (!call) {
      around_->log(LogLevel::Warning, "call " + id_ + ": " + call.error().detail);
      worst_ = Failure{EndReason::Unreachable, 0, call.error().detail, {options.uri, {}}};
      continue;
    }
    leg->call = *call;
    legs_.push_back(std::move(leg));
  }
  if (legs_.empty()) end(worst_->reason, worst_->code, worst_->text);
}

void Call::on_tracks(const PushTracks &tracks) {
  tracks_ = tracks;
  if (waiting_for_tracks_ && tracks_.video) return invite_all();
  if (state() == State::Answered) schedule_update();
}

void Call::on_players(bool any, const PullCodecs &codecs) {
  if (state() == State::Ended) return;
  if (audience_ != any) {
    audience_ = any;
    on_downlink([any](Downlink &downlink) { downlink.set_audience(any); });
  }
  // When the last player goes everything stays as it is: it may be back in a moment.
  if (!any) return;
  if (pull_ != codecs) {
    pull_ = codecs;
    card_.reset();
    tone_.reset();
  }
  update_media();
  update_loops();
}

void Call::on_push_finished() {
  push_finished_ = true;
  end(EndReason::CallerHangup, 0, "The push terminal ended its stream.");
}

Call::Target Call::target_of(const Leg &leg) {
  return {leg.contact.uri, leg.call ? leg.call->redirected_to() : ""};
}

void Call::note(const Target &target) {
  record_.uri = target.uri;
  record_.redirected_to = target.redirected_to;
}

void Call::on_ringing(const Leg &leg) {
  if (!machine_.handle(Event::Alert)) return;
  note(target_of(leg));
  record_.ringing = around_->world.wall();
  update_loops();
  changed_(*this);
}

void Call::on_early_media(Leg &leg) {
  if (state() == State::Answered || state() == State::Ended) return;
  const bool moved = machine_.handle(Event::EarlyMedia);
  if (moved) {
    note(target_of(leg));
    record_.ringing = around_->world.wall();
  }
  if (!media_leg_)
    for (const auto &candidate : legs_)
      if (candidate.get() == &leg) media_leg_ = candidate;
  // The ring goes on until a packet really comes.
  update_loops();
  if (media_leg_.get() == &leg) update_media();
  if (moved && state() != State::Ended) changed_(*this);
}

void Call::on_answered(Leg &leg) {
  const auto found = std::find_if(legs_.begin(), legs_.end(),
                                  [&](const auto &candidate) { return candidate.get() == &leg; });
  if (found == legs_.end()) return;
  const auto winner = *found;
  if (!machine_.handle(Event::Answer)) {
    // Another contact was faster.
    if (winner != media_leg_) winner->call->hangup(EndReason::CallerHangup);
    return;
  }
  auto losers = std::move(legs_);
  legs_ = {winner};
  media_leg_ = winner;
  for (const auto &loser : losers)
    if (loser != winner) loser->call->hangup(EndReason::CallerHangup);
  answered_at_ = silent_since_ = around_->world.now();
  if (!path_) left_out_.reset();  // early media that failed do not count against the call's own
  // Early media that goes on counts from here.
  on_downlink([](Downlink &downlink) { downlink.tell_next_frames(); });
  record_.answered = around_->world.wall();
  note(target_of(leg));
  update_media();
  update_loops();
  if (state() != State::Ended) changed_(*this);
}

void Call::on_media_changed(Leg &leg) {
  if (media_leg_.get() != &leg || state() == State::Ended) return;
  update_media();
  update_loops();
}

void Call::on_leg_ended(Leg &leg, Failure failure) {
  if (state() == State::Ended) return;
  const auto found = std::find_if(legs_.begin(), legs_.end(),
                                  [&](const auto &candidate) { return candidate.get() == &leg; });
  if (found == legs_.end()) return;
  const auto gone = *found;
  if (state() == State::Answered) return end(failure.reason, failure.code, failure.text);
  failure.where = target_of(leg);
  legs_.erase(found);
  if (!worst_ || rank(failure.reason) > rank(worst_->reason)) worst_ = failure;
  if (legs_.empty()) {
    note(worst_->where);
    return end(worst_->reason, worst_->code, worst_->text);
  }
  if (media_leg_ != gone) return;
  media_leg_.reset();
  drop_path();
  video_live_ = false;
  on_downlink([](Downlink &downlink) {
    downlink.release(Medium::Audio);
    downlink.release(Medium::Video);
  });
}

void Call::on_downlink(std::function<void(Downlink &)> function) {
  around_->server->reactor()->post(
      [downlink = downlink_, function = std::move(function)] { function(*downlink); });
}

void Call::end(EndReason reason, int sip_code, const std::string &detail) {
  if (!machine_.end(reason)) return;
  waiting_for_tracks_.reset();
  pending_update_.reset();
  card_timer_.reset();
  record_.reason = reason;
  record_.sip_code = sip_code;
  record_.detail = detail.empty() ? std::string(describe(reason)) : as_sentence(detail);
  record_.ended = around_->world.wall();
  count_media(record_);
  drop_path();
  if (legs_.size() == 1) note(target_of(*legs_.front()));
  for (const auto &leg : std::exchange(legs_, {})) leg->call->hangup(reason);
  media_leg_.reset();
  tell_terminals(reason);
  changed_(*this);
}

void Call::tell_terminals(EndReason reason) {
  on_downlink([farewell = farewell_to_player(reason)](Downlink &downlink) {
    downlink.end(farewell.code, farewell.words);
  });
  // One that has left may be back already, with another call in mind.
  if (push_finished_) return;
  around_->server->reactor()->post(
      [server = around_->server, name = from_, farewell = farewell_to_publisher(reason)] {
        server->end_publisher(name, farewell.code, farewell.words);
      });
}

}  // namespace junctor::calls
