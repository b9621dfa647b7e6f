// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/command.h"

#include <gtest/gtest.h>

#include <limits>

#include "rtmp/core/metadata.h"
#include "wire.h"

using namespace junctor;
using namespace junctor::rtmp;
using namespace junctor::test;

namespace {

Message message(MessageType type, std::string_view payload, std::uint32_t timestamp = 0) {
  Message made;
  made.type = type;
  made.timestamp = timestamp;
  made.stream = 1;
  made.payload = shared(payload);
  return made;
}

constexpr const char *kConnect =
    "02 0007 'connect' 00 3ff0000000000000 03 0003 'app' 02 0004 'call' 0005 'tcUrl' 02 0011 "
    "'rtmp://host/call1' 000009";

}  // namespace

// RTMP 1.0, 7.2.1.1.
TEST(Command, ReadsConnectInBothTypes) {
  for (const auto &[type, before] :
       {std::pair{MessageType::CommandAmf0, ""}, std::pair{MessageType::CommandAmf3, "00 "},
        std::pair{MessageType::CommandAmf3, ""}}) {
    const auto command = parse_command(message(type, std::string(before) + kConnect));
    ASSERT_TRUE(command) << command.error().detail;
    EXPECT_EQ(command->name, "connect");
    EXPECT_EQ(command->transaction, 1);
    ASSERT_NE(command->object.members(), nullptr);
    EXPECT_EQ(command->object.members()->string("app"), "call");
    EXPECT_EQ(command->object.members()->string("tcUrl"), "rtmp://host/call1");
    EXPECT_TRUE(command->arguments.empty());
  }
}

TEST(Command, ReadsArguments) {
  const auto play = parse_command(message(MessageType::CommandAmf0,
                                          "02 0004 'play' 00 0000000000000000 05 02 0005 'alice' "
                                          "00 c09f400000000000"));
  ASSERT_TRUE(play);
  EXPECT_TRUE(play->object.is_null());
  EXPECT_EQ(play->string(0), "alice");
  EXPECT_EQ(play->number(1), -2000);
  EXPECT_EQ(play->string(1), "");
  EXPECT_EQ(play->string(7), "");
  EXPECT_EQ(play->number(7, 5), 5);
}

TEST(Command, BearsWhatClientsLeaveOut) {
  const auto bare = parse_command(message(MessageType::CommandAmf0, "02 0008 'FCUnpubl'"));
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->transaction, 0);
  EXPECT_TRUE(bare->object.is_null());
  const auto odd = parse_command(message(MessageType::CommandAmf0, "02 0001 'x' 05 05 05"));
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->transaction, 0);
  EXPECT_EQ(odd->arguments.size(), 1u);
}

TEST(Command, RefusesWhatHasNoName) {
  for (const char *payload : {"", "00", "05", "00 3ff0000000000000", "02 0005 'abc'",
                              "03 0001 'a' 05 000009", "11 02 00"}) {
    const auto command = parse_command(message(MessageType::CommandAmf0, payload));
    ASSERT_FALSE(command) << payload;
    EXPECT_EQ(command.error().fault, Fault::BadInput);
  }
  AmfLimits tight;
  tight.nodes = 2;
  EXPECT_FALSE(parse_command(message(MessageType::CommandAmf0, kConnect), tight));
}

TEST(Command, WritesWhatItReads) {
  Command command;
  command.name = "_result";
  command.transaction = 4;
  command.arguments = {1, "x", AmfObject{{"code", "ok"}}};
  const Message made = make_command(command, 5);
  EXPECT_EQ(made.type, MessageType::CommandAmf0);
  EXPECT_EQ(made.chunk_stream, kCommandChunkStream);
  EXPECT_EQ(made.stream, 5u);
  const auto read = parse_command(made);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->name, "_result");
  EXPECT_EQ(read->transaction, 4);
  EXPECT_TRUE(read->object.is_null());
  EXPECT_EQ(read->arguments, command.arguments);
}

TEST(Command, Status) {
  EXPECT_EQ(hex(make_status(1, "error", "A.B", "no").payload.view),
            hex(wire("02 0008 'onStatus' 00 0000000000000000 05 03 0005 'level' 02 0005 'error' "
                     "0004 'code' 02 0003 'A.B' 000b 'description' 02 0002 'no' 000009")));
}

TEST(DataMessage, TakesSetDataFrameOff) {
  const struct {
    MessageType type;
    std::string payload;
    bool set;
  } kRows[] = {
      {MessageType::DataAmf0, "02 000d '@setDataFrame' 02 000a 'onMetaData' 05", true},
      {MessageType::DataAmf0, "02 000a 'onMetaData' 05", false},
      {MessageType::DataAmf3, "00 02 000a 'onMetaData' 05", false},
  };
  for (const auto &row : kRows) {
    const auto data = parse_data(message(row.type, row.payload));
    ASSERT_TRUE(data) << row.payload;
    EXPECT_EQ(data->name, "onMetaData");
    EXPECT_EQ(data->set_data_frame, row.set);
    EXPECT_EQ(data->values.size(), 1u);
    if (row.type == MessageType::DataAmf0) {
      EXPECT_EQ(hex(make_data(*data, 1).payload.view), hex(wire(row.payload)));
    }
  }
  EXPECT_FALSE(parse_data(message(MessageType::DataAmf0, "")));
  EXPECT_FALSE(parse_data(message(MessageType::DataAmf0, "02 000d '@setDataFrame'")));
  EXPECT_FALSE(parse_data(message(MessageType::DataAmf0, "05")));
}

TEST(Metadata, ReadsWhatPublishersSay) {
  Data data;
  data.name = "onMetaData";
  data.values.push_back(AmfEcmaArray{{"width", 640},
                                     {"height", 480},
                                     {"framerate", 29.97},
                                     {"audiosamplerate", 44100},
                                     {"stereo", true}});
  const auto read = parse_metadata(data);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->width, 640);
  EXPECT_EQ(read->height, 480);
  EXPECT_EQ(read->framerate, 29.97);
  EXPECT_EQ(read->audio_rate, 44100);
  EXPECT_EQ(read->audio_channels, 2);
  data.name = "onTextData";
  EXPECT_FALSE(parse_metadata(data));
}

TEST(Metadata, DropsWhatIsBeyondReason) {
  for (const double value : {-1.0, 1e300, std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::quiet_NaN(), 16385.0}) {
    Data data;
    data.name = "onMetaData";
    data.values.push_back(AmfObject{{"width", value}, {"height", "tall"}});
    const auto read = parse_metadata(data);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->width, 0) << value;
    EXPECT_EQ(read->height, 0);
  }
}

TEST(Metadata, AnnouncesJustTheTracksThere) {
  Track audio, video;
  audio.codec = Codec::Pcma;
  audio.rate = 8000;
  audio.channels = 1;
  video.codec = Codec::H264;
  video.width = 320;
  video.height = 240;
  const Data both = make_metadata(audio, video);
  const AmfMembers *members = both.values.at(0).members();
  ASSERT_NE(members, nullptr);
  EXPECT_EQ(members->number("audiocodecid"), 7);
  EXPECT_EQ(members->number("videocodecid"), 7);
  EXPECT_EQ(members->number("width"), 320);
  EXPECT_FALSE(members->boolean("stereo", true));
  const auto read = parse_metadata(both);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->height, 240);
  EXPECT_EQ(read->audio_rate, 8000);
  const Data sound = make_metadata(audio, std::nullopt);
  EXPECT_EQ(sound.values.at(0).members()->find("videocodecid"), nullptr);
  const Data picture = make_metadata(std::nullopt, video);
  EXPECT_EQ(picture.values.at(0).members()->find("audiocodecid"), nullptr);
}

// RTMP 1.0, section 5.4.
TEST(Control, BytesOfEachMessage) {
  const struct {
    Message message;
    MessageType type;
    const char *payload;
  } kRows[] = {
      {set_chunk_size(4096), MessageType::SetChunkSize, "00001000"},
      {acknowledgement(0xffffffff), MessageType::Acknowledgement, "ffffffff"},
      {window_ack_size(2500000), MessageType::WindowAckSize, "002625a0"},
      {set_peer_bandwidth(2500000, BandwidthLimit::Dynamic), MessageType::SetPeerBandwidth,
       "002625a002"},
      {user_control({UserEvent::StreamBegin, 1}), MessageType::UserControl, "000000000001"},
      {user_control({UserEvent::StreamEof, 1}), MessageType::UserControl, "000100000001"},
      {user_control({UserEvent::SetBufferLength, 1, 3000}), MessageType::UserControl,
       "00030000000100000bb8"},
      {user_control({UserEvent::PingRequest, 77}), MessageType::UserControl, "00060000004d"},
      {user_control({UserEvent::PingResponse, 77}), MessageType::UserControl, "00070000004d"},
  };
  for (const auto &row : kRows) {
    EXPECT_EQ(row.message.type, row.type);
    EXPECT_EQ(row.message.chunk_stream, kControlChunkStream);
    EXPECT_EQ(row.message.stream, 0u);
    EXPECT_EQ(hex(row.message.payload.view), row.payload);
    if (row.type == MessageType::UserControl) {
      const auto event = parse_user_control(row.message);
      ASSERT_TRUE(event);
      EXPECT_EQ(hex(user_control(*event).payload.view), row.payload);
    } else {
      const auto value = control_value(row.message);
      ASSERT_TRUE(value);
      EXPECT_EQ(*value, ByteReader(wire(row.payload)).u32());
    }
  }
}

TEST(Control, RefusesShortOnes) {
  EXPECT_FALSE(control_value(message(MessageType::WindowAckSize, "000010")));
  EXPECT_FALSE(control_value(message(MessageType::SetChunkSize, "80001000")));
  for (const char *payload : {"", "00", "0000", "0006 000000", "0003 00000001", "0003 00000001 00"})
    EXPECT_FALSE(parse_user_control(message(MessageType::UserControl, payload))) << payload;
  // Events of other makers have what length they like.
  EXPECT_TRUE(parse_user_control(message(MessageType::UserControl, "001a")));
  EXPECT_TRUE(parse_user_control(message(MessageType::UserControl, "001f 00000001 00000002 00")));
}

// RTMP 1.0, 7.1.6: the first inner timestamp stands for the aggregate's.
TEST(Aggregate, SplitsWithMovedTimestamps) {
  const Message aggregate = message(
      MessageType::Aggregate,
      "08 000002 0003e8 00 000000 aabb 0000000d  09 000001 000414 00 000000 cc 0000000c", 5000);
  std::vector<std::string> parts;
  const auto split = split_aggregate(aggregate, [&](Message &&part) {
    EXPECT_EQ(part.stream, 1u);
    EXPECT_EQ(part.payload.owner, aggregate.payload.owner);
    parts.push_back(std::to_string(static_cast<int>(part.type)) + "@" +
                    std::to_string(part.timestamp) + ":" + hex(part.payload.view));
  });
  ASSERT_TRUE(split) << split.error().detail;
  EXPECT_EQ(parts, (std::vector<std::string>{"8@5000:aabb", "9@5044:cc"}));
}

TEST(Aggregate, HasMediaAndDataOnly) {
  std::string parts;
  // An audio tag, a command, a chunk size, a type that nobody knows, data of both AMFs, video.
  const auto split = split_aggregate(
      message(MessageType::Aggregate,
              "08 000001 000000 00 000000 aa 0000000c  14 000001 000000 00 000000 02 0000000c"
              "01 000004 000000 00 000000 00000080 0000000f  63 000001 000000 00 000000 11 0000000c"
              "12 000001 000000 00 000000 02 0000000c  0f 000001 000000 00 000000 00 0000000c"
              "09 000001 000000 00 000000 bb 0000000c"),
      [&](Message &&part) { parts += std::to_string(static_cast<int>(part.type)) + " "; });
  ASSERT_TRUE(split) << split.error().detail;
  EXPECT_EQ(parts, "8 18 15 9 ");
}

TEST(Aggregate, RefusesWhatDoesNotFit) {
  const auto ignore = [](Message &&) {};
  const std::string whole = "08 000002 0003e8 00 000000 aabb 0000000d";
  const Bytes bytes = wire(whole);
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    Message cut;
    cut.type = MessageType::Aggregate;
    cut.payload = SharedBytes::copy(ByteSpan(bytes).first(size));
    const bool lacks_only_pointer = size == bytes.size() - 4;
    EXPECT_EQ(static_cast<bool>(split_aggregate(cut, ignore)), lacks_only_pointer) << size;
  }
  EXPECT_FALSE(split_aggregate(
      message(MessageType::Aggregate, "16 000000 000000 00 000000 0000000b"), ignore));
  EXPECT_TRUE(split_aggregate(message(MessageType::Aggregate, ""), ignore));
}

TEST(Timestamps, UnwrapBothWays) {
  TimestampUnwrapper clock;
  EXPECT_EQ(clock.unwrap(0xfffffff0), 0xfffffff0);
  EXPECT_EQ(clock.unwrap(0x00000010), 0x100000010);
  EXPECT_EQ(clock.unwrap(0xfffffff8), 0xfffffff8);  // an older one of the other medium
  EXPECT_EQ(clock.unwrap(0x00000020), 0x100000020);
  EXPECT_EQ(clock.unwrap(0x7fffffff), 0x17fffffff);
  EXPECT_EQ(clock.unwrap(0xf0000000), 0x1f0000000);
  EXPECT_EQ(clock.unwrap(0x00000000), 0x200000000);
  TimestampUnwrapper low;
  EXPECT_EQ(low.unwrap(5), 5);
  EXPECT_EQ(low.unwrap(0xfffffffb), -5);
}
