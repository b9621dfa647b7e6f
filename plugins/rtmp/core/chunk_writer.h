// SPDX-License-Identifier: LGPL-2.1-or-later
// RTMP messages to chunks.
#pragma once

#include <cstdint>
#include <span>

#include "common/bytes.h"
#include "rtmp/core/message.h"

namespace junctor::rtmp {

/// Appends `message` as chunks of at most `chunk_size` bytes of payload: a type 0 header, then type
/// 3, each with the extended timestamp if the first needs it (ffmpeg and librtmp want it repeated).
/// Says everything in full, so that the bytes do not depend on what was sent before. The payload is
/// at most 2^24 - 1 bytes and `chunk_stream` 2 to 65,599.
void write_chunks(const Message &message, std::uint32_t chunk_size, Bytes &out);

/// One immutable wire frame to be sent to any number of connections whose chunk size is
/// `chunk_size`. The payload is `parts` in order (message.payload is not used), copied once: a
/// tag's few bytes and its data need not be joined before.
SharedBytes make_wire_frame(const Message &message, std::span<const ByteSpan> parts,
                            std::uint32_t chunk_size);

/// The same with message.payload.
SharedBytes make_wire_frame(const Message &message, std::uint32_t chunk_size);

/// The message of a frame that make_wire_frame() has made for the same chunk size and a chunk
/// stream below 64, with `front` in place of the first `size` bytes of its payload, which it must
/// have.
SharedBytes with_front(const SharedBytes &frame, std::size_t size, ByteSpan front,
                       std::uint32_t chunk_size);
/// The first bytes of that payload, at most those of the first chunk.
ByteSpan front_of(const SharedBytes &frame);

/// Writes for one connection: follows the chunk size that it announces itself.
class ChunkWriter {
 public:
  /// Appends the message. A SetChunkSize counts for those after it.
  void write(const Message &message, Bytes &out);
  std::uint32_t chunk_size() const { return chunk_size_; }

 private:
  std::uint32_t chunk_size_ = 128;
};

}  // namespace junctor::rtmp
