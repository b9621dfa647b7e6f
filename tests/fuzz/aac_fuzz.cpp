// SPDX-License-Identifier: LGPL-2.1-or-later
// AudioSpecificConfig: what is read can be written and reads the same again.
#include "input.h"
#include "rtmp/core/aac.h"

using namespace junctor;
using namespace junctor::rtmp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const auto config = parse_audio_specific_config(fuzz::input(data, size));
  if (!config) return 0;
  fuzz::require(config->rate > 0 && config->channels >= 0 && config->channels <= 8 &&
                config->extension_rate >= 0);
  const auto built =
      build_audio_specific_config(config->object_type, config->rate, config->channels);
  if (!built) {
    fuzz::require(config->object_type > 4 || config->channels == 0 || config->channels == 7);
    return 0;
  }
  const auto again = parse_audio_specific_config(*built);
  fuzz::require(again && again->object_type == config->object_type && again->rate == config->rate &&
                again->channels == config->channels);
  return 0;
}
