// SPDX-License-Identifier: LGPL-2.1-or-later
// Element that is one end of a UDP channel to a peer, through whatever NATs stand between.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define JUNCTOR_TYPE_STUN_PUNCH (junctor_stun_punch_get_type())
G_DECLARE_FINAL_TYPE(JunctorStunPunch, junctor_stun_punch, JUNCTOR, STUN_PUNCH, GstElement)

GST_ELEMENT_REGISTER_DECLARE(stunpunch)

G_END_DECLS
