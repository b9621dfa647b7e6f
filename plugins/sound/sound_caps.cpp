// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sound/sound_caps.h"

#include <algorithm>
#include <array>

#include "common/gst/buffer_bytes.h"

extern "C" {
#include <libavutil/samplefmt.h>
}

namespace junctor::sound {

namespace {

/// What decoders give. A format more is a row more, and a word in the template.
struct FormatPair {
  GstAudioFormat ours;
  AVSampleFormat theirs;
};
constexpr std::array kFormats{
    FormatPair{GST_AUDIO_FORMAT_S16, AV_SAMPLE_FMT_S16},
    FormatPair{GST_AUDIO_FORMAT_F32, AV_SAMPLE_FMT_FLT},
    FormatPair{GST_AUDIO_FORMAT_S32, AV_SAMPLE_FMT_S32},
    FormatPair{GST_AUDIO_FORMAT_F64, AV_SAMPLE_FMT_DBL},
    FormatPair{GST_AUDIO_FORMAT_U8, AV_SAMPLE_FMT_U8},
};

/// For libswresample. Nothing for a format that no row names.
std::optional<Source> source_of(const GstAudioInfo &raw) {
  const auto row = std::ranges::find(kFormats, GST_AUDIO_INFO_FORMAT(&raw), &FormatPair::ours);
  if (row == kFormats.end()) return std::nullopt;
  Source source{row->theirs, GST_AUDIO_INFO_RATE(&raw), GST_AUDIO_INFO_CHANNELS(&raw), 0};
  if (GST_AUDIO_INFO_LAYOUT(&raw) == GST_AUDIO_LAYOUT_NON_INTERLEAVED)
    source.format = av_get_planar_sample_fmt(row->theirs);
  // The places that both name have the same bits: those of WAVE files.
  guint64 places = 0;
  if (!GST_AUDIO_INFO_IS_UNPOSITIONED(&raw) &&
      gst_audio_channel_positions_to_mask(raw.position, source.channels, FALSE, &places))
    source.places = places & 0x3ffff;
  return source;
}

/// The first of `streamheader`; null without.
GstBuffer *stream_header_of(const GstStructure *structure) {
  const GValue *headers = gst_structure_get_value(structure, "streamheader");
  if (headers == nullptr || !GST_VALUE_HOLDS_ARRAY(headers) ||
      gst_value_array_get_size(headers) == 0)
    return nullptr;
  const GValue *first = gst_value_array_get_value(headers, 0);
  return GST_VALUE_HOLDS_BUFFER(first) ? gst_value_get_buffer(first) : nullptr;
}

}  // namespace

std::optional<Form> form_of(const GstCaps *caps, GstAudioInfo &raw) {
  const GstStructure *structure = gst_caps_get_structure(caps, 0);
  if (gst_structure_has_name(structure, "audio/x-raw")) {
    const auto source =
        gst_audio_info_from_caps(&raw, caps) ? source_of(raw) : std::optional<Source>();
    return source ? std::optional(Form{std::nullopt, *source}) : std::nullopt;
  }
  Form form{gst_structure_has_name(structure, "audio/x-alaw") ? Law::A : Law::U,
            {AV_SAMPLE_FMT_S16, 0, 0, 0}};
  gst_structure_get_int(structure, "rate", &form.source.rate);
  gst_structure_get_int(structure, "channels", &form.source.channels);
  if (form.source.rate <= 0 || form.source.channels <= 0) return std::nullopt;
  return form;
}

std::optional<Coding> coding_of(const GstCaps *caps) {
  const GstStructure *structure = gst_caps_get_structure(caps, 0);
  if (gst_structure_has_name(structure, "audio/mpeg")) return Coding::Aac;
  if (gst_structure_has_name(structure, "audio/x-speex")) return Coding::Speex;
  return std::nullopt;
}

Result<std::unique_ptr<Decoder>> decoder_of(Coding coding, const GstCaps *caps) {
  const GstStructure *structure = gst_caps_get_structure(caps, 0);
  GstBuffer *setup = coding == Coding::Aac ? codec_data_of(structure) : stream_header_of(structure);
  if (setup == nullptr)
    return bad_input(coding == Coding::Aac
                         ? "the caps of AAC have no codec_data; put aacparse in front"
                         : "the caps of Speex have no streamheader; put speexdec in front");
  return Decoder::create(coding, copy_of(setup));
}

}  // namespace junctor::sound
