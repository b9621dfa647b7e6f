// SPDX-License-Identifier: LGPL-2.1-or-later
// RTMP messages and the protocol's own control messages.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "common/bytes.h"
#include "common/result.h"

namespace junctor::rtmp {

/// RTMP 1.0, sections 5.4 and 7.1. Values not listed may come and are to be ignored.
enum class MessageType : std::uint8_t {
  SetChunkSize = 1,
  Abort = 2,
  Acknowledgement = 3,
  UserControl = 4,
  WindowAckSize = 5,
  SetPeerBandwidth = 6,
  Audio = 8,
  Video = 9,
  DataAmf3 = 15,
  SharedObjectAmf3 = 16,
  CommandAmf3 = 17,
  DataAmf0 = 18,
  SharedObjectAmf0 = 19,
  CommandAmf0 = 20,
  Aggregate = 22,
};

/// Chunk streams that this library sends on. 2 is the standard's; the rest is custom.
inline constexpr std::uint32_t kControlChunkStream = 2;
inline constexpr std::uint32_t kCommandChunkStream = 3;
inline constexpr std::uint32_t kAudioChunkStream = 4;
inline constexpr std::uint32_t kDataChunkStream = 5;
inline constexpr std::uint32_t kVideoChunkStream = 6;

struct Message {
  MessageType type = MessageType::CommandAmf0;
  std::uint32_t chunk_stream = kCommandChunkStream;
  std::uint32_t stream = 0;     ///< message stream id
  std::uint32_t timestamp = 0;  ///< ms, wraps at 2^32
  SharedBytes payload;
};

/// Turns timestamps that wrap at 2^32 ms (49.7 days) into ones that do not. One for each clock: the
/// audio and video of a publisher share one.
class TimestampUnwrapper {
 public:
  /// The value nearest to the one before; the first is taken as it is.
  std::int64_t unwrap(std::uint32_t timestamp);

 private:
  std::optional<std::int64_t> last_;
};

// Protocol control messages (RTMP 1.0, 5.4), on chunk stream 2 and message stream 0.
enum class BandwidthLimit : std::uint8_t { Hard = 0, Soft = 1, Dynamic = 2 };
Message set_chunk_size(std::uint32_t bytes);
Message acknowledgement(std::uint32_t bytes_received);
Message window_ack_size(std::uint32_t bytes);
Message set_peer_bandwidth(std::uint32_t bytes, BandwidthLimit limit);

/// The number that a control message of type 1, 2, 3, 5 or 6 carries; BadInput if it is too short
/// or, for SetChunkSize, has its top bit set.
Result<std::uint32_t> control_value(const Message &message);

/// User control events (RTMP 1.0, 7.1.7). Others may come and are to be ignored.
enum class UserEvent : std::uint16_t {
  StreamBegin = 0,
  StreamEof = 1,
  StreamDry = 2,
  SetBufferLength = 3,
  StreamIsRecorded = 4,
  PingRequest = 6,
  PingResponse = 7,
};
struct UserControl {
  UserEvent event = UserEvent::StreamBegin;
  std::uint32_t value = 0;   ///< stream id, or a ping's timestamp
  std::uint32_t buffer = 0;  ///< SetBufferLength: ms
};
Message user_control(const UserControl &control);
Result<UserControl> parse_user_control(const Message &message);

/// Hands over each message of sound, pictures or data inside an aggregate (type 22; RTMP 1.0,
/// 7.1.6), with timestamps moved to the aggregate's and its stream id; others are left out.
/// Payloads share the aggregate's block. Fails with BadInput on a length that does not fit or an
/// aggregate inside an aggregate; messages before that have been handed over.
Result<void> split_aggregate(const Message &aggregate, const std::function<void(Message &&)> &sink);

}  // namespace junctor::rtmp
