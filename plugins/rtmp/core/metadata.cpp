// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/metadata.h"

namespace junctor::rtmp {

namespace {

constexpr double kMostPixels = 16384;
constexpr double kMostFrames = 1000;
constexpr double kMostRate = 192000;

/// A number within 0 … most, else 0 (NaN too).
double sane(const AmfMembers &members, std::string_view name, double most) {
  const double value = members.number(name);
  return value > 0 && value <= most ? value : 0;
}

/// The codec ids of onMetaData: those of the tags, or the FourCC as a number (Enhanced RTMP v2).
double codec_id(Codec codec, TagStyle style) {
  switch (codec) {
    case Codec::Sorenson:
      return 2;
    case Codec::H264:
      return style == TagStyle::Enhanced ? 0x61766331 : 7;
    case Codec::H263:
      return 8;
    case Codec::Vp8:
      return 0x76703038;
    case Codec::Pcma:
      return 7;
    case Codec::Pcmu:
      return 8;
    case Codec::Aac:
      return 10;
    case Codec::Speex:
      return 11;
  }
  return 0;
}

}  // namespace

std::optional<Metadata> parse_metadata(const Data &data) {
  if (data.name != "onMetaData") return std::nullopt;
  Metadata metadata;
  for (const AmfValue &value : data.values) {
    const AmfMembers *members = value.members();
    if (!members) continue;
    metadata.width = static_cast<int>(sane(*members, "width", kMostPixels));
    metadata.height = static_cast<int>(sane(*members, "height", kMostPixels));
    metadata.framerate = sane(*members, "framerate", kMostFrames);
    metadata.audio_rate = static_cast<int>(sane(*members, "audiosamplerate", kMostRate));
    metadata.audio_channels = static_cast<int>(sane(*members, "audiochannels", 8));
    const AmfValue *stereo = members->find("stereo");
    if (metadata.audio_channels == 0 && stereo && stereo->boolean())
      metadata.audio_channels = *stereo->boolean() ? 2 : 1;
    break;
  }
  return metadata;
}

Data make_metadata(const std::optional<Track> &audio, const std::optional<Track> &video,
                   TagStyle style) {
  AmfEcmaArray members;
  if (video) {
    if (video->width > 0 && video->height > 0)
      members.set("width", video->width).set("height", video->height);
    members.set("videocodecid", codec_id(video->codec, style));
  }
  if (audio) {
    members.set("audiocodecid", codec_id(audio->codec, style));
    if (audio->rate > 0) members.set("audiosamplerate", audio->rate);
    members.set("audiosamplesize", 16).set("stereo", audio->channels == 2);
  }
  Data data;
  data.name = "onMetaData";
  data.values.push_back(std::move(members));
  return data;
}

}  // namespace junctor::rtmp
