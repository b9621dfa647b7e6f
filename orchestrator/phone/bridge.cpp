// SPDX-License-Identifier: LGPL-2.1-or-later
#include "phone/bridge.h"

namespace junctor::phone {

Bridge::Bridge(GstElement *fakesink, GstPad *to, const char *caps)
    : from_(gst_element_get_static_pad(fakesink, "sink")),
      feed_(GST_PAD(gst_object_ref_sink(gst_pad_new(nullptr, GST_PAD_SRC)))),
      caps_(caps) {
  gst_pad_set_element_private(feed_.get(), from_.get());
  gst_pad_set_event_function(feed_.get(), &Bridge::back);
  gst_pad_set_active(feed_.get(), TRUE);
  gst_pad_link(feed_.get(), to);
  probe_ = gst_pad_add_probe(
      from_.get(),
      static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST),
      &Bridge::pass, this, nullptr);
}

Bridge::~Bridge() {
  gst_pad_remove_probe(from_.get(), probe_);
  if (GstPad *to = gst_pad_get_peer(feed_.get())) {
    gst_pad_unlink(feed_.get(), to);
    gst_object_unref(to);
  }
  gst_pad_set_active(feed_.get(), FALSE);
}

void Bridge::begin() {
  begun_ = true;
  gst_pad_push_event(feed_.get(), gst_event_new_stream_start("junctor-phone"));
  GstCaps *caps = gst_caps_from_string(caps_.c_str());
  gst_pad_push_event(feed_.get(), gst_event_new_caps(caps));
  gst_caps_unref(caps);
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  gst_pad_push_event(feed_.get(), gst_event_new_segment(&segment));
}

GstPadProbeReturn Bridge::pass(GstPad *, GstPadProbeInfo *info, gpointer data) {
  auto *self = static_cast<Bridge *>(data);
  if (!self->begun_) self->begin();
  if (GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_BUFFER_LIST)
    gst_pad_push_list(self->feed_.get(), gst_buffer_list_ref(GST_PAD_PROBE_INFO_BUFFER_LIST(info)));
  else
    gst_pad_push(self->feed_.get(), gst_buffer_ref(GST_PAD_PROBE_INFO_BUFFER(info)));
  return GST_PAD_PROBE_DROP;
}

gboolean Bridge::back(GstPad *pad, GstObject *, GstEvent *event) {
  return gst_pad_push_event(static_cast<GstPad *>(gst_pad_get_element_private(pad)), event);
}

}  // namespace junctor::phone
