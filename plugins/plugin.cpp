// SPDX-License-Identifier: LGPL-2.1-or-later
// Registers the elements of the one plugin, `junctor`.
#include <gst/gst.h>

#include "nat/stunpunch.h"
#include "picture/picturedec.h"
#include "picture/picturefit.h"
#include "rtmp/rtmpauthsrc.h"
#include "rtmp/rtmpplaysink.h"
#include "sfu/sfurelay.h"
#include "sip/sipcallsink.h"
#include "sound/soundfit.h"
#include "watchdog/mediawatchdog.h"

static gboolean plugin_init(GstPlugin *plugin) {
  gboolean registered = FALSE;
  registered |= GST_ELEMENT_REGISTER(mediawatchdog, plugin);
  registered |= GST_ELEMENT_REGISTER(picturedec, plugin);
  registered |= GST_ELEMENT_REGISTER(picturefit, plugin);
  registered |= GST_ELEMENT_REGISTER(rtmpauthsrc, plugin);
  registered |= GST_ELEMENT_REGISTER(rtmpplaysink, plugin);
  registered |= GST_ELEMENT_REGISTER(sfurelay, plugin);
  registered |= GST_ELEMENT_REGISTER(sipcallsink, plugin);
  registered |= GST_ELEMENT_REGISTER(soundfit, plugin);
  registered |= GST_ELEMENT_REGISTER(stunpunch, plugin);
  return registered;
}

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, junctor,
                  "Joins the two legs of a video call: RTMP, SIP, and devices behind NATs",
                  plugin_init, JUNCTOR_VERSION, "LGPL", "Junctor", "https://junctor.example")
