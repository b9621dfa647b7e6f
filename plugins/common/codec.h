// SPDX-License-Identifier: LGPL-2.1-or-later
// Media and codecs as every room names them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace junctor {

enum class Medium : std::uint8_t { Audio, Video };

enum class Codec : std::uint8_t { Pcma, Pcmu, Aac, Speex, H263, Sorenson, H264, Vp8 };

/// "audio" or "video", as SDP and pad names spell it.
std::string_view to_string(Medium medium);

/// The lower-case name used in URLs, plans and logs: "h264", "aac", "pcma" …
std::string_view to_string(Codec codec);

/// Inverse of to_string(Codec); nothing for an unknown name.
std::optional<Codec> codec_from_string(std::string_view name);

Medium medium_of(Codec codec);

}  // namespace junctor
