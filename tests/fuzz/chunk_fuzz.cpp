// SPDX-License-Identifier: LGPL-2.1-or-later
// The chunk stream and all that reads its messages.
#include <algorithm>
#include <string>

#include "input.h"
#include "rtmp/core/chunk_reader.h"
#include "rtmp/core/chunk_writer.h"
#include "rtmp/core/command.h"
#include "rtmp/core/metadata.h"

using namespace junctor;
using namespace junctor::rtmp;

namespace {

struct Heard {
  std::vector<Message> messages;
  bool failed = false;
};

ChunkLimits limits() {
  ChunkLimits limits;
  limits.command_bytes = 4096;
  limits.media_bytes = 16384;
  limits.connection_bytes = 32768;
  limits.chunk_streams = 8;
  return limits;
}

Heard read(ByteSpan input, std::size_t piece, ChunkReader::Flow flow) {
  ChunkReader reader(limits());
  Heard heard;
  std::size_t handed = 0;
  const auto sink = [&](Message &&message) {
    ++handed;
    heard.messages.push_back(std::move(message));
    return flow;
  };
  while (!input.empty()) {
    ByteSpan part = input.first(std::min(piece, input.size()));
    input = input.subspan(part.size());
    while (!part.empty()) {
      handed = 0;
      const auto taken = reader.push(part, sink);
      fuzz::require(reader.pending_bytes() <= limits().connection_bytes);
      if (!taken) {
        heard.failed = true;
        return heard;
      }
      fuzz::require(*taken == part.size() || handed == 1);
      part = part.subspan(*taken);
    }
  }
  return heard;
}

bool same(const Message &a, const Message &b) {
  return a.type == b.type && a.chunk_stream == b.chunk_stream && a.stream == b.stream &&
         a.timestamp == b.timestamp &&
         std::equal(a.payload.view.begin(), a.payload.view.end(), b.payload.view.begin(),
                    b.payload.view.end());
}

bool same(const Heard &a, const Heard &b) {
  return a.failed == b.failed &&
         std::equal(a.messages.begin(), a.messages.end(), b.messages.begin(), b.messages.end(),
                    [](const Message &x, const Message &y) { return same(x, y); });
}

void interpret(const Message &message) {
  if (const auto command = parse_command(message)) {
    // What was read can be written and read again.
    fuzz::require(static_cast<bool>(parse_command(make_command(*command))));
  }
  if (const auto data = parse_data(message)) parse_metadata(*data);
  (void)control_value(message);
  (void)parse_user_control(message);
  (void)split_aggregate(message, [&message](Message &&part) {
    const ByteSpan whole = message.payload.view, view = part.payload.view;
    fuzz::require(view.empty() || (view.data() >= whole.data() &&
                                   view.data() + view.size() <= whole.data() + whole.size()));
  });
  // Written by us and read back, it is the same.
  Bytes bytes;
  ChunkWriter().write(message, bytes);
  const Heard again = read(bytes, bytes.size(), ChunkReader::Flow::Continue);
  fuzz::require(again.messages.size() == 1 && same(again.messages[0], message));
}

}  // namespace

// The first byte says how the rest is cut.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size == 0) return 0;
  const ByteSpan input = fuzz::input(data, size).subspan(1);
  const Heard whole = read(input, input.size(), ChunkReader::Flow::Continue);
  fuzz::require(same(whole, read(input, data[0] % 64 + 1u, ChunkReader::Flow::Continue)));
  if (!whole.failed)
    fuzz::require(read(input, input.size(), ChunkReader::Flow::Pause).messages.size() <=
                  whole.messages.size());
  std::size_t left = 16;
  for (const Message &message : whole.messages)
    if (left-- > 0)
      interpret(message);
    else
      break;
  return 0;
}
