// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/chunk_writer.h"

#include <algorithm>
#include <cassert>
#include <vector>

namespace junctor::rtmp {

namespace {

constexpr std::uint32_t kExtended = 0xffffff;  // this timestamp or more takes 4 bytes of its own
constexpr std::size_t kLargestHeader = 3 + 11 + 4;
constexpr std::size_t kLargestContinuation = 3 + 4;

void basic_header(ByteWriter &writer, unsigned format, std::uint32_t id) {
  assert(id >= 2 && id <= 65599);
  if (id < 64)
    writer.u8(format << 6 | id);
  else if (id < 320)
    writer.u8(format << 6).u8(id - 64);
  else
    writer.u8(format << 6 | 1).u8((id - 64) & 0xff).u8((id - 64) >> 8);
}

void chunks(const Message &message, std::span<const ByteSpan> parts, std::uint32_t chunk_size,
            Bytes &out) {
  assert(chunk_size > 0);
  std::size_t length = 0;
  for (const ByteSpan part : parts) length += part.size();
  assert(length <= 0xffffff);
  const std::size_t continuations = length == 0 ? 0 : (length - 1) / chunk_size;
  const std::size_t room_for_all =
      out.size() + kLargestHeader + length + continuations * kLargestContinuation;
  // Doubled where messages gather: room for each alone would copy all the others each time.
  if (room_for_all > out.capacity()) out.reserve(std::max(room_for_all, 2 * out.capacity()));

  ByteWriter writer(out);
  const bool extended = message.timestamp >= kExtended;
  basic_header(writer, 0, message.chunk_stream);
  writer.u24(extended ? kExtended : message.timestamp).u24(length);
  writer.u8(static_cast<std::uint8_t>(message.type)).u32_little(message.stream);
  if (extended) writer.u32(message.timestamp);

  std::size_t room = chunk_size;
  for (ByteSpan part : parts) {
    while (!part.empty()) {
      if (room == 0) {
        basic_header(writer, 3, message.chunk_stream);
        if (extended) writer.u32(message.timestamp);
        room = chunk_size;
      }
      const std::size_t count = std::min(room, part.size());
      writer.raw(part.first(count));
      part = part.subspan(count);
      room -= count;
    }
  }
}

}  // namespace

void write_chunks(const Message &message, std::uint32_t chunk_size, Bytes &out) {
  chunks(message, {&message.payload.view, 1}, chunk_size, out);
}

SharedBytes make_wire_frame(const Message &message, std::span<const ByteSpan> parts,
                            std::uint32_t chunk_size) {
  Bytes out;
  chunks(message, parts, chunk_size, out);
  return SharedBytes::own(std::move(out));
}

SharedBytes make_wire_frame(const Message &message, std::uint32_t chunk_size) {
  return make_wire_frame(message, {&message.payload.view, 1}, chunk_size);
}

namespace {

/// The header of a type 0 chunk on a chunk stream below 64.
struct FrameHeader {
  std::size_t size;  ///< bytes
  bool extended;
  Message message;  ///< without its payload
};
FrameHeader header_of(const SharedBytes &frame) {
  ByteReader reader(frame.view);
  FrameHeader header{12, false, {}};
  header.message.chunk_stream = reader.u8();
  assert(header.message.chunk_stream >= 2 && header.message.chunk_stream < 64);
  header.message.timestamp = reader.u24();
  reader.u24();
  header.message.type = static_cast<MessageType>(reader.u8());
  header.message.stream = reader.u32_little();
  header.extended = header.message.timestamp == kExtended;
  if (header.extended) {
    header.message.timestamp = reader.u32();
    header.size += 4;
  }
  return header;
}

}  // namespace

ByteSpan front_of(const SharedBytes &frame) {
  return frame.view.subspan(std::min(frame.view.size(), header_of(frame).size));
}

SharedBytes with_front(const SharedBytes &frame, std::size_t size, ByteSpan front,
                       std::uint32_t chunk_size) {
  const FrameHeader header = header_of(frame);
  std::vector<ByteSpan> parts{front};
  ByteSpan rest = frame.view.subspan(header.size);
  while (!rest.empty()) {
    const ByteSpan piece = rest.first(std::min<std::size_t>(chunk_size, rest.size()));
    const std::size_t passed = std::min(size, piece.size());
    parts.push_back(piece.subspan(passed));
    size -= passed;
    rest = rest.subspan(piece.size());
    // The header of the next chunk, which is of type 3.
    rest = rest.subspan(std::min<std::size_t>(header.extended ? 5 : 1, rest.size()));
  }
  return make_wire_frame(header.message, parts, chunk_size);
}

void ChunkWriter::write(const Message &message, Bytes &out) {
  write_chunks(message, chunk_size_, out);
  if (message.type == MessageType::SetChunkSize) {
    const auto size = control_value(message);
    if (size && *size > 0) chunk_size_ = *size;
  }
}

}  // namespace junctor::rtmp
