// SPDX-License-Identifier: LGPL-2.1-or-later
// Element that forwards each leg's packets to the others.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define JUNCTOR_TYPE_SFU_RELAY (junctor_sfu_relay_get_type())
G_DECLARE_FINAL_TYPE(JunctorSfuRelay, junctor_sfu_relay, JUNCTOR, SFU_RELAY, GstElement)

GST_ELEMENT_REGISTER_DECLARE(sfurelay)

G_END_DECLS
