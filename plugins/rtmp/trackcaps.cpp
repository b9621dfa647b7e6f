// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/trackcaps.h"

#include <cstdio>
#include <string>

#include "common/avc.h"
#include "common/gst/buffer_bytes.h"
#include "common/gst/refs.h"
#include "common/gst/shared_buffer.h"
#include "common/gst/speex_caps.h"
#include "common/picture_size.h"
#include "rtmp/core/aac.h"

namespace junctor::rtmp {

namespace {

/// Rec. ITU-T H.264 (08/2021), A.2; names as GStreamer spells them. Null for those it has none for.
const char *h264_profile(std::uint8_t profile, std::uint8_t constraints) {
  const auto set = [constraints](int flag) { return (constraints & 0x80 >> flag) != 0; };
  switch (profile) {
    case 66:
      return set(1) ? "constrained-baseline" : "baseline";
    case 77:
      return "main";
    case 88:
      return "extended";
    case 100:
      return set(4) ? (set(5) ? "constrained-high" : "progressive-high") : "high";
    case 110:
      return set(3) ? "high-10-intra" : "high-10";
    case 122:
      return set(3) ? "high-4:2:2-intra" : "high-4:2:2";
    case 244:
      return set(3) ? "high-4:4:4-intra" : "high-4:4:4";
    case 44:
      return "cavlc-4:4:4-intra";
    default:
      return nullptr;
  }
}

/// A.3: level_idc is ten times the level; 1b has a spelling of its own in the older profiles.
std::string h264_level(std::uint8_t profile, std::uint8_t constraints, std::uint8_t level) {
  const bool old_profile = profile == 66 || profile == 77 || profile == 88;
  if (level == 9 || (level == 11 && old_profile && (constraints & 0x10) != 0)) return "1b";
  std::string text = std::to_string(level / 10);
  if (level % 10 != 0) text += "." + std::to_string(level % 10);
  return text;
}

/// ISO/IEC 14496-3, table 1.17; only LC and its kin are met in RTMP.
const char *aac_profile(int object_type) {
  switch (object_type) {
    case 1:
      return "main";
    case 2:
      return "lc";
    case 3:
      return "ssr";
    case 4:
      return "ltp";
    default:
      return nullptr;
  }
}

Result<GstCaps *> h264_caps(const Track &track) {
  const auto config = parse_avc_config(track.config.view);
  if (!config) return config.error();
  CapsRef caps(gst_caps_new_simple("video/x-h264", "stream-format", G_TYPE_STRING, "avc",
                                   "alignment", G_TYPE_STRING, "au", nullptr));
  if (const char *profile = h264_profile(config->profile, config->constraints))
    gst_caps_set_simple(caps.get(), "profile", G_TYPE_STRING, profile, nullptr);
  gst_caps_set_simple(caps.get(), "level", G_TYPE_STRING,
                      h264_level(config->profile, config->constraints, config->level).c_str(),
                      nullptr);
  // What the pictures say themselves is right where metadata differs.
  PictureSize size{track.width, track.height};
  constexpr int kLargest = 16384;
  if (const auto told = picture_size(config->sps.front());
      told && told->width <= kLargest && told->height <= kLargest)
    size = *told;
  if (size.width > 0 && size.height > 0)
    gst_caps_set_simple(caps.get(), "width", G_TYPE_INT, size.width, "height", G_TYPE_INT,
                        size.height, nullptr);
  set_codec_data(gst_caps_get_structure(caps.get(), 0), track.config);
  return caps.release();
}

Result<GstCaps *> aac_caps(const Track &track) {
  const auto config = parse_audio_specific_config(track.config.view);
  if (!config) return config.error();
  CapsRef caps(gst_caps_new_simple("audio/mpeg", "mpegversion", G_TYPE_INT, 4, "stream-format",
                                   G_TYPE_STRING, "raw", "framed", G_TYPE_BOOLEAN, TRUE, nullptr));
  gst_caps_set_simple(caps.get(), "rate", G_TYPE_INT, config->rate, nullptr);
  const int channels = config->channels != 0 ? config->channels : track.channels;
  if (channels > 0) gst_caps_set_simple(caps.get(), "channels", G_TYPE_INT, channels, nullptr);
  if (const char *profile = aac_profile(config->object_type))
    gst_caps_set_simple(caps.get(), "base-profile", G_TYPE_STRING, profile, "profile",
                        G_TYPE_STRING, profile, nullptr);
  set_codec_data(gst_caps_get_structure(caps.get(), 0), track.config);
  return caps.release();
}

/// FLV has one rate for G.711 (Adobe FLV 10.1, E.4.2.1).
GstCaps *g711_caps(const char *name, const Track &track) {
  return gst_caps_new_simple(name, "rate", G_TYPE_INT, 8000, "channels", G_TYPE_INT,
                             track.channels == 2 ? 2 : 1, nullptr);
}

GstCaps *with_size(GstCaps *caps, const Track &track) {
  if (track.width > 0 && track.height > 0)
    gst_caps_set_simple(caps, "width", G_TYPE_INT, track.width, "height", G_TYPE_INT, track.height,
                        nullptr);
  return caps;
}

/// Codecs that caps need no configuration for.
struct PlainCodec {
  Codec codec;
  const char *name;
};
constexpr PlainCodec kPlainCodecs[] = {
    {Codec::Pcma, "audio/x-alaw"},   {Codec::Pcmu, "audio/x-mulaw"},
    {Codec::Speex, "audio/x-speex"}, {Codec::H263, "video/x-h263"},
    {Codec::Vp8, "video/x-vp8"},     {Codec::Sorenson, "video/x-flash-video"},
};

}  // namespace

Result<GstCaps *> caps_of(const Track &track) {
  switch (track.codec) {
    case Codec::H264:
      return h264_caps(track);
    case Codec::Aac:
      return aac_caps(track);
    case Codec::Pcma:
      return g711_caps("audio/x-alaw", track);
    case Codec::Pcmu:
      return g711_caps("audio/x-mulaw", track);
    case Codec::Speex:
      return speex_caps(track.rate > 0 ? track.rate : 16000, track.channels == 2 ? 2 : 1).release();
    case Codec::H263:
      // Codec id 8 is plain H.263; that it has none of the annexes is what rtph263ppay asks.
      return with_size(
          gst_caps_new_simple("video/x-h263", "variant", G_TYPE_STRING, "itu", "h263version",
                              G_TYPE_STRING, "h263", "annex-f", G_TYPE_BOOLEAN, FALSE, "annex-i",
                              G_TYPE_BOOLEAN, FALSE, "annex-j", G_TYPE_BOOLEAN, FALSE, "annex-t",
                              G_TYPE_BOOLEAN, FALSE, nullptr),
          track);
    case Codec::Vp8:
      return with_size(gst_caps_new_empty_simple("video/x-vp8"), track);
    case Codec::Sorenson:
      return with_size(
          gst_caps_new_simple("video/x-flash-video", "flvversion", G_TYPE_INT, 1, nullptr), track);
  }
  return internal_error("a codec without caps");
}

Result<Track> track_of(const GstCaps *caps) {
  const GstStructure *structure = gst_caps_get_structure(caps, 0);
  Track track;
  gst_structure_get_int(structure, "rate", &track.rate);
  gst_structure_get_int(structure, "channels", &track.channels);
  gst_structure_get_int(structure, "width", &track.width);
  gst_structure_get_int(structure, "height", &track.height);
  for (const PlainCodec &plain : kPlainCodecs) {
    if (!gst_structure_has_name(structure, plain.name)) continue;
    track.codec = plain.codec;
    return track;
  }
  if (GstBuffer *config = codec_data_of(structure)) track.config = unwrap(config);
  if (gst_structure_has_name(structure, "video/x-h264")) {
    track.codec = Codec::H264;
    if (const auto config = parse_avc_config(track.config.view); !config)
      return bad_input("no usable codec_data in the H.264 caps (" + config.error().detail +
                       "); put h264parse before this element");
    return track;
  }
  if (gst_structure_has_name(structure, "audio/mpeg")) {
    track.codec = Codec::Aac;
    const auto config = parse_audio_specific_config(track.config.view);
    if (!config)
      return bad_input("no usable codec_data in the AAC caps (" + config.error().detail +
                       "); put aacparse before this element");
    track.rate = config->rate;
    if (config->channels != 0) track.channels = config->channels;
    return track;
  }
  return bad_input(std::string("caps ") + gst_structure_get_name(structure) + " are not carried");
}

SharedBytes unwrap(GstBuffer *buffer) {
  struct Mapped {
    explicit Mapped(GstBuffer *buffer) : buffer(gst_buffer_ref(buffer)) {
      mapped = gst_buffer_map(buffer, &map, GST_MAP_READ);
    }
    ~Mapped() {
      if (mapped) gst_buffer_unmap(buffer, &map);
      gst_buffer_unref(buffer);
    }
    Mapped(const Mapped &) = delete;
    Mapped &operator=(const Mapped &) = delete;

    GstBuffer *buffer;
    GstMapInfo map = GST_MAP_INFO_INIT;
    bool mapped;
    const Bytes none;  // what the owner pointer points at; its count is what matters
  };
  auto held = std::make_shared<Mapped>(buffer);
  if (!held->mapped) return {};
  const ByteSpan view(reinterpret_cast<const std::byte *>(held->map.data), held->map.size);
  return {std::shared_ptr<const Bytes>(held, &held->none), view};
}

}  // namespace junctor::rtmp
