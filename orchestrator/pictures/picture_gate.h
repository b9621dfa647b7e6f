// SPDX-License-Identifier: LGPL-2.1-or-later
// Keeps from a pipeline's decoder what is too large for it.
#pragma once

#include <gst/gst.h>

#include <functional>
#include <string>

namespace junctor::pictures {

/// Pictures are left out: `size` as in PictureBound::too_large().
using TooLarge = std::function<void(const std::string &size)>;

/// A PictureBound in front of a decoder of pictures, whose sink pad it is, before anything has come
/// there. H.264 must come with a configuration record (stream-format=avc): without one nothing
/// passes. `tell` is called once at most, by the thread that feeds the decoder.
void bound_pictures(GstPad *decoder_sink, TooLarge tell);

}  // namespace junctor::pictures
