// SPDX-License-Identifier: LGPL-2.1-or-later
// The ways through a pipeline on which something is decoded or converted.
#pragma once

#include <gst/gst.h>

#include <vector>

#include "calls/elements_of.h"
#include "calls/leg_media.h"

namespace junctor::calls {

/// A chain of elements from one leg's to the other's.
struct CodingRoute {
  Side taker;  ///< who gets what comes out
  Medium medium;
  PadRef first;    ///< the first sink pad behind the giver's elements
  PadRef decoded;  ///< the decoder's source pad; of `soundfit` where that is the decoder
  PadRef last;     ///< the taker's sink pad
};

/// Of a pipeline that is parsed, and not yet running.
std::vector<CodingRoute> coding_routes(GstElement *pipeline);

}  // namespace junctor::calls
