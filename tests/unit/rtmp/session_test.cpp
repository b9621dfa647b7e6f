// SPDX-License-Identifier: LGPL-2.1-or-later
// The three checks, media and ends of one session.
#include <gmock/gmock.h>

#include "session_fixture.h"

using namespace junctor;
using namespace junctor::rtmp;
using namespace std::chrono_literals;
using junctor::test::operator+;
using junctor::test::counting;
using junctor::test::Fixture;
using junctor::test::kConnectAnswer;
using junctor::test::Peer;
using junctor::test::Words;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Session, NothingIsSaidBeforeTheVerdict) {
  Fixture f;
  f.connect();
  EXPECT_THAT(f.peer.take(), IsEmpty());
  EXPECT_FALSE(f.session.wants_input());
  f.give(f.peer.command("createStream", 2));
  EXPECT_FALSE(f.held.empty());
  f.answer(true, "alice");
  EXPECT_TRUE(f.held.empty());
  EXPECT_THAT(f.peer.take(), testing::ElementsAreArray(kConnectAnswer));
  EXPECT_EQ(f.events.back(), "check createStream");
  f.answer(true);
  EXPECT_THAT(f.peer.take(), ElementsAre("_result 2"));
}

TEST(Session, ConnectIsRefusedByError) {
  Fixture f;
  f.connect();
  f.answer(false, "unknown application");
  EXPECT_THAT(f.peer.take(), ElementsAre("_error 1 NetConnection.Connect.Rejected"));
  ASSERT_TRUE(f.session.closing());
  EXPECT_EQ(f.session.close_reason().fault, Fault::Refused);
  EXPECT_EQ(f.session.close_reason().detail, "unknown application");
  EXPECT_EQ(f.session.stage(), "connect");
  EXPECT_EQ(f.session.receive(counting(10), f.now), 10U);
  EXPECT_FALSE(f.session.has_output());
}

TEST(Session, ARefusedConnectMayBeToldInAnotherWay) {
  Fixture f;
  f.connect();
  Verdict verdict;
  verdict.reason = "a password is asked for";
  verdict.description = "[ AccessManager.Reject ]";
  f.session.decide(f.pending, verdict, f.now);
  f.exchange();
  EXPECT_EQ(f.info().string("description"), "[ AccessManager.Reject ]");
  EXPECT_EQ(f.session.close_reason().detail, "a password is asked for");
}

TEST(Session, TheGrantOfConnectReachesTheLaterChecks) {
  Fixture f;
  f.connect();
  EXPECT_EQ(f.requests.back().grant, "");
  Verdict verdict;
  verdict.accepted = true;
  verdict.identity = "alice";
  verdict.grant = "by password";
  f.session.decide(f.pending, verdict, f.now);
  f.give(f.peer.command("createStream", 2));
  EXPECT_EQ(f.requests.back().grant, "by password");
  // Only connect gives one.
  verdict.grant = "another";
  f.session.decide(f.pending, verdict, f.now);
  f.give(f.peer.command("publish", 3, {"alice"}, 1));
  ASSERT_EQ(f.requests.size(), 3U);
  EXPECT_EQ(f.requests.back().grant, "by password");
}

/// Enhanced RTMP v2, "Enhancing NetConnection connect Command".
TEST(Session, WhoNamesAvc1GetsIt) {
  const auto list = [](std::vector<AmfValue> codes) {
    return AmfMember{"fourCcList", AmfStrictArray(std::move(codes))};
  };
  const auto map = [](const char *code, double mask) {
    return AmfMember{"videoFourCcInfoMap", AmfObject{{code, mask}}};
  };
  const struct {
    AmfMember member;
    TagStyle style;
    bool told;
  } kRows[] = {
      {list({"av01", "avc1"}), TagStyle::Enhanced, true},
      {list({"av01", 7}), TagStyle::Legacy, true},
      {list({"*"}), TagStyle::Legacy, true},
      {{"fourCcList", "avc1"}, TagStyle::Legacy, true},
      {map("avc1", 1), TagStyle::Enhanced, true},
      {map("avc1", 7), TagStyle::Enhanced, true},
      {map("avc1", 6), TagStyle::Legacy, true},  // encodes and forwards
      {map("avc1", -1e300), TagStyle::Legacy, true},
      {map("*", 1), TagStyle::Legacy, true},
      {{"videoCodecs", 128}, TagStyle::Legacy, false},
  };
  for (const auto &row : kRows) {
    Fixture f;
    f.give(f.peer.begin());
    f.give(f.peer.command("connect", 1, {}, 0, AmfObject{{"app", "call"}, row.member}));
    f.answer(true, "alice");
    EXPECT_EQ(f.session.h264_style(), row.style) << &row - kRows;
    const AmfMembers info = f.info();
    EXPECT_EQ(info.string("code"), "NetConnection.Connect.Success");
    const AmfValue *ours = info.find("fourCcList");
    ASSERT_EQ(ours != nullptr, row.told) << &row - kRows;
    if (!ours) continue;
    EXPECT_EQ(*ours, AmfValue(AmfStrictArray({"avc1", "vp08", "mp4a"})));
    EXPECT_EQ(info.find("videoFourCcInfoMap")->members()->number("avc1"), 7);
  }
}

TEST(Session, CreateStreamIsRefusedByError) {
  Fixture f;
  f.connected();
  f.forget();
  f.give(f.peer.command("createStream", 4));
  f.answer(false, "token expired");
  EXPECT_EQ(f.info().string("level"), "error");
  EXPECT_EQ(f.info().string("description"), "token expired");
  EXPECT_THAT(f.peer.take(), ElementsAre("_error 4 NetConnection.Call.Failed"));
  EXPECT_TRUE(f.session.closing());
  EXPECT_EQ(f.session.stage(), "createStream");
}

TEST(Session, PublishAndPlayAreRefusedByStatusOnTheStream) {
  const struct {
    std::string command;
    Refusal refusal;
    std::string code;
  } rows[] = {{"publish", Refusal::Denied, "NetStream.Publish.Denied"},
              {"publish", Refusal::NameTaken, "NetStream.Publish.BadName"},
              {"play", Refusal::Denied, "NetStream.Play.Failed"},
              {"play", Refusal::UnknownStream, "NetStream.Play.StreamNotFound"}};
  for (const auto &row : rows) {
    Fixture f;
    f.with_stream();
    f.give(f.peer.command(row.command, 0, {"alice"}, 1));
    f.answer(false, "no right", row.refusal);
    ASSERT_EQ(f.peer.heard.size(), 1U);
    EXPECT_EQ(f.peer.heard[0].stream, 1U);
    EXPECT_EQ(f.info().string("level"), "error");
    EXPECT_EQ(f.info().string("description"), "no right");
    EXPECT_THAT(f.peer.take(), ElementsAre("onStatus " + row.code));
    EXPECT_TRUE(f.session.closing());
    EXPECT_EQ(f.session.stage(), row.command);
    EXPECT_EQ(f.events.back(), "refused publish/play");
  }
}

TEST(Session, AVerdictThatDoesNotComeRefuses) {
  Fixture f;
  f.connect();
  EXPECT_EQ(f.session.deadline(), f.now + 5000ms);
  f.now += 4999ms;
  f.session.tick(f.now);
  EXPECT_FALSE(f.session.closing());
  f.now += 1ms;
  f.session.tick(f.now);
  f.exchange();
  EXPECT_THAT(f.info().string("description"), HasSubstr("5000 ms"));
  EXPECT_THAT(f.peer.take(), ElementsAre("_error 1 NetConnection.Connect.Rejected"));
  EXPECT_EQ(f.events.back(), "refused connect");
  f.answer(true, "late");
  EXPECT_THAT(f.peer.take(), IsEmpty());
}

TEST(Session, AVerdictOfAnotherCheckIsIgnored) {
  Fixture f;
  f.connected();
  f.forget();
  f.give(f.peer.command("createStream", 2));
  Verdict verdict;
  verdict.accepted = true;
  f.session.decide(f.pending - 1, verdict, f.now);
  f.session.decide(f.pending + 1, verdict, f.now);
  f.exchange();
  EXPECT_THAT(f.peer.take(), IsEmpty());
}

TEST(Session, EachStageHasItsTimeLimit) {
  Fixture handshake;
  handshake.give(handshake.peer.begin());
  handshake.session.tick(handshake.now + 4999ms);
  EXPECT_FALSE(handshake.session.closing());
  handshake.session.tick(handshake.now + 5000ms);
  EXPECT_EQ(handshake.session.close_reason().fault, Fault::Timeout);

  Fixture start;
  start.connected();
  EXPECT_EQ(start.session.deadline(), start.now + 10000ms);
  start.session.tick(start.now + 10000ms);
  EXPECT_EQ(start.session.close_reason().fault, Fault::Timeout);

  Fixture idle;
  idle.publishing();
  const Time began = idle.now;
  idle.now += 30s;
  idle.give(idle.peer.media(MessageType::Audio, 1, 0, counting(5)));
  idle.session.tick(began + 60s);
  EXPECT_FALSE(idle.session.closing());
  EXPECT_EQ(idle.session.deadline(), began + 90s);
  idle.session.tick(began + 90s);
  EXPECT_EQ(idle.session.close_reason().fault, Fault::Timeout);
  EXPECT_EQ(idle.session.stage(), "publishing");

  // Making streams does not put it off, nor does a closed stream end it.
  Fixture streams;
  streams.with_stream();
  streams.now += 9s;
  streams.give(streams.peer.command("createStream", 3));
  streams.answer(true);
  EXPECT_EQ(streams.session.deadline(), streams.now + 1s);

  Limits off;
  off.handshake_ms = 0;
  Fixture unlimited(off);
  EXPECT_EQ(unlimited.session.deadline(), Time::max());
}

TEST(Session, TakesTheQueryOfTheUrlIfTheApplicationHasNone) {
  Fixture f;
  f.connect("call/", "rtmp://host/call?token=a%2Bb+c%zz&flag&=x");
  EXPECT_EQ(f.requests[0].app, "call");
  EXPECT_THAT(f.requests[0].parameters,
              ElementsAre(testing::Pair("flag", ""), testing::Pair("token", "a+b+c%zz")));
  EXPECT_EQ(f.requests[0].identity, "");
  EXPECT_EQ(f.requests[0].connection, 7U);
  EXPECT_EQ(f.requests[0].address.address, "192.0.2.1");
}

TEST(Session, TheStreamsQueryWins) {
  Fixture f;
  f.connected("call?token=one&codec=x");
  f.give(f.peer.command("createStream", 2));
  f.answer(true);
  f.give(f.peer.command("publish", 3, {"alice?token=two&to=sip:%2B49@example.org"}, 1));
  EXPECT_THAT(f.requests.back().parameters,
              ElementsAre(testing::Pair("codec", "x"), testing::Pair("to", "sip:+49@example.org"),
                          testing::Pair("token", "two")));
  EXPECT_EQ(f.requests.back().stream, "alice");
}

TEST(Session, HoldsLittleOfAStranger) {
  const auto header = test::wire("04 000000 100000 09 01000000");  // a picture of 1 MiB
  Fixture stranger;
  stranger.give(stranger.peer.begin());
  ASSERT_TRUE(stranger.peer.ready());
  stranger.give(header);
  ASSERT_TRUE(stranger.session.closing());
  EXPECT_EQ(stranger.session.close_reason().fault, Fault::Refused);

  Fixture several;
  several.give(several.peer.begin());
  for (int chunk_stream = 0x10; chunk_stream < 0x13; ++chunk_stream)
    for (int chunk = 0; chunk < 500; ++chunk) {
      const auto id = static_cast<std::byte>(chunk_stream | (chunk == 0 ? 0 : 0xc0));
      several.give(Bytes{id} + (chunk == 0 ? test::wire("000000 010000 09 01000000") : Bytes()) +
                   Bytes(128));
    }
  ASSERT_TRUE(several.session.closing()) << several.session.pending_bytes();
  EXPECT_EQ(several.session.close_reason().fault, Fault::Refused);

  Fixture known;
  known.connected();
  known.give(header);
  EXPECT_FALSE(known.session.closing());
}

TEST(Session, AnIdentityMayComeWithTheLastVerdict) {
  Fixture f;
  f.connect();
  f.answer(true);
  f.give(f.peer.command("createStream", 2));
  f.answer(true);
  f.give(f.peer.command("publish", 3, {"alice?token=t"}, 1));
  EXPECT_EQ(f.requests.back().identity, "");
  f.answer(true, "alice");
  EXPECT_EQ(f.session.identity(), "alice");
}

TEST(Session, WhatComesTooSoonOrTwiceIsAnError) {
  Fixture early;
  early.give(early.peer.begin());
  early.give(early.peer.command("createStream", 2));
  EXPECT_THAT(early.peer.take(), ElementsAre("_error 2 NetConnection.Call.Failed"));
  EXPECT_EQ(early.session.close_reason().fault, Fault::BadInput);

  Fixture twice;
  twice.connected();
  twice.forget();
  twice.give(twice.peer.connect("call"));
  EXPECT_EQ(twice.session.close_reason().fault, Fault::BadInput);

  Fixture no_stream;
  no_stream.connected();
  no_stream.forget();
  no_stream.give(no_stream.peer.command("publish", 3, {"alice"}, 1));
  EXPECT_THAT(no_stream.peer.take(), ElementsAre("onStatus NetStream.Publish.Denied"));
  EXPECT_TRUE(no_stream.session.closing());

  Fixture in_use;
  in_use.publishing();
  in_use.give(in_use.peer.command("publish", 3, {"bob"}, 1));
  EXPECT_THAT(in_use.peer.take(), ElementsAre("onStatus NetStream.Publish.BadName"));

  Fixture garbage;
  garbage.give(as_bytes("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"));
  EXPECT_EQ(garbage.session.close_reason().fault, Fault::BadInput);
  EXPECT_EQ(garbage.session.stage(), "handshake");
}

TEST(Session, NamesAreBounded) {
  for (const std::string &name :
       {std::string(), std::string(257, 'x'), std::string("a\nb"), "a?" + std::string(8193, 'x')}) {
    Fixture f;
    f.with_stream();
    f.give(f.peer.command("publish", 3, {name}, 1));
    EXPECT_TRUE(f.session.closing());
    EXPECT_THAT(f.events, IsEmpty());
    EXPECT_THAT(f.peer.take(), ElementsAre("onStatus NetStream.Publish.Denied"));
  }
  Fixture app;
  app.connect(std::string(257, 'x'));
  EXPECT_THAT(app.peer.take(), ElementsAre("_error 1 NetConnection.Connect.Rejected"));
  EXPECT_THAT(app.events, IsEmpty());
}

TEST(Session, StreamsAreBoundedAndOfTheirOwn) {
  Limits limits;
  limits.streams = 2;
  Fixture f(limits);
  f.connected();
  f.forget();
  f.give(f.peer.command("createStream", 2));
  f.answer(true);
  f.give(f.peer.command("createStream", 3));
  f.answer(true);
  f.give(f.peer.command("publish", 0, {"one"}, 1) + f.peer.command("play", 0, {"two"}, 2));
  f.answer(true);
  f.answer(true);
  EXPECT_THAT(f.events, testing::Contains("publish 1 one"));
  EXPECT_THAT(f.events, testing::Contains("play 2 two"));
  f.give(f.peer.command("deleteStream", 0, {2}));
  EXPECT_EQ(f.events.back(), "stopped 2");
  // The number is free again.
  f.give(f.peer.command("createStream", 5));
  f.answer(true);
  f.forget();
  f.give(f.peer.command("createStream", 6));
  EXPECT_THAT(f.peer.take(), ElementsAre("_error 6 NetConnection.Call.Failed"));
  EXPECT_TRUE(f.session.closing());
}

/// Each is a check, and costs others something.
TEST(Session, StreamsCreatedOrBegunAtOnceAreBounded) {
  const auto create = [](Fixture &f) {
    f.give(f.peer.command("createStream", 2));
    f.answer(true);
    f.give(f.peer.command("deleteStream", 0, {2}));
  };
  const auto publish = [](Fixture &f) {
    f.give(f.peer.command("publish", 0, {"alice"}, 1));
    f.answer(true);
    f.give(f.peer.command("closeStream", 0, {}, 1));
  };
  const auto play = [](Fixture &f) {
    f.give(f.peer.command("play", 0, {"alice"}, 1));
    f.answer(true);
  };
  for (const auto &[again, answer] :
       std::initializer_list<std::pair<std::function<void(Fixture &)>, std::string>>{
           {create, "_error 2 NetConnection.Call.Failed"},
           {publish, "onStatus NetStream.Publish.Denied"},
           {play, "onStatus NetStream.Play.Failed"}}) {
    Fixture f;
    f.with_stream();
    for (int i = 0; i < 63; ++i) again(f);
    ASSERT_FALSE(f.session.closing()) << answer;
    f.requests.clear();
    f.forget();
    again(f);
    EXPECT_THAT(f.requests, IsEmpty());
    ASSERT_TRUE(f.session.closing());
    EXPECT_EQ(f.session.close_reason().fault, Fault::Refused);
    EXPECT_EQ(f.peer.take().back(), answer);
    // Now and then they may go on for days.
    Fixture slow;
    slow.with_stream();
    for (int i = 0; i < 500; ++i) {
      slow.now += 1s;
      again(slow);
    }
    EXPECT_FALSE(slow.session.closing()) << answer;
  }
}

TEST(Session, AConnectionPublishesANameOnce) {
  Fixture f;
  f.publishing("alice");
  f.give(f.peer.command("createStream", 4));
  f.answer(true);
  f.forget();
  f.give(f.peer.command("publish", 0, {"alice"}, 2));
  EXPECT_THAT(f.peer.take(), ElementsAre("onStatus NetStream.Publish.BadName"));
}

TEST(Session, AnnouncedEnd) {
  Fixture f;
  f.publishing();
  EXPECT_FALSE(f.session.announced_end());
  f.give(f.peer.command("FCUnpublish", 5, {"alice"}));
  EXPECT_TRUE(f.session.announced_end());
  EXPECT_THAT(f.events, IsEmpty());
}

TEST(Session, AClosedStreamMayBeUsedAgain) {
  Fixture f;
  f.publishing();
  f.give(f.peer.command("closeStream", 0, {}, 1));
  EXPECT_THAT(f.events, ElementsAre("unpublish 1"));
  EXPECT_EQ(f.session.deadline(), f.now + 10s);
  f.give(f.peer.command("play", 0, {"bob"}, 1));
  f.answer(true);
  EXPECT_EQ(f.events.back(), "play 1 bob");
  f.give(f.peer.command("play", 0, {"carol"}, 1));  // another name, without closing
  f.answer(true);
  EXPECT_THAT(f.events, testing::IsSupersetOf({"stopped 1", "play 1 carol"}));
}

TEST(Session, PlayersMayPauseAndChoose) {
  Fixture f;
  f.playing();
  f.give(f.peer.command("pause", 0, {true, 0}, 1) + f.peer.command("pause", 0, {false, 0}, 1) +
         f.peer.command("receiveVideo", 0, {false}, 1) +
         f.peer.command("receiveAudio", 0, {false}, 1) + f.peer.command("seek", 0, {1000}, 1));
  EXPECT_THAT(f.events, ElementsAre("state 1 paused audio video", "state 1 audio video",
                                    "state 1 audio", "state 1"));
  EXPECT_THAT(f.peer.take(),
              ElementsAre("onStatus NetStream.Pause.Notify", "onStatus NetStream.Unpause.Notify",
                          "onStatus NetStream.Seek.Notify"));
}

TEST(Session, SmallCommandsAreAnswered) {
  Fixture f;
  f.connected();
  f.forget();
  f.give(f.peer.command("getStreamLength", 3, {"x"}) + f.peer.command("_checkbw", 4) +
         f.peer.command("FCSubscribe", 5, {"x"}) + f.peer.command("noSuchThing", 6) +
         f.peer.command("noSuchThing", 0) + f.peer.command("_result", 7) +
         f.peer.command("deleteStream", 0, {5}) + f.peer.command("closeStream", 0, {}, 9));
  EXPECT_THAT(f.peer.take(), ElementsAre("_result 3", "_result 4", "_result 5",
                                         "onFCSubscribe NetStream.Play.Start",
                                         "_error 6 NetConnection.Call.Failed"));
  EXPECT_FALSE(f.session.closing());
}

TEST(Session, Play2NamesItsStreamInAnObject) {
  Fixture f;
  f.with_stream();
  f.give(f.peer.command("play2", 0, {AmfObject{{"streamName", "alice"}}}, 1));
  EXPECT_EQ(f.requests.back().stream, "alice");
}

TEST(Session, ControlMessagesAreAnswered) {
  Fixture f;
  f.publishing();
  f.give(f.peer.say(user_control({UserEvent::PingRequest, 1234, 0})) +
         f.peer.say(set_peer_bandwidth(5000, BandwidthLimit::Hard)) +
         f.peer.say(user_control({UserEvent::SetBufferLength, 1, 3000})));
  EXPECT_THAT(f.peer.take(), ElementsAre("PingResponse 1234", "WindowAckSize 2500000"));
}

TEST(Session, AcknowledgesWithinThePeersWindow) {
  Fixture f;
  f.publishing();
  f.give(f.peer.say(window_ack_size(2000)));
  f.peer.heard.clear();
  for (int i = 0; i < 4; ++i)
    f.give(f.peer.media(MessageType::Video, 1, 0, Bytes(600, std::byte{0x17})));
  const auto heard = f.peer.take();
  ASSERT_EQ(heard.size(), 2U);  // 2,400 bytes, each 1,000
  EXPECT_THAT(heard[0], HasSubstr("Acknowledgement "));
}

TEST(Session, MediaReachesItsStreamAlone) {
  Fixture f;
  f.publishing();
  f.give(f.peer.media(MessageType::Audio, 1, 10, counting(5)) +
         f.peer.media(MessageType::Audio, 2, 20, counting(5)) +
         f.peer.media(MessageType::Video, 0, 30, counting(5)));
  ASSERT_EQ(f.media.size(), 1U);
  EXPECT_EQ(f.media[0].timestamp, 10U);
}

TEST(Session, EndsAreToldToEachKind) {
  Fixture publisher;
  publisher.publishing();
  publisher.session.end_publish(1, "NetStream.Publish.BadName", "taken over");
  publisher.exchange();
  EXPECT_EQ(publisher.info().string("level"), "error");
  EXPECT_THAT(publisher.peer.take(),
              ElementsAre("StreamEof 1", "onStatus NetStream.Publish.BadName"));
  EXPECT_TRUE(publisher.session.closing());
  EXPECT_THAT(publisher.events, IsEmpty());

  Fixture player;
  player.playing();
  player.session.end_play(1, "NetStream.Play.Complete", "over");
  player.exchange();
  EXPECT_THAT(player.peer.take(),
              ElementsAre("onStatus NetStream.Play.Complete",
                          "onStatus NetStream.Play.UnpublishNotify", "StreamEof 1"));
  EXPECT_TRUE(player.session.closing());
}

TEST(Session, LevelsFollowTheCodes) {
  EXPECT_EQ(level_of("NetStream.Play.Failed"), "error");
  EXPECT_EQ(level_of("NetStream.Play.StreamNotFound"), "error");
  EXPECT_EQ(level_of("NetStream.Publish.BadName"), "error");
  EXPECT_EQ(level_of("NetConnection.Connect.Rejected"), "error");
  EXPECT_EQ(level_of("NetStream.Play.Complete"), "status");
  EXPECT_EQ(level_of("NetStream.Unpublish.Success"), "status");
}

TEST(Session, BrokenMessagesClose) {
  Fixture command;
  command.connected();
  Message broken;
  broken.payload = test::shared("02 0003 'abc' 00 3ff0");  // a number that is cut off
  command.give(command.peer.say(broken));
  EXPECT_EQ(command.session.close_reason().fault, Fault::BadInput);

  Limits limits;
  limits.media_bytes = 1000;
  Fixture large(limits);
  large.publishing();
  large.give(large.peer.media(MessageType::Video, 1, 0, Bytes(1001)));
  EXPECT_EQ(large.session.close_reason().fault, Fault::Refused);
  EXPECT_EQ(large.session.stage(), "publishing");
}
