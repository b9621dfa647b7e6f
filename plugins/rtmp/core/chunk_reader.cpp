// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/chunk_reader.h"

#include <algorithm>
#include <string>
#include <utility>

namespace junctor::rtmp {

namespace {

constexpr std::uint32_t kExtended = 0xffffff;
constexpr std::size_t kHeaderSizes[] = {11, 7, 3};
// What a message's first bytes may reserve beyond what has come.
constexpr std::size_t kFirstReserve = 4096;

bool is_media(MessageType type) {
  return type == MessageType::Audio || type == MessageType::Video || type == MessageType::Aggregate;
}

std::string name(std::uint32_t chunk_stream) {
  return "chunk stream " + std::to_string(chunk_stream);
}

}  // namespace

ChunkReader::ChunkReader(ChunkLimits limits) : limits_(limits) {}

Result<std::size_t> ChunkReader::push(ByteSpan input, const Sink &sink) {
  if (failed_) return bad_input("The chunk stream has failed before; close the connection.");
  const std::size_t size = input.size();
  for (;;) {
    Result<Flow> flow = Flow::Continue;
    const bool rereading = again_size_ > 0;
    if (rereading) {
      const auto copy = again_;
      ByteSpan bytes = ByteSpan(copy).first(again_size_);
      again_size_ = 0;
      flow = run(bytes, sink);
      // What is left of them, after a pause or another such find, comes before all later input.
      std::copy(bytes.begin(), bytes.end(), again_.begin() + again_size_);
      again_size_ += bytes.size();
    } else {
      flow = run(input, sink);
    }
    if (!flow) {
      failed_ = true;
      streams_.clear();
      return flow.error();
    }
    if (*flow == Flow::Pause) break;
    if (again_size_ == 0 && input.empty()) break;
  }
  received_ += size - input.size();
  return size - input.size();
}

/// Reads until `input` is empty, the sink pauses, or bytes are to be read again.
Result<ChunkReader::Flow> ChunkReader::run(ByteSpan &input, const Sink &sink) {
  for (;;) {
    bool enough = true;
    switch (step_) {
      case Step::BasicHeader: {
        auto read = basic_header(input);
        if (!read) return read.error();
        enough = *read;
        break;
      }
      case Step::MessageHeader: {
        auto read = message_header(input);
        if (!read) return read.error();
        enough = *read;
        break;
      }
      case Step::ExtendedTime:
        enough = extended_time(input);
        break;
      case Step::ExtendedRepeat:
        enough = extended_repeat(input);
        if (again_size_ > 0) return Flow::Continue;
        break;
      case Step::Body: {
        if (auto taken = take_body(input); !taken) return taken.error();
        if (chunk_left_ > 0) {
          enough = false;
          break;
        }
        step_ = Step::BasicHeader;
        if (stream().body.size() == stream().length) {
          auto flow = finish(sink);
          if (!flow || *flow == Flow::Pause) return flow;
        }
        break;
      }
    }
    if (!enough) return Flow::Continue;
  }
}

/// Collects a header of `wanted` bytes; true once it is there.
bool ChunkReader::gather(ByteSpan &input, std::size_t wanted) {
  if (header_size_ < wanted) {
    const std::size_t count = std::min(wanted - header_size_, input.size());
    std::copy_n(input.begin(), count, header_.begin() + header_size_);
    header_size_ += count;
    input = input.subspan(count);
  }
  return header_size_ >= wanted;
}

Result<bool> ChunkReader::basic_header(ByteSpan &input) {
  if (!gather(input, 1)) return false;
  const auto first = std::to_integer<std::uint32_t>(header_[0]);
  const std::uint32_t low = first & 0x3f;
  if (!gather(input, low == 0 ? 2 : low == 1 ? 3 : 1)) return false;
  header_size_ = 0;
  format_ = static_cast<std::uint8_t>(first >> 6);
  std::uint32_t id = low;
  if (low < 2) id = 64 + std::to_integer<std::uint32_t>(header_[1]);
  if (low == 1) id += std::to_integer<std::uint32_t>(header_[2]) << 8;
  if (auto selected = select_stream(id); !selected) return selected.error();

  Stream &now = stream();
  if (format_ != 3 && now.in_message)
    return bad_input("On " + name(id) + " a message begins before the one before it has ended.");
  // A type 1 header has all but the stream id; librtmp begins chunk stream 2 with it.
  if (format_ >= 2 && !now.known)
    return bad_input("On " + name(id) + " the first chunk has a header of type " +
                     std::to_string(format_) + ", which refers to a message before it.");
  if (format_ < 3) {
    step_ = Step::MessageHeader;
  } else if (now.extended) {
    step_ = Step::ExtendedRepeat;
  } else {
    begin_chunk();
  }
  return true;
}

Result<void> ChunkReader::select_stream(std::uint32_t id) {
  if (current_ < streams_.size() && streams_[current_].id == id) return {};
  const auto found = std::find_if(streams_.begin(), streams_.end(),
                                  [id](const Stream &stream) { return stream.id == id; });
  if (found == streams_.end()) {
    if (streams_.size() >= limits_.chunk_streams)
      return refused("More than " + std::to_string(limits_.chunk_streams) +
                     " chunk streams on one connection are refused.");
    streams_.emplace_back().id = id;
    current_ = streams_.size() - 1;
  } else {
    current_ = static_cast<std::size_t>(found - streams_.begin());
  }
  return {};
}

Result<bool> ChunkReader::message_header(ByteSpan &input) {
  if (!gather(input, kHeaderSizes[format_])) return false;
  ByteReader reader(ByteSpan(header_).first(header_size_));
  header_size_ = 0;
  Stream &now = stream();
  now.time_field = reader.u24();
  if (format_ <= 1) {
    now.length = reader.u24();
    now.type = static_cast<MessageType>(reader.u8());
    now.known = true;
    const std::size_t limit = is_media(now.type) ? limits_.media_bytes : limits_.command_bytes;
    if (now.length > limit)
      return refused("A message of type " + std::to_string(static_cast<int>(now.type)) + " and " +
                     std::to_string(now.length) + " bytes is beyond the limit of " +
                     std::to_string(limit) + " bytes.");
  }
  if (format_ == 0) now.message_stream = reader.u32_little();
  now.extended = now.time_field == kExtended;
  if (now.extended)
    step_ = Step::ExtendedTime;
  else
    begin_chunk();
  return true;
}

bool ChunkReader::extended_time(ByteSpan &input) {
  if (!gather(input, 4)) return false;
  header_size_ = 0;
  stream().time_field = ByteReader(header_).u32();
  begin_chunk();
  return true;
}

/// The standard has type 3 chunks repeat the extended timestamp, some senders leave it out: it is
/// there if the next 4 bytes are the same. Decides at the first byte that differs.
bool ChunkReader::extended_repeat(ByteSpan &input) {
  while (header_size_ < 4) {
    if (input.empty()) return false;
    const auto expected =
        static_cast<std::byte>(stream().time_field >> (24 - 8 * header_size_) & 0xff);
    if (input[0] != expected) {
      std::copy_n(header_.begin(), header_size_, again_.begin());
      again_size_ = header_size_;
      break;
    }
    header_[header_size_++] = expected;
    input = input.subspan(1);
  }
  header_size_ = 0;
  begin_chunk();
  return true;
}

void ChunkReader::begin_chunk() {
  Stream &now = stream();
  if (!now.in_message) {
    now.in_message = true;
    // After a type 0 header, a message of type 3 has that header's timestamp as its delta (RTMP
    // 1.0, 5.3.1.2.4).
    now.timestamp = format_ == 0 ? now.time_field : now.timestamp + now.time_field;
  }
  chunk_left_ = std::min<std::size_t>(chunk_size_, now.length - now.body.size());
  step_ = Step::Body;
}

Result<void> ChunkReader::take_body(ByteSpan &input) {
  const std::size_t count = std::min(chunk_left_, input.size());
  if (pending_ + count > limits_.connection_bytes)
    return refused("Unfinished messages of one connection hold more than " +
                   std::to_string(limits_.connection_bytes) + " bytes, which is refused.");
  Bytes &body = stream().body;
  if (body.size() + count > body.capacity()) {
    // Room for what has come, and as much again; never for what is only announced.
    const std::size_t room = std::max({body.size() + input.size(), 2 * body.size(), kFirstReserve});
    body.reserve(std::min<std::size_t>(room, stream().length));
  }
  body.insert(body.end(), input.begin(), input.begin() + static_cast<std::ptrdiff_t>(count));
  pending_ += count;
  chunk_left_ -= count;
  input = input.subspan(count);
  return {};
}

Result<ChunkReader::Flow> ChunkReader::finish(const Sink &sink) {
  Stream &now = stream();
  now.in_message = false;
  pending_ -= now.body.size();
  Message message;
  message.type = now.type;
  message.chunk_stream = now.id;
  message.stream = now.message_stream;
  message.timestamp = now.timestamp;
  message.payload = SharedBytes::own(std::exchange(now.body, {}));
  if (auto applied = apply(message); !applied) return applied.error();
  return sink(std::move(message));
}

Result<void> ChunkReader::apply(const Message &message) {
  if (message.type != MessageType::SetChunkSize && message.type != MessageType::Abort) return {};
  const auto value = control_value(message);
  if (!value) return value.error();
  if (message.type == MessageType::SetChunkSize) {
    if (*value < kMinChunkSize || *value > kMaxChunkSize)
      return refused("A chunk size of " + std::to_string(*value) + " bytes is refused; use " +
                     std::to_string(kMinChunkSize) + " to " + std::to_string(kMaxChunkSize) + ".");
    chunk_size_ = *value;
    return {};
  }
  for (Stream &aborted : streams_) {
    if (aborted.id != *value || !aborted.in_message) continue;
    pending_ -= aborted.body.size();
    aborted.body = {};
    aborted.in_message = false;
  }
  return {};
}

}  // namespace junctor::rtmp
