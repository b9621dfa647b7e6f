// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/catch_up.h"

#include <chrono>
#include <string_view>
#include <utility>

#include "calls/elements_of.h"
#include "common/clock.h"

namespace junctor::calls {

namespace {

/// Used by the decoder's thread alone.
struct Watch {
  ElementRef queue;
  Time passed{};  ///< when a picture last went on although others waited
};

GstPadProbeReturn on_picture(GstPad *, GstPadProbeInfo *, gpointer data) {
  Watch &watch = *static_cast<Watch *>(data);
  guint waiting = 0;
  g_object_get(watch.queue.get(), "current-level-buffers", &waiting, nullptr);
  if (waiting <= kWaitingPictures) return GST_PAD_PROBE_OK;
  const Time now = Clock::now();
  if (now - watch.passed < std::chrono::milliseconds(kLeastPictureMs)) return GST_PAD_PROBE_DROP;
  watch.passed = now;
  return GST_PAD_PROBE_OK;
}

/// The queue nearest in front of `start`, through elements of one pad; null if there is none.
ElementRef find_queue(GstElement *start) {
  ElementRef at(GST_ELEMENT(gst_object_ref(start)));
  while (at && !is_made_by(at.get(), "queue")) {
    const PadRef own(gst_element_get_static_pad(at.get(), "sink"));
    const PadRef next(own ? gst_pad_get_peer(own.get()) : nullptr);
    at.reset(next ? gst_pad_get_parent_element(next.get()) : nullptr);
  }
  return at;
}

void watch(GstElement *decoder) {
  ElementRef queue = find_queue(decoder);
  if (!queue) return;
  const PadRef source(gst_element_get_static_pad(decoder, "src"));
  if (!source) return;
  gst_pad_add_probe(source.get(), GST_PAD_PROBE_TYPE_BUFFER, on_picture,
                    new Watch{std::move(queue)},
                    [](gpointer data) { delete static_cast<Watch *>(data); });
}

}  // namespace

void let_decoders_catch_up(GstElement *pipeline) {
  for_each_element(pipeline, [](GstElement *element) {
    if (is_of_type(element,
                   GST_ELEMENT_FACTORY_TYPE_DECODER | GST_ELEMENT_FACTORY_TYPE_MEDIA_VIDEO))
      watch(element);
  });
}

}  // namespace junctor::calls
