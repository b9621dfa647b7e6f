// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/picture_numbers.h"

#include <chrono>
#include <span>

#include "calls/elements_of.h"
#include "common/temporal_reference.h"

namespace junctor::calls {

namespace {

GstPadProbeReturn on_picture(GstPad *, GstPadProbeInfo *info, gpointer data) {
  auto *buffer = gst_buffer_make_writable(GST_PAD_PROBE_INFO_BUFFER(info));
  GST_PAD_PROBE_INFO_DATA(info) = buffer;
  // Without a time it is one later than the last: the clock makes it so.
  const std::chrono::nanoseconds time(
      GST_BUFFER_PTS_IS_VALID(buffer) ? static_cast<std::int64_t>(GST_BUFFER_PTS(buffer)) : 0);
  const std::uint8_t reference = static_cast<PictureClock *>(data)->next(time);
  GstMapInfo map;
  if (!gst_buffer_map(buffer, &map, GST_MAP_READWRITE)) return GST_PAD_PROBE_OK;
  set_temporal_reference(std::as_writable_bytes(std::span(map.data, map.size)), reference);
  gst_buffer_unmap(buffer, &map);
  return GST_PAD_PROBE_OK;
}

bool makes_h263(GstPad *source) {
  static GstStaticCaps kMade = GST_STATIC_CAPS("video/x-h263; video/x-flash-video, flvversion=1");
  GstCaps *const made = gst_static_caps_get(&kMade), *const own =
                                                         gst_pad_get_pad_template_caps(source);
  const bool makes = !gst_caps_is_any(own) && gst_caps_can_intersect(made, own);
  gst_caps_unref(own);
  gst_caps_unref(made);
  return makes;
}

}  // namespace

void number_pictures(GstElement *pipeline) {
  for_each_element(pipeline, [](GstElement *element) {
    if (!is_of_type(element,
                    GST_ELEMENT_FACTORY_TYPE_ENCODER | GST_ELEMENT_FACTORY_TYPE_MEDIA_VIDEO))
      return;
    const PadRef source(gst_element_get_static_pad(element, "src"));
    if (!source || !makes_h263(source.get())) return;
    gst_pad_add_probe(source.get(), GST_PAD_PROBE_TYPE_BUFFER, on_picture, new PictureClock,
                      [](gpointer data) { delete static_cast<PictureClock *>(data); });
  });
}

}  // namespace junctor::calls
