// SPDX-License-Identifier: LGPL-2.1-or-later
// A client of the RTMP server, as tests drive it.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "rtmp/core/chunk_reader.h"
#include "rtmp/core/chunk_writer.h"
#include "rtmp/core/command.h"
#include "rtmp/core/handshake.h"
#include "rtmp/core/media.h"
#include "rtmp/core/tag.h"
#include "wire.h"

namespace junctor::test {

using namespace rtmp;

/// What a message is, in a few words: "_result 1", "onStatus NetStream.Play.Start", "StreamBegin
/// 1", "video key 40" …
inline std::string words(const Message &message) {
  const std::string time = std::to_string(message.timestamp);
  const auto number = [&] {
    return std::to_string(control_value(message) ? *control_value(message) : 0);
  };
  switch (message.type) {
    case MessageType::SetChunkSize:
      return "SetChunkSize " + number();
    case MessageType::WindowAckSize:
      return "WindowAckSize " + number();
    case MessageType::SetPeerBandwidth:
      return "SetPeerBandwidth " + number();
    case MessageType::Acknowledgement:
      return "Acknowledgement " + number();
    case MessageType::UserControl: {
      const auto control = parse_user_control(message);
      if (!control) return "bad user control";
      static const std::map<UserEvent, std::string> kNames = {
          {UserEvent::StreamBegin, "StreamBegin "},
          {UserEvent::StreamEof, "StreamEof "},
          {UserEvent::PingRequest, "PingRequest "},
          {UserEvent::PingResponse, "PingResponse "}};
      return kNames.at(control->event) + std::to_string(control->value);
    }
    case MessageType::CommandAmf0: {
      const auto command = parse_command(message);
      if (!command) return "bad command";
      const AmfMembers *info =
          command->arguments.empty() ? nullptr : command->arguments.back().members();
      if (command->name.starts_with("on"))
        return command->name + " " + (info ? info->string("code") : "");
      return command->name + " " + std::to_string(static_cast<int>(command->transaction)) +
             (info ? " " + info->string("code") : "");
    }
    case MessageType::DataAmf0:
      return "data " + (parse_data(message) ? parse_data(message)->name : "bad") + " " + time;
    case MessageType::Audio: {
      const auto first = std::to_integer<unsigned>(message.payload.view[0]);
      const bool config = first >> 4 == 10 && message.payload.view[1] == std::byte{0};
      return std::string(config ? "audio config " : "audio ") + time;
    }
    case MessageType::Video: {
      const bool config = message.payload.view[1] == std::byte{0};
      const bool key = (std::to_integer<unsigned>(message.payload.view[0]) >> 4) == 1;
      return std::string(config ? "video config " : key ? "video key " : "video ") + time;
    }
    default:
      return "type " + std::to_string(static_cast<int>(message.type));
  }
}

/// The client's side of one connection: what it says as bytes, and what it has heard.
class Peer {
 public:
  /// C0 and C1; the rest of the handshake follows by itself in hear().
  Bytes begin() {
    Bytes out;
    handshake_.start(out);
    return out;
  }
  /// Takes bytes of the server; returns what is to be sent in answer (C2).
  Bytes hear(ByteSpan bytes) {
    Bytes out;
    if (!handshake_.done()) {
      const auto taken = handshake_.push(bytes, out);
      EXPECT_TRUE(taken);
      if (!taken) return out;
      bytes = bytes.subspan(*taken);
    }
    const auto read = reader_.push(bytes, [this](Message &&message) {
      heard.push_back(std::move(message));
      return ChunkReader::Flow::Continue;
    });
    EXPECT_TRUE(read) << read.error().detail;
    return out;
  }
  bool ready() const { return handshake_.done(); }

  Bytes say(const Message &message) {
    Bytes out;
    writer_.write(message, out);
    return out;
  }
  Bytes command(const std::string &name, double transaction, std::vector<AmfValue> arguments = {},
                std::uint32_t stream = 0, AmfValue object = AmfNull()) {
    return say(make_command({name, transaction, std::move(object), std::move(arguments)}, stream));
  }
  Bytes connect(const std::string &app, const std::string &url = {}) {
    return command("connect", 1, {}, 0, AmfObject{{"app", app}, {"tcUrl", url}});
  }
  Bytes media(MessageType type, std::uint32_t stream, std::uint32_t timestamp, const Bytes &body) {
    Message message;
    message.type = type;
    message.chunk_stream = type == MessageType::Audio ? 4 : 6;
    message.stream = stream;
    message.timestamp = timestamp;
    message.payload = SharedBytes::copy(body);
    return say(message);
  }

  /// What was heard since the last call, in words; acknowledgements and window sizes are left out.
  std::vector<std::string> take() {
    std::vector<std::string> list;
    for (const Message &message : std::exchange(heard, {})) list.push_back(words(message));
    return list;
  }
  std::vector<Message> heard;

 private:
  ClientHandshake handshake_;
  ChunkReader reader_;
  ChunkWriter writer_;
};

/// A small picture size's parameter sets, from x264 (baseline 64x48).
inline Bytes avc_config() {
  return wire(
      "01 42 c0 0a ff e1 0018 6742c00ad9044d3f0110000003001000000303c0f1226480 01 0005 68cb83cb20");
}
inline Track h264_track() {
  Track track;
  track.codec = Codec::H264;
  track.config = SharedBytes::own(avc_config());
  return track;
}
inline Track aac_track() {
  Track track;
  track.codec = Codec::Aac;
  track.config = SharedBytes::own(wire("12 08"));
  track.rate = 44100;
  track.channels = 1;
  return track;
}
inline Track pcma_track() {
  Track track;
  track.codec = Codec::Pcma;
  track.rate = 8000;
  track.channels = 1;
  return track;
}

enum class Picture { Key, Inter, Droppable };
/// One NAL unit of `size` bytes behind its length.
inline rtmp::Frame picture(Picture kind, std::int64_t dts, std::size_t size = 20) {
  Bytes data;
  ByteWriter writer(data);
  writer.u32(size).u8(kind == Picture::Key ? 0x65 : kind == Picture::Inter ? 0x41 : 0x01);
  while (data.size() < size + 4) writer.u8(data.size() & 0xff);
  rtmp::Frame frame;
  frame.medium = Medium::Video;
  frame.key = kind == Picture::Key;
  frame.droppable = kind == Picture::Droppable;
  frame.dts = dts;
  frame.data = SharedBytes::own(std::move(data));
  return frame;
}
inline rtmp::Frame sound(std::int64_t dts, std::size_t size = 10) {
  rtmp::Frame frame;
  frame.medium = Medium::Audio;
  frame.dts = dts;
  frame.data = SharedBytes::own(counting(size));
  return frame;
}

/// The bodies of messages that carry them.
inline Bytes tag_of(const Track &track, const rtmp::Frame &frame) {
  const TagPrefix prefix = frame_prefix(track, frame);
  return Bytes(prefix.view().begin(), prefix.view().end()) + frame.data.view;
}

}  // namespace junctor::test
