// SPDX-License-Identifier: LGPL-2.1-or-later
// What media a client sends, as far as those who only pass it on have to know.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/codec.h"
#include "common/result.h"

namespace junctor::nat {

/// `media` of an invite or an accept. RTP is encrypted from end to end: this says what cannot be
/// seen in its headers.
struct SessionMedia {
  static constexpr std::size_t kMostBytes = 2048, kMostListed = 32;

  struct Payload {
    std::uint8_t payload_type = 0;
    Medium medium = Medium::Video;
    std::uint32_t clock_rate = 90000;
    std::string encoding;  ///< as RTP's registry has it; nobody here depends on it
    bool operator==(const Payload &) const = default;
  };
  struct Extension {
    std::string name;  ///< "transport-cc", "audio-level", "mid", "rid" …
    std::uint8_t number = 0;
    bool operator==(const Extension &) const = default;
  };
  std::vector<Payload> payloads;
  std::vector<Extension> extensions;  ///< header extensions (RFC 8285)
  bool operator==(const SessionMedia &) const = default;
};

/// BadInput for what breaks a bound, or says what cannot be. Members that are not known are
/// ignored.
Result<SessionMedia> parse_session_media(std::string_view text);
std::string to_string(const SessionMedia &media);

}  // namespace junctor::nat
