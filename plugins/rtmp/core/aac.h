// SPDX-License-Identifier: LGPL-2.1-or-later
// AudioSpecificConfig.
#pragma once

#include "common/bytes.h"
#include "common/result.h"

namespace junctor::rtmp {

/// ISO/IEC 14496-3, 1.6.2.1, as far as a stream's description needs it.
struct AacConfig {
  int object_type = 2;     ///< of the core: 2 is AAC LC
  int rate = 0;            ///< Hz, of the core
  int channels = 0;        ///< 1 to 8; 0 if a program config element in the stream tells
  int extension_rate = 0;  ///< Hz after SBR if signalled (object types 5 and 29), else 0
};

/// BadInput for truncated bytes, reserved rates or channel configurations, or a type that is no
/// AAC.
Result<AacConfig> parse_audio_specific_config(ByteSpan bytes);

/// Two bytes (five if the rate is none of the standard's) of a config without SBR. `object_type` 1
/// to 4, `channels` 1 to 6 or 8, `rate` 1 to 2^24 - 1; BadInput else.
Result<Bytes> build_audio_specific_config(int object_type, int rate, int channels);

}  // namespace junctor::rtmp
