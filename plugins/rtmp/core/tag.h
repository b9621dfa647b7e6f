// SPDX-License-Identifier: LGPL-2.1-or-later
// FLV audio and video tag bodies to and from elementary streams.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "common/bytes.h"
#include "common/result.h"
#include "rtmp/core/media.h"

namespace junctor::rtmp {

/// What one audio or video message held; all may be empty (an empty message, a seek mark, the end
/// of a sequence, H264 before its sequence header).
struct TagContent {
  std::optional<Track> track;  ///< new, or differs from what was last told; comes before the frame
  std::optional<Frame> frame;
};

/// Of an audio tag: eight seconds of G.711, ten times the longest AAC frame.
inline constexpr std::size_t kMostSoundBytes = 64UL * 1024;

/// Reads the tags of one medium of one publisher: legacy tags (Adobe FLV 10.1, E.4.2 and E.4.3)
/// and Enhanced RTMP v2 (avc1, vp08, mp4a; its ModEx packets are skipped). Frames share the
/// message's block, configurations are copies. One thread.
class TagReader {
 public:
  explicit TagReader(Medium medium) : medium_(medium) {}

  /// `body` is the message's payload, `dts` its timestamp in ms. BadInput for bytes that do not fit
  /// their own lengths: truncated headers, a broken configuration, NAL units beyond the tag; and
  /// for more than kMostSoundBytes of sound.
  /// Refused for a codec that is not ours (it is named) or multitrack; the reader stays usable
  /// after either error.
  Result<TagContent> read(const SharedBytes &body, std::int64_t dts);

  /// What was last told.
  const std::optional<Track> &track() const { return track_; }

 private:
  /// One packet of a tag, whichever form it had.
  struct Packet {
    enum class Kind : std::uint8_t { Config, Frame, End };
    Kind kind = Kind::Frame;
    Codec codec = Codec::H264;
    bool key = false;
    bool droppable = false;
    std::int32_t composition = 0;
    int rate = 0, channels = 0;
    SharedBytes data;
  };

  static Result<std::optional<Packet>> audio_packet(const SharedBytes &body);
  static Result<std::optional<Packet>> video_packet(const SharedBytes &body);
  Result<TagContent> read_config(const Packet &packet);
  Result<TagContent> read_frame(Packet &packet, std::int64_t dts);
  void tell(Track track, TagContent &content);

  Medium medium_;
  std::optional<Track> track_;
  int nal_length_size_ = 4;
};

/// How to write H264; VP8 has only the enhanced form, all other codecs only the legacy one.
enum class TagStyle : std::uint8_t {
  Legacy,    ///< what every player reads
  Enhanced,  ///< FourCC avc1; for players that offer it in fourCcList
};

/// The few bytes that come before a frame's data; the body of its message is both, joined.
struct TagPrefix {
  std::array<std::byte, 8> bytes{};
  std::size_t size = 0;
  ByteSpan view() const { return ByteSpan(bytes).first(size); }
};
TagPrefix frame_prefix(const Track &track, const Frame &frame, TagStyle style = TagStyle::Legacy);

/// What H264 in a legacy tag begins with: kLegacyAvcPrefix bytes.
inline constexpr std::size_t kLegacyAvcPrefix = 5;
/// What stands there in the enhanced form of the same tag, of a frame or of the configuration. Only
/// of such as frame_prefix() and config_body() make.
TagPrefix enhanced_avc_prefix(ByteSpan legacy);

/// The whole body of the message that carries the decoder configuration; empty for codecs that have
/// none.
Bytes config_body(const Track &track, TagStyle style = TagStyle::Legacy);

}  // namespace junctor::rtmp
