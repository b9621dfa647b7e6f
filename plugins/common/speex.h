// SPDX-License-Identifier: LGPL-2.1-or-later
// The two packets that a Speex stream begins with in Ogg; FLV leaves them out, decoders want them.
#pragma once

#include "common/bytes.h"

namespace junctor {

/// The header packet (80 bytes; "The Speex Codec Manual", 7.1 and table 7.1) for one frame of 20 ms
/// a packet. `rate` 8000, 16000 or 32000 Hz names the mode; `channels` 1 or 2.
Bytes speex_header(int rate, int channels);

/// Whether this may be a header packet: its size and what it begins with.
bool is_speex_header(ByteSpan packet);

/// The comment packet that follows it, without comments.
Bytes speex_comment();

}  // namespace junctor
