// SPDX-License-Identifier: LGPL-2.1-or-later
// What the two ends say at connect about codecs with a FourCC (Enhanced RTMP v2, "Enhancing
// NetConnection connect Command").
#pragma once

#include "rtmp/core/amf0.h"
#include "rtmp/core/tag.h"

namespace junctor::rtmp {

struct Capabilities {
  bool enhanced = false;  ///< it speaks of FourCCs at all: it is told ours
  /// How it wants H264: Enhanced only if it names avc1, in fourCcList or, as one that it decodes,
  /// in videoFourCcInfoMap. "*" says that it takes any, and legacy tags are what all players take.
  TagStyle h264 = TagStyle::Legacy;
};

/// From the object of a connect command.
Capabilities read_capabilities(const AmfMembers &object);

/// Adds ours to the information object of the answer.
void add_capabilities(AmfObject &information);

}  // namespace junctor::rtmp
