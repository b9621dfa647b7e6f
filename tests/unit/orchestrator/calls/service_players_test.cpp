// SPDX-License-Identifier: LGPL-2.1-or-later
// What players and pipelines of calls get: codecs, threads, and what is done while nobody plays.
#include <gmock/gmock.h>

#include "common/peer_log_budget.h"
#include "service_fixture.h"

namespace junctor::calls {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Contains;
using testing::HasSubstr;

TEST_F(ServiceTest, ThePlaysCodecsAreFixedByTheFirstPlayer) {
  play_from_start_ = false;
  play(5, {{"audio", "pcmu"}});
  EXPECT_EQ(logged_.find("the play of alice"), std::string::npos) << logged_;
  play(6, {{"audio", "aac"}});
  EXPECT_NE(logged_.find("the play of alice: it asks for aac and h264, but gets pcmu and h264, as "
                         "another player of alice is there, which fixed them"),
            std::string::npos)
      << logged_;
  answered_call();
  EXPECT_EQ(tone_codec_, Codec::Pcmu);
  EXPECT_TRUE(line_has("callee.audio_src ! soundfit ")) << "A-law to µ-law: " << line();
  EXPECT_TRUE(line_has("soundfit caps=audio/x-mulaw,rate=8000,channels=1 ! caller_player.audio"));
}

TEST_F(ServiceTest, ARefusedSecondPublisherLeavesTheSecurityAsItWas) {
  play_from_start_ = false;
  const auto come = [this](std::uint64_t connection, rtmp::Role role, bool secure,
                           const std::string &to) {
    auto asked = request(connection, role, {{"to", to}});
    asked.secure = secure;
    if (role == rtmp::Role::Push)
      service_->on_publish_started(asked);
    else
      service_->on_play_started(asked);
    pump();
  };
  come(5, rtmp::Role::Pull, true, "");
  come(1, rtmp::Role::Push, true, "bob");
  video_track();
  audio_track();
  sip(0).ring();
  sip(0).answer(both());
  pump();
  const std::string id = last().id;
  const LegSecurity under_tls{"tls", "tls"};
  EXPECT_EQ(service_->find(id)->caller_security, under_tls);
  come(2, rtmp::Role::Push, false, "carol");
  EXPECT_THAT(server_->ended, Contains(HasSubstr("busy"))) << "the second one is refused";
  ASSERT_TRUE(service_->find(id)) << "the call goes on";
  EXPECT_EQ(service_->find(id)->caller_security, under_tls);
  service_->hangup(id, EndReason::Admin);
  pump();
  EXPECT_EQ(last().caller_security, under_tls) << "in the record";
}

TEST_F(ServiceTest, WhoPlaysInVainAgainAndAgainIsLoggedNowAndThen) {
  play_from_start_ = false;
  play(5, {{"audio", "pcmu"}});
  const auto plays = [this](const std::string &codec, int times) {
    logged_.clear();
    for (int i = 0; i < times; ++i) {
      play(6, {{"audio", codec}});
      service_->on_play_ended(request(6, rtmp::Role::Pull));
    }
    return std::ranges::count(logged_, '\n');
  };
  EXPECT_EQ(plays("aac", 200), PeerLogBudget::kPeerBurst) << logged_;
  EXPECT_EQ(plays("opus", 200), 0) << logged_;
  pass(PeerLogBudget::kPeerInterval);
  EXPECT_EQ(plays("opus", 1), 1) << logged_;
  EXPECT_NE(logged_.find("(560 others left out of the log)"), std::string::npos) << logged_;
}

TEST_F(ServiceTest, SoundIsTranscodedInAThreadWhereTheReactorHasNoRoom) {
  const double all = around_->headroom.left();
  auto others = around_->headroom.borrow(all - 0.5);
  ASSERT_TRUE(others);
  EXPECT_FALSE(around_->headroom.borrow(1)) << "there is half a percent";
  play_from_start_ = false;
  play(5, {{"audio", "pcmu"}});
  answered_call();
  EXPECT_TRUE(line_has("callee.audio_src ! queue")) << line();
  others.reset();
  EXPECT_DOUBLE_EQ(around_->headroom.left(), all);
}

TEST_F(ServiceTest, WhatACallBorrowsForItsSoundItGivesBack) {
  const double all = around_->headroom.left();
  play_from_start_ = false;
  play(5, {{"audio", "pcmu"}});
  answered_call();
  EXPECT_FALSE(line_has("queue")) << line();
  EXPECT_LT(around_->headroom.left(), all);
  EXPECT_TRUE(service_->hangup(last().id, EndReason::Admin));
  EXPECT_DOUBLE_EQ(around_->headroom.left(), all);
}

TEST_F(ServiceTest, NothingIsDrawnNorSentBackWhileNobodyPlays) {
  play_from_start_ = false;
  answered_call();
  EXPECT_FALSE(card_.has_value());
  EXPECT_FALSE(tone_.has_value());
  EXPECT_FALSE(line_has("callee.audio_src")) << line();
  EXPECT_FALSE(line_has("voaacenc"));
  EXPECT_TRUE(line_has("watchdog.sink_1"));
}

TEST_F(ServiceTest, EarlyMediaWithoutAPlayerHasNoPipeline) {
  play_from_start_ = false;
  publish();
  video_track();
  sip(0).early({media(Codec::Pcma)});
  EXPECT_TRUE(paths_.empty());
  play(5);
  EXPECT_EQ(paths_.size(), 1u);
}

TEST_F(ServiceTest, APlayThatComesDuringTheCallIsServed) {
  play_from_start_ = false;
  answered_call();
  play(5, {{"audio", "pcma"}});
  ASSERT_EQ(paths_.size(), 2u);
  EXPECT_TRUE(line_has("callee.audio_src ! caller_player.audio")) << line();
  EXPECT_EQ(tone_codec_, Codec::Pcma);
  play(6, {{"audio", "aac"}});
  EXPECT_EQ(paths_.size(), 2u) << "the codecs are fixed";
}

TEST_F(ServiceTest, ACardForThePictureThatIsOnItsWayComesLate) {
  answered_call();
  EXPECT_EQ(card_, Card::Ringing);
  pass(milliseconds(1000));
  EXPECT_EQ(card_, Card::Connected);
}

TEST_F(ServiceTest, AnUnknownCodecOfAPlayMeansTheDefaults) {
  play_from_start_ = false;
  play(5, {{"audio", "opus"}});
  answered_call();
  EXPECT_TRUE(line_has("voaacenc"));
}

TEST_F(ServiceTest, TheCallGoesOnWithoutPlayers) {
  play_from_start_ = false;
  play(5);
  answered_call();
  service_->on_play_ended(request(5, rtmp::Role::Pull));
  pump();
  EXPECT_EQ(state(), State::Answered);
  EXPECT_EQ(paths_.size(), 1u);
  play(6);
  EXPECT_EQ(paths_.size(), 1u) << "and is there for whoever comes back";
}

TEST_F(ServiceTest, OfTwoPlaysOfOneConnectionTheOtherGoesOn) {
  around_->options.is_account = [](const std::string &) { return true; };
  play_from_start_ = false;
  play(5, {{"audio", "pcmu"}});
  play(5, {{"audio", "pcmu"}});
  const auto end_play = [this] {
    service_->on_play_ended(request(5, rtmp::Role::Pull));
    pump();
  };
  const auto phone_calls = [this] {
    const auto phone = std::make_shared<fakes::Call>("came", sip::InviteOptions{},
                                                     std::weak_ptr<sip::CallListener>());
    service_->on_incoming({phone, "alice", "", "sip:bob@192.0.2.9", "Bob"});
    pump();
    return phone;
  };
  end_play();
  auto phone = phone_calls();
  EXPECT_EQ(phone->alerts, 1) << "it rings where it is seen";
  EXPECT_EQ(card_, Card::Incoming);
  EXPECT_EQ(tone_codec_, Codec::Pcmu);
  phone->end(EndReason::CallerHangup, 0, "");
  pass(seconds(4));
  end_play();
  phone = phone_calls();
  EXPECT_EQ(phone->alerts, 0) << "nobody is there any more";
  EXPECT_EQ(phone->hung_up, std::vector{EndReason::Unreachable});
}

TEST_F(ServiceTest, AFailedPipelineIsBuiltAnewAFewTimes) {
  answered_call();
  for (int i = 0; i < 3; ++i) {
    path().events.failed("voaacenc0", "no memory");
    pass(milliseconds(100));
    EXPECT_EQ(paths_.size(), static_cast<std::size_t>(i) + 2);
    EXPECT_EQ(state(), State::Answered);
  }
  for (int i = 0; i < 20 && state() == State::Answered; ++i) fail_path("voaacenc0", "no memory");
  expect_ended(EndReason::Internal);
  EXPECT_EQ(last().detail, "The media pipeline failed: voaacenc0: no memory.");
  EXPECT_EQ(why("caller-to-callee", Medium::Video).find("Left out"), std::string::npos)
      << "the record has the plan that was meant";
}

TEST_F(ServiceTest, APipelineThatCannotBeMadeEndsTheCall) {
  path_error_ = internal_error("no element \"voaacenc\"");
  answered_call();
  expect_ended(EndReason::Internal);
  EXPECT_EQ(last().detail, "The media pipeline failed: no element \"voaacenc\".");
  EXPECT_EQ(sip(0).hung_up, std::vector{EndReason::Internal});
  for (const View &view : changes_) EXPECT_NE(view.state, State::Answered);
}

TEST_F(ServiceTest, BetweenAByeAndItsTellingNoPipelineIsMade) {
  play_from_start_ = false;
  answered_call();
  sip(0).at = sip::CallState::Ended;
  path_error_ = internal_error("The SIP agent has no call \"sip-0\".");
  play(5);
  video_track(100);
  pass(milliseconds(100));
  EXPECT_EQ(state(), State::Answered);
  EXPECT_EQ(paths_.size(), 1u);
  sip(0).end(EndReason::CalleeHangup, 0, "");
  pump();
  expect_ended(EndReason::CalleeHangup);
}

TEST_F(ServiceTest, ThePhonesRequestByInfoReachesTheEncoder) {
  answered_call();
  const auto listener = sip(0).listener();
  ASSERT_NE(listener, nullptr);
  listener->on_keyframe_request(sip(0));
  EXPECT_EQ(path().keyframes[1], 1);
}

}  // namespace
}  // namespace junctor::calls
