// SPDX-License-Identifier: LGPL-2.1-or-later
// What the first bytes of a coded picture say, for codecs without a configuration record.
#pragma once

#include <optional>

#include "common/bytes.h"
#include "common/codec.h"
#include "common/result.h"

namespace junctor::rtmp {

struct CodedPicture {
  bool key = false;           ///< coded by itself: a decoder can begin here
  bool droppable = false;     ///< no other picture refers to it
  int width = 0, height = 0;  ///< samples; 0 where this picture does not tell

  bool operator==(const CodedPicture &) const = default;
};

/// Rec. ITU-T H.263 (01/2005), 5.1: the picture layer, PLUSPTYPE too. Nothing for bytes that are no
/// picture's beginning.
std::optional<CodedPicture> parse_h263_picture(ByteSpan picture);

/// How many zero bytes at a picture's end are not its own: rtph263pdepay adds 4 or 6, for the sake
/// of decoders. No picture ends with more than one, for 16 zero bits begin the next (5.1.1).
std::size_t h263_padding(ByteSpan picture);

/// Sorenson H.263 (Adobe FLV 10.1, E.4.3.3: H263VIDEOPACKET). Nothing for bytes that are none.
std::optional<CodedPicture> parse_sorenson_picture(ByteSpan picture);

/// VP8 (RFC 6386, 9.1): a frame tag of 3 bytes; a key frame goes on with a start code and its size.
/// BadInput says what is wrong.
Result<CodedPicture> parse_vp8_picture(ByteSpan frame);

/// By codec; nothing for bytes that are no picture of it, and for codecs that are none of the
/// above.
std::optional<CodedPicture> parse_picture(Codec codec, ByteSpan picture);

}  // namespace junctor::rtmp
