// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gtest/gtest.h>

#include <algorithm>

#include "rtmp/core/chunk_reader.h"
#include "rtmp/core/chunk_writer.h"
#include "wire.h"

using namespace junctor;
using namespace junctor::rtmp;
using namespace junctor::test;

namespace {

using Flow = ChunkReader::Flow;

std::string describe(const Message &message) {
  return "type " + std::to_string(static_cast<int>(message.type)) + " csid " +
         std::to_string(message.chunk_stream) + " stream " + std::to_string(message.stream) +
         " at " + std::to_string(message.timestamp) + ": " + hex(message.payload.view);
}

/// What came out, one line a message, and the error if there was one.
struct Heard {
  std::vector<std::string> messages;
  std::string error;
  Fault fault{};
};

/// Pushes `input` in pieces of the given sizes, the last for all that is left.
Heard hear(ByteSpan input, const std::vector<std::size_t> &pieces, ChunkLimits limits = {},
           Flow flow = Flow::Continue) {
  ChunkReader reader(limits);
  Heard heard;
  const auto sink = [&](Message &&message) {
    heard.messages.push_back(describe(message));
    return flow;
  };
  std::size_t turn = 0;
  while (!input.empty()) {
    ByteSpan piece =
        input.first(std::min(pieces[std::min(turn++, pieces.size() - 1)], input.size()));
    input = input.subspan(piece.size());
    while (!piece.empty()) {
      const std::uint64_t before = reader.bytes_received();
      const auto taken = reader.push(piece, sink);
      if (!taken) {
        heard.error = taken.error().detail;
        heard.fault = taken.error().fault;
        return heard;
      }
      EXPECT_EQ(reader.bytes_received(), before + *taken);
      if (flow == Flow::Continue) {
        EXPECT_EQ(*taken, piece.size());
      }
      piece = piece.subspan(*taken);
    }
  }
  return heard;
}

/// The messages of `input`, which must be the same in one piece, byte by byte, for every split in
/// two, and when the sink pauses after each.
std::vector<std::string> messages_of(ByteSpan input) {
  const Heard whole = hear(input, {input.size()});
  EXPECT_EQ(whole.error, "");
  EXPECT_EQ(hear(input, {1}).messages, whole.messages) << "byte by byte";
  EXPECT_EQ(hear(input, {input.size()}, {}, Flow::Pause).messages, whole.messages) << "with pauses";
  EXPECT_EQ(hear(input, {1}, {}, Flow::Pause).messages, whole.messages);
  for (std::size_t split = 1; split < input.size(); ++split)
    EXPECT_EQ(hear(input, {split, input.size()}).messages, whole.messages) << "split at " << split;
  return whole.messages;
}

Message media(std::uint32_t timestamp, Bytes payload, MessageType type = MessageType::Video,
              std::uint32_t chunk_stream = 4, std::uint32_t stream = 1) {
  return {type, chunk_stream, stream, timestamp, SharedBytes::own(std::move(payload))};
}

using Lines = std::vector<std::string>;

}  // namespace

// RTMP 1.0, section 5.3.2.1: four audio messages, headers of type 0, 2, 3 and 3.
TEST(Chunk, FirstExampleOfTheStandard) {
  const Bytes body = counting(32);
  const Bytes input = wire("03 0003e8 000020 08 39300000") + body  // 1000 ms, stream 12345
                      + wire("83 000014") + body                   // 20 ms later
                      + wire("c3") + body + wire("c3") + body;
  EXPECT_EQ(input.size(), 44u + 36u + 33u + 33u);
  Lines expected;
  for (const std::uint32_t time : {1000u, 1020u, 1040u, 1060u})
    expected.push_back(describe(media(time, body, MessageType::Audio, 3, 12345)));
  EXPECT_EQ(messages_of(input), expected);
}

// RTMP 1.0, section 5.3.2.2: a message of 307 bytes in chunks of 128.
TEST(Chunk, SecondExampleOfTheStandard) {
  const Bytes body = counting(307);
  const ByteSpan view(body);
  const Bytes input = wire("04 0003e8 000133 09 3a300000") + view.first(128) + wire("c4") +
                      view.subspan(128, 128) + wire("c4") + view.subspan(256);
  EXPECT_EQ(input.size(), 140u + 129u + 52u);
  const Message message = media(1000, body, MessageType::Video, 4, 12346);
  EXPECT_EQ(messages_of(input), Lines{describe(message)});
  Bytes written;
  write_chunks(message, 128, written);
  EXPECT_EQ(hex(written), hex(input));
}

TEST(Chunk, TypeThreeAfterTypeZeroRepeatsItsTimestampAsDelta) {
  EXPECT_EQ(messages_of(wire("04 000010 000001 09 01000000 aa c4 bb")),
            (Lines{"type 9 csid 4 stream 1 at 16: aa", "type 9 csid 4 stream 1 at 32: bb"}));
}

TEST(Chunk, TypeOneKeepsTheStreamAndTypeTwoTheLength) {
  EXPECT_EQ(messages_of(wire("04 000064 000002 09 01000000 aaaa"
                             "44 00000a 000001 08 bb"
                             "84 000005 cc c4 dd")),
            (Lines{"type 9 csid 4 stream 1 at 100: aaaa", "type 8 csid 4 stream 1 at 110: bb",
                   "type 8 csid 4 stream 1 at 115: cc", "type 8 csid 4 stream 1 at 120: dd"}));
}

// librtmp begins the control chunk stream with a ping of type 1.
TEST(Chunk, TypeOneMayBeginAChunkStream) {
  EXPECT_EQ(messages_of(wire("42 000000 000006 04 0007 00000001")),
            Lines{"type 4 csid 2 stream 0 at 0: 000700000001"});
}

TEST(Chunk, EveryFormOfTheBasicHeader) {
  for (const std::uint32_t id : {2u, 63u, 64u, 319u, 320u, 1000u, 65599u}) {
    const Message message = media(7, counting(300), MessageType::Video, id);
    Bytes written;
    write_chunks(message, 128, written);
    EXPECT_EQ(written.size(), 300u + 11 + 3 * (id < 64 ? 1 : id < 320 ? 2 : 3));
    EXPECT_EQ(messages_of(written), Lines{describe(message)}) << id;
  }
  EXPECT_EQ(messages_of(wire("00 00 000001 000001 09 00000000 aa")).front(),
            "type 9 csid 64 stream 0 at 1: aa");
  EXPECT_EQ(messages_of(wire("01 02 01 000001 000001 09 00000000 aa")).front(),
            "type 9 csid 322 stream 0 at 1: aa");
}

TEST(Chunk, InterleavesChunkStreams) {
  const Bytes video = counting(300), audio = counting(130, 100);
  const ByteSpan v(video), a(audio);
  const Bytes input = wire("06 000001 00012c 09 01000000") + v.first(128) +
                      wire("04 000002 000082 08 01000000") + a.first(128) + wire("c6") +
                      v.subspan(128, 128) + wire("c4") + a.subspan(128) + wire("c6") +
                      v.subspan(256);
  EXPECT_EQ(messages_of(input), (Lines{describe(media(2, audio, MessageType::Audio, 4)),
                                       describe(media(1, video, MessageType::Video, 6))}));
}

TEST(Chunk, ExtendedTimestampsRepeatedOrNot) {
  const Bytes body = counting(300);
  const ByteSpan v(body);
  for (const char *time : {"00ffffff", "01000000", "ffffffff"}) {
    const std::uint32_t value = ByteReader(wire(time)).u32();
    for (const bool repeated : {true, false}) {
      const Bytes more = repeated ? wire("c4") + wire(time) : wire("c4");
      const Bytes input = wire("04 ffffff 00012c 09 01000000") + wire(time) + v.first(128) + more +
                          v.subspan(128, 128) + more + v.subspan(256);
      EXPECT_EQ(messages_of(input), Lines{describe(media(value, body))})
          << time << (repeated ? " repeated" : " not repeated");
    }
  }
}

// Payload that begins like the timestamp, in chunks that do not repeat it: what was taken for the
// timestamp is payload after all, or even the next chunk's header.
TEST(Chunk, PayloadThatLooksLikeARepeatedTimestamp) {
  for (const char *tail : {"04 04 04 05", "04 04 05", "04 05", "04"}) {
    const Bytes body = counting(128) + wire(tail);
    Bytes input = wire("04 ffffff 000080 09 01000000 04040404") + ByteSpan(body).first(128);
    input[6] = static_cast<std::byte>(body.size());
    input = input + wire("c4") + ByteSpan(body).subspan(128) +
            // Its header begins with 04 as well.
            wire("04 000003 000001 09 01000000 ee");
    EXPECT_EQ(messages_of(input),
              (Lines{describe(media(0x04040404, body)), describe(media(3, wire("ee")))}))
        << tail;
  }
}

// Bytes taken for a timestamp are read again, and some of them taken for another one once more.
TEST(Chunk, LooksLikeARepeatedTimestampTwice) {
  EXPECT_EQ(
      messages_of(wire("04 ffffff 000000 08 01000000 c5112233"
                       "05 ffffff 000002 08 01000000 11999999 aaaa"
                       "c4 c5 1122"  // an empty message, then one of 2 bytes
                       "06 000000 000001 08 01000000 bb")),
      (Lines{"type 8 csid 4 stream 1 at 3306234419: ", "type 8 csid 5 stream 1 at 295279001: aaaa",
             "type 8 csid 4 stream 1 at 2317501542: ", "type 8 csid 5 stream 1 at 590558002: 1122",
             "type 8 csid 6 stream 1 at 0: bb"}));
}

TEST(Chunk, EmptyMessages) {
  EXPECT_EQ(messages_of(wire("04 000001 000000 08 01000000 c4 c4")),
            (Lines{"type 8 csid 4 stream 1 at 1: ", "type 8 csid 4 stream 1 at 2: ",
                   "type 8 csid 4 stream 1 at 3: "}));
  // With an extended timestamp whose bytes are those of a header of type 3.
  EXPECT_EQ(messages_of(wire("04 ffffff 000000 08 01000000 c4c4c4c4 c4 c4c4c4c4"
                             "05 000000 000001 08 01000000 aa")),
            (Lines{"type 8 csid 4 stream 1 at 3301229764: ",
                   "type 8 csid 4 stream 1 at 2307492232: ", "type 8 csid 5 stream 1 at 0: aa"}));
  Bytes written;
  write_chunks(media(5, {}), 128, written);
  EXPECT_EQ(hex(written),
            "04000005000000090100"
            "0000");
}

TEST(Chunk, DeltasWrapAround) {
  EXPECT_EQ(messages_of(wire("04 ffffff 000001 09 01000000 fffffff0 aa 84 000020 bb"
                             "84 ffffff 01000000 cc")),
            (Lines{"type 9 csid 4 stream 1 at 4294967280: aa", "type 9 csid 4 stream 1 at 16: bb",
                   "type 9 csid 4 stream 1 at 16777232: cc"}));
}

TEST(Chunk, FollowsTheChunkSize) {
  const Bytes body = counting(600);
  const ByteSpan v(body);
  // The first chunk of the message has the old size, what follows the new one.
  const Bytes input = wire("04 000001 000258 09 01000000") + v.first(128) +
                      wire("02 000000 000004 01 00000000 00000100") + wire("c4") +
                      v.subspan(128, 256) + wire("c4") + v.subspan(384);
  EXPECT_EQ(messages_of(input),
            (Lines{"type 1 csid 2 stream 0 at 0: 00000100", describe(media(1, body))}));
}

TEST(Chunk, RefusesChunkSizesBeyondTheLimits) {
  const struct {
    const char *value;
    bool accepted;
  } kRows[] = {{"00000000", false}, {"0000007f", false}, {"00000080", true},  {"00001000", true},
               {"00100000", true},  {"00100001", false}, {"7fffffff", false}, {"80000080", false}};
  for (const auto &row : kRows) {
    const Bytes input = wire(std::string("02 000000 000004 01 00000000 ") + row.value);
    const Heard heard = hear(input, {input.size()});
    EXPECT_EQ(heard.error.empty(), row.accepted) << row.value << ' ' << heard.error;
    EXPECT_EQ(heard.messages.size(), row.accepted ? 1u : 0u);
  }
  EXPECT_NE(hear(wire("02 000000 000002 01 00000000 0080"), {99}).error, "");
}

TEST(Chunk, AbortDropsWhatHasCome) {
  const Bytes body = counting(300);
  ChunkReader reader;
  Lines heard;
  const auto sink = [&](Message &&message) {
    heard.push_back(describe(message));
    return Flow::Continue;
  };
  ASSERT_TRUE(reader.push(wire("04 000001 00012c 09 01000000") + ByteSpan(body).first(128), sink));
  EXPECT_EQ(reader.pending_bytes(), 128u);
  ASSERT_TRUE(reader.push(wire("02 000000 000004 02 00000000 00000004"), sink));
  EXPECT_EQ(reader.pending_bytes(), 0u);
  // Of a chunk stream that has nothing, or that there is not: no harm.
  ASSERT_TRUE(reader.push(wire("02 000000 000004 02 00000000 00000004"
                               "02 000000 000004 02 00000000 00001234"),
                          sink));
  ASSERT_TRUE(reader.push(wire("44 000004 000001 09 ee"), sink));
  EXPECT_EQ(heard.size(), 4u);
  EXPECT_EQ(heard.back(), "type 9 csid 4 stream 1 at 5: ee");
}

TEST(Chunk, RefusesWhatTheStandardDoesNotAllow) {
  const struct {
    const char *name;
    Bytes input;
  } kRows[] = {
      {"type 2 first", wire("84 000001")},
      {"type 3 first", wire("c4")},
      {"type 3 on another chunk stream", wire("04 000001 000001 09 00000000 aa c5")},
      {"a new message inside one",
       wire("04 000001 00012c 09 01000000") + counting(128) + wire("04 000001 000001 09 01000000")},
      {"type 1 inside a message",
       wire("04 000001 00012c 09 01000000") + counting(128) + wire("44 000001 000001 09")},
  };
  for (const auto &row : kRows) {
    for (const std::size_t piece : {std::size_t{1}, row.input.size()}) {
      const Heard heard = hear(row.input, {piece});
      EXPECT_NE(heard.error, "") << row.name;
      EXPECT_EQ(heard.fault, Fault::BadInput) << row.name;
    }
  }
}

TEST(Chunk, AFailureIsForGood) {
  ChunkReader reader;
  const auto sink = [](Message &&) { return Flow::Continue; };
  EXPECT_FALSE(reader.push(wire("c4"), sink));
  EXPECT_FALSE(reader.push(wire("04 000001 000001 09 00000000 aa"), sink));
}

TEST(Chunk, BoundsMessages) {
  ChunkLimits limits;
  limits.command_bytes = 1000;
  limits.media_bytes = 2000;
  const struct {
    const char *header;
    bool accepted;
  } kRows[] = {
      {"03 000000 0003e8 14 00000000", true},  {"03 000000 0003e9 14 00000000", false},
      {"03 000000 0003e9 12 00000000", false}, {"03 000000 0003e9 04 00000000", false},
      {"03 000000 0003e9 63 00000000", false}, {"03 000000 0007d0 09 00000000", true},
      {"03 000000 0007d0 08 00000000", true},  {"03 000000 0007d0 16 00000000", true},
      {"03 000000 0007d1 09 00000000", false}, {"03 000000 ffffff 08 00000000", false},
      {"03 000000 ffffff 16 00000000", false},
  };
  for (const auto &row : kRows) {
    const Heard heard = hear(wire(row.header), {1}, limits);
    EXPECT_EQ(heard.error.empty(), row.accepted) << row.header;
    if (!row.accepted) {
      EXPECT_EQ(heard.fault, Fault::Refused);
    }
  }
}

TEST(Chunk, BoundsTheWholeConnection) {
  ChunkLimits limits;
  limits.connection_bytes = 300;
  Bytes input;
  // Three messages of 200 bytes, of each of which one chunk comes.
  for (const char *header : {"04 000000 0000c8 09 01000000", "05 000000 0000c8 09 01000000",
                             "06 000000 0000c8 09 01000000"})
    input = input + wire(header) + counting(128);
  const Heard heard = hear(input, {1}, limits);
  EXPECT_EQ(heard.fault, Fault::Refused);
  EXPECT_NE(heard.error.find("300"), std::string::npos);
  limits.connection_bytes = 384;
  EXPECT_EQ(hear(input, {1}, limits).error, "");
  // What was handed over counts no more.
  Bytes many;
  for (int i = 0; i < 20; ++i) many = many + wire("04 000000 000064 09 01000000") + counting(100);
  EXPECT_EQ(hear(many, {many.size()}, limits).messages.size(), 20u);
}

TEST(Chunk, BoundsChunkStreams) {
  ChunkLimits limits;
  limits.chunk_streams = 3;
  const Bytes three = wire(
      "03 000000 000000 09 00000000 04 000000 000000 09 00000000"
      "05 000000 000000 09 00000000");
  EXPECT_EQ(hear(three, {1}, limits).messages.size(), 3u);
  EXPECT_EQ(hear(three + three, {1}, limits).messages.size(), 6u);
  EXPECT_EQ(hear(three + wire("06 000000 000000 09 00000000"), {1}, limits).fault, Fault::Refused);
}

TEST(Chunk, AnnouncedLengthsCostNothing) {
  ChunkReader reader;
  const auto sink = [](Message &&) { return Flow::Continue; };
  ASSERT_TRUE(reader.push(wire("04 000000 800000 09 01000000 aabbcc"), sink));
  EXPECT_EQ(reader.pending_bytes(), 3u);
}

TEST(Chunk, PauseLeavesTheRest) {
  const Bytes input = wire("04 000001 000001 09 01000000 aa c4 bb");
  ChunkReader reader;
  Lines heard;
  const auto sink = [&](Message &&message) {
    heard.push_back(describe(message));
    return Flow::Pause;
  };
  const auto first = reader.push(input, sink);
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, 13u);
  EXPECT_EQ(reader.bytes_received(), 13u);
  EXPECT_EQ(heard.size(), 1u);
  const auto second = reader.push(ByteSpan(input).subspan(*first), sink);
  ASSERT_TRUE(second);
  EXPECT_EQ(*second, 2u);
  EXPECT_EQ(heard.back(), "type 9 csid 4 stream 1 at 2: bb");
}

TEST(ChunkWriter, RepeatsTheExtendedTimestamp) {
  Bytes written;
  write_chunks(media(0xffffff, Bytes(129, std::byte{0xaa})), 128, written);
  EXPECT_EQ(hex(ByteSpan(written).first(16)),
            "04ffffff00008109"
            "01000000"
            "00ffffff");
  EXPECT_EQ(hex(ByteSpan(written).subspan(16 + 128)),
            "c4"
            "00ffffff"
            "aa");
  Bytes below;
  write_chunks(media(0xfffffe, Bytes(129, std::byte{0xaa})), 128, below);
  EXPECT_EQ(below.size(), 12u + 128 + 1 + 1);
}

TEST(ChunkWriter, FollowsWhatItAnnounces) {
  ChunkWriter writer;
  Bytes out;
  writer.write(media(1, counting(200)), out);
  EXPECT_EQ(out.size(), 12u + 200 + 1);
  writer.write(set_chunk_size(4096), out);
  EXPECT_EQ(writer.chunk_size(), 4096u);
  out.clear();
  writer.write(media(1, counting(4096)), out);
  EXPECT_EQ(out.size(), 12u + 4096);
}

TEST(ChunkWriter, GathersManyMessagesWithoutCopyingThemEachTime) {
  Message ping;
  ping.type = MessageType::UserControl;
  ping.chunk_stream = 2;
  ping.payload = SharedBytes::own(wire("0007 00000001"));
  ChunkWriter writer;
  Bytes out;
  int moves = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::size_t room = out.capacity();
    writer.write(ping, out);
    moves += out.capacity() != room;
  }
  EXPECT_LT(moves, 32);
}

TEST(ChunkWriter, WireFrameOfPartsIsThatOfTheWhole) {
  const Bytes body = counting(1000);
  const ByteSpan view(body);
  const Message whole = media(0x1234567, body);
  const SharedBytes expected = make_wire_frame(whole, 128);
  EXPECT_EQ(messages_of(expected.view), Lines{describe(whole)});
  for (const std::size_t split : {0u, 1u, 5u, 127u, 128u, 129u, 256u, 1000u}) {
    const std::array parts{view.first(split), ByteSpan{}, view.subspan(split)};
    const SharedBytes frame = make_wire_frame(media(0x1234567, {}), parts, 128);
    EXPECT_EQ(hex(frame.view), hex(expected.view)) << split;
  }
}

TEST(ChunkWriter, AnotherFrontMakesTheFrameOfAnotherMessage) {
  const Bytes body = counting(1000), front = counting(8);
  for (const std::uint32_t timestamp : {40u, 0x1234567u})
    for (const std::uint32_t chunk : {128u, 1000u, 5000u})
      for (const std::size_t size : {0u, 5u, 8u, 128u, 130u, 1000u}) {
        const SharedBytes frame = make_wire_frame(media(timestamp, body), chunk);
        EXPECT_EQ(hex(front_of(frame).first(5)), hex(ByteSpan(body).first(5)));
        Bytes expected = front;
        expected.insert(expected.end(), body.begin() + static_cast<std::ptrdiff_t>(size),
                        body.end());
        EXPECT_EQ(hex(with_front(frame, size, front, chunk).view),
                  hex(make_wire_frame(media(timestamp, expected), chunk).view))
            << timestamp << ' ' << chunk << ' ' << size;
      }
}

TEST(ChunkWriter, LargeMessagesInEveryChunkSize) {
  for (const std::uint32_t size : {128u, 129u, 1000u, 4096u, 65536u, kMaxChunkSize}) {
    const Message message = media(70000, counting(150000));
    Bytes bytes;
    ChunkWriter writer;
    writer.write(set_chunk_size(size), bytes);
    writer.write(message, bytes);
    for (const std::size_t piece : {std::size_t{1}, std::size_t{1460}, bytes.size()}) {
      const Heard heard = hear(bytes, {piece});
      ASSERT_EQ(heard.messages.size(), 2u) << heard.error;
      EXPECT_EQ(heard.messages[1], describe(message));
    }
  }
}
