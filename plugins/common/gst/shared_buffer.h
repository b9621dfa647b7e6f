// SPDX-License-Identifier: LGPL-2.1-or-later
// Shared bytes as a GstBuffer, and back.
#pragma once

#include <gst/gst.h>

#include <optional>

#include "common/bytes.h"

namespace junctor {

/// A read-only buffer on `bytes`, which it holds. No copy. Owned by the caller.
GstBuffer *wrap(const SharedBytes &bytes);

/// What a buffer of wrap() holds, or a part of it; nothing for any other buffer. Costs no mapping.
std::optional<SharedBytes> unwrap(GstBuffer *buffer);

/// Puts `bytes` into the field `codec_data` of caps that are the caller's alone. No copy.
void set_codec_data(GstStructure *structure, const SharedBytes &bytes);

}  // namespace junctor
