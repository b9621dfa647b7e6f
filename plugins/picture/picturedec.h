// SPDX-License-Identifier: LGPL-2.1-or-later
// Element that decodes pictures.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define JUNCTOR_TYPE_PICTURE_DEC (junctor_picture_dec_get_type())
G_DECLARE_FINAL_TYPE(JunctorPictureDec, junctor_picture_dec, JUNCTOR, PICTURE_DEC, GstElement)

GST_ELEMENT_REGISTER_DECLARE(picturedec)

G_END_DECLS
