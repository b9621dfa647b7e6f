// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/speex.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace junctor {

namespace {

constexpr std::string_view kVendor = "Junctor";
constexpr std::string_view kSpeex = "Speex   ";
constexpr std::size_t kHeaderSize = 80;

void little_endian(Bytes &out, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8)
    out.push_back(static_cast<std::byte>(value >> shift & 0xff));
}

void text(Bytes &out, std::string_view value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i)
    out.push_back(static_cast<std::byte>(i < value.size() ? value[i] : '\0'));
}

}  // namespace

Bytes speex_header(int rate, int channels) {
  const std::uint32_t mode = rate >= 32000 ? 2 : rate >= 16000 ? 1 : 0;
  Bytes out;
  text(out, kSpeex, kSpeex.size());
  text(out, "1.2.1", 20);
  little_endian(out, 1);            // version
  little_endian(out, kHeaderSize);  // size of the header
  little_endian(out, static_cast<std::uint32_t>(rate));
  little_endian(out, mode);
  little_endian(out, 4);  // of the bit stream
  little_endian(out, static_cast<std::uint32_t>(channels));
  little_endian(out, 0xffffffff);  // bit rate: not told
  little_endian(out, 160u << mode);
  little_endian(out, 0);  // no variable bit rate is promised
  little_endian(out, 1);  // frames a packet
  for (int i = 0; i < 3; ++i) little_endian(out, 0);
  return out;
}

Result<SpeexHeader> parse_speex_header(ByteSpan packet) {
  if (packet.size() < kHeaderSize ||
      !std::ranges::equal(packet.first(kSpeex.size()), as_bytes(kSpeex)))
    return bad_input("it does not begin with a header of 80 bytes");
  const auto field = [packet](std::size_t at) {
    return ByteReader(packet.subspan(at)).u32_little();
  };
  const std::uint32_t rate = field(36), mode = field(40), channels = field(48);
  if (rate < 6000 || rate > 48000) return bad_input("its rate is " + std::to_string(rate) + " Hz");
  if (mode > 2) return bad_input("its mode is " + std::to_string(mode));
  if (channels < 1 || channels > 2)
    return bad_input("it has " + std::to_string(channels) + " channels");
  return SpeexHeader{static_cast<int>(rate), static_cast<int>(mode), static_cast<int>(channels)};
}

Bytes speex_comment() {
  Bytes out;
  little_endian(out, static_cast<std::uint32_t>(kVendor.size()));
  text(out, kVendor, kVendor.size());
  little_endian(out, 0);
  out.push_back(std::byte{1});
  return out;
}

}  // namespace junctor
