// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/gst/speex_caps.h"

#include <utility>

#include "common/gst/shared_buffer.h"
#include "common/speex.h"

namespace junctor {

CapsRef speex_caps(int rate, int channels) {
  CapsRef caps(gst_caps_new_simple("audio/x-speex", "rate", G_TYPE_INT, rate, "channels",
                                   G_TYPE_INT, channels, nullptr));
  GValue headers = G_VALUE_INIT;
  g_value_init(&headers, GST_TYPE_ARRAY);
  for (Bytes packet : {speex_header(rate, channels), speex_comment()}) {
    GstBuffer *buffer = wrap(SharedBytes::own(std::move(packet)));
    GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_HEADER);
    GValue value = G_VALUE_INIT;
    g_value_init(&value, GST_TYPE_BUFFER);
    gst_value_take_buffer(&value, buffer);
    gst_value_array_append_and_take_value(&headers, &value);
  }
  gst_structure_take_value(gst_caps_get_structure(caps.get(), 0), "streamheader", &headers);
  return caps;
}

}  // namespace junctor
