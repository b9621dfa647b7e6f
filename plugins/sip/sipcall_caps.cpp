// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sip/sipcall_caps.h"

#include <algorithm>
#include <string>

#include "common/gst/buffer_bytes.h"
#include "common/gst/shared_buffer.h"
#include "common/gst/speex_caps.h"
#include "rtp/core/depacketizer.h"
#include "rtp/core/h264_depacketizer.h"

namespace junctor::sipcall {

namespace {

/// Clock rates that caps may have for a variable format, in Hz.
constexpr int kLowestRate = 7350, kHighestRate = 96000;
/// Parameter sets in a description, more than any encoder has.
constexpr gint kMostSets = 64;

GstStructure *structure_of(const rtp::Format &format) {
  GstStructure *structure =
      gst_structure_new("application/x-rtp", "media", G_TYPE_STRING,
                        std::string(to_string(medium_of(format.codec))).c_str(), "encoding-name",
                        G_TYPE_STRING, std::string(format.encoding_name).c_str(), nullptr);
  if (format.variable)
    gst_structure_set(structure, "clock-rate", GST_TYPE_INT_RANGE, kLowestRate, kHighestRate,
                      nullptr);
  else
    gst_structure_set(structure, "clock-rate", G_TYPE_INT, static_cast<int>(format.clock_rate),
                      nullptr);
  return structure;
}

/// Appends packets of `format`. Those of one name are one structure with a list of clock rates:
/// rtpspeexpay asks its encoder for the rate of the first structure.
void append_packets(GstCaps *caps, const rtp::Format &format) {
  CapsRef one(gst_caps_new_empty());
  gst_caps_append_structure(one.get(), structure_of(format));
  for (guint i = 0; i < gst_caps_get_size(caps); ++i) {
    GstStructure *known = gst_caps_get_structure(caps, i);
    const char *name = gst_structure_get_string(known, "encoding-name");
    if (name == nullptr || format.encoding_name != name) continue;
    GValue rates = G_VALUE_INIT;
    gst_value_union(&rates, gst_structure_get_value(known, "clock-rate"),
                    gst_structure_get_value(gst_caps_get_structure(one.get(), 0), "clock-rate"));
    gst_structure_take_value(known, "clock-rate", &rates);
    return;
  }
  gst_caps_append(caps, one.release());
}

/// What sipcallsink packs into RTP itself: how each such codec arrives.
struct Packed {
  Codec codec;
  const char *caps;
};
constexpr Packed kPacked[] = {
    {Codec::Pcma, "audio/x-alaw, rate=8000, channels=1"},
    {Codec::Pcmu, "audio/x-mulaw, rate=8000, channels=1"},
    {Codec::H264, "video/x-h264, stream-format=avc, alignment=au"},
};

/// What arrives at a sink for `format`: packets, or frames where we pack them.
void append_sent(GstCaps *caps, const rtp::Format &format) {
  append_packets(caps, format);
  for (const Packed &packed : kPacked)
    if (packed.codec == format.codec) gst_caps_append(caps, gst_caps_from_string(packed.caps));
}

/// Frames of `format`, as they come out of a depacketizer.
GstStructure *frame_structure_of(const rtp::Format &format) {
  for (const Packed &packed : kPacked)
    if (packed.codec == format.codec) return gst_structure_from_string(packed.caps, nullptr);
  switch (format.codec) {
    case Codec::Speex:
      return gst_structure_new("audio/x-speex", "rate", G_TYPE_INT,
                               static_cast<int>(format.clock_rate), "channels", G_TYPE_INT, 1,
                               nullptr);
    case Codec::Aac:
      return gst_structure_new("audio/mpeg", "mpegversion", G_TYPE_INT, 4, "stream-format",
                               G_TYPE_STRING, "raw", "framed", G_TYPE_BOOLEAN, TRUE, nullptr);
    case Codec::Vp8:
      return gst_structure_new_empty("video/x-vp8");
    case Codec::H263:
      return gst_structure_new("video/x-h263", "variant", G_TYPE_STRING, "itu", "h263version",
                               G_TYPE_STRING, "h263", nullptr);
    default:
      g_return_val_if_reached(nullptr);
  }
}

/// NAL units in base64, with commas between them (RFC 6184 section 8.1, sprop-parameter-sets).
std::vector<Bytes> decoded_sets(const char *text) {
  std::vector<Bytes> sets;
  gchar **parts = g_strsplit(text, ",", kMostSets);
  for (gchar **part = parts; *part != nullptr; ++part) {
    gsize size = 0;
    guchar *set = g_base64_decode(*part, &size);
    const auto *bytes = reinterpret_cast<const std::byte *>(set);
    sets.emplace_back(bytes, bytes + size);
    g_free(set);
  }
  g_strfreev(parts);
  return sets;
}

/// Fixed caps' codec_data; empty without.
Bytes codec_data(const GstStructure *structure) {
  GstBuffer *found = codec_data_of(structure);
  return found != nullptr ? copy_of(found) : Bytes();
}

}  // namespace

CapsRef caps_of(Medium medium) {
  CapsRef caps(gst_caps_new_empty());
  for (const rtp::Format &format : rtp::formats())
    if (medium_of(format.codec) == medium) append_packets(caps.get(), format);
  for (const rtp::Format &format : rtp::formats())
    if (medium_of(format.codec) == medium && rtp::has_depacketizer(format))
      gst_caps_append_structure(caps.get(), frame_structure_of(format));
  return caps;
}

std::vector<Bytes> parameter_sets_of(const sip::Media &media) {
  const auto parameters = rtp::parse_fmtp(media.fmtp);
  const auto sets = parameters.find("sprop-parameter-sets");
  return sets != parameters.end() ? decoded_sets(sets->second.c_str()) : std::vector<Bytes>();
}

CapsRef with_config(const GstCaps *caps, const SharedBytes &config) {
  CapsRef copy(gst_caps_copy(caps));
  set_codec_data(gst_caps_get_structure(copy.get(), 0), config);
  return copy;
}

bool lacks_config(const GstCaps *caps) {
  const GstStructure *structure = gst_caps_get_structure(caps, 0);
  return gst_structure_has_name(structure, "video/x-h264") && codec_data_of(structure) == nullptr;
}

CapsRef frame_caps_of(const sip::Media &media) {
  if (media.format->codec == Codec::Speex) return speex_caps(static_cast<int>(media.clock_rate), 1);
  GstStructure *structure = frame_structure_of(*media.format);
  if (media.format->codec == Codec::Aac) {
    const rtp::AacConfig config{media.clock_rate, media.channels};
    gst_structure_set(structure, "rate", G_TYPE_INT, static_cast<int>(config.rate), "channels",
                      G_TYPE_INT, config.channels, nullptr);
    set_codec_data(structure, SharedBytes::own(config.asc()));
  }
  if (media.format->codec == Codec::H264)
    if (const auto config = rtp::H264Depacketizer(parameter_sets_of(media)).config();
        !config.view.empty())
      set_codec_data(structure, config);
  CapsRef caps(gst_caps_new_empty());
  gst_caps_append_structure(caps.get(), structure);
  return caps;
}

CapsRef sent_caps_of(Medium medium) {
  CapsRef caps(gst_caps_new_empty());
  for (const rtp::Format &format : rtp::formats())
    if (medium_of(format.codec) == medium) append_sent(caps.get(), format);
  return caps;
}

CapsRef sent_caps_of(const rtp::Format &format) {
  CapsRef caps(gst_caps_new_empty());
  append_sent(caps.get(), format);
  return caps;
}

CapsRef sent_caps_of(const sip::Media &media) {
  CapsRef caps = sent_caps_of(*media.format);
  if (media.format->variable)
    gst_caps_set_simple(caps.get(), "clock-rate", G_TYPE_INT, static_cast<int>(media.clock_rate),
                        nullptr);
  // Packets of H263-1998 and H263-2000 are the same (RFC 4629), and rtph263ppay keeps
  // to the name that it began with.
  const auto is_h263_plus = [](const rtp::Format &format) {
    return format.codec == Codec::H263 && format.static_payload_type < 0;
  };
  if (is_h263_plus(*media.format))
    for (const rtp::Format &format : rtp::formats())
      if (&format != media.format && is_h263_plus(format)) append_packets(caps.get(), format);
  return caps;
}

CapsRef caps_of(const sip::Media &media) {
  GstStructure *structure = structure_of(*media.format);
  gst_structure_set(structure, "payload", G_TYPE_INT, media.receive_payload_type, "clock-rate",
                    G_TYPE_INT, static_cast<int>(media.clock_rate), nullptr);
  const auto set = [structure](const char *name, const std::string &value) {
    gst_structure_set(structure, name, G_TYPE_STRING, value.c_str(), nullptr);
  };
  if (media.format->codec == Codec::H264) {
    // The peer's own words; its text goes into values, never into a launch line.
    const auto parameters = rtp::parse_fmtp(media.fmtp);
    for (const char *name : {"packetization-mode", "profile-level-id", "sprop-parameter-sets"})
      if (const auto found = parameters.find(name);
          found != parameters.end() && g_utf8_validate(found->second.c_str(), -1, nullptr))
        set(name, found->second);
  }
  if (media.format->codec == Codec::Speex) set("encoding-params", "1");
  if (media.format->codec == Codec::Aac) {
    // What negotiation has understood, in the words of depayloaders.
    const rtp::AacConfig config{media.clock_rate, media.channels};
    set("encoding-params", std::to_string(media.channels));
    for (const auto &[name, value] : rtp::parse_fmtp(config.fmtp(*media.format)))
      if (name != "object") set(name.c_str(), value);
  }
  CapsRef caps(gst_caps_new_empty());
  gst_caps_append_structure(caps.get(), structure);
  return caps;
}

std::vector<const rtp::Format *> formats_in(const GstCaps *caps, Medium medium) {
  std::vector<const rtp::Format *> found;
  if (caps == nullptr) return found;
  if (gst_caps_is_any(caps)) {
    // It could be everything, so it is what everybody can take.
    for (const rtp::Format &format : rtp::formats())
      if (medium_of(format.codec) == medium && format.by_default) found.push_back(&format);
    return found;
  }
  for (guint i = 0; i < gst_caps_get_size(caps); ++i) {
    const CapsRef one(gst_caps_copy_nth(caps, i));
    for (const rtp::Format &format : rtp::formats()) {
      if (medium_of(format.codec) != medium || std::ranges::find(found, &format) != found.end())
        continue;
      if (gst_caps_can_intersect(one.get(), sent_caps_of(format).get())) found.push_back(&format);
    }
  }
  return found;
}

sip::Offered offered(const rtp::Format &format, const GstCaps *caps) {
  sip::Offered offer{&format};
  if (!format.variable || caps == nullptr || gst_caps_get_size(caps) != 1) return offer;
  const GstStructure *structure = gst_caps_get_structure(caps, 0);
  const char *name = gst_structure_get_string(structure, "encoding-name");
  if (name == nullptr || format.encoding_name != name) return offer;
  // As its payloader says it, in the words of fmtp but for a few that are understood by themselves.
  std::string fmtp = format.encoding_name == "MP4A-LATM"
                         ? "cpresent=0"
                         : "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3";
  if (const char *config = gst_structure_get_string(structure, "config"))
    fmtp += std::string(";config=") + config;
  if (const auto config = rtp::AacConfig::from_fmtp(format, fmtp)) offer.aac = *config;
  return offer;
}

std::optional<rtp::H264Profile> h264_profile_in(const GstCaps *caps) {
  if (caps == nullptr || gst_caps_get_size(caps) == 0) return std::nullopt;
  const GstStructure *structure = gst_caps_get_structure(caps, 0);
  if (gst_structure_has_name(structure, "video/x-h264"))
    return rtp::H264Profile::from_avcc(codec_data(structure));
  if (const char *id = gst_structure_get_string(structure, "profile-level-id"))
    return rtp::H264Profile::from_profile_level_id(id);
  const char *sets = gst_structure_get_string(structure, "sprop-parameter-sets");
  if (sets == nullptr) return std::nullopt;
  // The first set is the SPS; profile, constraints and level follow its NAL header (RFC 6184 8.1).
  const std::vector<Bytes> decoded = decoded_sets(sets);
  if (decoded.empty() || decoded[0].size() < 4) return std::nullopt;
  const auto byte = [&sps = decoded[0]](std::size_t at) {
    return std::to_integer<std::uint8_t>(sps[at]);
  };
  if ((byte(0) & 0x1f) != 7) return std::nullopt;
  rtp::H264Profile profile;
  profile.profile_idc = byte(1);
  profile.constraints = byte(2);
  profile.level_idc = byte(3);
  return profile;
}

Result<std::unique_ptr<rtp::Packetizer>> packetizer_for(const GstCaps *caps) {
  using Made = std::unique_ptr<rtp::Packetizer>;
  const GstStructure *structure = gst_caps_get_structure(caps, 0);
  if (gst_structure_has_name(structure, "application/x-rtp")) return Made();
  if (!gst_structure_has_name(structure, "video/x-h264"))
    return Made(std::make_unique<rtp::G711Packetizer>());
  auto made = rtp::H264Packetizer::make(codec_data(structure));
  if (!made) return made.error();
  return Made(*std::move(made));
}

}  // namespace junctor::sipcall
