// SPDX-License-Identifier: LGPL-2.1-or-later
// Lets pictures go when a pipeline's encoder lags, so that no delay grows.
#pragma once

#include <gst/gst.h>

namespace junctor::calls {

/// Coded pictures that may wait in front of a decoder. Where more do, what comes out of it is not
/// encoded, until no more do: decoding is the lesser part, and no coded picture may be left out,
/// for those that follow need it.
inline constexpr unsigned kWaitingPictures = 2;

/// Where even that does not help, one picture in this time goes on: a slow picture is better than
/// none.
inline constexpr unsigned kLeastPictureMs = 500;

/// Watches each video decoder of `pipeline` that has a `queue` in front of it, as
/// transcode-video.launch has. `pipeline` is parsed, and not yet running; what is set here goes
/// with its pads.
void let_decoders_catch_up(GstElement *pipeline);

}  // namespace junctor::calls
