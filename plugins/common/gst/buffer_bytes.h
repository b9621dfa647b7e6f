// SPDX-License-Identifier: LGPL-2.1-or-later
// What buffers hold, and those that caps hold.
#pragma once

#include <gst/gst.h>

#include "common/bytes.h"

namespace junctor {

/// A copy of all that a buffer holds.
inline Bytes copy_of(GstBuffer *buffer) {
  Bytes copy(gst_buffer_get_size(buffer));
  gst_buffer_extract(buffer, 0, copy.data(), copy.size());
  return copy;
}

/// The buffer in the field `codec_data` of fixed caps, which keep it; null without.
inline GstBuffer *codec_data_of(const GstStructure *structure) {
  const GValue *value = gst_structure_get_value(structure, "codec_data");
  return value != nullptr && GST_VALUE_HOLDS_BUFFER(value) ? gst_value_get_buffer(value) : nullptr;
}

}  // namespace junctor
