// SPDX-License-Identifier: LGPL-2.1-or-later
// RTMP server source: the publisher connects to it.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define JUNCTOR_TYPE_RTMP_AUTH_SRC (junctor_rtmp_auth_src_get_type())
G_DECLARE_FINAL_TYPE(JunctorRtmpAuthSrc, junctor_rtmp_auth_src, JUNCTOR, RTMP_AUTH_SRC, GstElement)

GST_ELEMENT_REGISTER_DECLARE(rtmpauthsrc)

G_END_DECLS
