// Registers the elements of the one plugin, `junctor`. SPDX-License-Identifier: LGPL-2.1-or-later
#include <gst/gst.h>

static gboolean plugin_init([[maybe_unused]] GstPlugin *plugin) { return TRUE; }

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, junctor,
                  "Joins the two legs of a video call: RTMP and SIP", plugin_init, JUNCTOR_VERSION,
                  "LGPL", "Junctor", "https://junctor.example")
