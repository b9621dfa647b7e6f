// SPDX-License-Identifier: LGPL-2.1-or-later
// Element that is one SIP call.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define JUNCTOR_TYPE_SIP_CALL_SINK (junctor_sip_call_sink_get_type())
G_DECLARE_FINAL_TYPE(JunctorSipCallSink, junctor_sip_call_sink, JUNCTOR, SIP_CALL_SINK, GstElement)

GST_ELEMENT_REGISTER_DECLARE(sipcallsink)

G_END_DECLS
