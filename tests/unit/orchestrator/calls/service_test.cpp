// SPDX-License-Identifier: LGPL-2.1-or-later
// What becomes of calls: every decision of the service, with time and peers in the test's hand.
#include "service_fixture.h"

namespace junctor::calls {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(ServiceTest, APublishThatNamesACalleeCallsIt) {
  publish();
  EXPECT_EQ(state(), State::Trying);
  EXPECT_EQ(card_, Card::Calling);
  EXPECT_EQ(card_name_, "bob");
  EXPECT_EQ(tone_, Tone::Silence);
  EXPECT_TRUE(agent_->invited.empty()) << "waits for the picture's profile";
  video_track();
  ASSERT_EQ(agent_->invited.size(), 1u);
  EXPECT_EQ(sip(0).options.uri, "sip:bob@192.0.2.1");
  ASSERT_TRUE(sip(0).options.h264);
  EXPECT_EQ(sip(0).options.h264->profile_level_id(), "42c01e");
  EXPECT_EQ(sip(0).options.reactor, reactor_);
  EXPECT_EQ(last().uri, "sip:bob@192.0.2.1");
}

TEST_F(ServiceTest, TheInviteWaitsForATrackOnlyAMoment) {
  publish();
  pass(milliseconds(199));
  EXPECT_TRUE(agent_->invited.empty());
  pass(milliseconds(1));
  ASSERT_EQ(agent_->invited.size(), 1u);
  EXPECT_FALSE(sip(0).options.h264);
}

TEST_F(ServiceTest, APublishWithoutACalleeCallsNobody) {
  service_->on_publish_started(request(1, rtmp::Role::Push));
  pump();
  EXPECT_TRUE(changes_.empty());
  const auto id = service_->start("alice", "bob");
  ASSERT_TRUE(id);
  EXPECT_EQ(last().id, *id);
}

TEST_F(ServiceTest, RingsFrom180OnAndOnlyOnce) {
  publish();
  video_track();
  sip(0).ring();
  EXPECT_EQ(state(), State::Ringing);
  EXPECT_EQ(card_, Card::Ringing);
  EXPECT_EQ(tone_, Tone::Ringback);
  EXPECT_TRUE(last().ringing.has_value());
  const std::size_t changes = changes_.size();
  sip(0).ring();
  EXPECT_EQ(changes_.size(), changes);
  EXPECT_TRUE(paths_.empty()) << "no pipeline runs for a ringing call";
}

TEST_F(ServiceTest, TheAnswerBringsBothDirectionsUpAtOnce) {
  answered_call();
  EXPECT_EQ(state(), State::Answered);
  ASSERT_EQ(paths_.size(), 1u);
  for (const char *part : {"tries=30", "armed=true", "watchdog.src_0 ! callee.video",
                           "audio/x-alaw", "callee.video_src", "voaacenc", "player.audio"})
    EXPECT_TRUE(line_has(part)) << part << " in " << line();
  EXPECT_EQ(path().spec.settings, (std::vector<Setting>{{"caller", "stream", "alice"},
                                                        {"caller_player", "stream", "alice"},
                                                        {"callee", "call", "sip-0"}}));
  ASSERT_EQ(last().plan.size(), 4u);
  EXPECT_FALSE(last().plan[0].transcoded);
  EXPECT_TRUE(last().plan[1].transcoded);
  EXPECT_NE(last().launch.find("stream=alice"), std::string::npos) << last().launch;
  EXPECT_NE(last().launch.find("uri=sip:bob@192.0.2.1"), std::string::npos);
  EXPECT_NE(last().launch.find("from=alice"), std::string::npos);
  EXPECT_EQ(last().launch.find("sip-0"), std::string::npos) << "no Call-ID: it must stand alone";
  EXPECT_EQ(tone_, Tone::Silence) << "the tone ends with the answer";
}

TEST_F(ServiceTest, CountsFirstPacketsFromTheAnswer) {
  answered_call();
  now_ += milliseconds(5);
  path().events.first_packet(Side::Callee, Medium::Video, now_);
  path().events.first_packet(Side::Callee, Medium::Audio, now_ + milliseconds(50));
  const auto view = service_->find(last().id);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->first_packet_to_callee_ms, 5);
  EXPECT_FALSE(view->first_packet_to_caller_ms.has_value());
}

TEST_F(ServiceTest, EarlyMediaFlowsBackAndGoesOnThroughTheAnswer) {
  publish();
  video_track();
  audio_track();
  sip(0).early(both());
  EXPECT_EQ(state(), State::Ringing);
  ASSERT_EQ(paths_.size(), 1u);
  EXPECT_FALSE(path().spec.sending) << "nothing is sent to the callee before it answers";
  EXPECT_TRUE(line_has("callee.audio_src"));
  EXPECT_EQ(tone_, Tone::Ringback) << "rings on until a packet comes";
  sip(0).ring();
  EXPECT_EQ(paths_.size(), 1u);
  EXPECT_EQ(path().begun, 0);
  sip(0).answer(both());
  pump();
  EXPECT_EQ(paths_.size(), 1u) << "what is heard is not interrupted";
  EXPECT_EQ(path().begun, 1);
  sip(0).change(both());
  EXPECT_EQ(path().begun, 1);
}

TEST_F(ServiceTest, AnAnswerWithOtherMediaThanTheEarlyOnesIsPlannedAnew) {
  publish();
  video_track();
  audio_track();
  sip(0).early({media(Codec::Pcma)});
  sip(0).answer(both());
  pump();
  ASSERT_EQ(paths_.size(), 2u);
  EXPECT_FALSE(paths_[0]->alive);
  EXPECT_TRUE(path().spec.sending);
  EXPECT_TRUE(line_has("callee.video_src"));
}

TEST_F(ServiceTest, APhoneWithoutVideoGetsAnAudioCallAndThePlayerAPictureThatSaysSo) {
  publish();
  video_track();
  audio_track();
  sip(0).answer({media(Codec::Pcma)});
  pump();
  EXPECT_EQ(card_, Card::AudioOnly);
  EXPECT_FALSE(line_has("callee.video"));
  EXPECT_TRUE(line_has("callee.audio_src"));
  EXPECT_TRUE(line_has("caller.video ! caller_watchdog.sink_0 caller_watchdog.src_0 ! fakesink "))
      << "what is sent in vain counts all the same: " << line();
}

struct FailureRow {
  EndReason reason;
  int code;
  Card card;
  Tone tone;
};
class Failures : public ServiceTest, public testing::WithParamInterface<FailureRow> {};

TEST_P(Failures, EndTheCallForBothTerminals) {
  publish();
  video_track();
  sip(0).ring();
  sip(0).end(GetParam().reason, GetParam().code, "what the phone said");
  pump();
  expect_ended(GetParam().reason);
  EXPECT_EQ(last().sip_code, GetParam().code);
  EXPECT_EQ(last().detail, "What the phone said.");
  const std::string words =
      std::string(to_string(GetParam().reason)) + ": " + std::string(describe(GetParam().reason));
  EXPECT_EQ(server_->ended, std::vector<std::string>{"alice NetStream.Publish.Failed " + words});
  // The player is shown why, for a while.
  EXPECT_EQ(card_, GetParam().card);
  EXPECT_EQ(card_name_, "bob");
  EXPECT_EQ(tone_, GetParam().tone);
  EXPECT_TRUE(server_->outlets["alice"]->ended.empty());
  pass(std::chrono::milliseconds(3999));
  EXPECT_TRUE(server_->outlets["alice"]->ended.empty());
  pass(std::chrono::milliseconds(1));
  EXPECT_EQ(server_->outlets["alice"]->ended,
            std::vector<std::string>{"NetStream.Play.Failed " + words});
}

TEST_F(ServiceTest, OneWhoPlaysWhileTheEndIsShownIsShownItToo) {
  play_from_start_ = false;
  publish();
  video_track();
  sip(0).end(EndReason::Busy, 486, "");
  pump();
  EXPECT_FALSE(card_.has_value()) << "nothing is drawn that nobody sees";
  pass(std::chrono::milliseconds(1000));
  play(7);
  EXPECT_EQ(card_, Card::Busy);
  EXPECT_EQ(tone_, Tone::Busy);
  pass(std::chrono::milliseconds(3000));
  EXPECT_EQ(server_->outlets["alice"]->ended.size(), 1u);
}

TEST_F(ServiceTest, ANewCallTakesThePlayersOverWhileTheEndIsShown) {
  publish();
  video_track();
  sip(0).end(EndReason::Busy, 486, "");
  pump();
  publish(2);
  EXPECT_EQ(card_, Card::Calling);
  EXPECT_EQ(tone_, Tone::Silence);
  EXPECT_TRUE(server_->outlets["alice"]->wanted) << "one who plays later needs a keyframe";
  pass(std::chrono::milliseconds(5000));
  EXPECT_TRUE(server_->outlets["alice"]->ended.empty()) << "the end of the first is not theirs";
  ASSERT_EQ(agent_->invited.size(), 2u);
  sip(1).ring();
  EXPECT_EQ(card_, Card::Ringing);
}

TEST_F(ServiceTest, AShutdownDoesNotWaitUntilTheEndHasBeenShown) {
  publish();
  video_track();
  sip(0).end(EndReason::Busy, 486, "");
  pump();
  service_->shutdown([] {});
  pump();
  EXPECT_EQ(server_->outlets["alice"]->ended.size(), 1u);
}

TEST_F(ServiceTest, WithoutAFarewellPlayersPartAtOnce) {
  around_->options.farewell = Duration::zero();
  publish();
  video_track();
  sip(0).end(EndReason::Busy, 486, "");
  pump();
  EXPECT_EQ(card_, Card::Calling);
  EXPECT_EQ(server_->outlets["alice"]->ended.size(), 1u);
}

TEST_F(ServiceTest, ACallThatCameAboutEndsAtOnce) {
  answered_call();
  sip(0).end(EndReason::Unreachable, 0, "");
  pump();
  EXPECT_EQ(server_->outlets["alice"]->ended.size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(
    All, Failures,
    testing::Values(FailureRow{EndReason::Busy, 486, Card::Busy, Tone::Busy},
                    FailureRow{EndReason::Declined, 603, Card::Declined, Tone::Busy},
                    FailureRow{EndReason::NoAnswer, 0, Card::NoAnswer, Tone::Congestion},
                    FailureRow{EndReason::Unauthorized, 407, Card::Failed, Tone::Congestion},
                    FailureRow{EndReason::NotAcceptable, 488, Card::Failed, Tone::Congestion},
                    FailureRow{EndReason::Unreachable, 503, Card::Unreachable,
                               Tone::SpecialInformation}));

TEST_F(ServiceTest, TheCalleesByeEndsItForBothTerminals) {
  answered_call();
  sip(0).end(EndReason::CalleeHangup, 0, "BYE");
  pump();
  expect_ended(EndReason::CalleeHangup);
  EXPECT_EQ(server_->ended, std::vector<std::string>{"alice NetStream.Unpublish.Success "
                                                     "callee-hangup: The callee hung up."});
  EXPECT_EQ(server_->ended_connections, std::vector<std::uint64_t>{1});
  EXPECT_EQ(server_->outlets["alice"]->ended.size(), 1u);
  EXPECT_EQ(last().plan.size(), 4u) << "the record keeps the plan";
}

TEST_F(ServiceTest, DeleteStreamIsTheCallersHangupAfterTheAnswer) {
  answered_call();
  unpublish(true);
  expect_ended(EndReason::CallerHangup);
  EXPECT_EQ(sip(0).hung_up, std::vector{EndReason::CallerHangup});
  EXPECT_TRUE(server_->ended.empty()) << "the publisher may be back already";
}

TEST_F(ServiceTest, DeleteStreamIsTheCallersHangupBeforeTheAnswer) {
  publish();
  video_track();
  sip(0).ring();
  unpublish(true);
  expect_ended(EndReason::CallerHangup);
  EXPECT_EQ(sip(0).hung_up, std::vector{EndReason::CallerHangup});
}

TEST_F(ServiceTest, ALostConnectionIsSilenceAndTheTerminalMayComeBack) {
  answered_call();
  const std::string id = last().id;
  unpublish(false);
  path().events.media(Side::Caller, "waiting");
  EXPECT_EQ(state(), State::Answered);
  publish(7);
  EXPECT_EQ(service_->list().size(), 1u);
  EXPECT_EQ(service_->list()[0].id, id);
  EXPECT_EQ(agent_->invited.size(), 1u);
  video_track();
  audio_track();
  pass(seconds(1));
  EXPECT_EQ(paths_.size(), 1u) << "the same codecs: nothing is built anew";
  unpublish(true, 7);
  expect_ended(EndReason::CallerHangup);
}

TEST_F(ServiceTest, BeforeTheAnswerALostPublisherDoesNotEndTheCall) {
  publish();
  video_track();
  unpublish(false);
  EXPECT_EQ(state(), State::Trying);
  sip(0).answer(both());
  pump();
  EXPECT_EQ(state(), State::Answered);
}

TEST_F(ServiceTest, TheEndOfAPublisherThatWasTakenOverMeansNothing) {
  answered_call();
  publish(9);
  unpublish(true, 1);
  EXPECT_EQ(state(), State::Answered);
}

TEST_F(ServiceTest, TheWatchdogsLossEndsTheCallWithABye) {
  answered_call();
  path().events.media(Side::Caller, "waiting");
  EXPECT_EQ(state(), State::Answered);
  path().events.media(Side::Caller, "lost");
  pump();
  expect_ended(EndReason::NoPushMedia);
  EXPECT_EQ(sip(0).hung_up, std::vector{EndReason::NoPushMedia});
  EXPECT_NE(last().detail.find("30 checks"), std::string::npos) << last().detail;
  EXPECT_EQ(server_->ended.size(), 1u);
}

TEST_F(ServiceTest, ACodecThatCannotBeUsedIsNamed) {
  publish();
  video_track();
  leave_out(Medium::Audio, "MP3 is not supported.");
  sip(0).answer(both());
  pump();
  ASSERT_EQ(state(), State::Answered);
  EXPECT_EQ(why("caller-to-callee", Medium::Audio),
            "The push terminal sends audio that cannot be used. MP3 is not supported.");
  path().events.media(Side::Caller, "lost");
  pump();
  expect_ended(EndReason::NoPushMedia);
  EXPECT_NE(last().detail.find("audio that cannot be used: MP3 is not supported."),
            std::string::npos)
      << last().detail;
}

TEST_F(ServiceTest, ATrackThatFollowsTakesItBack) {
  publish();
  video_track();
  leave_out(Medium::Audio, "MP3 is not supported.");
  audio_track();
  sip(0).answer(both());
  pump();
  EXPECT_EQ(why("caller-to-callee", Medium::Audio).find("cannot be used"), std::string::npos);
}

TEST_F(ServiceTest, AnAnswerWithoutPushMediaHasAWatchdogAndNoStreams) {
  publish();
  pass(milliseconds(200));
  sip(0).answer(both());
  pump();
  ASSERT_EQ(paths_.size(), 1u);
  EXPECT_TRUE(line_has("mediawatchdog name=caller_watchdog interval=1000 tries=30 armed=true"));
  EXPECT_FALSE(line_has("watchdog.sink_0"));
  EXPECT_TRUE(line_has("player.video"));

  pass(milliseconds(2500));
  video_track();
  audio_track();
  EXPECT_EQ(paths_.size(), 1u) << "tracks come one by one; built once for both";
  pass(milliseconds(100));
  ASSERT_EQ(paths_.size(), 2u);
  EXPECT_FALSE(paths_[0]->alive);
  EXPECT_TRUE(line_has("watchdog.sink_1"));
  EXPECT_TRUE(line_has("tries=28")) << "what was silent counts: " << line();

  path().events.media(Side::Caller, "flowing");
  EXPECT_EQ(path().tries[0], std::vector{30u}) << "from here on all tries again";
}

TEST_F(ServiceTest, SilenceIsCountedAcrossRebuildsToTheEnd) {
  answered_call();
  pass(seconds(500));
  sip(0).change({media(Codec::Pcmu)});
  EXPECT_TRUE(line_has("tries=1 ")) << line();
}

TEST_F(ServiceTest, HoldAndANewAddressBuildNothingAnew) {
  answered_call();
  auto held = both();
  for (sip::Media &one : held) one.direction = sip::Direction::Inactive;
  sip(0).change(held);
  const int asked = path().keyframes[1];
  sip(0).change(both());
  EXPECT_EQ(paths_.size(), 1u);
  EXPECT_GT(path().keyframes[1], asked) << "the phone has missed what was sent meanwhile";
}

TEST_F(ServiceTest, WhatWasHeldBackAtTheAnswerGetsItsWayWhenItComes) {
  publish();
  video_track();
  auto held = both();
  held[1].direction = sip::Direction::SendOnly;
  sip(0).answer(held);
  pump();
  EXPECT_EQ(card_, Card::AudioOnly);
  ASSERT_EQ(paths_.size(), 1u);
  sip(0).change(both());
  EXPECT_EQ(paths_.size(), 2u);
}

TEST_F(ServiceTest, AReInviteWithAnotherCodecBuildsAnew) {
  answered_call();
  path().events.media(Side::Caller, "flowing");
  auto changed = both();
  changed[0] = media(Codec::Pcmu);
  sip(0).change(changed);
  ASSERT_EQ(paths_.size(), 2u);
  EXPECT_TRUE(line_has("audio/x-mulaw"));
  EXPECT_TRUE(line_has("tries=30"));
  const auto view = service_->find(last().id);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->plan[1].to, "pcmu") << "the view shows what runs";
}

TEST_F(ServiceTest, APublisherThatComesBackWithAnotherProfileIsPlannedAnew) {
  answered_call();
  unpublish(false);
  publish(2);
  video_track(100);
  pass(milliseconds(100));
  ASSERT_EQ(paths_.size(), 2u);
  EXPECT_TRUE(line_has("x264enc"));
}

TEST_F(ServiceTest, TheFirstOfSeveralContactsToAnswerWins) {
  publish(1, "carol");
  video_track();
  ASSERT_EQ(agent_->invited.size(), 2u);
  sip(0).ring();
  sip(1).ring();
  sip(1).answer(both());
  pump();
  EXPECT_EQ(state(), State::Answered);
  EXPECT_EQ(last().uri, "sip:carol@192.0.2.3");
  EXPECT_EQ(sip(0).hung_up.size(), 1u);
  EXPECT_TRUE(sip(1).hung_up.empty());
  sip(0).end(EndReason::CallerHangup, 487, "cancelled");
  EXPECT_EQ(state(), State::Answered);
  EXPECT_EQ(path().spec.settings.back().value, "sip-1");
}

TEST_F(ServiceTest, WhenNoContactTakesItTheMostTellingReasonStays) {
  publish(1, "carol");
  video_track();
  sip(0).end(EndReason::Busy, 486, "busy here");
  EXPECT_EQ(state(), State::Trying);
  sip(1).end(EndReason::Unreachable, 503, "no route");
  pump();
  expect_ended(EndReason::Busy);
  EXPECT_EQ(last().sip_code, 486);
}

TEST_F(ServiceTest, EarlyMediaOfAContactThatDropsOutMakesWayForTheRing) {
  publish(1, "carol");
  video_track();
  sip(0).early({media(Codec::Pcma)});
  ASSERT_EQ(paths_.size(), 1u);
  sip(1).early({media(Codec::Pcma)});
  EXPECT_EQ(paths_.size(), 1u) << "the first one's is heard";
  sip(0).end(EndReason::Busy, 486, "");
  EXPECT_FALSE(paths_[0]->alive);
  sip(1).answer(both());
  pump();
  EXPECT_EQ(path().spec.settings.back().value, "sip-1");
}

TEST_F(ServiceTest, WhatNoRuleAllowsIsRefusedAndRecorded) {
  publish(1, "mallory");
  ASSERT_EQ(changes_.size(), 1u);
  EXPECT_EQ(last().state, State::Ended);
  EXPECT_EQ(last().reason, EndReason::Unreachable);
  EXPECT_EQ(last().to, "mallory");
  EXPECT_EQ(server_->ended,
            std::vector<std::string>{
                "alice NetStream.Publish.Failed unreachable: No rule allows mallory."});
}

TEST_F(ServiceTest, APlayThatComesJustAfterTheEndIsToldOfIt) {
  around_->options.farewell = Duration::zero();
  play_from_start_ = false;
  publish();
  video_track();
  sip(0).end(EndReason::Busy, 486, "");
  unpublish(false);
  play(5);
  EXPECT_EQ(server_->outlets["alice"]->ended.back(),
            "NetStream.Play.Failed busy: The callee is busy.");
  const std::size_t told = server_->outlets["alice"]->ended.size();
  play(6);
  EXPECT_EQ(server_->outlets["alice"]->ended.size(), told) << "the next one waits for a call";
}

TEST_F(ServiceTest, APlayThatComesJustAfterACallThatTookPlaceWaitsForTheNext) {
  play_from_start_ = false;
  answered_call();
  unpublish(true);
  expect_ended(EndReason::CallerHangup);
  const std::size_t told = server_->outlets["alice"]->ended.size();
  play(5);
  EXPECT_EQ(server_->outlets["alice"]->ended.size(), told);
  publish(2);
  video_track();
  sip(1).ring();
  EXPECT_EQ(card_, Card::Ringing);
}

TEST_F(ServiceTest, APlayThatComesJustAfterTheCallerGaveUpWaitsForTheNextCall) {
  play_from_start_ = false;
  publish();
  video_track();
  sip(0).ring();
  unpublish(true);
  expect_ended(EndReason::CallerHangup);
  const std::size_t told = server_->outlets["alice"]->ended.size();
  play(5);
  EXPECT_EQ(server_->outlets["alice"]->ended.size(), told);
}

TEST_F(ServiceTest, APlayThatComesLaterWaitsForTheNextCall) {
  play_from_start_ = false;
  publish();
  video_track();
  sip(0).end(EndReason::Busy, 486, "");
  pass(seconds(4));
  const std::size_t told = server_->outlets["alice"]->ended.size();
  play(5);
  EXPECT_EQ(server_->outlets["alice"]->ended.size(), told);
}

TEST_F(ServiceTest, APlayThatComesAfterARefusedCallIsToldWhy) {
  around_->options.farewell = Duration::zero();
  play_from_start_ = false;
  publish(1, "mallory");
  play(5);
  EXPECT_EQ(server_->outlets["alice"]->ended,
            std::vector<std::string>{"NetStream.Play.Failed unreachable: No rule allows mallory."});
}

TEST_F(ServiceTest, APlayerThatWaitsIsToldOfARefusedCall) {
  publish(1, "mallory");
  pass(around_->options.farewell);
  EXPECT_EQ(server_->outlets["alice"]->ended,
            std::vector<std::string>{"NetStream.Play.Failed unreachable: No rule allows mallory."});
}

TEST_F(ServiceTest, ACalleeThatIsNotRegisteredIsUnreachable) {
  publish(1, "nobody");
  expect_ended(EndReason::Unreachable);
}

TEST_F(ServiceTest, AnInviteThatCannotBeSentIsUnreachable) {
  agent_->refuse = bad_input("no such transport");
  publish();
  video_track();
  expect_ended(EndReason::Unreachable);
  EXPECT_EQ(last().detail, "No such transport.");
}

TEST_F(ServiceTest, AnInviteThatFindsNoPortsIsOverloaded) {
  agent_->refuse = overloaded("There is no room for one more call.");
  publish();
  video_track();
  expect_ended(EndReason::Overloaded);
  EXPECT_EQ(last().detail, "There is no room for one more call.");
}

TEST_F(ServiceTest, OnePairHasOneCallAndACallerOnlyOne) {
  const auto first = service_->start("alice", "bob");
  ASSERT_TRUE(first);
  const auto again = service_->start("alice", "bob");
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, *first);
  EXPECT_FALSE(service_->start("alice", "carol"));
  EXPECT_EQ(service_->list().size(), 1u);
}

TEST_F(ServiceTest, CallsAreBounded) {
  for (const char *from : {"a", "b", "c"}) EXPECT_TRUE(service_->start(from, "bob"));
  EXPECT_FALSE(service_->start("d", "bob"));
  EXPECT_EQ(last().from, "d");
  EXPECT_EQ(last().reason, EndReason::Overloaded);
  publish();
  EXPECT_EQ(last().from, "alice");
  EXPECT_EQ(last().reason, EndReason::Overloaded);
  EXPECT_EQ(server_->ended.size(), 1u) << "of d no publisher is there";
  EXPECT_EQ(service_->list().size(), 3u);
}

TEST_F(ServiceTest, AnOperatorHangsUp) {
  answered_call();
  EXPECT_FALSE(service_->hangup("no such", EndReason::Admin));
  EXPECT_TRUE(service_->hangup(last().id, EndReason::Admin));
  pump();
  expect_ended(EndReason::Admin);
  EXPECT_EQ(sip(0).hung_up, std::vector{EndReason::Admin});
}

TEST_F(ServiceTest, ShutdownEndsAllAndThenSaysSo) {
  answered_call();
  ASSERT_TRUE(service_->start("dave", "bob"));
  bool done = false;
  service_->shutdown([&] { done = true; });
  EXPECT_FALSE(done);
  EXPECT_TRUE(service_->list().empty());
  int ended = 0;
  for (const View &view : changes_) ended += view.reason == EndReason::Shutdown;
  EXPECT_EQ(ended, 2);
  pump();
  EXPECT_TRUE(done);
  EXPECT_FALSE(service_->start("alice", "bob"));
  EXPECT_EQ(last().reason, EndReason::Shutdown);
}

TEST_F(ServiceTest, NothingIsLeftOfACallThatEnded) {
  answered_call();
  ASSERT_FALSE(server_->listeners["alice"].expired());
  sip(0).end(EndReason::CalleeHangup, 0, "");
  unpublish(false);
  pump();
  service_->on_play_ended(request(100, rtmp::Role::Pull));
  EXPECT_TRUE(server_->listeners["alice"].expired());
  EXPECT_EQ(server_->outlets["alice"].use_count(), 1) << "only the fake holds it";
  EXPECT_EQ(sip(0).listener(), nullptr);
}

TEST_F(ServiceTest, ThousandCallsOneAfterAnother) {
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    publish(i);
    video_track();
    sip(i - 1).answer(both());
    sip(i - 1).end(EndReason::CalleeHangup, 0, "");
    unpublish(false, i);
    ASSERT_EQ(last().state, State::Ended) << i;
  }
  EXPECT_TRUE(service_->list().empty());
  for (const auto &made : paths_) EXPECT_FALSE(made->alive);
}

}  // namespace
}  // namespace junctor::calls
