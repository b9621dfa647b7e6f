// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/message.h"

#include <initializer_list>
#include <string>

#include "common/unwrap.h"

namespace junctor::rtmp {

namespace {

constexpr std::size_t kBackPointer = 4;

Message control(MessageType type, Bytes &&payload) {
  Message message;
  message.type = type;
  message.chunk_stream = kControlChunkStream;
  message.payload = SharedBytes::own(std::move(payload));
  return message;
}

Message numbered(MessageType type, std::uint32_t value) {
  Bytes payload;
  ByteWriter(payload).u32(value);
  return control(type, std::move(payload));
}

}  // namespace

std::int64_t TimestampUnwrapper::unwrap(std::uint32_t timestamp) {
  last_ = last_ ? nearest(*last_, timestamp) : timestamp;
  return *last_;
}

Message set_chunk_size(std::uint32_t bytes) {
  return numbered(MessageType::SetChunkSize, bytes & 0x7fffffff);
}

Message acknowledgement(std::uint32_t bytes_received) {
  return numbered(MessageType::Acknowledgement, bytes_received);
}

Message window_ack_size(std::uint32_t bytes) { return numbered(MessageType::WindowAckSize, bytes); }

Message set_peer_bandwidth(std::uint32_t bytes, BandwidthLimit limit) {
  Bytes payload;
  ByteWriter(payload).u32(bytes).u8(static_cast<std::uint8_t>(limit));
  return control(MessageType::SetPeerBandwidth, std::move(payload));
}

Result<std::uint32_t> control_value(const Message &message) {
  ByteReader reader(message.payload.view);
  const std::uint32_t value = reader.u32();
  if (reader.failed())
    return bad_input("A control message of type " + std::to_string(static_cast<int>(message.type)) +
                     " has only " + std::to_string(message.payload.view.size()) +
                     " bytes instead of 4.");
  if (message.type == MessageType::SetChunkSize && value >> 31 != 0)
    return bad_input("SetChunkSize has its top bit set, which must be 0.");
  return value;
}

Message user_control(const UserControl &event) {
  Bytes payload;
  ByteWriter writer(payload);
  writer.u16(static_cast<std::uint16_t>(event.event)).u32(event.value);
  if (event.event == UserEvent::SetBufferLength) writer.u32(event.buffer);
  return control(MessageType::UserControl, std::move(payload));
}

Result<UserControl> parse_user_control(const Message &message) {
  ByteReader reader(message.payload.view);
  UserControl event;
  event.event = static_cast<UserEvent>(reader.u16());
  if (!reader.failed()) {
    switch (event.event) {
      case UserEvent::SetBufferLength:
        event.value = reader.u32();
        event.buffer = reader.u32();
        break;
      case UserEvent::StreamBegin:
      case UserEvent::StreamEof:
      case UserEvent::StreamDry:
      case UserEvent::StreamIsRecorded:
      case UserEvent::PingRequest:
      case UserEvent::PingResponse:
        event.value = reader.u32();
        break;
      default:  // events of others may be of any length
        if (reader.left() >= 4) event.value = reader.u32();
    }
  }
  if (reader.failed())
    return bad_input("A user control message of " + std::to_string(message.payload.view.size()) +
                     " bytes is too short for its event.");
  return event;
}

namespace {

bool is_media(MessageType type) {
  return type == MessageType::Audio || type == MessageType::Video ||
         type == MessageType::DataAmf0 || type == MessageType::DataAmf3;
}

}  // namespace

Result<void> split_aggregate(const Message &aggregate,
                             const std::function<void(Message &&)> &sink) {
  const ByteSpan all = aggregate.payload.view;
  ByteReader reader(all);
  std::optional<std::uint32_t> first;
  while (reader.left() > 0) {
    Message part;
    part.type = static_cast<MessageType>(reader.u8());
    const std::uint32_t size = reader.u24();
    std::uint32_t timestamp = reader.u24();
    timestamp |= static_cast<std::uint32_t>(reader.u8()) << 24;
    reader.skip(3);  // the stream id inside is to be ignored
    const std::size_t offset = all.size() - reader.left();
    const ByteSpan payload = reader.take(size);
    if (reader.failed())
      return bad_input("An aggregate message of " + std::to_string(all.size()) +
                       " bytes ends inside one of its messages.");
    if (part.type == MessageType::Aggregate)
      return bad_input("An aggregate message inside an aggregate message is refused.");
    // The last back pointer is missing from some; it carries nothing that is needed.
    if (reader.left() > 0) {
      reader.skip(kBackPointer);
      if (reader.failed()) return bad_input("An aggregate message ends inside a back pointer.");
    }
    if (!first) first = timestamp;
    if (!is_media(part.type)) continue;
    part.chunk_stream = aggregate.chunk_stream;
    part.stream = aggregate.stream;
    part.timestamp = aggregate.timestamp + (timestamp - *first);
    part.payload = {aggregate.payload.owner, all.subspan(offset, payload.size())};
    sink(std::move(part));
  }
  return {};
}

}  // namespace junctor::rtmp
