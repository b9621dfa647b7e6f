// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/tag.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "common/avc.h"
#include "rtmp/core/aac.h"
#include "rtmp/core/picture.h"

namespace junctor::rtmp {

namespace {

constexpr std::uint32_t fourcc(std::string_view text) {
  std::uint32_t value = 0;
  for (const char c : text) value = value << 8 | static_cast<std::uint8_t>(c);
  return value;
}
constexpr std::uint32_t kAvc1 = fourcc("avc1"), kVp08 = fourcc("vp08"), kMp4a = fourcc("mp4a");

/// Adobe FLV 10.1, E.4.2.1 and E.4.3.1.
enum SoundFormat : std::uint8_t {
  kPcma = 7,
  kPcmu = 8,
  kEnhancedAudio = 9,
  kAac = 10,
  kSpeex = 11
};
enum VideoCodec : std::uint8_t { kSorenson = 2, kAvc = 7, kH263 = 8 };
enum FrameType : std::uint8_t { kKey = 1, kInter = 2, kDisposable = 3, kGenerated = 4, kInfo = 5 };
/// AACPacketType and AVCPacketType, and what Enhanced RTMP v2 made of them.
enum PacketType : std::uint8_t {
  kSequenceStart = 0,
  kCodedFrames = 1,
  kSequenceEnd = 2,
  kCodedFramesX = 3,
  kMetadata = 4,         // video; audio: multichannel configuration
  kAudioMultitrack = 5,  // video: MPEG-2 TS sequence start
  kVideoMultitrack = 6,
  kModEx = 7,
};
constexpr std::uint8_t kEnhancedVideo = 0x80;

/// What all ModEx packets of one tag may have together; those that exist have 3 bytes each.
constexpr std::size_t kMaxModEx = 4096;

constexpr int kG711Rate = 8000;
constexpr int kSpeexRate = 16000;  // the only one that FLV has, mono

Error truncated(std::string_view what, std::size_t size) {
  return bad_input("A tag of " + std::string(what) + " ends after " + std::to_string(size) +
                   " bytes, inside its header.");
}

Error unsupported(std::string_view medium, const std::string &codec) {
  return refused("The publisher's " + std::string(medium) + " codec, " + codec +
                 ", is not supported; use H.264, VP8 or H.263 with AAC, Speex or G.711.");
}

std::string sound_name(unsigned format) {
  constexpr std::string_view kNames[] = {"PCM",
                                         "ADPCM",
                                         "MP3",
                                         "PCM (little endian)",
                                         "Nellymoser 16 kHz",
                                         "Nellymoser 8 kHz",
                                         "Nellymoser",
                                         "A-law",
                                         "mu-law",
                                         "Enhanced",
                                         "AAC",
                                         "Speex",
                                         "12",
                                         "13",
                                         "MP3 8 kHz",
                                         "device-specific sound"};
  return std::string(kNames[format & 15]);
}

std::string video_name(unsigned codec) {
  constexpr std::string_view kNames[] = {
      "0", "1", "Sorenson H.263", "Screen Video", "VP6", "VP6 with alpha", "Screen Video 2"};
  return codec < std::size(kNames) ? std::string(kNames[codec]) : "number " + std::to_string(codec);
}

std::string fourcc_name(std::uint32_t code) {
  std::string name = "FourCC ";
  for (int shift = 24; shift >= 0; shift -= 8) {
    const char c = static_cast<char>(code >> shift & 0xff);
    name += c >= ' ' && c <= '~' ? c : '?';
  }
  return name;
}

std::int32_t signed24(std::uint32_t value) { return static_cast<std::int32_t>(value << 8) >> 8; }

/// Takes the ModEx packets off that stand before the packet itself (Enhanced RTMP v2, "ModEx").
/// What they hold (nanoseconds to add to a timestamp) is finer than anything here.
Result<std::uint8_t> skip_mod_ex(ByteReader &reader, std::uint8_t type) {
  std::size_t all = 0;
  while (type == kModEx && !reader.failed()) {
    std::size_t size = reader.u8() + 1u;
    if (size == 256) size = reader.u16() + 1u;
    all += size;
    if (all > kMaxModEx)
      return bad_input("A tag has more than " + std::to_string(kMaxModEx) + " bytes of ModEx.");
    reader.skip(size);
    type = reader.u8() & 0x0f;
  }
  return type;
}

/// What `reader` has not read of `body`.
SharedBytes rest(const SharedBytes &body, const ByteReader &reader) {
  return body.from(body.view.size() - reader.left());
}

}  // namespace

Result<TagContent> TagReader::read(const SharedBytes &body, std::int64_t dts) {
  if (body.view.empty()) return TagContent{};  // some encoders send these to say "nothing now"
  if (medium_ == Medium::Audio && body.view.size() > kMostSoundBytes)
    return bad_input("An audio tag has " + std::to_string(body.view.size()) +
                     " bytes; sound that is played as it comes has at most " +
                     std::to_string(kMostSoundBytes) + ".");
  auto packet = medium_ == Medium::Audio ? audio_packet(body) : video_packet(body);
  if (!packet) return packet.error();
  if (!*packet) return TagContent{};
  switch ((*packet)->kind) {
    case Packet::Kind::Config:
      return read_config(**packet);
    case Packet::Kind::Frame:
      return read_frame(**packet, dts);
    case Packet::Kind::End:
      break;
  }
  return TagContent{};
}

/// Nothing if the tag is of no concern.
Result<std::optional<TagReader::Packet>> TagReader::audio_packet(const SharedBytes &body) {
  ByteReader reader(body.view);
  const std::uint8_t first = reader.u8();
  const unsigned format = first >> 4;
  Packet packet;
  packet.channels = (first & 1) + 1;
  switch (format) {
    case kPcma:
    case kPcmu:
      packet.codec = format == kPcma ? Codec::Pcma : Codec::Pcmu;
      packet.rate = kG711Rate;
      break;
    case kSpeex:
      packet.codec = Codec::Speex;
      packet.rate = kSpeexRate;
      packet.channels = 1;
      break;
    case kAac: {
      const std::uint8_t type = reader.u8();
      if (reader.failed()) return truncated("AAC", body.view.size());
      packet.codec = Codec::Aac;
      if (type > kCodedFrames)
        return bad_input("An AAC tag has packet type " + std::to_string(type) + ".");
      packet.kind = type == kSequenceStart ? Packet::Kind::Config : Packet::Kind::Frame;
      break;
    }
    case kEnhancedAudio: {
      const auto read = skip_mod_ex(reader, first & 0x0f);
      if (!read) return read.error();
      const std::uint8_t type = *read;
      if (type == kAudioMultitrack) return refused("Several audio tracks are not supported.");
      const std::uint32_t code = reader.u32();
      if (reader.failed()) return truncated("enhanced audio", body.view.size());
      if (code != kMp4a) return unsupported("audio", fourcc_name(code));
      if (type > kSequenceEnd) return std::optional<Packet>();
      packet.codec = Codec::Aac;
      packet.kind = type == kSequenceStart ? Packet::Kind::Config
                    : type == kCodedFrames ? Packet::Kind::Frame
                                           : Packet::Kind::End;
      break;
    }
    default:
      return unsupported("audio", sound_name(format));
  }
  packet.data = rest(body, reader);
  return std::optional(std::move(packet));
}

Result<std::optional<TagReader::Packet>> TagReader::video_packet(const SharedBytes &body) {
  ByteReader reader(body.view);
  const std::uint8_t first = reader.u8();
  const bool enhanced = (first & kEnhancedVideo) != 0;
  const unsigned frame_type = first >> 4 & 7;
  Packet packet;
  packet.key = frame_type == kKey || frame_type == kGenerated;
  packet.droppable = frame_type == kDisposable;
  std::uint8_t type = kCodedFrames;
  bool has_composition = false;
  if (enhanced) {
    const auto read = skip_mod_ex(reader, first & 0x0f);
    if (!read) return read.error();
    type = *read;
    if (type == kVideoMultitrack) return refused("Several video tracks are not supported.");
    if (frame_type == kInfo && type != kMetadata) return std::optional<Packet>();
    const std::uint32_t code = reader.u32();
    if (reader.failed()) return truncated("enhanced video", body.view.size());
    if (code != kAvc1 && code != kVp08) return unsupported("video", fourcc_name(code));
    packet.codec = code == kAvc1 ? Codec::H264 : Codec::Vp8;
    if (type > kCodedFramesX) return std::optional<Packet>();
    has_composition = code == kAvc1 && type == kCodedFrames;
  } else {
    if (frame_type == kInfo) return std::optional<Packet>();
    switch (first & 0x0f) {
      case kSorenson:
        packet.codec = Codec::Sorenson;
        break;
      case kH263:
        packet.codec = Codec::H263;
        break;
      case kAvc:
        packet.codec = Codec::H264;
        type = reader.u8();
        if (!reader.failed() && type > kSequenceEnd)
          return bad_input("An AVC tag has packet type " + std::to_string(type) + ".");
        has_composition = true;
        break;
      default:
        return unsupported("video", video_name(first & 0x0f));
    }
  }
  // What ends a sequence needs no composition time.
  if (has_composition && (type != kSequenceEnd || reader.left() > 0))
    packet.composition = signed24(reader.u24());
  if (reader.failed()) return truncated(to_string(packet.codec), body.view.size());
  packet.kind = type == kSequenceStart ? Packet::Kind::Config
                : type == kSequenceEnd ? Packet::Kind::End
                                       : Packet::Kind::Frame;
  packet.data = rest(body, reader);
  return std::optional(std::move(packet));
}

Result<TagContent> TagReader::read_config(const Packet &packet) {
  TagContent content;
  Track track;
  track.codec = packet.codec;
  track.config = packet.data;
  switch (packet.codec) {
    case Codec::H264: {
      const auto config = parse_avc_config(packet.data.view);
      if (!config) return config.error();
      nal_length_size_ = config->nal_length_size;
      break;
    }
    case Codec::Aac: {
      const auto config = parse_audio_specific_config(packet.data.view);
      if (!config) return config.error();
      track.rate = config->extension_rate > 0 ? config->extension_rate : config->rate;
      track.channels = config->channels;
      break;
    }
    default:
      return content;  // VP8 says nothing here that its key frames do not
  }
  tell(std::move(track), content);
  return content;
}

Result<TagContent> TagReader::read_frame(Packet &packet, std::int64_t dts) {
  TagContent content;
  if (packet.data.view.empty()) return content;
  const bool known = track_ && track_->codec == packet.codec;
  Track track;
  track.codec = packet.codec;
  switch (packet.codec) {
    case Codec::H264: {
      if (!known) return content;
      const auto picture = inspect_access_unit(packet.data.view, nal_length_size_);
      if (!picture) return picture.error();
      packet.key |= picture->idr;
      packet.droppable = picture->slices && !picture->reference;
      break;
    }
    case Codec::Aac:
      if (!known) return content;
      break;
    case Codec::Vp8: {
      const auto header = parse_vp8_picture(packet.data.view);
      if (!header) return header.error();
      packet.key = header->key;
      packet.droppable = false;
      if (!header->key && !known) return content;
      if (header->key) {
        track.width = header->width;
        track.height = header->height;
        tell(std::move(track), content);
      }
      break;
    }
    case Codec::Sorenson:
    case Codec::H263:
      // What the picture says of itself is right where the tag differs.
      if (const auto picture = parse_picture(packet.codec, packet.data.view)) {
        packet.key = picture->key;
        packet.droppable = picture->droppable;
        track.width = picture->width;
        track.height = picture->height;
      }
      if (track.width == 0 && known) {
        track.width = track_->width;
        track.height = track_->height;
      }
      tell(std::move(track), content);
      break;
    default:
      track.rate = packet.rate;
      track.channels = packet.channels;
      tell(std::move(track), content);
  }
  Frame frame;
  frame.medium = medium_;
  frame.key = packet.key;
  frame.droppable = packet.droppable;
  frame.dts = dts;
  frame.composition = packet.composition;
  frame.data = std::move(packet.data);
  content.frame = std::move(frame);
  return content;
}

void TagReader::tell(Track track, TagContent &content) {
  if (track_ && same_track(*track_, track)) return;
  // A copy of its own: a view would keep the first message's whole block for the stream's life.
  track.config = SharedBytes::copy(track.config.view);
  track_ = track;
  content.track = std::move(track);
}

namespace {

class PrefixWriter {
 public:
  PrefixWriter &number(std::uint32_t value, int width) {
    for (int shift = (width - 1) * 8; shift >= 0; shift -= 8)
      prefix_.bytes[prefix_.size++] = static_cast<std::byte>(value >> shift & 0xff);
    return *this;
  }
  TagPrefix take() const { return prefix_; }

 private:
  TagPrefix prefix_;
};

bool is_enhanced(Codec codec, TagStyle style) {
  return codec == Codec::Vp8 || (codec == Codec::H264 && style == TagStyle::Enhanced);
}

/// SoundFormat, rate, size (16 bits) and type. AAC is to say 44 kHz stereo whatever it is
/// (E.4.2.1); Speex and G.711 have one rate, so that the field means nothing.
std::uint8_t sound_flags(const Track &track) {
  const std::uint8_t stereo = track.channels == 2 ? 1 : 0;
  switch (track.codec) {
    case Codec::Aac:
      return kAac << 4 | 0x0f;
    case Codec::Pcma:
      return static_cast<std::uint8_t>(kPcma << 4 | 0x02 | stereo);
    case Codec::Pcmu:
      return static_cast<std::uint8_t>(kPcmu << 4 | 0x02 | stereo);
    default:
      return kSpeex << 4 | 0x06;
  }
}

std::uint8_t video_flags(const Track &track, std::uint8_t frame_type, TagStyle style,
                         std::uint8_t packet_type) {
  if (is_enhanced(track.codec, style))
    return static_cast<std::uint8_t>(kEnhancedVideo | frame_type << 4 | packet_type);
  const std::uint8_t codec = track.codec == Codec::H264       ? kAvc
                             : track.codec == Codec::Sorenson ? kSorenson
                                                              : kH263;
  return static_cast<std::uint8_t>(frame_type << 4 | codec);
}

/// The header of a tag with this packet type.
TagPrefix prefix(const Track &track, std::uint8_t frame_type, std::uint8_t packet_type,
                 std::int32_t composition, TagStyle style) {
  PrefixWriter writer;
  if (medium_of(track.codec) == Medium::Audio) {
    writer.number(sound_flags(track), 1);
    if (track.codec == Codec::Aac) writer.number(packet_type, 1);
    return writer.take();
  }
  const auto time = static_cast<std::uint32_t>(composition);
  if (!is_enhanced(track.codec, style)) {
    writer.number(video_flags(track, frame_type, style, packet_type), 1);
    if (track.codec == Codec::H264) writer.number(packet_type, 1).number(time, 3);
    return writer.take();
  }
  const bool avc = track.codec == Codec::H264;
  if (avc && packet_type == kCodedFrames && composition == 0) packet_type = kCodedFramesX;
  writer.number(video_flags(track, frame_type, style, packet_type), 1);
  writer.number(avc ? kAvc1 : kVp08, 4);
  if (avc && packet_type == kCodedFrames) writer.number(time, 3);
  return writer.take();
}

}  // namespace

TagPrefix frame_prefix(const Track &track, const Frame &frame, TagStyle style) {
  std::uint8_t type = frame.key ? kKey : kInter;
  // The standard has disposable frames for H.263 alone.
  if (!frame.key && frame.droppable && track.codec == Codec::Sorenson) type = kDisposable;
  return prefix(track, type, kCodedFrames, frame.composition, style);
}

TagPrefix enhanced_avc_prefix(ByteSpan legacy) {
  ByteReader reader(legacy);
  const std::uint8_t frame_type = reader.u8() >> 4;
  const std::uint8_t packet_type = reader.u8();
  Track track;
  track.codec = Codec::H264;
  return prefix(track, frame_type, packet_type, signed24(reader.u24()), TagStyle::Enhanced);
}

Bytes config_body(const Track &track, TagStyle style) {
  Bytes body;
  if (track.codec != Codec::H264 && track.codec != Codec::Aac && track.codec != Codec::Vp8)
    return body;
  ByteWriter writer(body);
  writer.raw(prefix(track, kKey, kSequenceStart, 0, style).view());
  if (track.codec == Codec::Vp8 && track.config.view.empty())
    // VPCodecConfigurationRecord: profile 0, level not told, 8 bits of 4:2:0, colours not told.
    writer.u8(0).u8(0).u8(8 << 4 | 1 << 1).u8(2).u8(2).u8(2).u16(0);
  else
    writer.raw(track.config.view);
  return body;
}

}  // namespace junctor::rtmp
