// SPDX-License-Identifier: LGPL-2.1-or-later
// Calls that do not run smoothly: refused, held, come back to, failed on the way.
#include "service_fixture.h"

namespace junctor::calls {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(ServiceTest, KeysGoToThePhoneAndComeFromIt) {
  publish();
  EXPECT_EQ(service_->send_dtmf(last().id, "1", sip::kDtmfLength).error().fault, Fault::Refused);
  video_track();
  sip(0).answer(both());
  pump();
  EXPECT_TRUE(service_->send_dtmf(last().id, "12#", sip::kDtmfLength));
  EXPECT_EQ(sip(0).dtmf, "12#");
  EXPECT_EQ(service_->send_dtmf(last().id, "x", sip::kDtmfLength).error().fault, Fault::BadInput);
  EXPECT_EQ(service_->send_dtmf("none", "1", sip::kDtmfLength).error().fault, Fault::Unreachable);
  for (std::size_t i = 0; i < View::kMostDigits + 10; ++i)
    sip(0).listener()->on_dtmf(
        sip(0), {i == 0 ? '*' : '1', std::chrono::milliseconds(90), sip::DtmfMethod::RtpEvent});
  ASSERT_EQ(heard_.size(), View::kMostDigits + 10);
  EXPECT_EQ(heard_[0].call, last().id);
  EXPECT_EQ(heard_[0].leg, "callee");
  EXPECT_EQ(heard_[0].dtmf.digit, '*');
  const std::string id = last().id;
  EXPECT_EQ(service_->find(id)->digits.size(), View::kMostDigits) << "the record has a bound";
  sip(0).end(EndReason::CalleeHangup, 0, "");
  pump();
  EXPECT_EQ(last().digits.substr(0, 2), "*1");
}

TEST_F(ServiceTest, AStartByTheApiThatFailsIsToldAndRecordedLikeAPublish) {
  play(5);
  service_->on_publish_started(request(7, rtmp::Role::Push));
  EXPECT_FALSE(service_->start("alice", "mallory"));
  pump();
  ASSERT_EQ(changes_.size(), 1u);
  expect_ended(EndReason::Unreachable);
  EXPECT_EQ(last().detail, "No rule allows mallory.");
  const std::string words = "unreachable: No rule allows mallory.";
  EXPECT_EQ(server_->ended, std::vector<std::string>{"alice NetStream.Publish.Failed " + words});
  EXPECT_EQ(server_->ended_connections, std::vector<std::uint64_t>{7});
  EXPECT_EQ(card_, Card::Unreachable);
  EXPECT_EQ(tone_, Tone::SpecialInformation);
  pass(seconds(4));
  EXPECT_EQ(server_->outlets["alice"]->ended,
            std::vector<std::string>{"NetStream.Play.Failed " + words});
}

TEST_F(ServiceTest, WhoAsksInVainAgainAndAgainIsRecordedNowAndThen) {
  for (std::uint64_t i = 1; i <= 200; ++i) publish(i, "mallory");
  EXPECT_EQ(changes_.size(), 60u);
  EXPECT_EQ(server_->ended.size(), 200u) << "but always told";
  EXPECT_FALSE(service_->start("carol", "mallory"));
  EXPECT_EQ(changes_.size(), 61u) << "others have their own budget";
  pass(seconds(10));
  publish(201, "mallory");
  publish(202, "mallory");
  EXPECT_EQ(changes_.size(), 62u);
}

TEST_F(ServiceTest, AStartWithoutANameIsNoCall) {
  EXPECT_FALSE(service_->start("alice", ""));
  EXPECT_TRUE(changes_.empty());
}

TEST_F(ServiceTest, ACallerThatIsInACallIsBusyAndItsCallGoesOn) {
  answered_call();
  const std::string running = last().id;
  EXPECT_FALSE(service_->start("alice", "carol"));
  pump();
  EXPECT_EQ(last().reason, EndReason::Busy);
  EXPECT_EQ(last().to, "carol");
  EXPECT_NE(last().id, running);
  EXPECT_TRUE(server_->ended.empty());
  EXPECT_TRUE(server_->outlets["alice"]->ended.empty());
  ASSERT_EQ(service_->list().size(), 1u);

  publish(2, "carol");
  EXPECT_EQ(last().reason, EndReason::Busy);
  ASSERT_EQ(server_->ended.size(), 1u) << "who asks is told";
  EXPECT_EQ(last().detail, "The caller is in a call with bob already; end that first.");
  EXPECT_EQ(server_->ended[0], "alice NetStream.Publish.Failed busy: " + last().detail);
  EXPECT_TRUE(server_->outlets["alice"]->ended.empty()) << "the players hear bob";
  unpublish(true, 2);
  ASSERT_EQ(service_->list().size(), 1u) << "the end that it was told is no hangup";
  EXPECT_EQ(service_->list()[0].id, running);
  publish(3);
  unpublish(true, 3);
  EXPECT_TRUE(service_->list().empty());
  EXPECT_EQ(last().reason, EndReason::CallerHangup) << "that of who came back to it is";
}

TEST_F(ServiceTest, WhereARedirectionLedIsToldBesideWhatWasDialled) {
  publish();
  video_track();
  EXPECT_EQ(last().uri, "sip:bob@192.0.2.1");
  EXPECT_EQ(last().redirected_to, "");
  sip(0).moved = "sip:bob@192.0.2.9";
  sip(0).ring();
  EXPECT_EQ(last().uri, "sip:bob@192.0.2.1");
  EXPECT_EQ(last().redirected_to, "sip:bob@192.0.2.9");
  sip(0).answer(both());
  pump();
  EXPECT_EQ(last().redirected_to, "sip:bob@192.0.2.9");
  EXPECT_NE(last().launch.find("uri=sip:bob@192.0.2.9"), std::string::npos) << last().launch;
  sip(0).end(EndReason::CalleeHangup, 0, "");
  pump();
  expect_ended(EndReason::CalleeHangup);
  EXPECT_EQ(last().redirected_to, "sip:bob@192.0.2.9");
}

TEST_F(ServiceTest, OfSeveralContactsTheRecordNamesTheOneWhoseEndCounts) {
  publish(1, "carol");
  video_track();
  sip(1).moved = "sip:carol@192.0.2.9";
  sip(1).end(EndReason::Declined, 603, "");
  sip(0).end(EndReason::Unreachable, 503, "");
  pump();
  expect_ended(EndReason::Declined);
  EXPECT_EQ(last().uri, "sip:carol@192.0.2.3");
  EXPECT_EQ(last().redirected_to, "sip:carol@192.0.2.9");
}

TEST_F(ServiceTest, OfContactsThatCannotEvenBeRungTheMostTellingReasonStays) {
  agent_->refused = {
      {"sip:carol@192.0.2.2", {Fault::NotAcceptable, "nothing can be offered without TLS"}},
      {"sip:carol@192.0.2.3", internal_error("no port is free")}};
  publish(1, "carol");
  video_track();
  expect_ended(EndReason::NotAcceptable);
  EXPECT_EQ(last().detail, "Nothing can be offered without TLS.");
  EXPECT_EQ(last().uri, "sip:carol@192.0.2.2");
}

TEST_F(ServiceTest, ACallThatItsCallerEndsOnTheWayNamesWhereItWas) {
  publish();
  video_track();
  sip(0).moved = "sip:bob@192.0.2.9";
  unpublish(true);
  expect_ended(EndReason::CallerHangup);
  EXPECT_EQ(last().redirected_to, "sip:bob@192.0.2.9");
}

TEST_F(ServiceTest, NoCardIsDrawnWhereThePictureIsThereAlready) {
  answered_call();
  live(Medium::Video);
  pass(milliseconds(1000));
  EXPECT_EQ(card_, Card::Ringing) << "nothing new";
}

TEST_F(ServiceTest, OnHoldThePlayerGetsACardAndAToneUntilItGoesOn) {
  answered_call();
  fakes::Outlet &outlet = *server_->outlets["alice"];
  live(Medium::Video);
  live(Medium::Audio);
  ASSERT_EQ(outlet.written.size(), 2u);

  auto held = both();
  held[0].direction = sip::Direction::Inactive;
  held[1].direction = sip::Direction::SendOnly;
  sip(0).change(held);
  pump();
  EXPECT_EQ(card_, Card::OnHold);
  EXPECT_EQ(tone_, Tone::Hold);
  live(Medium::Video);
  live(Medium::Audio);
  EXPECT_EQ(outlet.written.size(), 2u) << "what was still on its way must not freeze the picture";

  sip(0).change(both());
  pump();
  live(Medium::Video, false);
  EXPECT_EQ(outlet.written.size(), 2u) << "waits for a keyframe";
  live(Medium::Video);
  live(Medium::Audio);
  EXPECT_EQ(outlet.written.size(), 4u);
  EXPECT_EQ(paths_.size(), 1u) << "the pipeline goes on";
}

TEST_F(ServiceTest, TheFirstPacketToTheCallerCountsFromTheAnswerWithEarlyMediaToo) {
  now_ = Clock::now();  // frames are dated by the reactor
  publish();
  video_track();
  audio_track();
  sip(0).early(both());
  pump();
  live(Medium::Video);
  live(Medium::Audio);
  now_ = Clock::now();
  sip(0).answer(both());
  pump();
  EXPECT_FALSE(service_->find(last().id)->first_packet_to_caller_ms.has_value());
  while (Clock::now() - now_ < milliseconds(2)) {
  }
  const std::size_t changes = changes_.size();
  live(Medium::Audio);
  ASSERT_TRUE(service_->find(last().id)->first_packet_to_caller_ms.has_value());
  EXPECT_GE(*service_->find(last().id)->first_packet_to_caller_ms, 2);
  EXPECT_EQ(changes_.size(), changes) << "one of two";
  path().events.first_packet(Side::Callee, Medium::Video, now_ + milliseconds(5));
  ASSERT_EQ(changes_.size(), changes + 1) << "so that the record has both";
  EXPECT_EQ(last().state, State::Answered);
  EXPECT_EQ(last().first_packet_to_callee_ms, 5);
  live(Medium::Video);
  path().events.first_packet(Side::Callee, Medium::Audio, now_ + milliseconds(9));
  EXPECT_EQ(changes_.size(), changes + 1) << "once";
}

TEST_F(ServiceTest, APublisherThatComesBackBringsItsOwnTracksOnly) {
  answered_call();
  unpublish(false);
  publish(2);
  pass(seconds(1));
  EXPECT_EQ(paths_.size(), 1u) << "nothing is known of it yet";
  video_track();
  pass(milliseconds(100));
  ASSERT_EQ(paths_.size(), 2u);
  EXPECT_TRUE(line_has("caller.video ! caller_watchdog"));
  EXPECT_FALSE(line_has("caller.audio")) << line();
}

TEST_F(ServiceTest, TheLineForPeopleNamesWhatTheyMustFillIn) {
  auto dial = around_->options.dial;
  around_->options.dial = [dial](const std::string &from, const std::string &to) {
    auto contacts = dial(from, to);
    if (contacts) {
      contacts->phones.front().user = "trunk-user";
      contacts->phones.front().password = "trunk-secret";
    }
    return contacts;
  };
  auto with_application = request(1, rtmp::Role::Push, {{"to", "bob"}});
  with_application.app = "voice";
  service_->on_publish_started(with_application);
  pump();
  video_track();
  sip(0).answer(both());
  pump();
  for (const char *part :
       {"application=voice", "token=TOKEN", "user=trunk-user", "password=PASSWORD"})
    EXPECT_NE(last().launch.find(part), std::string::npos) << part << " in " << last().launch;
  EXPECT_EQ(last().launch.find("trunk-secret"), std::string::npos);
}

TEST_F(ServiceTest, ManyElementsThatFailAtOnceAreOneFailure) {
  answered_call();
  for (int i = 0; i < 5; ++i) path().events.failed("element" + std::to_string(i), "not linked");
  pass(milliseconds(100));
  EXPECT_EQ(state(), State::Answered);
  EXPECT_EQ(paths_.size(), 2u);
}

TEST_F(ServiceTest, FailuresOfLongAgoAreForgiven) {
  answered_call();
  for (int i = 0; i < 10; ++i) {
    path().events.media(Side::Caller, "flowing");
    pass(std::chrono::minutes(1));
    path().events.failed("voaacenc0", "no memory");
    pass(milliseconds(100));
    ASSERT_EQ(state(), State::Answered) << i;
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(why("caller-to-callee", Medium::Video).find("Left out"), std::string::npos) << i;
    path().events.media(Side::Caller, "flowing");
    pass(seconds(59));
    fail_path("voaacenc0", "no memory");
  }
  EXPECT_EQ(why("caller-to-callee", Medium::Video).find("Left out"), 0u) << "held against it";
}

TEST_F(ServiceTest, WhatChangesAgainAndAgainIsBuiltEverMoreRarely) {
  answered_call();
  const auto change_for = [this](Duration time) {
    const std::size_t before = paths_.size();
    for (Duration at{}; at < time; at += milliseconds(20)) {
      auto other = both();
      if (at / milliseconds(20) % 2 == 0) other[0] = media(Codec::Pcmu);
      sip(0).change(other);
      pass(milliseconds(20));
    }
    return paths_.size() - before;
  };
  EXPECT_LE(change_for(seconds(2)), 14u);
  change_for(seconds(10));
  EXPECT_LE(change_for(seconds(20)), 5u) << "one each five seconds";
  pass(seconds(5));
  EXPECT_TRUE(line_has("audio/x-alaw")) << "what holds in the end is built: " << line();
  const auto built = paths_.size();
  pass(seconds(60));
  EXPECT_EQ(paths_.size(), built);
  EXPECT_GE(change_for(milliseconds(100)), 5u) << "a quiet minute later all is forgotten";
}

TEST_F(ServiceTest, WhileANewPathWaitsWhatRunsIsTold) {
  answered_call();
  const auto sound = [this](Codec codec) {
    auto other = both();
    other[0] = media(codec);
    sip(0).change(other);
    pump();
  };
  const auto told = [this] {
    const View view = *service_->find(last().id);
    return std::pair(view.plan[3].from, view.launch.find("audio/x-mulaw") != std::string::npos);
  };
  ASSERT_EQ(told(), std::pair(std::string("pcma"), false));
  std::size_t built = 0;
  for (int i = 0; built != paths_.size(); ++i) {
    ASSERT_LT(i, 100);
    built = paths_.size();
    sound(i % 2 == 0 ? Codec::Pcmu : Codec::Pcma);
    const bool runs_pcmu = line_has("audio/x-mulaw");
    EXPECT_EQ(told(), std::pair(std::string(runs_pcmu ? "pcmu" : "pcma"), runs_pcmu)) << i;
  }
  const bool ran_pcmu = line_has("audio/x-mulaw");
  pass(seconds(6));
  ASSERT_EQ(paths_.size(), built + 1) << "the last change is built in the end";
  EXPECT_EQ(told(), std::pair(std::string(ran_pcmu ? "pcma" : "pcmu"), !ran_pcmu));
}

/// A phone whose picture must be encoded anew, and one that sends its own.
std::vector<sip::Media> baseline_phone() {
  return {media(Codec::Pcma), media(Codec::H264, "profile-level-id=42e00d;packetization-mode=1")};
}

TEST_F(ServiceTest, WithoutAnEncoderForThePictureTheCallGoesOnWithSoundAndTheOtherPicture) {
  unable_ = {{"x264enc", "no element \"x264enc\""}};
  publish();
  video_track(100);
  audio_track();
  sip(0).answer(baseline_phone());
  pump();
  ASSERT_EQ(state(), State::Answered);
  EXPECT_TRUE(line_has("audio/x-alaw,rate=8000,channels=1 ! callee.audio")) << line();
  EXPECT_TRUE(line_has("player.audio"));
  EXPECT_TRUE(line_has("player.video")) << "the callee's picture needs no encoder";
  EXPECT_TRUE(line_has("caller.video ! caller_watchdog.sink_0 caller_watchdog.src_0 ! fakesink"))
      << line();
  EXPECT_EQ(why("caller-to-callee", Medium::Video),
            "Left out, for the media pipeline fails with it: no element \"x264enc\".");
  EXPECT_EQ(why("callee-to-caller", Medium::Video).find("Left out"), std::string::npos);
  EXPECT_EQ(service_->find(last().id)->plan[0].to, "none");
}

TEST_F(ServiceTest, ATemplateThatCannotBeFilledCostsWhatItMakesOnly) {
  around_->templates.transcode_video = *LaunchTemplate::parse("t", "${decode} ! ${no_such_hole}");
  publish();
  video_track(100);
  audio_track();
  sip(0).answer(baseline_phone());
  pump();
  ASSERT_EQ(state(), State::Answered);
  EXPECT_TRUE(line_has("callee.audio"));
  EXPECT_NE(why("caller-to-callee", Medium::Video).find("no_such_hole"), std::string::npos);
}

TEST_F(ServiceTest, APictureThatCannotReachThePlayerIsReplacedByOneThatSaysSo) {
  unable_ = {{"player.video", "player does not link"}};
  answered_call();
  ASSERT_EQ(state(), State::Answered);
  EXPECT_TRUE(line_has("callee.video"));
  EXPECT_FALSE(line_has("player.video"));
  EXPECT_TRUE(line_has("player.audio"));
  EXPECT_EQ(card_, Card::AudioOnly);
  EXPECT_EQ(why("callee-to-caller", Medium::Video),
            "Left out, for the media pipeline fails with it; the pull terminal gets a picture "
            "that says so: player does not link.");
  pass(seconds(2));
  EXPECT_EQ(card_, Card::AudioOnly) << "it promises no picture";
}

TEST_F(ServiceTest, SoundThatCannotBeCarriedLeavesThePicture) {
  unable_ = {{"x-alaw", "no element \"soundfit\""}, {"voaacenc", "no element \"voaacenc\""}};
  answered_call();
  ASSERT_EQ(state(), State::Answered);
  EXPECT_TRUE(line_has("callee.video"));
  EXPECT_TRUE(line_has("player.video"));
  EXPECT_FALSE(line_has("player.audio"));
  EXPECT_TRUE(line_has("caller.audio ! caller_watchdog.sink_1 caller_watchdog.src_1 ! fakesink"))
      << line();
  EXPECT_EQ(tone_, Tone::Silence);
  EXPECT_NE(why("caller-to-callee", Medium::Audio).find("Left out"), std::string::npos);
}

TEST_F(ServiceTest, WhatIsLeftOutIsTriedAgainWhenThePlanChanges) {
  unable_ = {{"x264enc", "no element \"x264enc\""}};
  publish();
  video_track(100);
  audio_track();
  sip(0).answer(baseline_phone());
  pump();
  EXPECT_FALSE(line_has("callee.video ")) << line();
  const std::size_t made = paths_.size();
  sip(0).change(baseline_phone());
  EXPECT_EQ(paths_.size(), made) << "nothing has changed";
  video_track(66);
  sip(0).change(both());
  pass(milliseconds(100));
  EXPECT_TRUE(line_has("watchdog.src_0 ! callee.video")) << "passed through now: " << line();
  EXPECT_EQ(why("caller-to-callee", Medium::Video).find("Left out"), std::string::npos);
}

TEST_F(ServiceTest, APictureAloneThatCannotBeSentWaitsForTheSound) {
  play_from_start_ = false;
  unable_ = {{"x264enc", "no element \"x264enc\""}};
  publish();
  video_track(100);
  sip(0).answer(baseline_phone());
  pump();
  ASSERT_EQ(state(), State::Answered) << "the sound may come, and so may a player";
  audio_track();
  pass(milliseconds(100));
  EXPECT_TRUE(line_has("callee.audio")) << line();
}

TEST_F(ServiceTest, APipelineThatFailsAgainAndAgainIsTriedWithLess) {
  publish();
  video_track(100);
  audio_track();
  sip(0).answer(baseline_phone());
  pump();
  for (int i = 0; i < 3; ++i) fail_path("x264enc0", "no memory");
  EXPECT_TRUE(line_has("x264enc")) << "a failure may pass";
  fail_path("x264enc0", "no memory");
  ASSERT_EQ(state(), State::Answered);
  EXPECT_FALSE(line_has("x264enc")) << line();
  EXPECT_TRUE(line_has("callee.audio"));
  EXPECT_EQ(why("caller-to-callee", Medium::Video),
            "Left out, for the media pipeline fails with it: x264enc0: no memory.");
}

TEST_F(ServiceTest, SoundThatFailsAgainAndAgainIsFoundOut) {
  answered_call();
  for (int i = 0; i < 20 && state() == State::Answered && line_has("voaacenc"); ++i)
    fail_path("voaacenc0", "no memory");
  ASSERT_EQ(state(), State::Answered);
  EXPECT_TRUE(line_has("callee.video"));
  EXPECT_TRUE(line_has("player.video")) << line();
  EXPECT_TRUE(line_has("callee.audio")) << line();
}

TEST_F(ServiceTest, EarlyMediaThatCannotBeCarriedCostNoCall) {
  unable_ = {{"voaacenc", "no memory"}};
  publish();
  video_track();
  audio_track();
  sip(0).early({media(Codec::Pcma)});
  pump();
  EXPECT_EQ(state(), State::Ringing);
  EXPECT_TRUE(paths_.empty());
  EXPECT_EQ(tone_, Tone::Ringback);
  unable_.clear();
  sip(0).answer({media(Codec::Pcma)});
  pump();
  EXPECT_EQ(state(), State::Answered);
  EXPECT_TRUE(line_has("voaacenc")) << "the answer tries anew: " << line();
}

TEST_F(ServiceTest, EarlyMediaThatFailAgainAndAgainCostNoCall) {
  publish();
  video_track();
  audio_track();
  sip(0).early({media(Codec::Pcma)});
  for (int i = 0; i < 20 && path().alive; ++i) fail_path("voaacenc0", "no memory");
  EXPECT_FALSE(path().alive);
  EXPECT_EQ(state(), State::Ringing);
  sip(0).answer(both());
  pump();
  EXPECT_EQ(state(), State::Answered);
  EXPECT_TRUE(path().alive);
}

TEST_F(ServiceTest, WhatWasLeftOutOfEarlyMediaIsInTheAnsweredCall) {
  publish();
  video_track();
  audio_track();
  sip(0).early(both());
  const std::string whole = line();
  for (int i = 0; i < 10; ++i) fail_path("voaacenc0", "no memory");
  ASSERT_TRUE(path().alive);
  ASSERT_NE(line(), whole) << "some of it goes on";
  ASSERT_EQ(state(), State::Ringing);
  sip(0).answer(both());
  pump();
  EXPECT_EQ(state(), State::Answered);
  EXPECT_TRUE(path().spec.sending) << "at once, however many were made before";
  for (const char *part : {"audio/x-alaw", "! callee.video", "player.audio", "player.video"})
    EXPECT_TRUE(line_has(part)) << part << " in " << line();
  EXPECT_EQ(why("caller-to-callee", Medium::Audio).find("Left out"), std::string::npos);
  const std::string answered = line();
  for (int i = 0; i < 3; ++i) fail_path("voaacenc0", "no memory");
  EXPECT_EQ(line(), answered) << "it has its own tries";
}

/// A session that has counted what a test says.
struct CountedSession : rtp::Session {
  std::uint16_t port() const override { return 20000; }
  std::uint32_t ssrc() const override { return 1; }
  std::shared_ptr<Reactor> reactor() const override { return nullptr; }
  void configure(const rtp::Stream &, const rtp::Remote &) override {}
  void set_listener(std::weak_ptr<rtp::SessionListener>) override {}
  void send(std::span<const rtp::OutgoingPacket>) override {}
  void begin_source() override {}
  void send_digit(const rtp::Digit &) override {}
  void set_digits_heard(std::function<void(const rtp::Digit &)>) override {}
  bool request_keyframe() override { return true; }
  rtp::SessionLatency latency() const override { return {}; }
  rtp::Stats stats() const override { return counted; }
  std::optional<rtp::SenderClock> sender_clock() const override { return std::nullopt; }
  void close() override {}
  rtp::Stats counted;
};

TEST_F(ServiceTest, TheRoundTripIsKnownOnceThePhoneHasReported) {
  const auto session = std::make_shared<CountedSession>();
  session->counted.sent_packets = 7;
  auto agreed = both();
  agreed[0].session = session;
  publish();
  video_track();
  sip(0).answer(agreed);
  pump();
  const std::string id = last().id;
  EXPECT_EQ(service_->find(id)->audio.sent_packets, 7u);
  EXPECT_EQ(service_->find(id)->audio.round_trip_ms, std::nullopt);
  session->counted.round_trip_ms = 12.5;
  EXPECT_EQ(service_->find(id)->audio.round_trip_ms, 12.5);
  EXPECT_EQ(service_->find(id)->video.round_trip_ms, std::nullopt);
}

TEST_F(ServiceTest, WhatWentThroughALegThatLeftStaysCounted) {
  publish(1, "carol");
  video_track();
  const auto counted = [](std::uint64_t received) {
    const auto session = std::make_shared<CountedSession>();
    session->counted.received_packets = received;
    auto agreed = media(Codec::Pcma);
    agreed.session = session;
    return std::vector{agreed};
  };
  const std::string id = last().id;
  sip(0).early(counted(100));
  EXPECT_EQ(service_->find(id)->audio.received_packets, 100u);
  sip(0).end(EndReason::Busy, 486, "");
  EXPECT_EQ(service_->find(id)->audio.received_packets, 100u);
  sip(1).early(counted(10));
  EXPECT_EQ(service_->find(id)->audio.received_packets, 110u);
  sip(1).answer(counted(11));
  pump();
  EXPECT_EQ(service_->find(id)->audio.received_packets, 111u);
  EXPECT_TRUE(service_->hangup(id, EndReason::Admin));
  EXPECT_EQ(last().audio.received_packets, 111u);
}

TEST_F(ServiceTest, WhatEarlyMediaBorrowedIsGivenBackWithThem) {
  const double all = around_->headroom.left();
  publish(1, "carol");
  video_track();
  sip(0).early({media(Codec::Pcma)});
  ASSERT_LT(around_->headroom.left(), all);
  sip(0).end(EndReason::Busy, 486, "");
  EXPECT_DOUBLE_EQ(around_->headroom.left(), all);
  sip(1).early({media(Codec::Pcma)});
  ASSERT_LT(around_->headroom.left(), all);
  sip(1).early({media(Codec::H264)});
  EXPECT_DOUBLE_EQ(around_->headroom.left(), all);
}

}  // namespace
}  // namespace junctor::calls
