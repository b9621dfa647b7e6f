// SPDX-License-Identifier: LGPL-2.1-or-later
// Element that makes sound fit what follows.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define JUNCTOR_TYPE_SOUND_FIT (junctor_sound_fit_get_type())
G_DECLARE_FINAL_TYPE(JunctorSoundFit, junctor_sound_fit, JUNCTOR, SOUND_FIT, GstElement)

GST_ELEMENT_REGISTER_DECLARE(soundfit)

G_END_DECLS
