// SPDX-License-Identifier: LGPL-2.1-or-later
// Sound as caps say it.
#pragma once

#include <gst/audio/audio.h>

#include <memory>
#include <optional>

#include "sound/core/decoder.h"
#include "sound/core/law.h"
#include "sound/core/resampler.h"

namespace junctor::sound {

/// Samples of one side.
struct Form {
  std::optional<Law> law;  ///< what has one is 16 bits wide before or after it
  Source source;
  bool operator==(const Form &) const = default;
};

/// Of raw sound, which `raw` tells more of then, or of G.711. Nothing for what is no form of it.
std::optional<Form> form_of(const GstCaps *caps, GstAudioInfo &raw);

/// Nothing for samples.
std::optional<Coding> coding_of(const GstCaps *caps);

/// By what the stream begins with: `codec_data` of AAC, the first of `streamheader` of Speex.
/// BadInput if there is none, or none that can be decoded by.
Result<std::unique_ptr<Decoder>> decoder_of(Coding coding, const GstCaps *caps);

}  // namespace junctor::sound
