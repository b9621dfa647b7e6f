// SPDX-License-Identifier: LGPL-2.1-or-later
// Shared bytes as a GstBuffer.
#pragma once

#include <gst/gst.h>

#include "common/bytes.h"

namespace junctor {

/// A read-only buffer on `bytes`, which it holds. No copy. Owned by the caller.
inline GstBuffer *wrap(const SharedBytes &bytes) {
  auto *held = new SharedBytes(bytes);
  // The bytes are shared with others: nobody may write, as the flag says.
  auto *data = const_cast<std::byte *>(bytes.view.data());
  return gst_buffer_new_wrapped_full(
      GST_MEMORY_FLAG_READONLY, data, bytes.view.size(), 0, bytes.view.size(), held,
      [](gpointer content) { delete static_cast<SharedBytes *>(content); });
}

}  // namespace junctor
