// SPDX-License-Identifier: LGPL-2.1-or-later
// RTMP server sink: players connect to it.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define JUNCTOR_TYPE_RTMP_PLAY_SINK (junctor_rtmp_play_sink_get_type())
G_DECLARE_FINAL_TYPE(JunctorRtmpPlaySink, junctor_rtmp_play_sink, JUNCTOR, RTMP_PLAY_SINK,
                     GstElement)

GST_ELEMENT_REGISTER_DECLARE(rtmpplaysink)

G_END_DECLS
