// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sfu/core/header_extensions.h"

#include <utility>

namespace junctor::sfu {

namespace {

constexpr std::uint16_t kOneByte = 0xBEDE, kTwoBytes = 0x1000;

unsigned octet(ByteSpan bytes, std::size_t at) { return std::to_integer<unsigned>(bytes[at]); }

void take(unsigned number, ByteSpan value, const ExtensionNumbers &numbers,
          ExtensionValues &values) {
  if (number == 0) return;
  if (number == numbers.transport_cc && value.size() >= 2) {
    values.transport_number = static_cast<std::uint16_t>(octet(value, 0) << 8 | octet(value, 1));
  } else if (number == numbers.audio_level && !value.empty()) {
    values.audio_level = static_cast<std::uint8_t>(octet(value, 0) & 0x7f);
  } else if (number == numbers.mid) {
    values.mid = value;
  } else if (number == numbers.rid) {
    values.rid = value;
  } else if (number == numbers.frame_marking && !value.empty()) {
    // S: the first packet of a frame; I: it depends on none before.
    values.key_frame |= (octet(value, 0) & 0x80) && (octet(value, 0) & 0x20);
  } else if (number == numbers.dependency_descriptor && value.size() > 3) {
    // A frame begins here, and with it the structure of those that follow, as key frames have it.
    values.key_frame |= (octet(value, 0) & 0x80) && (octet(value, 3) & 0x80);
  }
}

}  // namespace

std::uint8_t *number_of(ExtensionNumbers &numbers, std::string_view name) {
  const std::pair<std::string_view, std::uint8_t *> known[] = {
      {"transport-cc", &numbers.transport_cc},
      {"audio-level", &numbers.audio_level},
      {"mid", &numbers.mid},
      {"rid", &numbers.rid},
      {"frame-marking", &numbers.frame_marking},
      {"dependency-descriptor", &numbers.dependency_descriptor}};
  for (const auto &[known_name, number] : known)
    if (known_name == name) return number;
  return nullptr;
}

ExtensionValues read_extensions(std::uint16_t profile, ByteSpan extension,
                                const ExtensionNumbers &numbers) {
  ExtensionValues values;
  const bool one = profile == kOneByte;
  if (!one && (profile & 0xfff0) != kTwoBytes) return values;
  for (std::size_t at = 0; at < extension.size();) {
    const unsigned head = octet(extension, at++);
    if (head == 0) continue;  // padding
    unsigned number = head;
    std::size_t size = 0;
    if (one) {
      number = head >> 4;
      if (number == 15) break;
      size = (head & 15) + 1;
    } else {
      if (at == extension.size()) break;
      size = octet(extension, at++);
    }
    if (size > extension.size() - at) break;
    take(number, extension.subspan(at, size), numbers, values);
    at += size;
  }
  return values;
}

}  // namespace junctor::sfu
