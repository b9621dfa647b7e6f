// SPDX-License-Identifier: LGPL-2.1-or-later
// Terminals that are called: by phones, and by each other.
#include <gmock/gmock.h>

#include "service_fixture.h"

namespace junctor::calls {
namespace {

using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CalledTerminal : public ServiceTest {
 protected:
  void SetUp() override {
    ServiceTest::SetUp();
    play_from_start_ = false;
    around_->options.is_account = [](const std::string &name) {
      return name == "alice" || name == "bob";
    };
    around_->options.answer_timeout = seconds(60);
  }

  void play_as(const std::string &account, std::uint64_t connection,
               std::map<std::string, std::string> parameters = {}) {
    service_->on_play_started(
        request(connection, rtmp::Role::Pull, std::move(parameters), account));
    pump();
  }
  void publish_as(const std::string &account, std::uint64_t connection,
                  std::map<std::string, std::string> parameters = {}) {
    service_->on_publish_started(
        request(connection, rtmp::Role::Push, std::move(parameters), account));
    pump();
  }
  void unpublish_as(const std::string &account, std::uint64_t connection) {
    service_->on_publish_ended(request(connection, rtmp::Role::Push, {}, account), true);
    pump();
  }
  void tracks_of(const std::string &account, Codec audio = Codec::Aac) {
    rtmp::Track track;
    track.codec = Codec::H264;
    track.config = avcc(66, 0xc0, 30);
    tell(track, account);
    track = {};
    track.codec = audio;
    tell(track, account);
  }
  /// Alice answers the phone's call, and what she gives cannot be brought to it.
  void cannot_be_answered(const Error &why) {
    play_as("alice", 100);
    phone_calls().cannot_answer = why;
    publish_as("alice", 1);
    tracks_of("alice");
  }
  /// Bob's phone calls alice.
  fakes::Call &phone_calls(const std::string &to = "alice", const std::string &account = "bob") {
    came_.push_back(std::make_shared<fakes::Call>("came-" + std::to_string(came_.size()),
                                                  sip::InviteOptions{},
                                                  std::weak_ptr<sip::CallListener>()));
    came_.back()->when_answered = both();
    came_.back()->cannot_encrypt = cannot_encrypt_;
    service_->on_incoming({came_.back(), to, account, "sip:bob@192.0.2.9", "Bob"});
    pump();
    return *came_.back();
  }
  std::vector<std::string> &players_told(const std::string &account) {
    return server_->outlets[account]->ended;
  }

  std::vector<std::shared_ptr<fakes::Call>> came_;
  std::optional<Error> cannot_encrypt_;
};

TEST_F(CalledTerminal, RingsForAPhoneAndItsPublishAnswers) {
  play_as("alice", 100);
  fakes::Call &phone = phone_calls();
  EXPECT_EQ(phone.alerts, 1);
  EXPECT_EQ(state(), State::Ringing);
  EXPECT_EQ(last().from, "bob");
  EXPECT_EQ(last().to, "alice");
  EXPECT_EQ(last().direction, Direction::Incoming);
  EXPECT_EQ(last().uri, "sip:bob@192.0.2.9");
  EXPECT_THAT(last().terminals, ElementsAre("alice"));
  EXPECT_EQ(card_, Card::Incoming);
  EXPECT_EQ(card_name_, "bob “Bob”");
  EXPECT_EQ(tone_, Tone::Ring);
  EXPECT_THAT(phone.answers, IsEmpty());

  publish_as("alice", 1);
  EXPECT_THAT(phone.answers, IsEmpty()) << "what alice sends is known in a moment";
  tracks_of("alice", Codec::Pcma);
  ASSERT_EQ(phone.answers.size(), 1u);
  EXPECT_EQ(state(), State::Answered);
  EXPECT_TRUE(last().answered.has_value());
  EXPECT_EQ(tone_, Tone::Silence);
  pass(std::chrono::milliseconds(100));
  ASSERT_FALSE(paths_.empty());
  EXPECT_TRUE(line_has("sipcallsink name=caller"));
  EXPECT_TRUE(line_has("rtmpauthsrc name=callee"));
  EXPECT_TRUE(line_has("callee_watchdog.src_0 ! caller.video"));
  EXPECT_TRUE(line_has("callee_player.video"));
  EXPECT_TRUE(path().spec.sending);
  EXPECT_EQ(path().spec.settings, (std::vector<Setting>{{"caller", "call", "came-0"},
                                                        {"callee", "stream", "alice"},
                                                        {"callee_player", "stream", "alice"}}));
  phone.end(EndReason::CallerHangup, 0, "the caller hung up");
  pump();
  expect_ended(EndReason::CallerHangup);
  EXPECT_THAT(players_told("alice"), Contains(HasSubstr("caller-hangup")));
  EXPECT_THAT(server_->ended, Contains(HasSubstr("alice NetStream.Unpublish.Success")));
}

TEST_F(CalledTerminal, AnswersWithWhatPassesThroughFirst) {
  play_as("alice", 100, {{"audio", "speex"}});
  fakes::Call &phone = phone_calls();
  publish_as("alice", 1);
  tracks_of("alice", Codec::Speex);
  pass(std::chrono::milliseconds(300));
  ASSERT_EQ(phone.answers.size(), 1u);
  for (const sip::Offered &offered : phone.answers[0].offer) {
    const bool passes =
        offered.format->codec == Codec::H264 ||
        (offered.format->codec == Codec::Speex && offered.format->clock_rate == 16000);
    EXPECT_EQ(offered.rank == 0, passes) << rtp::name_of(*offered.format);
  }
}

TEST_F(CalledTerminal, IsShownThatThePhoneThatCalledHolds) {
  play_as("alice", 100);
  fakes::Call &phone = phone_calls();
  publish_as("alice", 1);
  tracks_of("alice");
  ASSERT_EQ(state(), State::Answered);
  pass(std::chrono::milliseconds(100));
  // It holds by `sendonly`, as one does that may send music.
  auto held = both();
  for (sip::Media &medium : held) medium.direction = sip::Direction::RecvOnly;
  phone.change(held);
  pump();
  EXPECT_THAT(last().on_hold, ElementsAre(Side::Caller));
  EXPECT_EQ(card_, Card::OnHold);
  EXPECT_EQ(tone_, Tone::Hold);
  phone.change(both());
  pump();
  EXPECT_THAT(last().on_hold, IsEmpty());
  EXPECT_EQ(tone_, Tone::Silence);
}

TEST_F(CalledTerminal, OfAPhoneThatNeverTookAnythingNoHoldIsShown) {
  play_as("alice", 100);
  fakes::Call &phone = phone_calls();
  phone.when_answered = both();
  for (sip::Media &medium : phone.when_answered) medium.direction = sip::Direction::RecvOnly;
  publish_as("alice", 1);
  tracks_of("alice");
  ASSERT_EQ(state(), State::Answered);
  phone.change(phone.when_answered);
  pump();
  EXPECT_THAT(last().on_hold, IsEmpty());
}

TEST_F(CalledTerminal, WithoutAPictureAnswersAllTheSame) {
  play_as("alice", 100);
  fakes::Call &phone = phone_calls();
  publish_as("alice", 1);
  rtmp::Track sound;
  sound.codec = Codec::Aac;
  tell(sound, "alice");
  EXPECT_THAT(phone.answers, IsEmpty());
  pass(std::chrono::milliseconds(300));
  EXPECT_EQ(phone.answers.size(), 1u);
  EXPECT_EQ(state(), State::Answered);
}

TEST_F(CalledTerminal, AnswersWithTheTracksOfItsNewStreamAlone) {
  play_as("alice", 100);
  publish_as("alice", 1);
  tracks_of("alice");
  fakes::Call &phone = phone_calls();
  unpublish_as("alice", 1);
  ASSERT_EQ(state(), State::Ringing);
  publish_as("alice", 1);
  EXPECT_THAT(phone.answers, IsEmpty()) << "nothing is known of this one yet";
  rtmp::Track sound;
  sound.codec = Codec::Pcma;
  tell(sound, "alice");
  pass(std::chrono::milliseconds(300));
  ASSERT_EQ(phone.answers.size(), 1u);
  EXPECT_FALSE(phone.answers[0].h264) << "the picture was the first one's";
  EXPECT_TRUE(line_has("callee.audio")) << line();
  EXPECT_FALSE(line_has("callee.video")) << line();
}

TEST_F(CalledTerminal, IsAnsweredByTheApiWherePublishingGoesOnAlready) {
  publish_as("alice", 1);
  tracks_of("alice");
  fakes::Call &phone = phone_calls();
  EXPECT_EQ(state(), State::Ringing) << "one that is there does not answer by itself";
  ASSERT_TRUE(service_->answer(last().id));
  pump();
  EXPECT_EQ(state(), State::Answered);
  EXPECT_EQ(phone.answers.size(), 1u);
  const auto twice = service_->answer(last().id);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().fault, Fault::Refused);
  EXPECT_FALSE(service_->decline(last().id)) << "it rings no more";
  EXPECT_EQ(service_->answer("nothing").error().fault, Fault::BadInput);
}

TEST_F(CalledTerminal, IsDeclined) {
  play_as("alice", 100);
  publish_as("alice", 1);
  fakes::Call &phone = phone_calls();
  ASSERT_EQ(state(), State::Ringing);
  ASSERT_TRUE(service_->decline(last().id));
  pump();
  expect_ended(EndReason::Declined);
  EXPECT_THAT(phone.hung_up, ElementsAre(EndReason::Declined));
  EXPECT_THAT(players_told("alice"), IsEmpty()) << "its players wait for the next call";
  EXPECT_THAT(server_->ended, IsEmpty()) << "its publisher took no part";
}

TEST_F(CalledTerminal, GivesUpAfterAWhile) {
  play_as("alice", 100);
  fakes::Call &phone = phone_calls();
  pass(seconds(59));
  EXPECT_EQ(state(), State::Ringing);
  pass(seconds(1));
  expect_ended(EndReason::NoAnswer);
  EXPECT_THAT(phone.hung_up, ElementsAre(EndReason::NoAnswer));
  EXPECT_EQ(card_, Card::Missed);
  EXPECT_THAT(players_told("alice"), IsEmpty());
  phone_calls();
  EXPECT_EQ(state(), State::Ringing) << "it is free again";
}

TEST_F(CalledTerminal, GivesUpAloneWhereAPhoneRingsOn) {
  play_as("bob", 200);
  publish_as("alice", 1, {{"to", "bob"}});
  pass(std::chrono::milliseconds(200));
  sip(0).ring();
  pass(seconds(60));
  EXPECT_EQ(state(), State::Ringing) << "the phone has a clock of its own";
  EXPECT_EQ(card_, Card::Missed);
  EXPECT_THAT(players_told("bob"), IsEmpty());
  EXPECT_THAT(service_->list()[0].terminals, ElementsAre("alice"));
  phone_calls("bob", "carol");
  EXPECT_EQ(service_->list().size(), 2u) << "it is free again";
  sip(0).answer(both());
  pump();
  EXPECT_EQ(state(), State::Answered);
}

TEST_F(CalledTerminal, ThatEndsItsStreamBeforeItsAnswerIsGivenIsFreeAgain) {
  play_as("alice", 100);
  fakes::Call &phone = phone_calls();
  publish_as("alice", 1);
  unpublish_as("alice", 1);
  expect_ended(EndReason::CalleeHangup);
  EXPECT_THAT(phone.hung_up, ElementsAre(EndReason::CalleeHangup));
  EXPECT_THAT(phone.answers, IsEmpty());
  pass(std::chrono::milliseconds(300));
  EXPECT_THAT(phone.answers, IsEmpty());
  phone_calls();
  EXPECT_EQ(state(), State::Ringing);
}

TEST_F(CalledTerminal, TheCallerGivesUp) {
  play_as("alice", 100);
  phone_calls().end(EndReason::CallerHangup, 0, "the caller gave up");
  pump();
  expect_ended(EndReason::CallerHangup);
  EXPECT_EQ(card_, Card::Missed);
  EXPECT_EQ(card_name_, "bob “Bob”");
  EXPECT_EQ(tone_, Tone::Silence);
  // It can be called again at once, and is shown that instead.
  phone_calls("alice", "carol");
  EXPECT_EQ(state(), State::Ringing);
  EXPECT_EQ(card_, Card::Incoming);
  EXPECT_EQ(card_name_, "carol “Bob”");
  EXPECT_EQ(tone_, Tone::Ring);
  pass(seconds(10));
  publish_as("alice", 1);
  tracks_of("alice");
  EXPECT_EQ(state(), State::Answered);
  EXPECT_THAT(players_told("alice"), IsEmpty()) << "the same player through all of it";
}

TEST_F(CalledTerminal, WhoMissedACallIsLeftInPeaceAfterAWhile) {
  play_as("alice", 100);
  phone_calls().end(EndReason::CallerHangup, 0, "the caller gave up");
  pump();
  const int sources = server_->outlets["alice"]->sources;
  pass(std::chrono::milliseconds(3999));
  EXPECT_EQ(server_->outlets["alice"]->sources, sources);
  pass(std::chrono::milliseconds(1));
  EXPECT_EQ(server_->outlets["alice"]->sources, sources + 1) << "nothing of it for who plays now";
  EXPECT_THAT(players_told("alice"), IsEmpty());
  phone_calls();
  EXPECT_EQ(state(), State::Ringing);
  EXPECT_EQ(card_, Card::Incoming);
}

TEST_F(CalledTerminal, WithoutAFarewellTheRingStillLeavesTheScreen) {
  around_->options.farewell = Duration::zero();
  play_as("alice", 100);
  phone_calls().end(EndReason::CallerHangup, 0, "the caller gave up");
  pump();
  EXPECT_EQ(card_, Card::Missed);
  const int sources = server_->outlets["alice"]->sources;
  pass(seconds(2));
  EXPECT_EQ(server_->outlets["alice"]->sources, sources + 1);
}

TEST_F(CalledTerminal, AShutdownPartsWhoIsRung) {
  play_as("alice", 100);
  phone_calls();
  service_->shutdown([] {});
  pump();
  EXPECT_THAT(players_told("alice"), ElementsAre(HasSubstr("shutdown")));
}

TEST_F(CalledTerminal, RefusesWithTheRightReason) {
  EXPECT_THAT(phone_calls().hung_up, ElementsAre(EndReason::Unreachable));
  EXPECT_THAT(came_.back()->why, HasSubstr("No terminal of 'alice' is connected"));
  EXPECT_EQ(last().reason, EndReason::Unreachable);
  EXPECT_EQ(last().direction, Direction::Incoming);
  EXPECT_THAT(phone_calls("eve").hung_up, ElementsAre(EndReason::Unreachable));
  play_as("alice", 100);
  EXPECT_THAT(phone_calls().hung_up, IsEmpty());
  EXPECT_THAT(phone_calls().hung_up, ElementsAre(EndReason::Busy));
  EXPECT_EQ(last().reason, EndReason::Busy);
  EXPECT_EQ(service_->list().size(), 1u) << "the first one rings on";
}

TEST_F(CalledTerminal, WhoCallsInVainAgainAndAgainIsRecordedNowAndThen) {
  for (int i = 0; i < 200; ++i) {
    EXPECT_THAT(phone_calls("alice", "").hung_up, ElementsAre(EndReason::Unreachable));
    came_.clear();
  }
  EXPECT_EQ(changes_.size(), 60u);
  phone_calls("alice", "bob");
  EXPECT_EQ(changes_.size(), 61u) << "strangers do not use up what accounts have";
  pass(seconds(10));
  phone_calls("alice", "");
  phone_calls("alice", "");
  EXPECT_EQ(changes_.size(), 62u);
  play_as("alice", 100);
  phone_calls("alice", "");
  EXPECT_EQ(state(), State::Ringing);
}

TEST_F(CalledTerminal, CallsToNoAccountAreNotRecorded) {
  EXPECT_THAT(phone_calls("eve").hung_up, ElementsAre(EndReason::Unreachable));
  EXPECT_THAT(came_.back()->why, HasSubstr("no account of this name"));
  EXPECT_THAT(changes_, IsEmpty());
}

TEST_F(CalledTerminal, StrangersAreCalledByTheirAddress) {
  play_as("alice", 100);
  phone_calls("alice", "");
  EXPECT_EQ(last().from, "sip:bob@192.0.2.9");
  EXPECT_EQ(card_name_, "bob@192.0.2.9 “Bob”") << "what is known of them first";
}

TEST_F(CalledTerminal, AnAnswerThatCannotBeGivenEndsTheCall) {
  cannot_be_answered(refused("none of the media can be carried"));
  expect_ended(EndReason::NotAcceptable);
  EXPECT_THAT(server_->ended,
              Contains(HasSubstr("not-acceptable: None of the media can be carried.")));
}

TEST_F(CalledTerminal, AnAnswerThatFindsNoPortsIsNotTheCallersFault) {
  cannot_be_answered(overloaded("There is no room for one more call."));
  expect_ended(EndReason::Overloaded);
  EXPECT_EQ(last().detail, "There is no room for one more call.");
}

TEST_F(CalledTerminal, DoesNotRingForACallThatCannotBeEncryptedAsItMust) {
  around_->options.srtp = [](const sip::IncomingCall &) { return rtp::SrtpPolicy::Require; };
  cannot_encrypt_ = refused("SRTP is required");
  EXPECT_EQ(phone_calls().hung_up, std::vector{EndReason::NotAcceptable}) << "nobody is there";
  play_as("alice", 100);
  fakes::Call &phone = phone_calls();
  EXPECT_EQ(phone.hung_up, std::vector{EndReason::NotAcceptable});
  EXPECT_EQ(phone.why, "SRTP is required.");
  EXPECT_EQ(last().detail, "SRTP is required.");
  EXPECT_FALSE(last().ringing);
  cannot_encrypt_.reset();
  EXPECT_EQ(phone_calls().alerts, 1) << "the next one rings";
}

TEST_F(CalledTerminal, AnAnswerThatCrossesTheCallersEndIsTheCallersEnd) {
  play_as("alice", 100);
  fakes::Call &phone = phone_calls();
  phone.cannot_answer = Error{Fault::PeerClosed, "it was over before it could be answered"};
  publish_as("alice", 1);
  tracks_of("alice");
  EXPECT_EQ(state(), State::Ringing) << "why it is over is told in a moment";
  EXPECT_FALSE(service_->answer(last().id));
  phone.end(EndReason::CallerHangup, 0, "the caller gave up");
  pump();
  expect_ended(EndReason::CallerHangup);
}

TEST_F(CalledTerminal, AnAnswerThatComesToNothingIsNoSuccess) {
  play_as("alice", 100);
  publish_as("alice", 1);
  tracks_of("alice");
  fakes::Call &gone = phone_calls();
  gone.cannot_answer = Error{Fault::PeerClosed, "it was over before it could be answered"};
  const auto late = service_->answer(last().id);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().fault, Fault::Refused);
  EXPECT_EQ(late.error().detail, "The caller hung up before the call could be answered.");
  gone.end(EndReason::CallerHangup, 0, "the caller gave up");
  pump();
  fakes::Call &strange = phone_calls();
  strange.cannot_answer = refused("none of the media can be carried");
  const auto refusal = service_->answer(last().id);
  ASSERT_FALSE(refusal);
  EXPECT_EQ(refusal.error().detail, "None of the media can be carried.");
  expect_ended(EndReason::NotAcceptable);
}

TEST_F(CalledTerminal, WhosePlayerComesWhileItRingsShowsWhoCalls) {
  publish_as("alice", 1);
  tracks_of("alice");
  phone_calls();
  ASSERT_EQ(state(), State::Ringing);
  EXPECT_FALSE(card_.has_value()) << "nothing is drawn that nobody sees";
  play_as("alice", 100);
  EXPECT_EQ(card_, Card::Incoming);
  EXPECT_EQ(tone_, Tone::Ring);
  ASSERT_TRUE(service_->answer(last().id));
  EXPECT_EQ(tone_, Tone::Silence);
}

TEST_F(CalledTerminal, OfTwoTerminalsEachSeesTheOther) {
  play_as("bob", 200);
  play_as("alice", 100);
  publish_as("alice", 1, {{"to", "bob"}});
  pass(std::chrono::milliseconds(200));  // the INVITE would wait for tracks
  EXPECT_EQ(state(), State::Ringing);
  EXPECT_THAT(last().terminals, ElementsAre("alice", "bob"));
  ASSERT_EQ(agent_->invited.size(), 1u) << "bob's phone rings too";
  tracks_of("alice");
  publish_as("bob", 2);
  EXPECT_EQ(state(), State::Answered);
  EXPECT_EQ(last().direction, Direction::Internal);
  EXPECT_THAT(sip(0).hung_up, ElementsAre(EndReason::CallerHangup)) << "answered elsewhere";
  tracks_of("bob", Codec::Pcma);
  pass(std::chrono::milliseconds(100));
  for (const char *part : {"caller_watchdog.src_0 ! callee_player.video",
                           "callee_watchdog.src_0 ! caller_player.video",
                           "caller_watchdog.src_1 ! callee_player.audio",
                           "callee_watchdog.src_1 ! soundfit", "caller_player.audio"})
    EXPECT_TRUE(line_has(part)) << part << " in " << line();
  unpublish_as("bob", 2);
  expect_ended(EndReason::CalleeHangup);
  for (const char *account : {"alice", "bob"})
    EXPECT_THAT(players_told(account), Contains(HasSubstr("callee-hangup"))) << account;
  EXPECT_THAT(server_->ended, Contains(HasSubstr("alice NetStream.Unpublish.Success")));
}

TEST_F(CalledTerminal, NothingIsMissedOfAPictureThatComesAfterTheAnswer) {
  play_as("bob", 200);
  play_as("alice", 100);
  publish_as("alice", 1, {{"to", "bob"}});
  tracks_of("alice");
  publish_as("bob", 2);
  pass(std::chrono::milliseconds(100));
  ASSERT_EQ(state(), State::Answered);
  path_begins_ = [this] {
    rtmp::Frame frame;
    frame.medium = Medium::Video;
    frame.key = true;
    frame.data = SharedBytes::copy(as_bytes("kept"));
    path().spec.server->outlet("alice")->write(frame);
  };
  tracks_of("bob");
  pass(std::chrono::milliseconds(100));
  EXPECT_EQ(server_->outlets["alice"]->of(Medium::Video).size(), 1u)
      << "the next keyframe may be long in coming";
}

TEST_F(CalledTerminal, EachSideHasItsWatchdog) {
  book_["bob"] = {};
  play_as("bob", 200);
  publish_as("alice", 1, {{"to", "bob"}});
  pass(std::chrono::milliseconds(200));
  publish_as("bob", 2);
  ASSERT_EQ(state(), State::Answered);
  path().events.media(Side::Caller, "flowing");
  path().events.media(Side::Callee, "lost");
  expect_ended(EndReason::NoPushMedia);
  EXPECT_THAT(last().detail, HasSubstr("the callee, bob,"));
}

TEST_F(CalledTerminal, TheCalleesTracksDoNotEndTheWaitForTheCallers) {
  play_as("bob", 200);
  publish_as("alice", 1, {{"to", "bob"}});
  tracks_of("bob");
  EXPECT_TRUE(agent_->invited.empty()) << "the offer is to name the profile of alice's picture";
  tracks_of("alice");
  ASSERT_EQ(agent_->invited.size(), 1u);
  EXPECT_TRUE(sip(0).options.h264);
}

TEST_F(CalledTerminal, WhyKeysCannotBePressedIsThePhonesToSay) {
  play_as("alice", 100);
  fakes::Call &phone = phone_calls();
  phone.no_dtmf = refused("It has not been answered.");
  const auto early = service_->send_dtmf(last().id, "1", sip::kDtmfLength);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().detail, "It has not been answered.");
  publish_as("alice", 1);
  tracks_of("alice");
  const auto none = service_->send_dtmf(last().id, "1", sip::kDtmfLength);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().detail, "It has not been answered.");
  phone.no_dtmf.reset();
  EXPECT_TRUE(service_->send_dtmf(last().id, "12", sip::kDtmfLength));
  EXPECT_EQ(phone.dtmf, "12");
}

TEST_F(CalledTerminal, ASilentSideDoesNotUnmakeTheOthersQuietMinute) {
  book_["bob"] = {};
  play_as("bob", 200);
  publish_as("alice", 1, {{"to", "bob"}});
  pass(std::chrono::milliseconds(200));
  publish_as("bob", 2);
  tracks_of("alice", Codec::Pcma);
  tracks_of("bob", Codec::Pcma);
  pass(std::chrono::milliseconds(100));
  ASSERT_EQ(state(), State::Answered);
  for (int i = 0; i < 10; ++i) {
    path().events.media(Side::Caller, "flowing");
    path().events.media(Side::Callee, "flowing");
    pass(seconds(61));
    path().events.media(Side::Callee, "waiting");
    fail_path("voaacenc0", "no memory");
    path().events.media(Side::Callee, "flowing");
    ASSERT_EQ(state(), State::Answered) << i;
    EXPECT_EQ(why("caller-to-callee", Medium::Video).find("Left out"), std::string::npos) << i;
  }
}

TEST_F(CalledTerminal, APhoneMayBeFasterThanTheTerminal) {
  play_as("bob", 200);
  publish_as("alice", 1, {{"to", "bob"}});
  pass(std::chrono::milliseconds(200));
  sip(0).answer(both());
  pump();
  EXPECT_EQ(state(), State::Answered);
  EXPECT_EQ(last().direction, Direction::Outgoing);
  EXPECT_THAT(last().terminals, ElementsAre("alice"));
  EXPECT_THAT(players_told("bob"), IsEmpty());
  publish_as("bob", 2);
  EXPECT_EQ(service_->list().size(), 1u);
  phone_calls("bob", "carol");
  EXPECT_EQ(service_->list().size(), 2u) << "it is free again";
}

TEST_F(CalledTerminal, CallingBackAnswers) {
  book_["bob"] = {};
  play_as("bob", 200);
  publish_as("alice", 1, {{"to", "bob"}});
  pass(std::chrono::milliseconds(200));
  publish_as("bob", 2, {{"to", "alice"}});
  EXPECT_EQ(state(), State::Answered);
  EXPECT_EQ(service_->list().size(), 1u);
}

TEST_F(CalledTerminal, InACallIsBusyForOthersAndForItsOwnCalls) {
  book_["bob"] = {};
  play_as("bob", 200);
  publish_as("alice", 1, {{"to", "bob"}});
  pass(std::chrono::milliseconds(200));
  const auto second = service_->start("carol", "bob");
  ASSERT_FALSE(second);
  EXPECT_EQ(last().reason, EndReason::Busy);
  const auto own = service_->start("bob", "carol");
  ASSERT_FALSE(own);
  EXPECT_THAT(own.error().detail, HasSubstr("with alice"));
}

TEST_F(CalledTerminal, NobodysTerminalRingsForItsOwnCall) {
  book_["alice"] = {};
  play_as("alice", 100);
  publish_as("alice", 1, {{"to", "alice"}});
  expect_ended(EndReason::Unreachable);
  EXPECT_EQ(last().detail,
            "No phone of 'alice' is registered now, and nobody's terminal rings for their own "
            "call.");
  book_["eve"] = {};
  EXPECT_FALSE(service_->start("alice", "eve"));
  EXPECT_EQ(last().detail,
            "No phone of 'eve' is registered now, and no terminal of it is connected.");
}

}  // namespace
}  // namespace junctor::calls
