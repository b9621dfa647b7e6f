// SPDX-License-Identifier: LGPL-2.1-or-later
// Tells in coded pictures when they are shown, where an encoder does not.
#pragma once

#include <gst/gst.h>

namespace junctor::calls {

/// Of each encoder of H.263 and Sorenson H.263 in `pipeline`: libav's write the temporal reference
/// by the number and length of pictures, and GStreamer 1.22 gives them a length of a nanosecond, so
/// that all have 0. It is written as the pictures leave the encoder, from their presentation times.
/// `pipeline` is parsed, and not yet running; what is set here goes with its pads.
void number_pictures(GstElement *pipeline);

}  // namespace junctor::calls
