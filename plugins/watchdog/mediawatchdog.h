// SPDX-License-Identifier: LGPL-2.1-or-later
// Element that passes media through and tells when all of it is silent.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define JUNCTOR_TYPE_MEDIA_WATCHDOG (junctor_media_watchdog_get_type())
G_DECLARE_FINAL_TYPE(JunctorMediaWatchdog, junctor_media_watchdog, JUNCTOR, MEDIA_WATCHDOG,
                     GstElement)

GST_ELEMENT_REGISTER_DECLARE(mediawatchdog)

G_END_DECLS
