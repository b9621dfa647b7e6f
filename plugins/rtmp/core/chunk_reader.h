// SPDX-License-Identifier: LGPL-2.1-or-later
// RTMP chunk stream to messages.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/bytes.h"
#include "common/result.h"
#include "rtmp/core/message.h"

namespace junctor::rtmp {

inline constexpr std::uint32_t kDefaultChunkSize = 128;
inline constexpr std::uint32_t kMinChunkSize = 128;
inline constexpr std::uint32_t kMaxChunkSize = 1024 * 1024;

/// Bounds on what a peer may make the reader hold.
struct ChunkLimits {
  std::size_t command_bytes = 64UL * 1024;            ///< one message that is not media
  std::size_t media_bytes = 8UL * 1024 * 1024;        ///< one audio, video or aggregate message
  std::size_t connection_bytes = 16UL * 1024 * 1024;  ///< all unfinished messages together
  std::size_t chunk_streams = 64;  ///< ids in use, for the life of the connection
};

/// Joins the chunks of one connection (RTMP 1.0, 5.3). Memory grows with the bytes that arrive, not
/// with the lengths that headers announce. One thread.
class ChunkReader {
 public:
  /// What the receiver of a message wants next.
  enum class Flow : std::uint8_t { Continue, Pause };
  using Sink = std::function<Flow(Message &&)>;

  explicit ChunkReader(ChunkLimits limits = {});
  /// From the next header on.
  void set_limits(ChunkLimits limits) { limits_ = limits; }

  /// Reads `input` and hands each finished message to `sink`. Returns how much was taken: all,
  /// unless the sink said Pause; then what is left is to be pushed again, first. SetChunkSize and
  /// Abort have taken effect when the sink sees them. An error is for good: BadInput for what the
  /// standard does not allow, Refused for what exceeds the limits. `sink` may not push to or
  /// destroy this reader.
  Result<std::size_t> push(ByteSpan input, const Sink &sink);

  /// Bytes taken so far, for acknowledgements (which carry the low 32 bits).
  std::uint64_t bytes_received() const { return received_; }
  std::uint32_t chunk_size() const { return chunk_size_; }
  /// Bytes of unfinished messages held now.
  std::size_t pending_bytes() const { return pending_; }

 private:
  struct Stream {
    std::uint32_t id = 0;
    bool in_message = false;
    bool known = false;            ///< has had a header with a length and a type
    bool extended = false;         ///< that header had the extended timestamp
    std::uint32_t time_field = 0;  ///< its timestamp or delta, whichever it had
    std::uint32_t timestamp = 0;   ///< absolute, of the present message
    std::uint32_t length = 0;
    MessageType type{};
    std::uint32_t message_stream = 0;
    Bytes body;
  };
  enum class Step : std::uint8_t { BasicHeader, MessageHeader, ExtendedTime, ExtendedRepeat, Body };

  Result<Flow> run(ByteSpan &input, const Sink &sink);
  bool gather(ByteSpan &input, std::size_t wanted);
  Result<bool> basic_header(ByteSpan &input);
  Result<bool> message_header(ByteSpan &input);
  bool extended_time(ByteSpan &input);
  bool extended_repeat(ByteSpan &input);
  void begin_chunk();
  Result<void> take_body(ByteSpan &input);
  Result<Flow> finish(const Sink &sink);
  Result<void> apply(const Message &message);
  Result<void> select_stream(std::uint32_t id);
  Stream &stream() { return streams_[current_]; }

  ChunkLimits limits_;
  std::vector<Stream> streams_;
  std::size_t current_ = 0;  ///< index of the present chunk's stream
  Step step_ = Step::BasicHeader;
  std::uint8_t format_ = 0;
  std::uint32_t chunk_size_ = kDefaultChunkSize;
  std::size_t chunk_left_ = 0;
  std::size_t pending_ = 0;
  std::uint64_t received_ = 0;
  bool failed_ = false;
  std::size_t header_size_ = 0;
  std::array<std::byte, 11> header_{};  ///< the part of a header that has come
  /// Bytes that looked like a repeated timestamp, until one differed: to be read again.
  std::array<std::byte, 4> again_{};
  std::size_t again_size_ = 0;
};

}  // namespace junctor::rtmp
