// SPDX-License-Identifier: LGPL-2.1-or-later
// Caps of a Speex stream whose header packets no packet of it has.
#pragma once

#include "common/gst/refs.h"

namespace junctor {

/// `audio/x-speex` at `rate` Hz with the header packets as in Ogg: in the field `streamheader`.
CapsRef speex_caps(int rate, int channels);

}  // namespace junctor
