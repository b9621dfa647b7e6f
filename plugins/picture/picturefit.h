// SPDX-License-Identifier: LGPL-2.1-or-later
// Element that makes pictures fit what follows.
#pragma once

#include <gst/gst.h>
#include <gst/video/gstvideofilter.h>

G_BEGIN_DECLS

#define JUNCTOR_TYPE_PICTURE_FIT (junctor_picture_fit_get_type())
G_DECLARE_FINAL_TYPE(JunctorPictureFit, junctor_picture_fit, JUNCTOR, PICTURE_FIT, GstVideoFilter)

GST_ELEMENT_REGISTER_DECLARE(picturefit)

G_END_DECLS
