// SPDX-License-Identifier: LGPL-2.1-or-later
// The two packets that a Speex stream begins with in Ogg; FLV leaves them out, decoders want them.
#pragma once

#include "common/bytes.h"
#include "common/result.h"

namespace junctor {

/// The header packet (80 bytes; "The Speex Codec Manual", 7.1 and table 7.1) for one frame of 20 ms
/// a packet. `rate` 8000, 16000 or 32000 Hz names the mode; `channels` 1 or 2.
Bytes speex_header(int rate, int channels);

/// What a header packet says that a decoder has to know.
struct SpeexHeader {
  int rate = 0;      ///< Hz, from 6000 to 48000
  int mode = 0;      ///< 0 narrowband, 1 wideband, 2 ultra-wideband
  int channels = 0;  ///< 1 or 2
};
/// BadInput: a part of a sentence about why it is none.
Result<SpeexHeader> parse_speex_header(ByteSpan packet);

/// The comment packet that follows it, without comments.
Bytes speex_comment();

}  // namespace junctor
