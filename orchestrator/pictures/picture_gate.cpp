// SPDX-License-Identifier: LGPL-2.1-or-later
#include "pictures/picture_gate.h"

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "common/gst/buffer_bytes.h"
#include "pictures/picture_bound.h"

namespace junctor::pictures {

namespace {

/// What is in front of one decoder; used by the thread that feeds it alone.
struct Gate {
  TooLarge tell;
  std::optional<PictureBound> bound{};  ///< since the caps are known
};

std::optional<Codec> codec_of(const GstStructure *caps) {
  constexpr std::array<std::pair<std::string_view, Codec>, 4> kTypes{{
      {"video/x-h264", Codec::H264},
      {"video/x-h263", Codec::H263},
      {"video/x-flash-video", Codec::Sorenson},
      {"video/x-vp8", Codec::Vp8},
  }};
  for (const auto &[type, codec] : kTypes)
    if (type == gst_structure_get_name(caps)) return codec;
  return std::nullopt;
}

template <class Function>
bool with_bytes(GstBuffer *buffer, Function function) {
  GstMapInfo map;
  if (buffer == nullptr || !gst_buffer_map(buffer, &map, GST_MAP_READ)) return false;
  const bool result = function(std::as_bytes(std::span(map.data, map.size)));
  gst_buffer_unmap(buffer, &map);
  return result;
}

bool take_caps(Gate &gate, const GstCaps *caps) {
  const GstStructure *structure = gst_caps_get_structure(caps, 0);
  const auto codec = codec_of(structure);
  gate.bound.reset();
  if (!codec) return false;
  gate.bound.emplace(*codec);
  if (*codec != Codec::H264) return true;
  return with_bytes(codec_data_of(structure),
                    [&gate](ByteSpan record) { return gate.bound->configure(record); });
}

GstPadProbeReturn on_coded(GstPad *, GstPadProbeInfo *info, gpointer data) {
  Gate &gate = *static_cast<Gate *>(data);
  bool may_pass = true;
  if ((GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) != 0) {
    GstEvent *event = GST_PAD_PROBE_INFO_EVENT(info);
    if (GST_EVENT_TYPE(event) != GST_EVENT_CAPS) return GST_PAD_PROBE_OK;
    GstCaps *caps = nullptr;
    gst_event_parse_caps(event, &caps);
    may_pass = take_caps(gate, caps);
  } else {
    may_pass = gate.bound && with_bytes(GST_PAD_PROBE_INFO_BUFFER(info), [&gate](ByteSpan picture) {
                 return gate.bound->admit(picture);
               });
  }
  if (may_pass) return GST_PAD_PROBE_OK;
  if (gate.bound && !gate.bound->too_large().empty())
    if (const auto tell = std::exchange(gate.tell, nullptr)) tell(gate.bound->too_large());
  return GST_PAD_PROBE_DROP;
}

}  // namespace

void bound_pictures(GstPad *decoder_sink, TooLarge tell) {
  gst_pad_add_probe(
      decoder_sink,
      static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM),
      on_coded, new Gate{std::move(tell)}, [](gpointer data) { delete static_cast<Gate *>(data); });
}

}  // namespace junctor::pictures
