// SPDX-License-Identifier: LGPL-2.1-or-later
// What real clients sent, byte by byte and at once.
#include <gmock/gmock.h>

#include "session_fixture.h"

using namespace junctor;
using namespace junctor::rtmp;
using namespace std::chrono_literals;
using junctor::test::operator+;
using junctor::test::Fixture;
using junctor::test::kConnectAnswer;
using junctor::test::test_file;
using junctor::test::Words;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

/// Bytes that a real client sent to this server, given to a session whose checks are answered at
/// once.
struct Replay : Fixture {
  explicit Replay(const std::string &client, std::size_t piece = SIZE_MAX) {
    replaying = true;
    const Bytes bytes = test_file("unit/rtmp/captures/" + client);
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t count = std::min(piece, bytes.size() - at);
      give(ByteSpan(bytes).subspan(at, count));
      at += count;
      while (!session.wants_input() && !session.closing()) {
        // Nothing more is read before the verdict.
        EXPECT_EQ(session.receive(ByteSpan(bytes).first(1), now), 0U);
        answer(true, "alice");
      }
    }
    // The answers, past S0, S1 and S2, are a plain chunk stream.
    const Bytes said = session.take_output();
    ChunkReader reader;
    EXPECT_TRUE(reader.push(ByteSpan(said).subspan(1 + 2 * kHandshakeBlock), [this](Message &&m) {
      said_words.push_back(test::words(m));
      return ChunkReader::Flow::Continue;
    }));
  }
  Words said_words;
};

Words after_connect(Words rest) {
  Words all = kConnectAnswer;
  all.insert(all.end(), rest.begin(), rest.end());
  return all;
}

}  // namespace

class Captured : public testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Pieces, Captured, testing::Values(SIZE_MAX, 1000, 7, 1));

TEST_P(Captured, FfmpegPublishes) {
  Replay replay("ffmpeg_publish", GetParam());
  EXPECT_THAT(replay.events,
              ElementsAre("check connect", "accepted connect", "check createStream",
                          "accepted createStream", "check publish/play", "accepted publish/play",
                          "publish 1 alice", "unpublish 1"));
  EXPECT_THAT(
      replay.said_words,
      testing::ElementsAreArray(after_connect(
          {"_result 2", "_result 3", "onFCPublish NetStream.Publish.Start", "_result 4",
           "StreamBegin 1", "onStatus NetStream.Publish.Start", "_result 6",
           "onFCUnpublish NetStream.Unpublish.Success", "onStatus NetStream.Unpublish.Success"})));
  EXPECT_FALSE(replay.session.closing());
  // 1 s at 10 pictures and 44.1 kHz: metadata, two sequence headers, 10 pictures, 44 frames.
  EXPECT_GT(replay.media.size(), 50U);
  EXPECT_EQ(replay.media_streams, std::set<std::uint32_t>{1});
  const Request &start = replay.requests.back();
  EXPECT_EQ(start.app, "call");
  EXPECT_EQ(start.stream, "alice");
  EXPECT_EQ(start.identity, "alice");
  EXPECT_EQ(start.role, Role::Push);
  EXPECT_THAT(start.parameters,
              ElementsAre(testing::Pair("to", "bob"), testing::Pair("token", "alice")));
  // It tells that it publishes before it makes the stream.
  EXPECT_EQ(replay.requests[1].role, Role::Push);
}

TEST_P(Captured, GStreamerPublishes) {
  Replay replay("rtmp2sink", GetParam());
  EXPECT_THAT(replay.events,
              ElementsAre("check connect", "accepted connect", "check createStream",
                          "accepted createStream", "check publish/play", "accepted publish/play",
                          "publish 1 alice", "unpublish 1"));
  // Its releaseStream and FCPublish have transaction 0: no _result is wanted.
  EXPECT_THAT(replay.said_words,
              testing::ElementsAreArray(after_connect(
                  {"onFCPublish NetStream.Publish.Start", "_result 2", "StreamBegin 1",
                   "onStatus NetStream.Publish.Start", "onFCUnpublish NetStream.Unpublish.Success",
                   "onStatus NetStream.Unpublish.Success"})));
  EXPECT_GE(replay.media.size(), 6U);
}

TEST_P(Captured, FfmpegPlays) {
  Replay replay("ffmpeg_play", GetParam());
  EXPECT_THAT(replay.events, ElementsAre("check connect", "accepted connect", "check createStream",
                                         "accepted createStream", "check publish/play",
                                         "accepted publish/play", "play 1 alice", "stopped 1"));
  EXPECT_THAT(replay.said_words,
              testing::ElementsAreArray(after_connect(
                  {"_result 2", "_result 3", "StreamBegin 1", "onStatus NetStream.Play.Start"})));
  EXPECT_EQ(replay.requests.back().role, Role::Pull);
  EXPECT_EQ(replay.requests.back().parameters.at("video"), "h264");
  EXPECT_EQ(replay.requests[1].role, Role::Unknown);
}

TEST_P(Captured, RtmpdumpPlays) {
  Replay replay("rtmpdump", GetParam());
  EXPECT_THAT(replay.events, ElementsAre("check connect", "accepted connect", "check createStream",
                                         "accepted createStream", "check publish/play",
                                         "accepted publish/play", "play 1 alice", "stopped 1"));
  EXPECT_EQ(replay.requests.back().parameters.at("token"), "alice");
}

TEST_P(Captured, GStreamerPlays) {
  Replay replay("rtmp2src", GetParam());
  EXPECT_THAT(replay.events, testing::IsSupersetOf({"accepted connect", "accepted createStream",
                                                    "accepted publish/play", "play 1 alice"}));
  EXPECT_THAT(replay.said_words,
              testing::ElementsAreArray(
                  after_connect({"_result 2", "StreamBegin 1", "onStatus NetStream.Play.Start"})));
}
